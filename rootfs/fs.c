#include "rootfs/fs.h"

#include "base/path.h"
#include "base/scope.h"
#include "rootfs/tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

// The longest value that fsconfig(2) takes.
#define VALUE_MAX 255

// Flags of the super block as parameters that every file system takes.
static const struct {
	unsigned int flag;
	const char *set, *clear;
} sb_params[] = {
	{ MS_RDONLY, "ro", "rw" },
	{ MS_SYNCHRONOUS, "sync", "async" },
	{ MS_DIRSYNC, "dirsync", NULL },
	{ MS_MANDLOCK, "mand", "nomand" },
	{ MS_LAZYTIME, "lazytime", "nolazytime" },
};
// Those for which there is no parameter.
#define SB_MOUNT_ONLY ((unsigned int)(MS_I_VERSION | MS_SILENT | MS_POSIXACL))

// The error of a call on `fsfd`, with the words that the kernel left there (`e tmpfs: Bad value for
// 'size'`).
static int fs_error(int fsfd, struct err *err, const char *what, const char *about)
{
	const int code = errno;
	char log[512];
	ssize_t len = read(fsfd, log, sizeof(log) - 1);

	if (len <= 2)
		return err_sysn(err, code, "%s%s", what, about);
	log[len] = '\0';
	log[strcspn(log, "\n")] = '\0';
	return err_sysn(err, code, "%s%s: %s", what, about, log + 2);
}

static int set_param(int fsfd, const char *key, const char *value, struct err *err)
{
	if (fsconfig(fsfd, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value, 0) < 0)
		return fs_error(fsfd, err, "option ", key);
	return 0;
}

static int set_data(int fsfd, const struct oci_strings *data, struct err *err)
{
	for (size_t i = 0; i < data->n; i++) {
		char key[VALUE_MAX + 1];
		const char *value = strchr(data->v[i], '=');
		int ret;

		if (!value) {
			ret = set_param(fsfd, data->v[i], NULL, err);
		} else {
			snprintf(key, sizeof(key), "%.*s", (int)(value - data->v[i]), data->v[i]);
			ret = set_param(fsfd, key, value + 1, err);
		}
		if (ret < 0)
			return ret;
	}
	return 0;
}

// `clearing`: also the flags that go. A new file system has none of them.
static int set_flags(int fsfd, const struct mount_options *options, bool clearing, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(sb_params); i++) {
		const char *name = NULL;

		if (options->sb_set & sb_params[i].flag)
			name = sb_params[i].set;
		else if (clearing && (options->sb_clear & sb_params[i].flag))
			name = sb_params[i].clear;
		if (name && set_param(fsfd, name, NULL, err) < 0)
			return -err->code;
	}
	return 0;
}

static bool has_key(const struct oci_strings *data, const char *prefix)
{
	for (size_t i = 0; i < data->n; i++)
		if (str_starts(data->v[i], prefix))
			return true;
	return false;
}

// A tmpfs without a mode of its own takes that of `place`.
static bool takes_mode(const struct mount_op *op, const struct stat *place)
{
	return place && str_eq(op->fstype, "tmpfs") && !has_key(&op->options.data, "mode=");
}

static int set_mode(int fsfd, const struct mount_op *op, const struct stat *place, struct err *err)
{
	char mode[8];

	if (!takes_mode(op, place))
		return 0;
	snprintf(mode, sizeof(mode), "%04o", place->st_mode & 07777);
	return set_param(fsfd, "mode", mode, err);
}

int fs_make(const struct mount_op *op, const struct stat *place, struct err *err)
{
	scope_fd int fsfd = fsopen(op->fstype, FSOPEN_CLOEXEC);

	if (fsfd < 0)
		return err_sys(err, "file system %s%s", op->fstype,
			       errno == ENODEV ? " (does the kernel have it?)" : "");
	if (set_param(fsfd, "source", op->source, err) < 0 ||
	    set_flags(fsfd, &op->options, false, err) < 0 ||
	    set_data(fsfd, &op->options.data, err) < 0 || set_mode(fsfd, op, place, err) < 0)
		return -err->code;
	if (op->label && set_param(fsfd, "context", op->label, err) < 0)
		return -err->code;
	if (fsconfig(fsfd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return fs_error(fsfd, err, "file system ", op->fstype);
	int fd = fsmount(fsfd, FSMOUNT_CLOEXEC, (unsigned int)op->options.attrs.set);
	return fd < 0 ? fs_error(fsfd, err, "mount of ", op->fstype) : fd;
}

// ---- mount(2) ----

bool fs_needs_mount(const struct mount_op *op)
{
	if (op->options.sb_set & SB_MOUNT_ONLY || op->options.sb_clear & SB_MOUNT_ONLY)
		return true;
	if (op->source && strlen(op->source) > VALUE_MAX)
		return true;
	for (size_t i = 0; i < op->options.data.n; i++)
		if (strlen(op->options.data.v[i]) > VALUE_MAX ||
		    strpbrk(op->options.data.v[i], ",\"\\"))
			return true;
	return false;
}

static unsigned long mount_flags(const struct mount_options *options)
{
	static const struct {
		uint64_t attr;
		unsigned long flag;
	} same[] = {
		{ MOUNT_ATTR_RDONLY, MS_RDONLY },
		{ MOUNT_ATTR_NOSUID, MS_NOSUID },
		{ MOUNT_ATTR_NODEV, MS_NODEV },
		{ MOUNT_ATTR_NOEXEC, MS_NOEXEC },
		{ MOUNT_ATTR_NOATIME, MS_NOATIME },
		{ MOUNT_ATTR_STRICTATIME, MS_STRICTATIME },
		{ MOUNT_ATTR_NODIRATIME, MS_NODIRATIME },
		{ MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW },
	};
	unsigned long flags = options->sb_set;

	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		if (options->attrs.set & same[i].attr)
			flags |= same[i].flag;
	return flags;
}

static void join_data(const struct mount_op *op, const struct stat *place, struct text *data)
{
	for (size_t i = 0; i < op->options.data.n; i++)
		text_printf(data, "%s%s", i ? "," : "", op->options.data.v[i]);
	if (op->label)
		text_printf(data, "%scontext=\"%s\"", data->len ? "," : "", op->label);
	if (takes_mode(op, place))
		text_printf(data, "%smode=%04o", data->len ? "," : "", place->st_mode & 07777);
}

// What mount(2) made is found by its name alone. Whoever turned the name elsewhere meanwhile is
// noticed: it isn't the root of a mount that has come to exist since.
static int find_mount(const struct mount_op *op, int root_fd, int target, struct err *err)
{
	struct statx below, above;
	scope_fd int fd = path_open_in_root(root_fd, op->target, O_PATH | O_DIRECTORY, 0);

	if (fd < 0)
		return err_sys(err, "open what was mounted");
	if (statx(target, "", AT_EMPTY_PATH, STATX_MNT_ID, &below) < 0 ||
	    statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &above) < 0)
		return err_sys(err, "look at what was mounted");
	if (!(above.stx_attributes & STATX_ATTR_MOUNT_ROOT) || above.stx_mnt_id == below.stx_mnt_id)
		return err_set(err, EXDEV, "the mount point has been changed under us");
	return take_fd(&fd);
}

int fs_mount(const struct mount_op *op, int root_fd, int target, const struct stat *place,
	     struct err *err)
{
	scope_text struct text data = { 0 };

	scope_fd int back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	join_data(op, place, &data);
	if (back < 0 || fchdir(target) < 0)
		return err_sys(err, "go to the mount point");
	if (mount(op->source, ".", op->fstype, mount_flags(&op->options), data.str) < 0)
		return err_sys(err, "file system %s", op->fstype);
	if (fchdir(back) < 0)
		return err_sys(err, "return from the mount point");
	return find_mount(op, root_fd, target, err);
}

// ---- remount ----

static int reconfigure_sb(const struct mount_op *op, int target, struct err *err)
{
	scope_fd int fsfd = fspick(target, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);

	if (fsfd < 0)
		return err_sys(err, "pick the mounted file system");
	if (set_flags(fsfd, &op->options, true, err) < 0 ||
	    set_data(fsfd, &op->options.data, err) < 0)
		return -err->code;
	if (fsconfig(fsfd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
		return fs_error(fsfd, err, "reconfigure", "");
	return 0;
}

int fs_reconfigure(const struct mount_op *op, int target, struct err *err)
{
	const struct mount_options *options = &op->options;
	const bool bind = options->words & WORD_BIND; // `remount,bind` leaves the file system alone

	if (!bind && (options->sb_set || options->sb_clear || options->data.n)) {
		int ret = reconfigure_sb(op, target, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}
