// Operations on the file system as a whole.
#include "vm-mode/fs/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>

// Before 7.31 (Linux 5.4) there is no virtio-fs.
#define MINOR_MIN 31

// What we want; the guest has the last word.
static uint64_t wanted_flags(const struct fs *fs)
{
	uint64_t flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DONT_MASK |
			 FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |
			 FUSE_PARALLEL_DIROPS | FUSE_POSIX_ACL | FUSE_MAX_PAGES |
			 FUSE_CACHE_SYMLINKS | FUSE_SUBMOUNTS | FUSE_HANDLE_KILLPRIV_V2 |
			 FUSE_SETXATTR_EXT | FUSE_INIT_EXT;

	// A file that others change: its cached data go when its time of change does. Where nobody
	// does, that would only throw away what the guest has written itself.
	flags |= fs->options.writeback ? FUSE_WRITEBACK_CACHE : FUSE_AUTO_INVAL_DATA;
	if (fs->slots_count > 0)
		flags |= FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX;
	return flags;
}

int op_init(struct fs *fs, struct fs_request *request)
{
	const size_t len = request->rest_len + request->op->args;
	struct fuse_init_in in = { 0 };
	struct fuse_init_out *out = (struct fuse_init_out *)request->out;

	memcpy(&in, request->args, len < sizeof(in) ? len : sizeof(in));
	*out = (struct fuse_init_out){ .major = FUSE_KERNEL_VERSION,
				       .minor = FUSE_KERNEL_MINOR_VERSION };
	// A later major version: the guest will ask again with ours.
	if (in.major > FUSE_KERNEL_VERSION)
		return sizeof(*out);
	if (in.major < FUSE_KERNEL_VERSION || in.minor < MINOR_MIN)
		return -EPROTO;
	uint64_t offered = in.flags;
	if (in.flags & FUSE_INIT_EXT)
		offered |= (uint64_t)in.flags2 << 32;
	// A guest that begins anew has forgotten all that it knew.
	fs_reset(fs);
	fs->started = true;
	fs->flags = offered & wanted_flags(fs);
	out->max_readahead = in.max_readahead;
	out->flags = (uint32_t)fs->flags;
	out->flags2 = (uint32_t)(fs->flags >> 32);
	out->max_background = 128;
	out->congestion_threshold = 96;
	out->max_write = FS_IO_MAX;
	out->time_gran = 1;
	out->max_pages = FS_IO_MAX / 4096;
	out->map_alignment = fs->flags & FUSE_MAP_ALIGNMENT ? 21 : 0; // log2(FS_WINDOW_SLOT)
	return sizeof(*out);
}

int op_destroy(struct fs *fs, struct fs_request *request)
{
	(void)request;
	fs_reset(fs);
	return 0;
}

int op_nothing(struct fs *fs, struct fs_request *request)
{
	(void)fs;
	(void)request;
	return 0;
}

int op_statfs(struct fs *fs, struct fs_request *request)
{
	struct fuse_statfs_out *out = (struct fuse_statfs_out *)request->out;
	struct statfs st;

	(void)fs;
	if (fstatfs(request->inode->fd, &st) < 0)
		return -errno;
	*out = (struct fuse_statfs_out){ .st = {
						 .blocks = st.f_blocks,
						 .bfree = st.f_bfree,
						 .bavail = st.f_bavail,
						 .files = st.f_files,
						 .ffree = st.f_ffree,
						 .bsize = (uint32_t)st.f_bsize,
						 .namelen = (uint32_t)st.f_namelen,
						 .frsize = (uint32_t)st.f_frsize,
					 } };
	return sizeof(*out);
}

int op_syncfs(struct fs *fs, struct fs_request *request)
{
	scope_fd int fd = fs_reopen(fs, request->inode, O_RDONLY);

	if (fd < 0)
		return fd;
	return syncfs(fd) < 0 ? -errno : 0;
}
