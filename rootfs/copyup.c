#include "rootfs/copyup.h"

#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int copy_content(int from, int to, int depth, struct err *err);

// The owner first: changing it takes set-user-ID bits away.
static int copy_attributes(const struct stat *st, int dir, const char *name, struct err *err)
{
	const struct timespec times[] = { st->st_atim, st->st_mtim };

	if (fchownat(dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "owner of %s", name);
	if (!S_ISLNK(st->st_mode) && fchmodat(dir, name, st->st_mode & 07777, 0) < 0)
		return err_sys(err, "mode of %s", name);
	if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "times of %s", name);
	return 0;
}

static int copy_dir(int from, int to, const char *name, int depth, struct err *err)
{
	scope_fd int source = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (source < 0)
		return err_sys(err, "open %s", name);
	if (mkdirat(to, name, 0700) < 0)
		return err_sys(err, "make %s", name);
	scope_fd int copy = openat(to, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (copy < 0)
		return err_sys(err, "open the copy of %s", name);
	if (depth == COPY_UP_DEPTH)
		return err_set(err, ELOOP, "%s: more than %d directories deep", name,
			       COPY_UP_DEPTH);
	return copy_content(source, copy, depth + 1, err);
}

static int copy_file(int from, int to, const char *name, struct err *err)
{
	// O_NONBLOCK: it may have become a named pipe.
	scope_fd int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (source < 0 || fstat(source, &st) < 0)
		return err_sys(err, "open %s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ESTALE, "%s is no longer a file", name);
	scope_fd int copy = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				   0600);
	if (copy < 0)
		return err_sys(err, "make %s", name);
	for (;;) {
		ssize_t n = sendfile(copy, source, NULL, 1 << 20);

		if (n < 0)
			return err_sys(err, "copy %s", name);
		if (n == 0)
			return 0;
	}
}

static int copy_link(int from, int to, const char *name, struct err *err)
{
	char link[PATH_MAX];
	ssize_t len = readlinkat(from, name, link, sizeof(link) - 1);

	if (len < 0)
		return err_sys(err, "read the link %s", name);
	link[len] = '\0';
	if (symlinkat(link, to, name) < 0)
		return err_sys(err, "make %s", name);
	return 0;
}

static int copy_entry(int from, int to, const char *name, int depth, struct err *err)
{
	struct stat st;
	int ret = 0;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "look at %s", name);
	switch (st.st_mode & S_IFMT) {
	case S_IFDIR:
		ret = copy_dir(from, to, name, depth, err);
		break;
	case S_IFREG:
		ret = copy_file(from, to, name, err);
		break;
	case S_IFLNK:
		ret = copy_link(from, to, name, err);
		break;
	case S_IFIFO:
		if (mknodat(to, name, S_IFIFO | 0600, 0) < 0)
			ret = err_sys(err, "make %s", name);
		break;
	default:
		log_debug("tmpcopyup leaves out %s: a device or a socket", name);
		return 0;
	}
	return ret < 0 ? ret : copy_attributes(&st, to, name, err);
}

static int copy_content(int from, int to, int depth, struct err *err)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	__attribute__((cleanup(close_dir))) DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		err_sys(err, "open the directory");
		if (fd >= 0)
			close(fd);
		return -err->code;
	}
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(dir);

		if (!entry && errno)
			return err_sys(err, "read the directory");
		if (!entry)
			return 0;
		if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
			continue;
		if (copy_entry(from, to, entry->d_name, depth, err) < 0)
			return -err->code;
	}
}

int copy_up(int from, int to, struct err *err)
{
	return copy_content(from, to, 0, err) < 0 ? err_wrap(err, "tmpcopyup") : 0;
}
