// The last touches, inside: the console, what is read-only, what is hidden.
#include "base/path.h"
#include "base/scope.h"
#include "rootfs/fs.h"
#include "rootfs/target.h"
#include "rootfs/tree.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

// ---- /dev/console ----

// A terminal is a character device on a devpts. Anything else was put in its way (CVE-2025-52565).
static int check_terminal(int fd, struct err *err)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return err_sys(err, "look at the terminal");
	if (!S_ISCHR(st.st_mode) || fs.f_type != DEVPTS_SUPER_MAGIC)
		return err_set(err, ENOTTY, "it is no terminal");
	return 0;
}

static int bind_console(const struct rootfs_plan *plan, int console_fd, struct err *err)
{
	if (check_terminal(console_fd, err) < 0)
		return -err->code;
	scope_fd int dev = target_open(plan->root_fd, DEV_DIR, TARGET_DIR, NULL, err);
	if (dev < 0)
		return dev;
	scope_fd int made = openat(dev, "console", O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (made < 0 && errno != EEXIST)
		return err_sys(err, "make the mount point");
	scope_fd int target = openat(dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	scope_fd int terminal = tree_clone(console_fd, "", AT_EMPTY_PATH);
	if (target < 0 || terminal < 0 || tree_attach(terminal, target) < 0)
		return err_sys(err, "bind the terminal");
	return 0;
}

// ---- read-only paths ----

static bool is_absent(const struct err *err)
{
	return err->code == ENOENT || err->code == ENOTDIR;
}

static int make_readonly(const struct rootfs_plan *plan, const char *path, struct err *err)
{
	const struct mount_attr readonly = { .attr_set = MOUNT_ATTR_RDONLY };
	scope_fd int target = target_open(plan->root_fd, path, TARGET_EXISTING, NULL, err);

	if (target < 0)
		return is_absent(err) ? 0 : target;
	// A copy of the mount on itself keeps all its other flags, also the locked ones.
	scope_fd int copy = tree_clone(target, "", AT_EMPTY_PATH | AT_RECURSIVE);
	if (copy < 0 || tree_set(copy, 0, readonly) < 0 || tree_attach(copy, target) < 0)
		return err_sys(err, "bind");
	return 0;
}

// ---- masked paths ----

struct masks {
	int null; // the container's /dev/null, or -1 before the first use
	int dir;  // an empty read-only tmpfs, or -1 before the first use
};

static void masks_close(struct masks *masks)
{
	scope_close_fd(&masks->null);
	scope_close_fd(&masks->dir);
}

// What covers the files must be the null device itself, not what somebody has put there
// (CVE-2025-31133). From here on it is used by descriptor.
static int open_null(const struct rootfs_plan *plan, struct err *err)
{
	scope_fd int fd = path_open_in_root(plan->root_fd, DEV_DIR "/null", O_PATH | O_NOFOLLOW, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open " DEV_DIR "/null");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return err_set(err, EINVAL, DEV_DIR "/null is not the null device");
	return take_fd(&fd);
}

static int mask_file(const struct rootfs_plan *plan, struct masks *masks, int target,
		     struct err *err)
{
	if (masks->null < 0)
		masks->null = open_null(plan, err);
	if (masks->null < 0)
		return masks->null;
	scope_fd int copy = tree_clone(masks->null, "", AT_EMPTY_PATH);
	if (copy < 0 || tree_attach(copy, target) < 0)
		return err_sys(err, "bind " DEV_DIR "/null");
	return 0;
}

// One tmpfs serves all. The first directory gets the mount itself and not a copy: to close a
// detached mount costs a wait for all processors, as much as all the other masks.
static int mask_dir(const struct rootfs_plan *plan, struct masks *masks, int target,
		    struct err *err)
{
	const struct mount_op empty = {
		.fstype = "tmpfs",
		.source = "tmpfs",
		.label = plan->label,
		.options = { .attrs.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					  MOUNT_ATTR_NOEXEC,
			     .sb_set = MS_RDONLY },
	};
	const bool first = masks->dir < 0;

	if (first)
		masks->dir = fs_make(&empty, NULL, err);
	if (masks->dir < 0)
		return masks->dir;
	scope_fd int copy = first ? -1 : tree_clone(masks->dir, "", AT_EMPTY_PATH);
	if ((!first && copy < 0) || tree_attach(first ? masks->dir : copy, target) < 0)
		return err_sys(err, "cover with an empty directory");
	return 0;
}

static int mask(const struct rootfs_plan *plan, struct masks *masks, const char *path,
		struct err *err)
{
	scope_fd int target = target_open(plan->root_fd, path, TARGET_EXISTING, NULL, err);
	struct stat st;

	if (target < 0)
		return is_absent(err) ? 0 : target;
	if (fstat(target, &st) < 0)
		return err_sys(err, "look at it");
	return S_ISDIR(st.st_mode) ? mask_dir(plan, masks, target, err) :
				     mask_file(plan, masks, target, err);
}

// ---- the whole ----

static int seal_mounts(struct rootfs_plan *plan, struct err *err)
{
	const struct mount_attr readonly = { .attr_set = MOUNT_ATTR_RDONLY };

	for (size_t i = 0; i < plan->mount_count; i++) {
		struct mount_op *op = &plan->mounts[i];

		if (!op->late_readonly)
			continue;
		if (tree_set(op->fd, 0, readonly) < 0)
			return err_sys(err, "mount %s: make it read-only", op->target);
		replace_fd(&op->fd, -1);
	}
	return 0;
}

static int seal_paths(const struct rootfs_plan *plan, struct err *err)
{
	__attribute__((cleanup(masks_close))) struct masks masks = { -1, -1 };

	for (size_t i = 0; i < plan->readonly_paths.n; i++)
		if (make_readonly(plan, plan->readonly_paths.v[i], err) < 0)
			return err_wrap(err, "readonlyPaths[%zu]: %s", i,
					plan->readonly_paths.v[i]);
	for (size_t i = 0; i < plan->masked.n; i++)
		if (mask(plan, &masks, plan->masked.v[i], err) < 0)
			return err_wrap(err, "maskedPaths[%zu]: %s", i, plan->masked.v[i]);
	return 0;
}

int rootfs_seal(struct rootfs_plan *plan, int console_fd, struct err *err)
{
	const struct mount_attr readonly = { .attr_set = MOUNT_ATTR_RDONLY };

	if (console_fd >= 0 && bind_console(plan, console_fd, err) < 0)
		return err_wrap(err, DEV_DIR "/console");
	if (seal_mounts(plan, err) < 0 || seal_paths(plan, err) < 0)
		return -err->code;
	if (plan->final_propagation && tree_propagate(plan->root_fd, plan->final_propagation) < 0)
		return err_sys(err, "linux.rootfsPropagation");
	if (plan->readonly && tree_set(plan->root_fd, 0, readonly) < 0)
		return err_sys(err, "root.readonly");
	return 0;
}
