// What a file is: attributes, and how long the guest may trust them.
#include "vm-mode/fs/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

// Those that are too new or too private for linux/magic.h.
#define MAGIC_CONFIGFS 0x62656570
#define MAGIC_FUSECTL  0x65735543
#define MAGIC_MQUEUE   0x19800202
#define MAGIC_RPC_PIPE 0x67596969
#define MAGIC_NFSD     0x6e667364

// What shows or steers the host's kernel is not a file of the guest's.
static bool is_refused(int fd)
{
	static const unsigned int magics[] = {
		PROC_SUPER_MAGIC,   SYSFS_MAGIC,	  CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
		DEBUGFS_MAGIC,	    TRACEFS_MAGIC,	  SECURITYFS_MAGIC,   BPF_FS_MAGIC,
		SELINUX_MAGIC,	    SMACK_MAGIC,	  EFIVARFS_MAGIC,     BINFMTFS_MAGIC,
		PSTOREFS_MAGIC,	    RDTGROUP_SUPER_MAGIC, NSFS_MAGIC,	      AUTOFS_SUPER_MAGIC,
		DEVPTS_SUPER_MAGIC, PIPEFS_MAGIC,	  SOCKFS_MAGIC,	      ANON_INODE_FS_MAGIC,
		MAGIC_CONFIGFS,	    MAGIC_FUSECTL,	  MAGIC_MQUEUE,	      MAGIC_RPC_PIPE,
		MAGIC_NFSD,	    XENFS_SUPER_MAGIC,
	};
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if ((unsigned int)st.f_type == magics[i])
			return true;
	return false;
}

int fs_stat(int fd, struct statx *stx)
{
	if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, FS_STATX_MASK,
		  stx) < 0)
		return -errno;
	if (!(stx->stx_mask & STATX_MNT_ID))
		stx->stx_mnt_id = 0; // before Linux 5.8: the device must do
	return 0;
}

static uint64_t device_of(const struct statx *stx)
{
	return makedev(stx->stx_dev_major, stx->stx_dev_minor);
}

// As the guest's kernel takes device numbers apart.
static uint32_t encode_device(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | major << 8 | (minor & ~UINT32_C(0xff)) << 12;
}

// A file system that compresses counts fewer blocks.
static bool has_holes(const struct fs *fs, const struct inode *inode, const struct statx *stx)
{
	if (stx->stx_blocks * 512 >= stx->stx_size)
		return false;
	scope_fd int fd = fs_reopen(fs, inode, O_RDONLY);
	return fd < 0 || lseek(fd, 0, SEEK_HOLE) < (off_t)stx->stx_size;
}

// Not of a file that others can cut short, which could end the guest; nor of one with holes, which would be filled where it
// is written (ops-dax.c).
static bool is_mapped(const struct fs *fs, const struct inode *inode, const struct statx *stx)
{
	return (fs->flags & FUSE_HAS_INODE_DAX) && !inode->foreign && S_ISREG(inode->type) &&
	       stx->stx_size >= fs->options.dax_min_bytes && !has_holes(fs, inode, stx);
}

void fs_fill_attr(const struct fs *fs, const struct inode *inode, const struct statx *stx,
		  struct fuse_attr *attr)
{
	*attr = (struct fuse_attr){
		.ino = stx->stx_ino,
		.size = stx->stx_size,
		.blocks = stx->stx_blocks,
		.atime = (uint64_t)stx->stx_atime.tv_sec,
		.mtime = (uint64_t)stx->stx_mtime.tv_sec,
		.ctime = (uint64_t)stx->stx_ctime.tv_sec,
		.atimensec = stx->stx_atime.tv_nsec,
		.mtimensec = stx->stx_mtime.tv_nsec,
		.ctimensec = stx->stx_ctime.tv_nsec,
		.mode = stx->stx_mode,
		.nlink = stx->stx_nlink,
		.uid = stx->stx_uid,
		.gid = stx->stx_gid,
		.rdev = encode_device(stx->stx_rdev_major, stx->stx_rdev_minor),
		.blksize = stx->stx_blksize,
	};
	if (inode->submount && (fs->flags & FUSE_SUBMOUNTS))
		attr->flags |= FUSE_ATTR_SUBMOUNT;
	if (is_mapped(fs, inode, stx))
		attr->flags |= FUSE_ATTR_DAX;
}

uint64_t fs_attr_seconds(const struct fs *fs, const struct inode *inode)
{
	return inode->foreign ? 0 : fs->options.cache_seconds;
}

// The inode for a file that isn't known yet; takes the descriptor.
static struct inode *add_inode(struct fs *fs, const struct inode *parent, int fd,
			       const struct statx *stx)
{
	const struct inode *root = inodes_get(&fs->inodes, FUSE_ROOT_ID);
	const bool crossed = stx->stx_mnt_id != parent->mount;
	struct inode inode = {
		.fd = fd,
		.dev = device_of(stx),
		.ino = stx->stx_ino,
		.mount = stx->stx_mnt_id,
		.type = stx->stx_mode & S_IFMT,
		.foreign = stx->stx_mnt_id != root->mount,
		.submount = crossed && S_ISDIR(stx->stx_mode),
	};

	return inodes_add(&fs->inodes, &inode);
}

int fs_enter(struct fs *fs, const struct inode *parent, int fd, struct fuse_entry_out *entry)
{
	scope_fd int file = fd;
	struct statx stx;
	int ret = fs_stat(file, &stx);

	if (ret < 0)
		return ret;
	if ((stx.stx_mnt_id != parent->mount || device_of(&stx) != parent->dev) && is_refused(file))
		return -EACCES;
	struct inode *inode = inodes_find(&fs->inodes, device_of(&stx), stx.stx_ino,
					  stx.stx_mnt_id);
	if (inode) {
		// The root's count is of no meaning.
		inode->lookups++;
	} else {
		inode = add_inode(fs, parent, file, &stx);
		if (!inode)
			return -ENFILE;
		take_fd(&file);
	}
	*entry = (struct fuse_entry_out){
		.nodeid = inodes_id(&fs->inodes, inode),
		// The kernel makes a mount point's inode with generation 0, and would take any other
		// for another inode: it would drop the directory with all that is mounted there.
		.generation = inode->submount ? 0 : inode->generation,
		.entry_valid = fs_attr_seconds(fs, inode),
		.attr_valid = fs_attr_seconds(fs, inode),
	};
	fs_fill_attr(fs, inode, &stx, &entry->attr);
	return 0;
}

int fs_find(struct fs *fs, const struct inode *parent, const char *name,
	    struct fuse_entry_out *entry)
{
	int fd = openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fs_enter(fs, parent, fd, entry);
}
