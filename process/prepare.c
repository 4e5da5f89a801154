#include "base/io.h"
#include "base/path.h"
#include "base/scope.h"
#include "base/sys.h"
#include "process/plan.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// The possessor does anything but setattr, the user views, reads and links (the kernel's own choice
// for a session keyring), and who can't possess it, as the processes of a later `exec`, may search
// it: the user, or in a user namespace anybody.
#define KEYRING_PERM	     0x3f130000U
#define KEYRING_USER_SEARCH  0x00080000U
#define KEYRING_OTHER_SEARCH 0x00000008U

// The largest /etc/passwd that is read.
#define PASSWD_MAX ((size_t)4 * 1024 * 1024)

static int join_keyring(const struct process_plan *plan, struct err *err)
{
	if (!plan->env.keyring)
		return 0;

	long ring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, plan->env.keyring);
	if (ring < 0 && errno == ENOSYS)
		return 0; // a kernel without keys
	if (ring < 0)
		return err_sys(err, "join the session keyring %s (--no-new-keyring does without)",
			       plan->env.keyring);

	uint32_t perm = KEYRING_PERM |
			(plan->env.userns ? KEYRING_OTHER_SEARCH : KEYRING_USER_SEARCH);
	if (syscall(SYS_keyctl, KEYCTL_SETPERM, ring, perm) < 0)
		return err_sys(err, "permissions of the session keyring %s", plan->env.keyring);
	return 0;
}

// The program opens /dev/stdin and the like by name, so they must be the user's. They may come from
// anywhere: what isn't ours to give away stays as it is, as do devices, of which only a terminal is
// one user's: the caller's /dev/null above all.
static int own_stdio(const struct process_plan *plan, struct err *err)
{
	const uid_t uid = plan->process->user.uid;
	struct stat st;

	for (int fd = 0; fd <= 2; fd++) {
		if (fstat(fd, &st) < 0 || st.st_uid == uid)
			continue;
		if (S_ISBLK(st.st_mode) || (S_ISCHR(st.st_mode) && !isatty(fd)))
			continue;
		if (fchown(fd, uid, (gid_t)-1) < 0 && errno != EINVAL && errno != EPERM &&
		    errno != EROFS)
			return err_sys(err, "give descriptor %d to user %u", fd, uid);
	}
	return 0;
}

// The sixth field of the line of passwd(5) whose third is `uid`; NULL: no such line. Takes `passwd`
// apart.
static const char *home_of(char *passwd, uint32_t uid)
{
	for (char *line; (line = strsep(&passwd, "\n"));) {
		char *field[6] = { 0 };
		uint32_t found;

		for (size_t i = 0; i < ARRAY_SIZE(field) && line; i++)
			field[i] = strsep(&line, ":");
		if (field[5] && str_to_u32(field[2], &found) == 0 && found == uid)
			return field[5];
	}
	return NULL;
}

// The file is the container's: it may be a link out of nowhere, a pipe, a device, or endless.
static void set_home(struct process_plan *plan)
{
	const struct open_how how = {
		.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_NO_MAGICLINKS,
	};
	const char *home = environ_get(plan, "HOME");
	scope_free char *passwd = NULL;
	struct err ignored;
	struct stat st;

	if (home && *home)
		return;
	home = NULL;
	scope_fd int fd = sys_openat2(AT_FDCWD, "/etc/passwd", &how);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    io_read_fd(fd, "/etc/passwd", PASSWD_MAX, &passwd, NULL, &ignored) == 0)
		home = home_of(passwd, plan->process->user.uid);
	environ_set_home(plan, home ? home : "/");
}

int process_make_cwd(const struct process_plan *plan, struct err *err)
{
	if (str_eq(plan->process->cwd, "/"))
		return 0;

	scope_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(err, "open /");
	scope_fd int cwd = path_mkdirs_in_root(root, plan->process->cwd, 0755, err);
	// Root may not see what is behind a FUSE mount; process_prepare() tries again, and then the
	// launcher as the user.
	if (cwd < 0 && err->code != EACCES && err->code != EPERM)
		return err_wrap(err, "process.cwd");
	return 0;
}

static int enter_cwd(struct process_plan *plan, struct err *err)
{
	const struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_MAGICLINKS,
	};
	const char *cwd = plan->process->cwd;
	char verified[PATH_MAX];

	scope_fd int fd = sys_openat2(AT_FDCWD, cwd, &how);
	if (fd < 0 || fchdir(fd) < 0) {
		plan->late_cwd = errno == EACCES || errno == EPERM;
		return plan->late_cwd ?
			       0 :
			       err_sys(err, "chdir to cwd (\"%s\") set in config.json failed", cwd);
	}
	// The system call itself, which tells of a directory outside the root by a path without a
	// leading slash (CVE-2024-21626).
	if (syscall(SYS_getcwd, verified, sizeof(verified)) < 0 || verified[0] != '/')
		return err_set(err, ENOENT, "process.cwd: %s is outside of the container", cwd);
	return 0;
}

int process_prepare(struct process_plan *plan, struct err *err)
{
	if (join_keyring(plan, err) < 0 || own_stdio(plan, err) < 0)
		return -err->code;
	set_home(plan);
	if (enter_cwd(plan, err) < 0 || program_find(plan, err) < 0 || label_prepare(plan, err) < 0)
		return -err->code;
	return 0;
}
