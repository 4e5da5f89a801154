// What the parent does for the plan: open what the init may not, and close it all.
#include "base/log.h"
#include "base/scope.h"
#include "rootfs/idmap.h"
#include "rootfs/mount.h"
#include "rootfs/tree.h"

#include <fcntl.h>

// A copy made out here is still a peer of the host's mount. It becomes what it would have been as a
// copy made in the container's namespace, whose tree has `old_propagation`.
static int leave_peers(const struct rootfs_plan *plan, int fd, struct err *err)
{
	const unsigned int propagation = plan->old_propagation & (MS_PRIVATE | MS_UNBINDABLE) ?
						 MS_PRIVATE :
						 MS_SLAVE;

	if (tree_propagate(fd, propagation | MS_REC) < 0)
		return err_sys(err, "set the propagation");
	return 0;
}

static int open_root(struct rootfs_plan *plan, struct err *err)
{
	scope_fd int fd = tree_clone(AT_FDCWD, plan->rootfs, AT_RECURSIVE);

	if (fd < 0 && errno == EPERM)
		return 0;
	if (fd < 0)
		return err_sys(err, "root %s", plan->rootfs);
	if (leave_peers(plan, fd, err) < 0)
		return -err->code;
	plan->root_fd = take_fd(&fd);
	return 0;
}

static int open_source(const struct rootfs_plan *plan, struct mount_op *op, struct err *err)
{
	if (op->options.words & WORD_COPY_SYMLINK)
		return 0;
	scope_fd int fd = mount_clone_source(plan, op, err);

	// A rootless parent may not clone mounts; its init may, in the namespace that it gets.
	if (fd < 0)
		return err->code == EPERM ? 0 : fd;
	if (leave_peers(plan, fd, err) < 0 || mount_set_idmap(op, fd, err) < 0)
		return -err->code;
	op->source_fd = take_fd(&fd);
	return 0;
}

static int open_idmap(struct mount_op *op, struct err *err)
{
	if (op->userns_path)
		op->userns_fd = open(op->userns_path, O_RDONLY | O_CLOEXEC);
	else
		op->userns_fd = idmap_userns(op->uid_mappings, op->gid_mappings, err);
	if (op->userns_fd < 0 && op->userns_path)
		return err_sys(err, "idmap: open %s", op->userns_path);
	return op->userns_fd < 0 ? op->userns_fd : 0;
}

int rootfs_prepare(struct rootfs_plan *plan, struct err *err)
{
	if (plan->label && access("/sys/fs/selinux/enforce", F_OK) < 0)
		return err_set(err, ENOTSUP,
			       "linux.mountLabel: SELinux is not enabled on this host");
	if (plan->userns && open_root(plan, err) < 0)
		return -err->code;
	for (size_t i = 0; i < plan->mount_count; i++) {
		struct mount_op *op = &plan->mounts[i];
		int ret = 0;

		if (op->options.words & WORD_IDMAP)
			ret = open_idmap(op, err);
		if (ret == 0 && plan->userns && op->kind == MOUNT_BIND)
			ret = open_source(plan, op, err);
		if (ret < 0)
			return err_wrap(err, "mount %s", op->target);
	}
	return 0;
}

void rootfs_release(struct rootfs_plan *plan)
{
	replace_fd(&plan->source_root_fd, -1);
	replace_fd(&plan->root_fd, -1);
	replace_fd(&plan->proc_fd, -1);
	for (size_t i = 0; i < plan->mount_count; i++) {
		replace_fd(&plan->mounts[i].source_fd, -1);
		replace_fd(&plan->mounts[i].userns_fd, -1);
		replace_fd(&plan->mounts[i].fd, -1);
	}
}
