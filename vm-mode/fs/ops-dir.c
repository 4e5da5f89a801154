// Reading directories.
#include "vm-mode/fs/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

// The largest entry of getdents64(2) must fit.
#define ENTRIES_MIN ((size_t)1024)

int op_opendir(struct fs *fs, struct fs_request *request)
{
	struct fuse_open_out *out = (struct fuse_open_out *)request->out;

	if (!S_ISDIR(request->inode->type))
		return -ENOTDIR;
	if (handles_full(&fs->handles))
		return -EMFILE;
	scope_fd int fd = fs_reopen(fs, request->inode, O_RDONLY);
	if (fd < 0)
		return fd;
	int ret = fs_answer_open(fs, request->inode, fd, out);
	if (ret < 0)
		return ret;
	take_fd(&fd);
	return sizeof(*out);
}

int op_releasedir(struct fs *fs, struct fs_request *request)
{
	const struct fuse_release_in *in = request->args;
	struct handle *handle = handles_get(&fs->handles, in->fh, true);

	if (!handle)
		return -EBADF;
	handles_close(&fs->handles, handle);
	return 0;
}

// Entries that are being collected for an answer.
struct listing {
	uint8_t *out;
	size_t len, size;
	bool plus; // with attributes, each a lookup
};

// Adds one. False: there is no room for it.
static bool add_entry(struct fs *fs, const struct inode *dir, struct listing *listing,
		      const struct dirent64 *entry)
{
	const size_t name_len = strlen(entry->d_name);
	const size_t before = listing->plus ? sizeof(struct fuse_entry_out) : 0;
	const size_t len = FUSE_DIRENT_ALIGN(before + FUSE_NAME_OFFSET + name_len);
	uint8_t *at = listing->out + listing->len;

	if (len > listing->size - listing->len)
		return false;
	memset(at, 0, len);
	// What can't be looked up is listed without attributes (nodeid 0), and so are `.` and `..`,
	// which must not be counted.
	if (listing->plus && !str_eq(entry->d_name, ".") && !str_eq(entry->d_name, "..") &&
	    fs_find(fs, dir, entry->d_name, (struct fuse_entry_out *)at) < 0)
		memset(at, 0, before);
	struct fuse_dirent *dirent = (struct fuse_dirent *)(at + before);
	dirent->ino = entry->d_ino;
	dirent->off = (uint64_t)entry->d_off;
	dirent->namelen = (uint32_t)name_len;
	dirent->type = entry->d_type;
	memcpy(dirent->name, entry->d_name, name_len);
	listing->len += len;
	return true;
}

// The descriptor's own position serves one who reads on; after a rewind the directory is to be read
// anew.
static int go_to(struct handle *dir, uint64_t offset)
{
	if (offset > INT64_MAX)
		return -EINVAL;
	if (offset != 0 && offset == dir->pos)
		return 0;
	if (lseek(dir->fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	dir->pos = offset;
	return 0;
}

static int read_dir(struct fs *fs, struct fs_request *request, bool plus)
{
	const struct fuse_read_in *in = request->args;
	struct handle *dir = handles_get(&fs->handles, in->fh, true);
	struct listing listing = { .out = request->out, .size = request->out_size, .plus = plus };

	if (!dir || dir->nodeid != request->header.nodeid)
		return -EBADF;
	if (listing.size > in->size)
		listing.size = in->size;
	// About as much as will fit, since what doesn't is read again.
	size_t want = plus ? listing.size / 4 : listing.size;
	if (want < ENTRIES_MIN)
		want = ENTRIES_MIN;
	int ret = go_to(dir, in->offset);
	if (ret < 0)
		return ret;
	ssize_t got = getdents64(dir->fd, fs->entries, want);
	if (got < 0)
		return -errno;
	for (ssize_t at = 0; at < got;) {
		const struct dirent64 *entry = (const struct dirent64 *)(fs->entries + at);

		dir->pos = (uint64_t)entry->d_off;
		at += entry->d_reclen;
		if (listing.size > 0 && add_entry(fs, request->inode, &listing, entry))
			continue;
		dir->pos = UINT64_MAX; // the descriptor is ahead
		break;
	}
	return got > 0 && listing.len == 0 ? -EINVAL : (int)listing.len;
}

int op_readdir(struct fs *fs, struct fs_request *request)
{
	return read_dir(fs, request, false);
}

int op_readdirplus(struct fs *fs, struct fs_request *request)
{
	return read_dir(fs, request, true);
}
