#include "rootfs/mount.h"

#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "rootfs/copyup.h"
#include "rootfs/fs.h"
#include "rootfs/target.h"
#include "rootfs/tree.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

// The inode of a procfs's root; the kernel's PROC_ROOT_INO.
#define PROC_ROOT_INODE 1

// ---- dressing a detached mount ----

int mount_set_idmap(struct mount_op *op, int fd, struct err *err)
{
	const struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP,
					 .userns_fd = (uint64_t)op->userns_fd };

	if (op->userns_fd < 0)
		return 0;
	if (tree_set(fd, op->options.words & WORD_RIDMAP ? AT_RECURSIVE : 0, attr) < 0)
		return err_sys(
			err, "idmap%s",
			errno == EINVAL ? " (does the file system support idmapped mounts?)" : "");
	replace_fd(&op->userns_fd, -1);
	return 0;
}

// In a user namespace the flags of the host's mounts are locked: more can be added, none taken
// away. What can't be granted stays as strict as the host has it.
static int set_attrs(int fd, unsigned int flags, const struct mount_attrs *attrs, struct err *err)
{
	const struct mount_attr wanted = { .attr_set = attrs->set, .attr_clr = attrs->clear };
	const struct mount_attr strict = { .attr_set = attrs->set & ~(uint64_t)MOUNT_ATTR__ATIME };

	if (!attrs->set && !attrs->clear)
		return 0;
	if (tree_set(fd, flags, wanted) == 0)
		return 0;
	if (errno != EPERM || tree_set(fd, flags, strict) < 0)
		return err_sys(err, "set the flags");
	log_warn("mount options that the host has locked are kept as they are");
	return 0;
}

// Flags of a new file system are already set; those of a bind mount, and what spans a tree, are
// not.
static int dress(struct mount_op *op, int fd, bool fresh, struct err *err)
{
	if (mount_set_idmap(op, fd, err) < 0)
		return -err->code;
	if (!fresh && set_attrs(fd, 0, &op->options.attrs, err) < 0)
		return -err->code;
	if (set_attrs(fd, AT_RECURSIVE, &op->options.tree, err) < 0)
		return -err->code;
	for (size_t i = 0; i < op->options.propagation_count; i++)
		if (tree_propagate(fd, op->options.propagation[i]) < 0)
			return err_sys(err, "set the propagation");
	return 0;
}

// ---- attaching it ----

// The plan has refused targets that are named below /proc. A link of the image can still lead
// there.
static int check_not_in_proc(const struct rootfs_plan *plan, const struct mount_op *op, int target,
			     struct err *err)
{
	if (str_eq(op->target, "/proc") || str_starts(op->target, "/proc/"))
		return 0;
	if (!plan->proc_mount_id || tree_mount_id(target) != plan->proc_mount_id)
		return 0;
	return err_set(err, EINVAL, "the mount point leads into /proc");
}

static bool is_dir(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static int attach(struct rootfs_plan *plan, struct mount_op *op, int fd, int target,
		  struct err *err)
{
	int ret = check_not_in_proc(plan, op, target, err);

	if (ret < 0)
		return ret;
	if (tree_attach(fd, target) < 0) {
		err_sys(err, "attach");
		if (is_dir(fd) != is_dir(target))
			err_set(err, err->code, "a %s",
				is_dir(fd) ? "directory can't be mounted on a file" :
					     "file can't be mounted on a directory");
		return -err->code;
	}
	if (str_eq(op->target, "/proc"))
		plan->proc_mount_id = tree_mount_id(fd);
	return 0;
}

// ---- binds ----

// Where nothing of the plan's covers it yet, and no link leads out of the root.
static int clone_own_source(const struct rootfs_plan *plan, const struct mount_op *op,
			    struct err *err)
{
	const uint64_t flags = op->options.words & WORD_SRC_NOFOLLOW ? O_PATH | O_NOFOLLOW : O_PATH;
	scope_fd int place = path_open_in_root(plan->source_root_fd, op->source, flags, 0);
	int fd = -1;

	if (place >= 0)
		fd = tree_clone(place, "",
				AT_EMPTY_PATH |
					(op->options.words & WORD_RBIND ? AT_RECURSIVE : 0));
	return fd < 0 ? err_sys(err, "source %s in the root", op->source) : fd;
}

int mount_clone_source(const struct rootfs_plan *plan, const struct mount_op *op, struct err *err)
{
	if (plan->own_sources)
		return clone_own_source(plan, op, err);
	const unsigned int flags = (op->options.words & WORD_RBIND ? AT_RECURSIVE : 0) |
				   (op->options.words & WORD_SRC_NOFOLLOW ? AT_SYMLINK_NOFOLLOW :
									    0);
	int fd = tree_clone(AT_FDCWD, op->source, flags);

	if (fd < 0 && op->or_source && (errno == ENOENT || errno == EACCES))
		fd = tree_clone(AT_FDCWD, op->or_source, flags);
	return fd < 0 ? err_sys(err, "source %s", op->source) : fd;
}

// Anything but a whole procfs on /proc could feed us lies (CVE-2023-27561, CVE-2025-52881).
static int check_proc_source(int fd, const struct stat *st, struct err *err)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return err_sys(err, "look at the source");
	if (fs.f_type != PROC_SUPER_MAGIC || st->st_ino != PROC_ROOT_INODE)
		return err_set(err, EINVAL, "only a procfs may be mounted there");
	return 0;
}

// A link covers the name itself, not what that may lead to.
static unsigned int bind_target(const struct mount_op *op, const struct stat *source)
{
	const bool nofollow = op->options.words & WORD_DEST_NOFOLLOW || S_ISLNK(source->st_mode);

	return (S_ISDIR(source->st_mode) ? TARGET_DIR : TARGET_FILE) |
	       (nofollow ? TARGET_NOFOLLOW : 0);
}

static int mount_bind(struct rootfs_plan *plan, struct mount_op *op, struct err *err)
{
	scope_fd int fd = op->source_fd >= 0 ? take_fd(&op->source_fd) :
					       mount_clone_source(plan, op, err);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "look at the source");
	if (str_eq(op->target, "/proc") && check_proc_source(fd, &st, err) < 0)
		return -err->code;
	scope_fd int target = target_open(plan->root_fd, op->target, bind_target(op, &st), NULL,
					  err);
	if (target < 0)
		return target;
	if (dress(op, fd, false, err) < 0 || attach(plan, op, fd, target, err) < 0)
		return -err->code;
	if (op->late_readonly)
		op->fd = take_fd(&fd);
	return 0;
}

// A link that says what it should is as good as made.
static int make_link(int root_fd, const char *path, const char *content, struct err *err)
{
	char there[PATH_MAX];
	const char *name;
	scope_fd int dir = path_parent_in_root(root_fd, path, 0755, &name, err);

	if (dir < 0)
		return dir;
	if (symlinkat(content, dir, name) == 0)
		return 0;
	const int code = errno;
	ssize_t len = code == EEXIST ? readlinkat(dir, name, there, sizeof(there)) : -1;
	if (len >= 0 && (size_t)len == strlen(content) && memcmp(there, content, (size_t)len) == 0)
		return 0;
	return err_sysn(err, code, "make the link");
}

// `copy-symlink`: 1 when the source is a link and has been copied, 0 when it is to be mounted.
static int copy_symlink(const struct rootfs_plan *plan, const struct mount_op *op, struct err *err)
{
	char content[PATH_MAX];
	ssize_t len = readlink(op->source, content, sizeof(content) - 1);

	if (len < 0)
		return 0;
	content[len] = '\0';
	return make_link(plan->root_fd, op->target, content, err) < 0 ? -err->code : 1;
}

// ---- file systems ----

// Where the kernel refuses the file system for want of rights over its namespace, the host's own is
// shown.
static int bind_instead(struct rootfs_plan *plan, struct mount_op *op, struct err *err)
{
	log_debug("mount %s: %s: bound from %s instead", op->target, err->msg, op->fallback);
	op->source = op->fallback;
	op->options.words |= WORD_RBIND;
	return mount_bind(plan, op, err);
}

// Detached, or, where that can't be, attached already. What was there before gives a tmpfs its mode,
// and what it holds where that is to be copied.
static int make_fs(const struct rootfs_plan *plan, const struct mount_op *op, int target,
		   bool created, struct err *err)
{
	const bool tmpfs = str_eq(op->fstype, "tmpfs");
	const struct stat *place = NULL;
	struct stat st;

	if (tmpfs && !created) {
		if (fstat(target, &st) < 0)
			return err_sys(err, "look at the mount point");
		place = &st;
	}
	scope_fd int fd = fs_needs_mount(op) ? fs_mount(op, plan->root_fd, target, place, err) :
					       fs_make(op, place, err);
	if (fd >= 0 && op->options.words & WORD_TMPCOPYUP && !created &&
	    copy_up(target, fd, err) < 0)
		return -err->code;
	return fd < 0 ? -err->code : take_fd(&fd);
}

// Options could hide what moat itself wants to write to (`subset=pid`, `ro`).
static bool is_whole_procfs(const struct mount_op *op)
{
	return str_eq(op->fstype, "proc") && !op->options.data.n &&
	       !(op->options.sb_set & MS_RDONLY);
}

static int mount_fs(struct rootfs_plan *plan, struct mount_op *op, struct err *err)
{
	const bool whole = fs_needs_mount(op); // it is attached as it is made
	bool created;
	scope_fd int target = target_open(plan->root_fd, op->target, TARGET_DIR, &created, err);

	if (target < 0)
		return target;
	if (whole && check_not_in_proc(plan, op, target, err) < 0)
		return -err->code;
	scope_fd int fd = make_fs(plan, op, target, created, err);
	if (fd < 0 && op->fallback && (err->code == EPERM || err->code == EBUSY))
		return bind_instead(plan, op, err);
	if (fd < 0 || dress(op, fd, true, err) < 0)
		return -err->code;
	if (!whole && attach(plan, op, fd, target, err) < 0)
		return -err->code;
	if (op->late_readonly)
		op->fd = take_fd(&fd);
	else if (str_eq(op->target, "/proc") && is_whole_procfs(op))
		replace_fd(&plan->proc_fd, take_fd(&fd));
	return 0;
}

static int remount(const struct rootfs_plan *plan, struct mount_op *op, struct err *err)
{
	scope_fd int target = target_open(plan->root_fd, op->target, TARGET_EXISTING, NULL, err);

	if (target < 0)
		return target;
	if (fs_reconfigure(op, target, err) < 0)
		return -err->code;
	return dress(op, target, false, err);
}

static int run(struct rootfs_plan *plan, struct mount_op *op, struct err *err)
{
	int ret = 0;

	switch (op->kind) {
	case MOUNT_BIND:
		if (op->options.words & WORD_COPY_SYMLINK)
			ret = copy_symlink(plan, op, err);
		return ret ? ret : mount_bind(plan, op, err);
	case MOUNT_FS:
		return mount_fs(plan, op, err);
	case MOUNT_REMOUNT:
		return remount(plan, op, err);
	case MOUNT_SYMLINK:
		return make_link(plan->root_fd, op->target, op->source, err);
	}
	return 0;
}

// ---- the root ----

// The mount on which the root is to be attached must not be shared, or the host would see all of
// it. It is the first directory upwards that is the root of a mount.
static int make_parent_private(int place, struct err *err)
{
	scope_fd int dir = openat(place, ".", O_PATH | O_CLOEXEC);

	for (;;) {
		struct statx stx;

		if (dir < 0 || statx(dir, "", AT_EMPTY_PATH, 0, &stx) < 0)
			return err_sys(err, "find the mount that the root lies in");
		if (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT)
			break;
		replace_fd(&dir, openat(dir, "..", O_PATH | O_CLOEXEC));
	}
	if (tree_propagate(dir, MS_PRIVATE) < 0)
		return err_sys(err, "make the mount that the root lies in private");
	return 0;
}

static int mount_root(struct rootfs_plan *plan, struct err *err)
{
	// What the host mounts from now on is none of ours, or comes to us but never goes back.
	if (mount(NULL, "/", NULL, plan->old_propagation, NULL) < 0)
		return err_sys(err, "set the propagation of /");

	scope_fd int place = open(plan->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	// Out of reach for the mapped root; what the parent has opened can stand anywhere.
	if (place < 0 && errno == EACCES && plan->root_fd >= 0)
		place = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (place < 0)
		return err_sys(err, "open %s", plan->rootfs);
	if (plan->final_propagation && make_parent_private(place, err) < 0)
		return -err->code;
	if (plan->root_fd < 0)
		plan->root_fd = tree_clone(place, "", AT_EMPTY_PATH | AT_RECURSIVE);
	if (plan->root_fd < 0 || tree_attach(plan->root_fd, place) < 0)
		return err_sys(err, "mount %s", plan->rootfs);
	if (plan->own_sources)
		plan->source_root_fd = take_fd(&place);
	return 0;
}

static int mount_all(struct rootfs_plan *plan, struct err *err)
{
	if (mount_root(plan, err) < 0)
		return err_wrap(err, "root");
	for (size_t i = 0; i < plan->mount_count; i++)
		if (run(plan, &plan->mounts[i], err) < 0)
			return err_wrap(err, "mount %s", plan->mounts[i].target);
	return plan->setup_dev ? devices_make(plan, err) : 0;
}

static const struct mount_op own_procfs = { .fstype = "proc", .source = "proc" };

int rootfs_mount(struct rootfs_plan *plan, struct err *err)
{
	const mode_t mask = umask(0);
	int ret = mount_all(plan, err);
	struct err later;

	umask(mask);
	if (ret < 0)
		return ret;
	// The plan has none of its own; and a user namespace is given one only as long as another one, the old
	// root's, is there to be seen as a whole.
	if (plan->for_guest)
		plan->proc_fd = fs_make(&own_procfs, NULL, &later);
	return 0;
}

int rootfs_procfs(struct rootfs_plan *plan, struct err *err)
{
	struct statfs fs;
	struct stat st;

	if (plan->proc_fd >= 0)
		return plan->proc_fd;
	// The container mounts none, or one that doesn't show everything.
	scope_fd int fd = fs_make(&own_procfs, NULL, err);
	if (fd < 0 && err->code == EPERM)
		fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_wrap(err, "a procfs of our own");
	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0 || fs.f_type != PROC_SUPER_MAGIC ||
	    st.st_ino != PROC_ROOT_INODE)
		return err_set(err, EINVAL, "/proc is no procfs");
	plan->proc_fd = take_fd(&fd);
	return plan->proc_fd;
}
