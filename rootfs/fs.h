// fs: new file systems, and the reconfiguration of mounted ones. Internal to rootfs/.
//
// fsopen(2), fsconfig(2), fspick(2); Documentation/filesystems/mount_api.rst.
#pragma once

#include "rootfs/plan.h"

#include <sys/stat.h>

// Makes the file system of `op`, detached, with the attributes of the mount itself. `place` is
// where it is to be attached: a tmpfs takes its mode from there unless it has one of its own (NULL:
// none to take). Returns the descriptor of the mount, or a negative errno; the error holds what the
// kernel had to say.
int fs_make(const struct mount_op *op, const struct stat *place, struct err *err);

// True where fsconfig(2) can't express the options: values longer than 255 bytes, values with
// quotes or escapes that the file system parses itself, and three flags of the super block.
// mount(2) can.
bool fs_needs_mount(const struct mount_op *op);

// mount(2) for these, on what `target` stands for: it becomes the working directory, so that no
// name of the container is looked up; `place` as above. Returns the descriptor of the mount, found
// again below `root_fd`.
int fs_mount(const struct mount_op *op, int root_fd, int target, const struct stat *place,
	     struct err *err);

// `remount`: options of the file system that is mounted at `target`, then the attributes of the
// mount.
int fs_reconfigure(const struct mount_op *op, int target, struct err *err);
