#include "rootfs/target.h"

#include "base/path.h"
#include "base/scope.h"
#include "base/str.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

// As many as the kernel follows in one path.
#define MAX_LINKS 40
// Somebody who removes what we make could keep us busy for ever.
#define MAX_STEPS 4096

// A path that is walked from the root, one component at a time.
struct walk {
	char done[PATH_MAX]; // what has been opened, "" for the root
	char todo[PATH_MAX]; // the rest
	int dir;	     // of `done`
	bool missing;	     // the first of `todo` is known not to lead anywhere
	int links;
};

// Formats a path into PATH_MAX bytes.
__attribute__((format(printf, 2, 3))) static int put(char *path, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	int len = vsnprintf(path, PATH_MAX, fmt, args);
	va_end(args);
	if (len >= 0 && len < PATH_MAX)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

// Puts the content of the link `name`, which leads nowhere yet, in place of it. What is no link, or
// no longer, is left for the next step to open.
static int splice_link(int root_fd, struct walk *walk, const char *name, const char *rest)
{
	char link[PATH_MAX];
	char todo[PATH_MAX];
	ssize_t len = readlinkat(walk->dir, name, link, sizeof(link) - 1);

	if (len < 0)
		return errno == EINVAL || errno == ENOENT ? 0 : -1;
	link[len] = '\0';
	if (++walk->links > MAX_LINKS) {
		errno = ELOOP;
		return -1;
	}
	// `rest` lies in walk->todo.
	if (put(todo, "%s%s", link, rest) < 0 || put(walk->todo, "%s", todo) < 0)
		return -1;
	if (link[0] == '/') {
		walk->done[0] = '\0';
		replace_fd(&walk->dir, path_open_in_root(root_fd, "/", O_PATH | O_DIRECTORY, 0));
	}
	return walk->dir < 0 ? -1 : 0;
}

static int make(int dir, const char *name, bool file)
{
	if (!file)
		return mkdirat(dir, name, 0755);
	scope_fd int fd = openat(dir, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 ? -1 : 0;
}

// One component forward: opens it, or makes it for the next step to open, or takes what a dangling
// link says instead. 1: that was the last one, and walk->dir stands for it.
static int step(int root_fd, struct walk *walk, unsigned int flags)
{
	const char *name = walk->todo + strspn(walk->todo, "/");
	size_t len = strcspn(name, "/");
	const char *rest = name + len;
	const bool last = rest[strspn(rest, "/")] == '\0';
	char component[NAME_MAX + 1];
	char next[PATH_MAX];

	if (len == 0)
		return 1;
	if (put(next, "%s/%.*s", walk->done, (int)len, name) < 0)
		return -1;
	snprintf(component, sizeof(component), "%.*s", (int)len, name);

	if (!walk->missing) {
		int fd = path_open_in_root(root_fd, next, O_PATH | (last ? 0 : O_DIRECTORY), 0);

		if (fd >= 0) {
			replace_fd(&walk->dir, fd);
			put(walk->done, "%s", next);
			memmove(walk->todo, rest, strlen(rest) + 1);
			return last;
		}
		if (errno != ENOENT)
			return -1;
	}
	walk->missing = false;
	if (make(walk->dir, component, last && (flags & TARGET_FILE)) == 0)
		return 0;
	return errno == EEXIST ? splice_link(root_fd, walk, component, rest) : -1;
}

static void walk_close(struct walk *walk)
{
	scope_close_fd(&walk->dir);
}

// Most often only the last component is missing: from the parent it is a single step.
static int walk_start(int root_fd, struct walk *walk, const char *path)
{
	const char *name = strrchr(path, '/');

	if (put(walk->todo, "%s", name) < 0 ||
	    put(walk->done, "%.*s", (int)(name - path), path) < 0)
		return -1;
	walk->dir = path_open_in_root(root_fd, *walk->done ? walk->done : "/", O_PATH | O_DIRECTORY,
				      0);
	walk->missing = walk->dir >= 0;
	if (walk->dir >= 0 || errno != ENOENT)
		return walk->dir;
	walk->done[0] = '\0';
	if (put(walk->todo, "%s", path) < 0)
		return -1;
	walk->dir = path_open_in_root(root_fd, "/", O_PATH | O_DIRECTORY, 0);
	return walk->dir;
}

// The way for a path of which something is missing.
static int walk_path(int root_fd, const char *path, unsigned int flags, struct err *err)
{
	__attribute__((cleanup(walk_close))) struct walk walk = { .dir = -1 };
	int ret = walk_start(root_fd, &walk, path);

	if (ret >= 0)
		ret = step(root_fd, &walk, flags);
	for (int steps = 0; ret == 0; steps++) {
		if (steps == MAX_STEPS)
			return err_sysn(err, ELOOP, "make the mount point");
		ret = step(root_fd, &walk, flags);
	}
	return ret < 0 ? err_sys(err, "make the mount point") : take_fd(&walk.dir);
}

static bool must_be_real(const char *path)
{
	return str_eq(path, "/proc") || str_eq(path, "/sys") || str_eq(path, "/dev");
}

int target_open(int root_fd, const char *path, unsigned int flags, bool *created, struct err *err)
{
	const bool real = must_be_real(path);
	const bool follow = !real && !(flags & TARGET_NOFOLLOW);
	struct stat st;

	scope_fd int fd = path_open_in_root(root_fd, path, O_PATH | (follow ? 0 : O_NOFOLLOW), 0);
	if (created)
		*created = fd < 0 && errno == ENOENT;
	if (fd < 0 && errno == ENOENT && !(flags & TARGET_EXISTING))
		fd = walk_path(root_fd, path, flags, err);
	else if (fd < 0)
		return err_sys(err, "open the mount point");
	if (fd < 0 || !real)
		return take_fd(&fd);

	// The image could have led us, or someone who shares the root could have, to a place of
	// their own.
	if (fstat(fd, &st) < 0)
		return err_sys(err, "look at the mount point");
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "the mount point is %s, not a directory",
			       S_ISLNK(st.st_mode) ? "a symbolic link" : "a file");
	return take_fd(&fd);
}
