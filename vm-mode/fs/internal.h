// internal: what the files of the file server share. Not for others.
#pragma once

#include "base/scope.h"
#include "base/str.h"
#include "vm-mode/fs/cred.h"
#include "vm-mode/fs/fs.h"
#include "vm-mode/fs/handles.h"
#include "vm-mode/fs/inodes.h"
#include "vm-mode/fs/wire.h"

#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

// Room for the arguments of a request that don't stay in the chain (the largest: a value of
// setxattr(2)), and for answers but those of READ.
#define FS_IN_MAX  ((size_t)XATTR_SIZE_MAX + 4096)
#define FS_OUT_MAX ((size_t)128 * 1024)
#ifndef XATTR_SIZE_MAX
#define XATTR_SIZE_MAX 65536
#endif

// A piece of the window that is in use.
struct fs_slot {
	uint32_t inode; // its index in the table + 1; 0: free
	bool writable;
	uint64_t file_offset;
};

struct fs {
	struct fs_options options;
	int fds_fd; // /proc/self/fd
	struct cred cred;
	struct inodes inodes;
	struct handles handles;

	bool started;	// INIT was seen
	uint64_t flags; // FUSE_*, as agreed on
	bool overlay;	// the root is an overlay: a file becomes another when it is first written
	mode_t umask;	// the process's

	struct fs_slot *slots; // of the window
	size_t slots_count;

	// The scratch of the request that is being served.
	uint8_t *in, *out, *entries;
	struct iovec pieces[QUEUE_CHAIN_MAX];
};

// One request.
struct fs_request {
	struct fuse_in_header header;
	const struct fs_op *op;
	const struct chain *chain;
	struct inode *inode;	// header.nodeid
	const void *args;	// the fixed arguments, op->args bytes at least, aligned
	const char *strings[2]; // those after them
	const uint8_t *rest;	// what follows
	size_t rest_len;
	uint8_t *out; // room for the answer, fs->out
	size_t out_size;
	bool in_place; // the answer is in the chain already
};

// Returns the length of the answer in request->out, or negative errno.
typedef int fs_serve_fn(struct fs *fs, struct fs_request *request);

struct fs_op {
	const char *name;
	fs_serve_fn *serve;
	uint16_t args;	     // bytes of fixed arguments, at least
	bool no_inode;	     // it is about no inode
	bool no_answer;	     // none is expected
	bool data;	     // what follows the fixed arguments stays in the chain
	bool any_time;	     // also before INIT
	const char *strings; // a letter for each: `n` a name in a directory, `s` any string
};

const struct fs_op *fs_op_find(uint32_t opcode);

// ---- attr.c ----

#define FS_STATX_MASK (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID)

int fs_stat(int fd, struct statx *stx);
void fs_fill_attr(const struct fs *fs, const struct inode *inode, const struct statx *stx,
		  struct fuse_attr *attr);
// The attributes' time to live, seconds.
uint64_t fs_attr_seconds(const struct fs *fs, const struct inode *inode);

// Answers for the file behind `fd`, an O_PATH descriptor that is taken over in any case, found in
// the directory `parent`: counts a lookup. -EACCES for a file system that is not served.
int fs_enter(struct fs *fs, const struct inode *parent, int fd, struct fuse_entry_out *entry);
int fs_find(struct fs *fs, const struct inode *parent, const char *name,
	    struct fuse_entry_out *entry);

// ---- opening.c ----

// The path of a descriptor of ours, relative to fs->fds_fd (and to the working directory).
struct fd_name {
	char text[16];
};
struct fd_name fs_fd_name(int fd);

// Opens an inode's file again, with `flags` as open(2) has them. Refuses all but regular files and
// directories: -ELOOP for a link, else -ENXIO.
int fs_reopen(const struct fs *fs, const struct inode *inode, int flags);

// What of the guest's open flags is for us.
int fs_open_flags(const struct fs *fs, uint32_t flags);

// ---- ops-file.c ----

// Opens for the guest, who has given these flags (`open_flags`: FUSE_OPEN_*).
int fs_open_inode(struct fs *fs, const struct inode *inode, uint32_t flags, uint32_t open_flags,
		  struct fuse_open_out *out);
// Answers that `fd` is open; takes it, unless it fails.
int fs_answer_open(struct fs *fs, const struct inode *inode, int fd, struct fuse_open_out *out);

// ---- ops-dax.c ----

// On an overlay, a file that is written for the first time becomes another one: what is mapped of
// the old must follow.
void fs_dax_follow(struct fs *fs, const struct inode *inode);
// Before a file becomes `size` long, or is written only from there on: what is mapped of it has no hole between its end and
// `size`. -ENOSPC.
int fs_dax_grow(struct fs *fs, const struct inode *inode, uint64_t size);
// After a hole was made: what is mapped of it has none.
int fs_dax_refill(struct fs *fs, const struct inode *inode);
void fs_dax_forget(struct fs *fs, struct inode *inode);
void fs_dax_clear(struct fs *fs);

// ---- the operations: ops-*.c ----

fs_serve_fn op_init, op_destroy, op_statfs, op_syncfs, op_nothing;
fs_serve_fn op_lookup, op_forget, op_batch_forget, op_getattr, op_setattr, op_statx, op_readlink;
fs_serve_fn op_mknod, op_mkdir, op_symlink, op_link, op_unlink, op_rmdir, op_rename, op_rename2;
fs_serve_fn op_open, op_create, op_tmpfile, op_release, op_flush, op_fsync;
fs_serve_fn op_read, op_write, op_fallocate, op_lseek, op_copy_file_range;
fs_serve_fn op_opendir, op_readdir, op_readdirplus, op_releasedir;
fs_serve_fn op_getxattr, op_setxattr, op_listxattr, op_removexattr;
fs_serve_fn op_setupmapping, op_removemapping;
