// mount: the steps that rootfs_prepare() and rootfs_mount() share. Internal to rootfs/.
#pragma once

#include "rootfs/plan.h"

// The detached copy of a bind mount's source. Returns the descriptor, or a negative errno.
int mount_clone_source(const struct rootfs_plan *plan, const struct mount_op *op, struct err *err);

// Gives the detached mount `fd` the id mapping that the operation has a namespace for, if any;
// closes that namespace.
int mount_set_idmap(struct mount_op *op, int fd, struct err *err);

// Makes what `plan->devices` says, and the links, in the container's own /dev. In the init, below
// plan->root_fd.
int devices_make(const struct rootfs_plan *plan, struct err *err);
