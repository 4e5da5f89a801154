// The way in: the container's root becomes `/`, and the host's tree goes.
#include "base/arena.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mountinfo.h"
#include "base/scope.h"
#include "base/sys.h"
#include "rootfs/plan.h"
#include "rootfs/tree.h"

#include <fcntl.h>
#include <stdlib.h>

// Where the tree may still have peers on the host, its unmounting must not reach them.
static int stop_propagation(const struct rootfs_plan *plan, int old_root, struct err *err)
{
	const bool done = plan->old_propagation == (MS_SLAVE | MS_REC) ||
			  plan->old_propagation == (MS_PRIVATE | MS_REC);

	if (!done && tree_propagate(old_root, MS_SLAVE | MS_REC) < 0)
		return err_sys(err, "set the propagation of the old root");
	return 0;
}

// pivot_root(2), "pivot_root(".", ".")": the old root ends up on top of the new one, and is what
// umount2(".") takes away.
static int pivot(const struct rootfs_plan *plan, struct err *err)
{
	scope_fd int old_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (old_root < 0)
		return err_sys(err, "open the old root");
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(err, "pivot_root%s",
			       errno == EINVAL ? " (on an initramfs use --no-pivot)" : "");
	if (stop_propagation(plan, old_root, err) < 0)
		return -err->code;
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(err, "unmount the old root");
	return 0;
}

// ---- --no-pivot ----

// A procfs or sysfs of the host stays mounted below the new root, out of reach. But in a user
// namespace the mere presence of a whole one permits new ones, against what masks are to hide: they
// go, or are covered.
static void hide_mount(const char *path)
{
	if (umount2(path, MNT_DETACH) == 0)
		return;
	if (mount("tmpfs", path, "tmpfs", MS_RDONLY, NULL) < 0)
		log_debug("%s of the old root stays: %s", path, err_text(errno));
}

// True if `mount` lies somewhere below the mount `top`. Names wouldn't tell: that of the root may
// be a link, and the mounts of a root on `/` have those of the host's.
static bool is_below(const struct mount_line *mounts, size_t n, const struct mount_line *mount,
		     uint64_t top)
{
	// A mount whose parent isn't listed is the uppermost; so often, at most, one goes up.
	for (size_t level = 0; mount && level < n; level++) {
		const uint64_t parent = mount->parent;

		if (parent == top)
			return true;
		mount = NULL;
		for (size_t i = 0; i < n && !mount; i++)
			if (mounts[i].id == parent)
				mount = &mounts[i];
	}
	return false;
}

static bool is_kernel_fs(const struct mount_line *mount)
{
	return str_eq(mount->root, "/") &&
	       (str_eq(mount->type, "proc") || str_eq(mount->type, "sysfs"));
}

static int hide_kernel_fs(const struct rootfs_plan *plan, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	scope_free char *table = NULL;
	char *next = NULL;
	size_t n = 0, lines = 1;

	// Gone before the first procfs is.
	if (io_read_file(AT_FDCWD, "/proc/self/mountinfo", (size_t)64 << 20, &table, NULL, err) < 0)
		return -err->code;
	for (const char *end = table; (end = strchr(end, '\n')); end++)
		lines++;
	struct mount_line *mounts = arena_new(&arena, struct mount_line, lines);
	for (char *line = strtok_r(table, "\n", &next); line; line = strtok_r(NULL, "\n", &next))
		n += mountinfo_parse(line, &mounts[n]);

	const uint64_t top = tree_mount_id(plan->root_fd);
	for (size_t i = 0; i < n; i++)
		if (is_kernel_fs(&mounts[i]) && !is_below(mounts, n, &mounts[i], top))
			hide_mount(mounts[i].mount_point);
	return 0;
}

static int move_and_chroot(const struct rootfs_plan *plan, struct err *err)
{
	scope_fd int old_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (old_root < 0)
		return err_sys(err, "open the old root");
	if (stop_propagation(plan, old_root, err) < 0 || hide_kernel_fs(plan, err) < 0)
		return -err->code;
	if (tree_attach(plan->root_fd, old_root) < 0)
		return err_sys(err, "move the root to /");
	if (chroot(".") < 0)
		return err_sys(err, "chroot");
	return 0;
}

int rootfs_enter(struct rootfs_plan *plan, struct err *err)
{
	if (fchdir(plan->root_fd) < 0)
		return err_sys(err, "go to the root");
	if (plan->no_pivot ? move_and_chroot(plan, err) < 0 : pivot(plan, err) < 0)
		return err_wrap(err, "enter the root");
	return 0;
}
