// inodes: the files that the guest's kernel knows, by nodeid.
//
// Each is an O_PATH descriptor, which pins the file: as long as it is here no other file can have
// its (device, inode number), so that this, with the mount, is its identity. The table counts
// lookups as FUSE wants it, and forgets a file when the guest has given all of them back. Its
// size is fixed at its making; memory is touched only as far as it is used. A nodeid is an index,
// checked at each use; a generation tells two users of one index apart.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct inode {
	int fd; // O_PATH; -1: the place is free
	uint32_t generation;
	uint64_t dev, ino, mount; // stx_dev, stx_ino, stx_mnt_id
	uint64_t lookups;
	uint32_t next;	   // in its hash chain, or of the free ones: an index + 1, 0: none
	mode_t type;	   // S_IFMT part of the mode
	bool foreign;	   // on another mount than the root: others may write to it
	bool submount;	   // a directory that is the root of a mount
	bool has_caps;	   // the guest has set file capabilities: see op_write()
	uint32_t mappings; // of the DAX window
};

struct inodes {
	struct inode *table;
	uint32_t *buckets;
	uint32_t max, used, top, free;
	uint32_t bucket_mask;
};

// For `max` inodes. -ENOMEM.
int inodes_create(struct inodes *inodes, uint32_t max);
void inodes_free(struct inodes *inodes);

// NULL: there is none with this nodeid.
struct inode *inodes_get(const struct inodes *inodes, uint64_t nodeid);
uint64_t inodes_id(const struct inodes *inodes, const struct inode *inode);
struct inode *inodes_find(const struct inodes *inodes, uint64_t dev, uint64_t ino, uint64_t mount);

// Adds one with the identity given in `inode`, and one lookup; takes inode->fd. NULL: the table is
// full, and the descriptor still the caller's. The first that is added is the root, FUSE_ROOT_ID.
struct inode *inodes_add(struct inodes *inodes, const struct inode *inode);
bool inodes_full(const struct inodes *inodes);

// Gives back `count` lookups, all at most. The root stays. True: the inode has gone.
bool inodes_forget(struct inodes *inodes, struct inode *inode, uint64_t count);

// All but the root.
void inodes_clear(struct inodes *inodes);
