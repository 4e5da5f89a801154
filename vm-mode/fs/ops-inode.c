// Operations on what the guest knows of files: lookup, attributes, links' contents.
#include "vm-mode/fs/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int op_lookup(struct fs *fs, struct fs_request *request)
{
	struct fuse_entry_out *entry = (struct fuse_entry_out *)request->out;
	int ret = fs_find(fs, request->inode, request->strings[0], entry);

	if (ret == -ENOENT && fs_attr_seconds(fs, request->inode) > 0) {
		// That there is no such file may be remembered too.
		*entry = (struct fuse_entry_out){ .entry_valid = fs_attr_seconds(fs,
										 request->inode) };
		ret = 0;
	}
	return ret < 0 ? ret : (int)sizeof(*entry);
}

static void forget(struct fs *fs, struct inode *inode, uint64_t count)
{
	// A guest that forgets what it has mapped: it can't unmap it any more.
	if (inode->mappings > 0 && count >= inode->lookups)
		fs_dax_forget(fs, inode);
	inodes_forget(&fs->inodes, inode, count);
}

int op_forget(struct fs *fs, struct fs_request *request)
{
	const struct fuse_forget_in *in = request->args;

	forget(fs, request->inode, in->nlookup);
	return 0;
}

int op_batch_forget(struct fs *fs, struct fs_request *request)
{
	const struct fuse_batch_forget_in *in = request->args;
	struct fuse_forget_one one;

	for (uint32_t i = 0; i < in->count && request->rest_len >= sizeof(one); i++) {
		memcpy(&one, request->rest, sizeof(one));
		request->rest += sizeof(one);
		request->rest_len -= sizeof(one);
		struct inode *inode = inodes_get(&fs->inodes, one.nodeid);
		if (inode)
			forget(fs, inode, one.nlookup);
	}
	return 0;
}

static int answer_attr(struct fs *fs, struct fs_request *request)
{
	struct fuse_attr_out *out = (struct fuse_attr_out *)request->out;
	struct statx stx;
	int ret = fs_stat(request->inode->fd, &stx);

	if (ret < 0)
		return ret;
	*out = (struct fuse_attr_out){ .attr_valid = fs_attr_seconds(fs, request->inode) };
	fs_fill_attr(fs, request->inode, &stx, &out->attr);
	return sizeof(*out);
}

int op_getattr(struct fs *fs, struct fs_request *request)
{
	return answer_attr(fs, request);
}

// fuse_statx_out, whose statx has the layout of ours as far as the device's number.
struct statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	struct statx stat;
};

int op_statx(struct fs *fs, struct fs_request *request)
{
	struct statx_out *out = (struct statx_out *)request->out;
	const size_t known = offsetof(struct statx, stx_dev_minor) + sizeof(uint32_t);

	*out = (struct statx_out){ .attr_valid = fs_attr_seconds(fs, request->inode) };
	int ret = fs_stat(request->inode->fd, &out->stat);
	if (ret < 0)
		return ret;
	memset((char *)&out->stat + known, 0, sizeof(out->stat) - known);
	out->stat.stx_mask &= STATX_BASIC_STATS | STATX_BTIME;
	out->stat.stx_attributes = out->stat.stx_attributes_mask = 0;
	return sizeof(*out);
}

int op_readlink(struct fs *fs, struct fs_request *request)
{
	(void)fs;
	ssize_t len = readlinkat(request->inode->fd, "", (char *)request->out, request->out_size);

	if (len < 0)
		return errno == ENOENT ? -EINVAL : -errno; // it is no link
	return (int)len;
}

// ---- setattr ----

static int set_owner(const struct inode *inode, const struct fuse_setattr_in *in)
{
	const uid_t uid = in->valid & FATTR_UID ? in->uid : (uid_t)-1;
	const gid_t gid = in->valid & FATTR_GID ? in->gid : (gid_t)-1;

	return fchownat(inode->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
}

static int set_mode(const struct fs *fs, const struct inode *inode,
		    const struct fuse_setattr_in *in)
{
	return fchmodat(fs->fds_fd, fs_fd_name(inode->fd).text, in->mode & 07777, 0);
}

static int set_size(struct fs *fs, struct inode *inode, const struct fuse_setattr_in *in)
{
	const struct handle *handle = in->valid & FATTR_FH ?
					      handles_get(&fs->handles, in->fh, false) :
					      NULL;
	const bool kill = in->valid & FATTR_KILL_SUIDGID;

	if (!S_ISREG(inode->type) || in->size > INT64_MAX) {
		errno = S_ISDIR(inode->type) ? EISDIR : EINVAL;
		return -1;
	}
	int ret = fs_dax_grow(fs, inode, in->size);
	if (ret < 0) {
		errno = -ret;
		return -1;
	}
	if (kill)
		cred_drop_fsetid(&fs->cred);
	ret = handle ? ftruncate(handle->fd, (off_t)in->size) :
		       truncate(fs_fd_name(inode->fd).text, (off_t)in->size);
	const int saved = errno;

	if (kill)
		cred_raise_fsetid(&fs->cred);
	if (ret == 0)
		fs_dax_follow(fs, inode);
	errno = saved;
	return ret;
}

static struct timespec time_of(const struct fuse_setattr_in *in, uint32_t set, uint32_t now,
			       uint64_t seconds)
{
	const uint32_t nanoseconds = set == FATTR_ATIME ? in->atimensec : in->mtimensec;

	if (in->valid & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	if (in->valid & set)
		return (struct timespec){ (time_t)seconds, nanoseconds };
	return (struct timespec){ .tv_nsec = UTIME_OMIT };
}

static int set_times(const struct inode *inode, const struct fuse_setattr_in *in)
{
	const struct timespec times[2] = {
		time_of(in, FATTR_ATIME, FATTR_ATIME_NOW, in->atime),
		time_of(in, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime),
	};

	return utimensat(inode->fd, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
}

int op_setattr(struct fs *fs, struct fs_request *request)
{
	const struct fuse_setattr_in *in = request->args;
	const uint32_t times = FATTR_ATIME | FATTR_ATIME_NOW | FATTR_MTIME | FATTR_MTIME_NOW;
	int ret = 0;

	// The owner first: a change of it takes set-user-ID away, as in the guest.
	if (in->valid & (FATTR_UID | FATTR_GID))
		ret = set_owner(request->inode, in);
	if (ret == 0 && (in->valid & FATTR_MODE))
		ret = set_mode(fs, request->inode, in);
	if (ret == 0 && (in->valid & FATTR_SIZE))
		ret = set_size(fs, request->inode, in);
	if (ret == 0 && (in->valid & times))
		ret = set_times(request->inode, in);
	return ret < 0 ? -errno : answer_attr(fs, request);
}
