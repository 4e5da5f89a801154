// Operations that change directories.
#include "vm-mode/fs/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

// Before something is made: in the name of who asks, with their umask, which counts only where the
// directory has no default ACL: that only the kernel below knows.
static int begin(struct fs *fs, const struct fs_request *request, uint32_t mask)
{
	// Better not made than made and not told of.
	if (inodes_full(&fs->inodes))
		return -ENFILE;
	if ((mask & 0777) != fs->umask) {
		fs->umask = mask & 0777;
		umask(fs->umask);
	}
	return cred_enter(&fs->cred, request->header.uid, request->header.gid);
}

// After it; `ret` is what the system call has returned.
static int end(struct fs *fs, struct fs_request *request, int ret)
{
	struct fuse_entry_out *entry = (struct fuse_entry_out *)request->out;

	ret = ret < 0 ? -errno : 0;
	cred_leave(&fs->cred);
	if (ret == 0)
		ret = fs_find(fs, request->inode, request->strings[0], entry);
	return ret < 0 ? ret : (int)sizeof(*entry);
}

int op_mknod(struct fs *fs, struct fs_request *request)
{
	const struct fuse_mknod_in *in = request->args;
	const dev_t device = makedev(in->rdev >> 8 & 0xfff,
				     (in->rdev & 0xff) | (in->rdev >> 12 & 0xfff00));
	int ret = begin(fs, request, in->umask);

	if (ret < 0)
		return ret;
	return end(fs, request,
		   mknodat(request->inode->fd, request->strings[0], in->mode & (S_IFMT | 07777),
			   device));
}

int op_mkdir(struct fs *fs, struct fs_request *request)
{
	const struct fuse_mkdir_in *in = request->args;
	int ret = begin(fs, request, in->umask);

	if (ret < 0)
		return ret;
	return end(fs, request, mkdirat(request->inode->fd, request->strings[0], in->mode & 07777));
}

int op_symlink(struct fs *fs, struct fs_request *request)
{
	int ret = begin(fs, request, 0);

	if (ret < 0)
		return ret;
	return end(fs, request,
		   symlinkat(request->strings[1], request->inode->fd, request->strings[0]));
}

int op_link(struct fs *fs, struct fs_request *request)
{
	const struct fuse_link_in *in = request->args;
	const struct inode *old = inodes_get(&fs->inodes, in->oldnodeid);
	struct fuse_entry_out *entry = (struct fuse_entry_out *)request->out;

	if (!old)
		return -ESTALE;
	// The name in /proc leads to the file itself, even where it is a symbolic link.
	if (linkat(fs->fds_fd, fs_fd_name(old->fd).text, request->inode->fd, request->strings[0],
		   AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	int ret = fs_find(fs, request->inode, request->strings[0], entry);
	return ret < 0 ? ret : (int)sizeof(*entry);
}

static int unlink_name(const struct fs_request *request, int flags)
{
	return unlinkat(request->inode->fd, request->strings[0], flags) < 0 ? -errno : 0;
}

int op_unlink(struct fs *fs, struct fs_request *request)
{
	(void)fs;
	return unlink_name(request, 0);
}

int op_rmdir(struct fs *fs, struct fs_request *request)
{
	(void)fs;
	return unlink_name(request, AT_REMOVEDIR);
}

static int rename_to(struct fs *fs, struct fs_request *request, uint64_t nodeid, unsigned int flags)
{
	const struct inode *dir = inodes_get(&fs->inodes, nodeid);

	if (!dir)
		return -ESTALE;
	if (flags & ~(unsigned int)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	return renameat2(request->inode->fd, request->strings[0], dir->fd, request->strings[1],
			 flags) < 0 ?
		       -errno :
		       0;
}

int op_rename(struct fs *fs, struct fs_request *request)
{
	const struct fuse_rename_in *in = request->args;

	return rename_to(fs, request, in->newdir, 0);
}

int op_rename2(struct fs *fs, struct fs_request *request)
{
	const struct fuse_rename2_in *in = request->args;

	return rename_to(fs, request, in->newdir, in->flags);
}

// ---- files that are made open ----

struct created {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};

// Answers for a new file, open as `fd`, which it takes.
static int answer_created(struct fs *fs, struct fs_request *request, int fd)
{
	struct created *out = (struct created *)request->out;
	scope_fd int file = fd;
	int path = openat(fs->fds_fd, fs_fd_name(file).text, O_PATH | O_CLOEXEC);

	if (path < 0)
		return -errno;
	int ret = fs_enter(fs, request->inode, path, &out->entry);
	if (ret < 0)
		return ret;
	ret = fs_answer_open(fs, inodes_get(&fs->inodes, out->entry.nodeid), file, &out->open);
	if (ret < 0) {
		inodes_forget(&fs->inodes, inodes_get(&fs->inodes, out->entry.nodeid), 1);
		return ret;
	}
	take_fd(&file);
	return sizeof(*out);
}

// The file is there, and that is allowed.
static int open_existing(struct fs *fs, struct fs_request *request)
{
	const struct fuse_create_in *in = request->args;
	struct created *out = (struct created *)request->out;
	int ret = fs_find(fs, request->inode, request->strings[0], &out->entry);

	if (ret < 0)
		return ret;
	ret = fs_open_inode(fs, inodes_get(&fs->inodes, out->entry.nodeid), in->flags,
			    in->open_flags, &out->open);
	if (ret < 0) {
		inodes_forget(&fs->inodes, inodes_get(&fs->inodes, out->entry.nodeid), 1);
		return ret;
	}
	return sizeof(*out);
}

static int create(struct fs *fs, struct fs_request *request, const char *name, int flags)
{
	const struct fuse_create_in *in = request->args;
	int ret = handles_full(&fs->handles) ? -EMFILE : begin(fs, request, in->umask);

	if (ret < 0)
		return ret;
	ret = openat(request->inode->fd, name, fs_open_flags(fs, in->flags) | flags | O_CLOEXEC,
		     in->mode & 07777);
	ret = ret < 0 ? -errno : ret;
	cred_leave(&fs->cred);
	return ret;
}

int op_create(struct fs *fs, struct fs_request *request)
{
	const struct fuse_create_in *in = request->args;
	int fd = create(fs, request, request->strings[0], O_CREAT | O_EXCL | O_NOFOLLOW);

	if (fd == -EEXIST && !(in->flags & O_EXCL))
		return open_existing(fs, request);
	return fd < 0 ? fd : answer_created(fs, request, fd);
}

int op_tmpfile(struct fs *fs, struct fs_request *request)
{
	int fd = create(fs, request, ".", O_TMPFILE);

	return fd < 0 ? fd : answer_created(fs, request, fd);
}
