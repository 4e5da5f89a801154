// target: the places in the container that mounts are attached to, found or made. Internal to
// rootfs/.
#pragma once

#include "base/err.h"

#include <stdbool.h>

enum target_flags {
	TARGET_DIR = 0,		  // a missing target is made as a directory
	TARGET_FILE = 1 << 0,	  // as an empty file
	TARGET_NOFOLLOW = 1 << 1, // a link as the last component is the target itself
	TARGET_EXISTING = 1 << 2, // a missing target is an error
};

// Opens `path` in the root `root_fd` with O_PATH, and makes what is missing of it. Links are
// followed inside the root, dangling ones too: what they lead to is made inside the root, as
// engines rely on it for an image's /etc/resolv.conf. But /proc, /sys and /dev must be real.
// *created (if not NULL) tells whether the last component was missing. Returns the descriptor, or a
// negative errno; the error doesn't name `path`.
int target_open(int root_fd, const char *path, unsigned int flags, bool *created, struct err *err);
