#include "base/path.h"

#include "base/scope.h"
#include "base/sys.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int path_clean(const char *path, char *out, size_t size)
{
	const bool absolute = path_is_abs(path);
	size_t len = 0, floor = 0; // `floor`: how much of `out` a `..` can't take away

	if (size < 2)
		return -ENAMETOOLONG;
	if (absolute)
		out[len++] = '/';
	floor = len;
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && path[0] == '.' && path[1] == '.' && (len > floor || absolute)) {
			while (len > floor && out[len - 1] != '/')
				len--;
			if (len > floor)
				len--;
		} else if (n > 0 && !(n == 1 && path[0] == '.')) {
			if (len + 1 + n >= size)
				return -ENAMETOOLONG;
			if (len > 0 && out[len - 1] != '/')
				out[len++] = '/';
			memcpy(out + len, path, n);
			len += n;
			if (n == 2 && path[0] == '.' && path[1] == '.')
				floor = len;
		}
		path += n;
		path += *path == '/';
	}
	if (len == 0)
		out[len++] = '.';
	out[len] = '\0';
	return 0;
}

int path_open_in_root(int rootfd, const char *path, uint64_t flags, mode_t mode)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.mode = (flags & O_CREAT) ? mode : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd;

	// EAGAIN: a rename or mount anywhere raced with a `..` of this path, and the kernel could
	// not prove that it stayed inside.
	for (int tries = 0; tries < 128; tries++) {
		fd = sys_openat2(rootfd, *path ? path : ".", &how);
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd;
}

// Opens or makes the directory `prefix`; `dirfd` is its parent, if that is open already, and `name`
// its last component.
static int step_into(int rootfd, const char *prefix, int dirfd, const char *name, mode_t mode)
{
	int fd = path_open_in_root(rootfd, prefix, O_PATH | O_DIRECTORY, 0);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	if (mkdirat(dirfd, name, mode) < 0 && errno != EEXIST)
		return -1;
	return path_open_in_root(rootfd, prefix, O_PATH | O_DIRECTORY, 0);
}

int path_mkdirs_in_root(int rootfd, const char *path, mode_t mode, struct err *err)
{
	char prefix[PATH_MAX];
	int fd = path_open_in_root(rootfd, path, O_PATH | O_DIRECTORY, 0);

	if (fd >= 0)
		return fd;
	if (errno != ENOENT)
		return err_sys(err, "open directory %s", path);
	if (strlen(path) >= sizeof(prefix))
		return err_sysn(err, ENAMETOOLONG, "create directory %s", path);

	// From the top, one component at a time: what exists is entered, what does not is made in
	// the directory that is open.
	scope_fd int dir = path_open_in_root(rootfd, "/", O_PATH | O_DIRECTORY, 0);
	if (dir < 0)
		return err_sys(err, "open the root directory");
	size_t len = 0;
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n > 0) {
			size_t start = len + 1;

			prefix[len] = '/';
			memcpy(prefix + start, path, n);
			len = start + n;
			prefix[len] = '\0';
			fd = step_into(rootfd, prefix, dir, prefix + start, mode);
			if (fd < 0)
				return err_sys(err, "create directory %s", prefix);
			replace_fd(&dir, fd);
		}
		path += n;
		path += *path == '/';
	}
	return take_fd(&dir);
}

int path_parent_in_root(int rootfd, const char *path, mode_t mode, const char **name,
			struct err *err)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX];

	*name = slash ? slash + 1 : path;
	if (!**name)
		return err_set(err, EINVAL, "path %s has no last component", path);
	int len = snprintf(parent, sizeof(parent), "/%.*s", slash ? (int)(slash - path) : 0, path);
	if (len < 0 || (size_t)len >= sizeof(parent))
		return err_sysn(err, ENAMETOOLONG, "%s", path);
	return path_mkdirs_in_root(rootfd, parent, mode, err);
}
