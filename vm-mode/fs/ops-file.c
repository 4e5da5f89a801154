// Operations on open files.
#include "vm-mode/fs/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CAPS_XATTR "security.capability"
// Nobody else is served meanwhile.
#define COPY_MAX ((size_t)64 << 20)

// ---- opening ----

// FUSE_OPEN's flags for a file: the guest's cache of a file in the root survives its closing.
static uint32_t cache_flags(const struct fs *fs, const struct inode *inode)
{
	if (inode->foreign)
		return 0;
	if (S_ISDIR(inode->type))
		return FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR;
	return FOPEN_KEEP_CACHE | FOPEN_PARALLEL_DIRECT_WRITES |
	       (fs->options.writeback ? 0 : FOPEN_NOFLUSH);
}

int fs_answer_open(struct fs *fs, const struct inode *inode, int fd, struct fuse_open_out *out)
{
	*out = (struct fuse_open_out){ .open_flags = cache_flags(fs, inode) };
	return handles_add(&fs->handles, fd, S_ISDIR(inode->type), inodes_id(&fs->inodes, inode),
			   &out->fh);
}

int fs_open_inode(struct fs *fs, const struct inode *inode, uint32_t flags, uint32_t open_flags,
		  struct fuse_open_out *out)
{
	const bool kill = (flags & O_TRUNC) && (open_flags & FUSE_OPEN_KILL_SUIDGID);

	if (handles_full(&fs->handles))
		return -EMFILE;
	if (S_ISDIR(inode->type))
		return -EISDIR;
	if (kill)
		cred_drop_fsetid(&fs->cred);
	scope_fd int fd = fs_reopen(fs, inode, fs_open_flags(fs, flags));
	if (kill)
		cred_raise_fsetid(&fs->cred);
	if (fd < 0)
		return fd;
	if ((flags & O_TRUNC) || (flags & O_ACCMODE) != O_RDONLY)
		fs_dax_follow(fs, inode);
	int ret = fs_answer_open(fs, inode, fd, out);
	if (ret == 0)
		take_fd(&fd);
	return ret;
}

int op_open(struct fs *fs, struct fs_request *request)
{
	const struct fuse_open_in *in = request->args;
	struct fuse_open_out *out = (struct fuse_open_out *)request->out;
	int ret = fs_open_inode(fs, request->inode, in->flags, in->open_flags, out);

	return ret < 0 ? ret : (int)sizeof(*out);
}

int op_release(struct fs *fs, struct fs_request *request)
{
	const struct fuse_release_in *in = request->args;
	struct handle *handle = handles_get(&fs->handles, in->fh, false);

	if (!handle)
		return -EBADF;
	handles_close(&fs->handles, handle);
	return 0;
}

// Some file systems tell only at a close that what was written is lost.
int op_flush(struct fs *fs, struct fs_request *request)
{
	const struct fuse_flush_in *in = request->args;
	const struct handle *handle = handles_get(&fs->handles, in->fh, false);

	// Without foreign files there is nothing to tell, and the guest need not ask again.
	if (fs->options.writeback)
		return -ENOSYS;
	if (!handle)
		return -EBADF;
	int copy = fcntl(handle->fd, F_DUPFD_CLOEXEC, 0);
	return copy < 0 || close(copy) < 0 ? -errno : 0;
}

int op_fsync(struct fs *fs, struct fs_request *request)
{
	const struct fuse_fsync_in *in = request->args;
	const struct handle *handle = handles_get(&fs->handles, in->fh,
						  request->header.opcode == FUSE_FSYNCDIR);

	if (!handle)
		return -EBADF;
	int ret = in->fsync_flags & FUSE_FSYNC_FDATASYNC ? fdatasync(handle->fd) :
							   fsync(handle->fd);
	return ret < 0 ? -errno : 0;
}

// ---- reading and writing ----

// A transfer between the file and the guest's pages.
struct transfer {
	int fd;
	bool write;
	struct iovec *pieces;
	size_t count;
	uint64_t offset;
};

// Bytes done, fewer where the file ends or the disk is full; or negative errno.
static ssize_t move_bytes(const struct transfer *transfer)
{
	// A chain has one piece more, for who lets the header and data share one: the guest sees
	// that less was written.
	const int count = transfer->count < IOV_MAX ? (int)transfer->count : IOV_MAX;
	const off_t offset = (off_t)transfer->offset;
	ssize_t done = transfer->write ? pwritev(transfer->fd, transfer->pieces, count, offset) :
					 preadv(transfer->fd, transfer->pieces, count, offset);

	return done < 0 ? -errno : done;
}

int op_read(struct fs *fs, struct fs_request *request)
{
	const struct fuse_read_in *in = request->args;
	const struct handle *handle = handles_get(&fs->handles, in->fh, false);
	const struct chain *chain = request->chain;
	const size_t header = sizeof(struct fuse_out_header);

	if (!handle)
		return -EBADF;
	if (in->size > FS_IO_MAX || in->offset > INT64_MAX - FS_IO_MAX ||
	    chain->in_bytes < header || in->size > chain->in_bytes - header)
		return -EINVAL;
	const struct transfer transfer = {
		.fd = handle->fd,
		.pieces = fs->pieces,
		.count = wire_slice(chain->in, chain->in_count, header, in->size, fs->pieces),
		.offset = in->offset,
	};
	request->in_place = true;
	return (int)move_bytes(&transfer);
}

// The guest sends what it has kept back whenever it likes, also after it has given the file its
// capabilities: they must survive that, though a write takes them away. (A write that should take
// them, the guest begins by taking them itself.)
static ssize_t write_keeping_caps(const struct inode *inode, const struct transfer *transfer)
{
	char caps[64];
	const struct fd_name name = fs_fd_name(inode->fd);
	ssize_t len = getxattr(name.text, CAPS_XATTR, caps, sizeof(caps));
	ssize_t done = move_bytes(transfer);

	if (len > 0 && setxattr(name.text, CAPS_XATTR, caps, (size_t)len, 0) < 0)
		return -errno;
	return done;
}

int op_write(struct fs *fs, struct fs_request *request)
{
	const struct fuse_write_in *in = request->args;
	const struct handle *handle = handles_get(&fs->handles, in->fh, false);
	const struct chain *chain = request->chain;
	struct fuse_write_out *out = (struct fuse_write_out *)request->out;
	const size_t before = sizeof(request->header) + sizeof(*in);
	const bool kill = in->write_flags & FUSE_WRITE_KILL_SUIDGID;
	ssize_t done;

	if (!handle)
		return -EBADF;
	if (in->size > FS_IO_MAX || in->offset > INT64_MAX - FS_IO_MAX ||
	    in->size > request->header.len - before)
		return -EINVAL;
	int ret = fs_dax_grow(fs, request->inode, in->offset);
	if (ret < 0)
		return ret;
	const struct transfer transfer = {
		.fd = handle->fd,
		.write = true,
		.pieces = fs->pieces,
		.count = wire_slice(chain->out, chain->out_count, before, in->size, fs->pieces),
		.offset = in->offset,
	};
	if (kill)
		cred_drop_fsetid(&fs->cred);
	if (request->inode->has_caps && (in->write_flags & FUSE_WRITE_CACHE))
		done = write_keeping_caps(request->inode, &transfer);
	else
		done = move_bytes(&transfer);
	if (kill)
		cred_raise_fsetid(&fs->cred);
	if (done < 0)
		return (int)done;
	*out = (struct fuse_write_out){ .size = (uint32_t)done };
	return sizeof(*out);
}

// ---- the rest ----

// FUSE_HANDLE_KILLPRIV_V2 where the request has no flag for it: a user's call takes set-user-ID and
// set-group-ID off the file.
static void drop_for_user(const struct fs *fs, const struct fs_request *request)
{
	if (request->header.uid != 0)
		cred_drop_fsetid(&fs->cred);
}

static void raise_again(const struct fs *fs, const struct fs_request *request)
{
	if (request->header.uid != 0)
		cred_raise_fsetid(&fs->cred);
}

int op_fallocate(struct fs *fs, struct fs_request *request)
{
	const struct fuse_fallocate_in *in = request->args;
	const struct handle *handle = handles_get(&fs->handles, in->fh, false);

	if (!handle)
		return -EBADF;
	if (in->mode &
	    ~(uint32_t)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	int ret = in->mode & FALLOC_FL_KEEP_SIZE ? 0 : fs_dax_grow(fs, request->inode, in->offset);
	if (ret < 0)
		return ret;
	drop_for_user(fs, request);
	ret = fallocate(handle->fd, (int)in->mode, (off_t)in->offset, (off_t)in->length);
	ret = ret < 0 ? -errno : 0;
	raise_again(fs, request);
	if (ret == 0 && (in->mode & FALLOC_FL_PUNCH_HOLE))
		ret = fs_dax_refill(fs, request->inode);
	return ret;
}

int op_lseek(struct fs *fs, struct fs_request *request)
{
	const struct fuse_lseek_in *in = request->args;
	struct fuse_lseek_out *out = (struct fuse_lseek_out *)request->out;
	const struct handle *handle = handles_get(&fs->handles, in->fh, false);

	// The guest asks without writing first what it has kept back, and would take that for holes. So
	// it shall see no holes at all.
	if (fs->options.writeback)
		return -ENOSYS;
	if (!handle)
		return -EBADF;
	// The others the guest does itself.
	if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE)
		return -EINVAL;
	off_t at = lseek(handle->fd, (off_t)in->offset, (int)in->whence);
	if (at < 0)
		return -errno;
	*out = (struct fuse_lseek_out){ .offset = (uint64_t)at };
	return sizeof(*out);
}

int op_copy_file_range(struct fs *fs, struct fs_request *request)
{
	const struct fuse_copy_file_range_in *in = request->args;
	struct fuse_write_out *out = (struct fuse_write_out *)request->out;
	const struct handle *from = handles_get(&fs->handles, in->fh_in, false);
	const struct handle *to = handles_get(&fs->handles, in->fh_out, false);
	off_t from_at = (off_t)in->off_in, to_at = (off_t)in->off_out;

	if (!from || !to)
		return -EBADF;
	if (in->flags || in->off_in > INT64_MAX || in->off_out > INT64_MAX)
		return -EINVAL;
	const struct inode *target = inodes_get(&fs->inodes, to->nodeid);
	int ret = target ? fs_dax_grow(fs, target, in->off_out) : 0;
	if (ret < 0)
		return ret;
	drop_for_user(fs, request);
	ssize_t done = copy_file_range(from->fd, &from_at, to->fd, &to_at,
				       in->len < COPY_MAX ? in->len : COPY_MAX, 0);
	done = done < 0 ? -errno : done;
	raise_again(fs, request);
	// Where extents are shared instead of copied, holes are, too.
	if (done > 0 && target)
		ret = fs_dax_refill(fs, target);
	if (done < 0 || ret < 0)
		return done < 0 ? (int)done : ret;
	*out = (struct fuse_write_out){ .size = (uint32_t)done };
	return sizeof(*out);
}
