// Pieces of files that the guest sees as memory: the DAX window, in slots of 2 MiB.
//
// A store for which the file system finds no place is a fault of the VMM's, which KVM can't hand on to the guest's program:
// the guest would end. So what is mapped for writing has its place already, and it is the mapping that fails, which
// the guest's kernel can tell the program: holes are filled when a slot is mapped, and when one would come into being there.
#include "vm-mode/fs/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

static int map(struct fs *fs, const struct fs_mapping *mapping, int fd)
{
	return fs->options.map(fs->options.map_arg, mapping, fd);
}

static struct inode *slot_inode(const struct fs *fs, const struct fs_slot *slot)
{
	return slot->inode ? inodes_get(&fs->inodes, slot->inode) : NULL;
}

static void release_slot(struct fs *fs, struct fs_slot *slot)
{
	struct inode *inode = slot_inode(fs, slot);

	if (inode)
		inode->mappings--;
	*slot = (struct fs_slot){ 0 };
}

static int remove_slots(struct fs *fs, uint64_t offset, uint64_t len)
{
	const struct fs_mapping mapping = { .window_offset = offset, .len = len };

	for (uint64_t i = offset / FS_WINDOW_SLOT; i < (offset + len) / FS_WINDOW_SLOT; i++)
		release_slot(fs, &fs->slots[i]);
	return map(fs, &mapping, -1);
}

static bool in_window(const struct fs *fs, uint64_t offset, uint64_t len)
{
	const uint64_t size = fs->slots_count * FS_WINDOW_SLOT;

	return len > 0 && offset % FS_WINDOW_SLOT == 0 && len % FS_WINDOW_SLOT == 0 &&
	       offset < size && len <= size - offset;
}

// Fills the holes of [from, to), as far as a file of `size` bytes goes.
static int fill_holes(int fd, uint64_t from, uint64_t to, uint64_t size)
{
	off_t hole = lseek(fd, (off_t)from, SEEK_HOLE);

	// Behind the end.
	if (hole < 0)
		hole = (off_t)from;
	if (to > size)
		to = size;
	if ((uint64_t)hole >= to)
		return 0;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, hole, (off_t)to - hole) < 0 && errno != EOPNOTSUPP)
		return -errno;
	return 0;
}

// Maps one slot. `writable` opens the file for writing.
static int fill_slot(struct fs *fs, const struct inode *inode, struct fs_slot *slot)
{
	const uint64_t index = (uint64_t)(slot - fs->slots);
	const struct fs_mapping mapping = {
		.window_offset = index * FS_WINDOW_SLOT,
		.len = FS_WINDOW_SLOT,
		.file_offset = slot->file_offset,
		.prot = PROT_READ | (slot->writable ? PROT_WRITE : 0),
	};
	scope_fd int fd = fs_reopen(fs, inode, slot->writable ? O_RDWR : O_RDONLY);

	return fd < 0 ? fd : map(fs, &mapping, fd);
}

// What will be mapped for writing gets its place, as far as the file goes.
static int make_room(const struct fs *fs, const struct inode *inode, uint64_t from, uint64_t to)
{
	scope_fd int fd = fs_reopen(fs, inode, O_RDWR);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	return fill_holes(fd, from, to, (uint64_t)st.st_size);
}

int op_setupmapping(struct fs *fs, struct fs_request *request)
{
	const struct fuse_setupmapping_in *in = request->args;
	struct inode *inode = request->inode;
	const bool writable = in->flags & FUSE_SETUPMAPPING_FLAG_WRITE;

	if (!in_window(fs, in->moffset, in->len) || in->foffset % FS_WINDOW_SLOT ||
	    in->foffset > INT64_MAX - in->len)
		return -EINVAL;
	if (!S_ISREG(inode->type) || inode->foreign)
		return -EOPNOTSUPP;
	// First: a guest that wanted to write to what it has for reading goes on reading it when there is no place.
	int ret = writable ? make_room(fs, inode, in->foffset, in->foffset + in->len) : 0;
	if (ret < 0)
		return ret;
	for (uint64_t done = 0; done < in->len; done += FS_WINDOW_SLOT) {
		struct fs_slot *slot = &fs->slots[(in->moffset + done) / FS_WINDOW_SLOT];

		release_slot(fs, slot);
		*slot = (struct fs_slot){ .inode = (uint32_t)inodes_id(&fs->inodes, inode),
					  .writable = writable,
					  .file_offset = in->foffset + done };
		inode->mappings++;
		ret = fill_slot(fs, inode, slot);
		if (ret < 0) {
			// What it held before must not stay behind.
			remove_slots(fs, in->moffset, in->len);
			return ret;
		}
	}
	if (writable)
		fs_dax_follow(fs, inode);
	return 0;
}

int op_removemapping(struct fs *fs, struct fs_request *request)
{
	const struct fuse_removemapping_in *in = request->args;
	struct fuse_removemapping_one one;

	if (in->count > request->rest_len / sizeof(one))
		return -EINVAL;
	for (uint32_t i = 0; i < in->count; i++) {
		memcpy(&one, request->rest + i * sizeof(one), sizeof(one));
		if (!in_window(fs, one.moffset, one.len))
			return -EINVAL;
		int ret = remove_slots(fs, one.moffset, one.len);
		if (ret < 0)
			return ret;
	}
	return 0;
}

void fs_dax_follow(struct fs *fs, const struct inode *inode)
{
	const uint32_t id = (uint32_t)inodes_id(&fs->inodes, inode);

	if (!fs->overlay || inode->mappings == 0)
		return;
	for (size_t i = 0; i < fs->slots_count; i++) {
		struct fs_slot *slot = &fs->slots[i];

		// The old file's content is worse than none: the guest would end at that.
		if (slot->inode == id && !slot->writable && fill_slot(fs, inode, slot) < 0)
			map(fs,
			    &(struct fs_mapping){ .window_offset = i * FS_WINDOW_SLOT,
						  .len = FS_WINDOW_SLOT },
			    -1);
	}
}

static int fill_all_holes(struct fs *fs, const struct inode *inode, uint64_t size)
{
	const uint32_t id = (uint32_t)inodes_id(&fs->inodes, inode);
	scope_fd int fd = -1;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < fs->slots_count; i++) {
		const struct fs_slot *slot = &fs->slots[i];

		if (slot->inode != id || !slot->writable)
			continue;
		if (fd < 0)
			fd = fs_reopen(fs, inode, O_RDWR);
		ret = fd < 0 ? fd :
			       fill_holes(fd, slot->file_offset, slot->file_offset + FS_WINDOW_SLOT,
					  size);
	}
	return ret;
}

int fs_dax_grow(struct fs *fs, const struct inode *inode, uint64_t size)
{
	struct stat st;

	if (inode->mappings == 0)
		return 0;
	if (fstat(inode->fd, &st) < 0)
		return -errno;
	return size <= (uint64_t)st.st_size ? 0 : fill_all_holes(fs, inode, size);
}

int fs_dax_refill(struct fs *fs, const struct inode *inode)
{
	struct stat st;

	if (inode->mappings == 0)
		return 0;
	if (fstat(inode->fd, &st) < 0)
		return -errno;
	return fill_all_holes(fs, inode, (uint64_t)st.st_size);
}

void fs_dax_forget(struct fs *fs, struct inode *inode)
{
	const uint32_t id = (uint32_t)inodes_id(&fs->inodes, inode);

	for (size_t i = 0; i < fs->slots_count && inode->mappings > 0; i++)
		if (fs->slots[i].inode == id)
			remove_slots(fs, i * FS_WINDOW_SLOT, FS_WINDOW_SLOT);
}

void fs_dax_clear(struct fs *fs)
{
	bool used = false;

	for (size_t i = 0; i < fs->slots_count; i++) {
		used = used || fs->slots[i].inode;
		release_slot(fs, &fs->slots[i]);
	}
	if (used)
		map(fs, &(struct fs_mapping){ .len = fs->slots_count * FS_WINDOW_SLOT }, -1);
}
