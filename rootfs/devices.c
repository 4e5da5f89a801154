// The devices and links of the container's own /dev.
#include "base/path.h"
#include "base/scope.h"
#include "rootfs/mount.h"
#include "rootfs/target.h"
#include "rootfs/tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

// The directory of `path`, in the open /dev where it lies there; *name: what follows.
static int open_parent(const struct rootfs_plan *plan, int dev, const char *path, const char **name,
		       struct err *err)
{
	if (!str_starts(path, DEV_DIR "/"))
		return path_parent_in_root(plan->root_fd, path, 0755, name, err);
	// Confined to /dev itself: no link of the image leads us out of it.
	return path_parent_in_root(dev, path + strlen(DEV_DIR "/"), 0755, name, err);
}

static bool is_device(int fd, const struct device_op *op)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == (op->mode & S_IFMT) &&
	       (S_ISFIFO(op->mode) || st.st_rdev == op->dev);
}

// The host's node for the device: where the spec has it, or where udev lists it by number.
static int open_host_node(const struct device_op *op, struct err *err)
{
	char by_number[64];

	snprintf(by_number, sizeof(by_number), "/dev/%s/%u:%u",
		 S_ISBLK(op->mode) ? "block" : "char", major(op->dev), minor(op->dev));
	const char *const paths[] = { op->path, by_number };
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		scope_fd int fd = tree_clone(AT_FDCWD, paths[i], 0);

		if (fd >= 0 && is_device(fd, op))
			return take_fd(&fd);
	}
	return err_set(err, ENODEV, "the host has no such device to bind");
}

static int bind_device(int dir, const char *name, const struct device_op *op, struct err *err)
{
	scope_fd int source = open_host_node(op, err);

	if (source < 0)
		return source;
	scope_fd int made = openat(dir, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (made < 0 && errno != EEXIST)
		return err_sys(err, "make the mount point");
	scope_fd int target = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0 || tree_attach(source, target) < 0)
		return err_sys(err, "bind the host's device");
	return 0;
}

// The node was made by name; it is owned by descriptor, in case somebody shares the directory.
static int own_device(int dir, const char *name, const struct device_op *op, struct err *err)
{
	if (!op->uid && !op->gid)
		return 0;
	scope_fd int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || !is_device(fd, op))
		return err_set(err, ESTALE, "it was replaced while we made it");
	if (fchownat(fd, "", op->uid, op->gid, AT_EMPTY_PATH) < 0)
		return err_sys(err, "owner");
	return 0;
}

static int make_device(const struct rootfs_plan *plan, int dev, const struct device_op *op,
		       struct err *err)
{
	const char *name = op->path + strlen(DEV_DIR "/");
	const bool direct = str_starts(op->path, DEV_DIR "/") && !strchr(name, '/');
	scope_fd int parent = direct ? -1 : open_parent(plan, dev, op->path, &name, err);
	const int dir = direct ? dev : parent;

	if (dir < 0)
		return dir;
	if (op->bind)
		return bind_device(dir, name, op, err);
	if (mknodat(dir, name, op->mode, op->dev) == 0)
		return own_device(dir, name, op, err);
	if (errno == EPERM)
		return bind_device(dir, name, op, err);
	if (errno != EEXIST)
		return err_sys(err, "mknod");
	scope_fd int there = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (there < 0 || !is_device(there, op))
		return err_set(err, EEXIST, "something else has that name");
	return 0;
}

// config-linux.md "Default Devices" (ptmx), runtime-linux.md "Dev symbolic links".
static const struct {
	const char *name, *content;
	const char *needs; // a file of the host without which the link is left out
	bool replace;	   // what the image has of that name goes
} links[] = {
	{ "fd", "/proc/self/fd", NULL, false },
	{ "stdin", "/proc/self/fd/0", NULL, false },
	{ "stdout", "/proc/self/fd/1", NULL, false },
	{ "stderr", "/proc/self/fd/2", NULL, false },
	{ "core", "/proc/kcore", "/proc/kcore", false },
	// Never the host's: it would open terminals of the devpts instance that the host uses.
	{ "ptmx", "pts/ptmx", NULL, true },
};

static int make_links(int dev, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		if (links[i].needs && access(links[i].needs, F_OK) < 0)
			continue;
		if (symlinkat(links[i].content, dev, links[i].name) == 0)
			continue;
		if (errno == EEXIST && !links[i].replace)
			continue;
		if (errno == EEXIST && unlinkat(dev, links[i].name, 0) == 0 &&
		    symlinkat(links[i].content, dev, links[i].name) == 0)
			continue;
		return err_sys(err, "link " DEV_DIR "/%s", links[i].name);
	}
	return 0;
}

// A /dev that came along with the root (`root.path` is the host's `/`) is not ours to fill.
static bool is_own_dev(const struct rootfs_plan *plan, int dev)
{
	for (size_t i = 0; i < plan->mount_count; i++)
		if (str_eq(plan->mounts[i].target, DEV_DIR))
			return true;
	return tree_mount_id(dev) == tree_mount_id(plan->root_fd);
}

int devices_make(const struct rootfs_plan *plan, struct err *err)
{
	scope_fd int dev = target_open(plan->root_fd, DEV_DIR, TARGET_DIR, NULL, err);

	if (dev < 0)
		return err_wrap(err, DEV_DIR);
	if (!is_own_dev(plan, dev))
		return 0;
	for (size_t i = 0; i < plan->device_count; i++)
		if (make_device(plan, dev, &plan->devices[i], err) < 0)
			return err_wrap(err, "device %s", plan->devices[i].path);
	return make_links(dev, err);
}
