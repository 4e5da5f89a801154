/*
 * fstest: tests of a file system, from the inside of a container. Linked statically.
 *
 *   fstest [--entries N] DIR [GROUP...]
 *       Run all tests, or some groups of them, in directories made below DIR. Print a line for each: "ok",
 *       "not ok" with the place, the call and what came of it, or "skip" with the reason. As root.
 *   fstest stress DIR SEED OPERATIONS PROCESSES
 *       Random operations on a file of each process against what memory says it must hold (stress.c).
 *   fstest dax FILE
 *       Is it mapped straight from a device (STATX_ATTR_DAX)? "yes" or "no".
 *   fstest nothing
 *       End well.
 *
 * Exit status 0: nothing has failed.
 */
#include "fstest.h"

#include <err.h>
#include <ftw.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

unsigned int fs_entries = 10000;

static const struct fs_group *const groups[] = {
	&fs_names, &fs_renames, &fs_owners, &fs_users,	&fs_times, &fs_dirs,   &fs_data,
	&fs_space, &fs_full,	&fs_maps,   &fs_xattrs, &fs_locks, &fs_events,
};

#define SKIPPED	     77
#define TEST_SECONDS 600

/* ---- checks ---- */

static _Noreturn void fail_at(const char *file, int line)
{
	printf(" (%s:%d)\n", strrchr(file, '/') ? strrchr(file, '/') + 1 : file, line);
	fflush(stdout);
	_exit(1);
}

long fs_ok(long result, const char *what, const char *file, int line)
{
	if (result >= 0)
		return result;
	printf("# %s: %s", what, strerrorname_np(errno));
	fail_at(file, line);
}

void fs_fails(int error, long result, const char *what, const char *file, int line)
{
	if (result < 0 && errno == error)
		return;
	printf("# %s: %s, not %s", what, result < 0 ? strerrorname_np(errno) : "success",
	       strerrorname_np(error));
	fail_at(file, line);
}

void fs_is(long long is, long long shall, const char *what, const char *file, int line)
{
	if (is == shall)
		return;
	printf("# %s: %lld (%#llo), not %lld (%#llo)", what, is, is, shall, shall);
	fail_at(file, line);
}

void fs_skip(const char *reason)
{
	printf("# %s\n", reason);
	fflush(stdout);
	_exit(SKIPPED);
}

/* ---- files ---- */

int open_file(const char *name, int flags)
{
	return open(name, flags | O_CLOEXEC, 0644);
}

void put(const char *name, const char *content, mode_t mode)
{
	int fd = OK(open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));

	IS(write(fd, content, strlen(content)), strlen(content));
	OK(fchmod(fd, mode));
	OK(close(fd));
}

void fs_has(const char *name, const char *content, const char *file, int line)
{
	char got[4096];
	int fd = fs_ok(open(name, O_RDONLY | O_CLOEXEC), name, file, line);
	ssize_t len = fs_ok(read(fd, got, sizeof(got)), name, file, line);

	close(fd);
	if ((size_t)len == strlen(content) && !memcmp(got, content, (size_t)len))
		return;
	printf("# %s: \"%.*s\", not \"%s\"", name, (int)len, got, content);
	fail_at(file, line);
}

struct stat look(const char *name)
{
	struct stat st;

	OK(lstat(name, &st));
	return st;
}

mode_t mode_of(const char *name)
{
	return look(name).st_mode & 07777;
}

off_t size_of(const char *name)
{
	return look(name).st_size;
}

void fill(void *bytes, size_t len, unsigned int seed)
{
	uint32_t state = seed * 2654435761u + 1;

	for (size_t i = 0; i < len; i++) {
		state = state * 1664525 + 1013904223;
		((uint8_t *)bytes)[i] = (uint8_t)(state >> 24);
	}
}

/* ---- processes ---- */

pid_t child(void)
{
	fflush(stdout);
	pid_t pid = (pid_t)OK(fork());

	if (pid == 0)
		OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
	return pid;
}

void child_end(void)
{
	fflush(stdout);
	_exit(0);
}

void child_wait(pid_t pid)
{
	int status;

	IS(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		_exit(SKIPPED);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		_exit(1);
}

void become(uid_t uid, gid_t gid, const gid_t *others, size_t count)
{
	OK(setgroups(count, others));
	OK(setresgid(gid, gid, gid));
	OK(setresuid(uid, uid, uid));
}

void as_user(void (*function)(void))
{
	pid_t pid = child();

	if (pid == 0) {
		become(USER, USER, NULL, 0);
		function();
		child_end();
	}
	child_wait(pid);
}

/* ---- running ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* 0, 1 or SKIPPED. */
static int run_test(const char *dir, const struct fs_test *test)
{
	pid_t pid = child();
	int status;

	if (pid == 0) {
		/* What hangs has failed. */
		alarm(TEST_SECONDS);
		umask(0);
		OK(mkdir(dir, 0755));
		OK(chdir(dir));
		test->run();
		child_end();
	}
	if (waitpid(pid, &status, 0) != pid)
		err(2, "waitpid");
	if (WIFSIGNALED(status))
		printf("# signal %s\n", strsignal(WTERMSIG(status)));
	if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0) {
		printf("# %s can't be removed: %s\n", dir, strerrorname_np(errno));
		return 1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static bool run_group(const char *dir, const struct fs_group *group)
{
	bool good = true;
	char path[4096];

	for (const struct fs_test *test = group->tests; test->name; test++) {
		snprintf(path, sizeof(path), "%s/%s-%td", dir, group->name, test - group->tests);
		int result = run_test(path, test);

		printf("%s %s: %s\n",
		       result == 0	 ? "ok" :
		       result == SKIPPED ? "skip" :
					   "not ok",
		       group->name, test->name);
		good = good && (result == 0 || result == SKIPPED);
	}
	return good;
}

static const struct fs_group *find_group(const char *name)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (!strcmp(groups[i]->name, name))
			return groups[i];
	errx(2, "there is no group %s", name);
}

static int tell_dax(const char *name)
{
	struct statx stx;

	if (statx(AT_FDCWD, name, 0, STATX_BASIC_STATS, &stx) < 0)
		err(2, "%s", name);
	puts(stx.stx_attributes & STATX_ATTR_DAX ? "yes" : "no");
	return 0;
}

int stress(const char *dir, unsigned int seed, unsigned int operations, unsigned int processes);

int main(int argc, char **argv)
{
	bool good = true;

	if (argc == 6 && !strcmp(argv[1], "stress"))
		return stress(argv[2], (unsigned int)atoi(argv[3]), (unsigned int)atoi(argv[4]),
			      (unsigned int)atoi(argv[5]));
	if (argc == 3 && !strcmp(argv[1], "dax"))
		return tell_dax(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "nothing"))
		return 0;
	if (argc > 2 && !strcmp(argv[1], "--entries")) {
		fs_entries = (unsigned int)atoi(argv[2]);
		argv += 2;
		argc -= 2;
	}
	if (argc < 2)
		errx(2,
		     "usage: fstest [--entries N] DIR [GROUP...], or fstest stress DIR SEED OPERATIONS PROCESSES");
	if (argc == 2)
		for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
			good = run_group(argv[1], groups[i]) && good;
	for (int i = 2; i < argc; i++)
		good = run_group(argv[1], find_group(argv[i])) && good;
	return good ? 0 : 1;
}
