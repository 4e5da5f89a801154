// tree: what is done to detached and attached mounts, by descriptor. Internal to rootfs/.
//
// Thin: each returns -1 and sets errno like the system call behind it.
#pragma once

#include <fcntl.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>

// A detached copy of the mount at (dirfd, path), `flags` being 0, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW
// or AT_EMPTY_PATH.
static inline int tree_clone(int dirfd, const char *path, unsigned int flags)
{
	return open_tree(dirfd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
}

// Attaches a detached mount to exactly what `target` stands for.
static inline int tree_attach(int fd, int target)
{
	return move_mount(fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

// `flags`: 0, or AT_RECURSIVE for all mounts below too.
static inline int tree_set(int fd, unsigned int flags, struct mount_attr attr)
{
	return mount_setattr(fd, "", AT_EMPTY_PATH | flags, &attr, sizeof(attr));
}

// Sets the propagation: MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, perhaps with MS_REC.
static inline int tree_propagate(int fd, unsigned int propagation)
{
	return tree_set(fd, propagation & MS_REC ? AT_RECURSIVE : 0,
			(struct mount_attr){ .propagation = propagation & ~(unsigned int)MS_REC });
}

// Which mount `fd` lies on; 0 if the kernel doesn't tell.
static inline uint64_t tree_mount_id(int fd)
{
	struct statx stx;

	return statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0 ? 0 : stx.stx_mnt_id;
}
