#include "vm-mode/fs/fs.h"

#include "base/io.h"
#include "base/mountinfo.h"
#include "base/scope.h"
#include "vm-mode/fs/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/vfs.h>

// Descriptors that are neither inodes nor open files.
#define SPARE_FDS   64
#define INODES_MAX  (UINT32_C(1) << 20)
#define HANDLES_MAX (UINT32_C(1) << 16)
#define MOUNTS_MAX  ((size_t)16 << 20) // bytes of mountinfo

// ---- the table of operations ----

static const struct fs_op ops[WIRE_OPCODE_MAX + 1] = {
	[FUSE_LOOKUP] = { "lookup", op_lookup, .strings = "n" },
	[FUSE_FORGET] = { "forget", op_forget, sizeof(struct fuse_forget_in), .no_answer = true },
	[FUSE_GETATTR] = { "getattr", op_getattr, sizeof(struct fuse_getattr_in) },
	[FUSE_SETATTR] = { "setattr", op_setattr, sizeof(struct fuse_setattr_in) },
	[FUSE_READLINK] = { "readlink", op_readlink },
	[FUSE_SYMLINK] = { "symlink", op_symlink, .strings = "ns" },
	[FUSE_MKNOD] = { "mknod", op_mknod, sizeof(struct fuse_mknod_in), .strings = "n" },
	[FUSE_MKDIR] = { "mkdir", op_mkdir, sizeof(struct fuse_mkdir_in), .strings = "n" },
	[FUSE_UNLINK] = { "unlink", op_unlink, .strings = "n" },
	[FUSE_RMDIR] = { "rmdir", op_rmdir, .strings = "n" },
	[FUSE_RENAME] = { "rename", op_rename, sizeof(struct fuse_rename_in), .strings = "nn" },
	[FUSE_LINK] = { "link", op_link, sizeof(struct fuse_link_in), .strings = "n" },
	[FUSE_OPEN] = { "open", op_open, sizeof(struct fuse_open_in) },
	[FUSE_READ] = { "read", op_read, sizeof(struct fuse_read_in) },
	[FUSE_WRITE] = { "write", op_write, sizeof(struct fuse_write_in), .data = true },
	[FUSE_STATFS] = { "statfs", op_statfs },
	[FUSE_RELEASE] = { "release", op_release, sizeof(struct fuse_release_in) },
	[FUSE_FSYNC] = { "fsync", op_fsync, sizeof(struct fuse_fsync_in) },
	[FUSE_SETXATTR] = { "setxattr", op_setxattr, FUSE_COMPAT_SETXATTR_IN_SIZE },
	[FUSE_GETXATTR] = { "getxattr", op_getxattr, sizeof(struct fuse_getxattr_in),
			    .strings = "s" },
	[FUSE_LISTXATTR] = { "listxattr", op_listxattr, sizeof(struct fuse_getxattr_in) },
	[FUSE_REMOVEXATTR] = { "removexattr", op_removexattr, .strings = "s" },
	[FUSE_FLUSH] = { "flush", op_flush, sizeof(struct fuse_flush_in) },
	// Of the former fuse_init_in, without flags2.
	[FUSE_INIT] = { "init", op_init, 16, .no_inode = true, .any_time = true },
	[FUSE_OPENDIR] = { "opendir", op_opendir, sizeof(struct fuse_open_in) },
	[FUSE_READDIR] = { "readdir", op_readdir, sizeof(struct fuse_read_in) },
	[FUSE_RELEASEDIR] = { "releasedir", op_releasedir, sizeof(struct fuse_release_in) },
	[FUSE_FSYNCDIR] = { "fsyncdir", op_fsync, sizeof(struct fuse_fsync_in) },
	// virtio-fs has no way to withdraw a request.
	[FUSE_INTERRUPT] = { "interrupt", op_nothing, .no_inode = true, .no_answer = true },
	[FUSE_DESTROY] = { "destroy", op_destroy, .no_inode = true, .any_time = true },
	[FUSE_BATCH_FORGET] = { "batch_forget", op_batch_forget,
				sizeof(struct fuse_batch_forget_in), .no_inode = true,
				.no_answer = true },
	[FUSE_FALLOCATE] = { "fallocate", op_fallocate, sizeof(struct fuse_fallocate_in) },
	[FUSE_READDIRPLUS] = { "readdirplus", op_readdirplus, sizeof(struct fuse_read_in) },
	[FUSE_RENAME2] = { "rename2", op_rename2, sizeof(struct fuse_rename2_in), .strings = "nn" },
	[FUSE_LSEEK] = { "lseek", op_lseek, sizeof(struct fuse_lseek_in) },
	[FUSE_COPY_FILE_RANGE] = { "copy_file_range", op_copy_file_range,
				   sizeof(struct fuse_copy_file_range_in) },
	[FUSE_SETUPMAPPING] = { "setupmapping", op_setupmapping,
				sizeof(struct fuse_setupmapping_in) },
	[FUSE_REMOVEMAPPING] = { "removemapping", op_removemapping,
				 sizeof(struct fuse_removemapping_in), .no_inode = true },
	[FUSE_SYNCFS] = { "syncfs", op_syncfs, sizeof(struct fuse_syncfs_in) },
	// Its name is that of no file.
	[FUSE_TMPFILE] = { "tmpfile", op_tmpfile, sizeof(struct fuse_create_in) },
	[FUSE_CREATE] = { "create", op_create, sizeof(struct fuse_create_in), .strings = "n" },
	[WIRE_STATX] = { "statx", op_statx, sizeof(struct wire_statx_in) },
	// Unknown on purpose: ACCESS (the guest checks), GETLK, SETLK, SETLKW (the guest's), IOCTL,
	// POLL, BMAP.
};

const struct fs_op *fs_op_find(uint32_t opcode)
{
	return opcode < ARRAY_SIZE(ops) && ops[opcode].serve ? &ops[opcode] : NULL;
}

// ---- making ----

static uint32_t least(uint64_t a, uint64_t b)
{
	return (uint32_t)(a < b ? a : b);
}

static int make_tables(struct fs *fs, struct err *err)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return err_sys(err, "getrlimit");
	if (limit.rlim_cur < 4 * SPARE_FDS)
		return err_set(err, EMFILE, "%llu descriptors are too few for a file server",
			       (unsigned long long)limit.rlim_cur);
	const uint32_t handles = least(limit.rlim_cur / 4, HANDLES_MAX);
	uint32_t inodes = least(limit.rlim_cur - handles - SPARE_FDS, INODES_MAX);
	if (fs->options.inodes_max)
		inodes = least(inodes, fs->options.inodes_max);
	fs->slots_count = fs->options.window_bytes / FS_WINDOW_SLOT;
	fs->slots = calloc(fs->slots_count + 1, sizeof(*fs->slots));
	fs->in = malloc(FS_IN_MAX);
	fs->out = malloc(FS_OUT_MAX);
	fs->entries = malloc(FS_OUT_MAX);
	if (!fs->slots || !fs->in || !fs->out || !fs->entries ||
	    inodes_create(&fs->inodes, inodes) < 0 || handles_create(&fs->handles, handles) < 0)
		return err_sysn(err, ENOMEM, "the file server's tables");
	return 0;
}

static int add_root(struct fs *fs, struct err *err)
{
	scope_fd int fd = openat(fs->options.root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statx stx;
	struct statfs st;

	if (fd < 0)
		return err_sys(err, "open the root");
	if (fs_stat(fd, &stx) < 0 || fstatfs(fd, &st) < 0)
		return err_sys(err, "look at the root");
	fs->overlay = st.f_type == OVERLAYFS_SUPER_MAGIC;
	inodes_add(&fs->inodes,
		   &(struct inode){ .fd = take_fd(&fd),
				    .dev = makedev(stx.stx_dev_major, stx.stx_dev_minor),
				    .ino = stx.stx_ino,
				    .mount = stx.stx_mnt_id,
				    .type = S_IFDIR });
	return 0;
}

static int set_up(struct fs *fs, struct err *err)
{
	int ret = make_tables(fs, err);

	if (ret < 0)
		return ret;
	fs->fds_fd = openat(fs->options.proc_fd, "self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fs->fds_fd < 0)
		return err_sys(err, "open /proc/self/fd");
	// For what has no variant with a directory's descriptor: extended attributes.
	if (fchdir(fs->fds_fd) < 0)
		return err_sys(err, "go to /proc/self/fd");
	fs->umask = 0;
	umask(fs->umask);
	cred_init(&fs->cred);
	return add_root(fs, err);
}

int fs_create(const struct fs_options *options, struct fs **fs, struct err *err)
{
	struct fs *new = calloc(1, sizeof(*new));

	if (!new)
		return err_sysn(err, ENOMEM, "the file server");
	new->options = *options;
	new->fds_fd = -1;
	int ret = set_up(new, err);
	if (ret < 0)
		fs_free(new);
	else
		*fs = new;
	return ret;
}

void fs_free(struct fs *fs)
{
	if (!fs)
		return;
	if (fs->handles.table)
		handles_free(&fs->handles);
	inodes_free(&fs->inodes);
	scope_close_fd(&fs->fds_fd);
	free(fs->slots);
	free(fs->in);
	free(fs->out);
	free(fs->entries);
	free(fs);
}

void fs_reset(struct fs *fs)
{
	fs_dax_clear(fs);
	handles_clear(&fs->handles);
	inodes_clear(&fs->inodes);
	fs->started = false;
	fs->flags = 0;
}

void fs_count(const struct fs *fs, uint32_t *inodes, uint32_t *handles)
{
	*inodes = fs->inodes.used;
	*handles = fs->handles.used;
}

// ---- serving ----

static int serve(struct fs *fs, struct fs_request *request)
{
	const struct fs_op *op = request->op;

	if (!fs->started && !op->any_time)
		return -ENOTCONN;
	if (!op->no_inode) {
		request->inode = inodes_get(&fs->inodes, request->header.nodeid);
		if (!request->inode)
			return -ESTALE;
	}
	return op->serve(fs, request);
}

uint32_t fs_serve(struct fs *fs, const struct chain *chain)
{
	struct fs_request request;
	int ret = wire_read(fs, chain, &request);

	if (ret == 0)
		ret = serve(fs, &request);
	if (request.op && request.op->no_answer)
		return 0;
	return wire_answer(&request, ret < 0 ? ret : 0, ret > 0 ? (size_t)ret : 0);
}

// ---- what is mounted ----

int fs_has_mounts(int proc_fd, int root_fd, bool *has, struct err *err)
{
	scope_free char *text = NULL;
	struct mount_line mount;
	struct statx stx;

	*has = false;
	if (fs_stat(root_fd, &stx) < 0)
		return err_sys(err, "look at the root");
	int ret = io_read_file(proc_fd, "self/mountinfo", MOUNTS_MAX, &text, NULL, err);
	if (ret < 0)
		return ret;
	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (mountinfo_parse(line, &mount) && mount.parent == stx.stx_mnt_id &&
		    mount.id != stx.stx_mnt_id)
			*has = true;
	}
	return 0;
}
