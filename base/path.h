// path: names, and opening them without being led astray.
//
// Whatever lies inside a container's root is hostile: any component may be a symbolic link, and may
// change while we look. The path_in_root family resolves by openat2(2) with RESOLVE_IN_ROOT
// (absolute links and `..` stay below the root directory that the descriptor stands for) and
// RESOLVE_NO_MAGICLINKS, and hands out descriptors, never names to be resolved again.
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// True for an absolute path.
static inline bool path_is_abs(const char *path)
{
	return path[0] == '/';
}

// Lexically clean: no empty, `.` or `..` components (`..` at the top of an absolute path stays at
// the top), no trailing slash. Resolves no links. Writes at most `size` bytes to `out`, which must
// not overlap `path`. Returns 0, or -ENAMETOOLONG.
int path_clean(const char *path, char *out, size_t size);

// Opens `path` in the root `rootfd` with open(2) flags `flags` (O_CLOEXEC is added; `mode` counts
// with O_CREAT). A path with no leading slash counts from the root too. Returns a new fd, or -1
// with errno: EXDEV or ELOOP where the path tried a magic link.
int path_open_in_root(int rootfd, const char *path, uint64_t flags, mode_t mode);

// Makes every missing directory of `path` below `rootfd` (mode `mode` less the umask) and opens the
// last with O_PATH. Links on the way are followed inside the root; a dangling one is an error, not
// an invitation to create its target. Returns a new fd or negative errno, with an error that names
// `path`.
int path_mkdirs_in_root(int rootfd, const char *path, mode_t mode, struct err *err);

// As path_mkdirs_in_root() for the parent directory of `path`; *name then points at the last
// component within `path`. A path that has none (`/`) is -EINVAL.
int path_parent_in_root(int rootfd, const char *path, mode_t mode, const char **name,
			struct err *err);
