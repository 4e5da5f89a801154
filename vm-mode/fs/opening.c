// Opening a known file for reading or writing.
#include "vm-mode/fs/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

struct fd_name fs_fd_name(int fd)
{
	struct fd_name name;

	snprintf(name.text, sizeof(name.text), "%d", fd);
	return name;
}

int fs_open_flags(const struct fs *fs, uint32_t flags)
{
	// Not O_APPEND: the guest says where each write goes, and with that flag pwrite(2) would
	// not listen. Not O_DIRECT: it makes demands on alignment that FUSE doesn't, and is about
	// the guest's cache, which the guest has seen to. The rest (O_NOFOLLOW, O_NONBLOCK, ...)
	// is done with once a file is known.
	int ours = (int)flags & (O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC | O_NOATIME);

	// To write a part of a page that it keeps back, the guest reads the rest of it.
	if (fs->options.writeback && (ours & O_ACCMODE) == O_WRONLY)
		ours = (ours & ~O_ACCMODE) | O_RDWR;
	return ours | O_CLOEXEC;
}

static int open_again(const struct fs *fs, const struct inode *inode, int flags)
{
	int fd;

	if (S_ISDIR(inode->type))
		fd = openat(inode->fd, ".", flags | O_DIRECTORY | O_CLOEXEC);
	else
		fd = openat(fs->fds_fd, fs_fd_name(inode->fd).text, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int fs_reopen(const struct fs *fs, const struct inode *inode, int flags)
{
	if (S_ISLNK(inode->type))
		return -ELOOP;
	if (!S_ISREG(inode->type) && !S_ISDIR(inode->type))
		return -ENXIO;
	int fd = open_again(fs, inode, flags);

	// Without the right to: a reader that isn't the owner, a file that may be written but not
	// read.
	if (fd == -EPERM && (flags & O_NOATIME))
		fd = open_again(fs, inode, flags & ~O_NOATIME);
	if (fd == -EACCES && (flags & O_ACCMODE) == O_RDWR && fs->options.writeback)
		fd = open_again(fs, inode, (flags & ~O_ACCMODE) | O_WRONLY);
	return fd;
}
