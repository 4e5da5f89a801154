// fs: the file server's requests: FUSE over a virtqueue, answered from a directory tree.
//
// What goes in is a chain of buffers with one request, what comes out is its answer, written into
// the chain. No queue, no process and no machine is seen here (vm-mode/fs/server.h), so that a test
// or a fuzzer drives it with plain memory.
//
// It never leaves its root. An inode that the guest knows is a descriptor (O_PATH); a name is always
// a single component, looked up in such a descriptor without following links; and a file is opened
// again through its descriptor, not through a name. Devices, FIFOs and sockets are never opened:
// the guest's kernel does that in itself. File systems that show or steer the host's kernel (proc,
// sysfs, cgroups, ...) are refused.
//
// The guest checks permissions. The server has the rights for all that the container's root may do
// to files, and makes them in the name of the request's user (vm-mode/fs/cred.h).
//
// Locks (fcntl and flock) are not passed on: the guest's kernel keeps them, since nobody else works
// in this root. In bind mounts, a lock of the guest doesn't keep others out.
//
// virtio 1.2, 5.11; linux/fuse.h.
#pragma once

#include "base/err.h"
#include "vm-mode/virtio/queue.h"

#include <stdbool.h>
#include <stdint.h>

// What Linux maps at a time.
#define FS_WINDOW_SLOT (UINT64_C(2) << 20)
// The most that is read or written in one request.
#define FS_IO_MAX (UINT32_C(1) << 20)

// A piece of the DAX window.
struct fs_mapping {
	uint64_t window_offset, len; // multiples of FS_WINDOW_SLOT
	uint64_t file_offset;	     // a multiple of the page size
	uint32_t prot;		     // PROT_READ, PROT_WRITE; 0: nothing is to be mapped there
	uint32_t reserved;
};

struct fs_options {
	int root_fd; // the root: a directory; O_PATH will do. Remains the caller's
	int proc_fd; // the root of a proc file system in which this process is. Remains the caller's

	// May the guest keep back what is written, and trust the sizes of files that it has in its
	// memory? Only if nobody else writes to anything below the root, bind mounts included
	// (fs_has_mounts()): FUSE has one answer for all files.
	bool writeback;
	// How long the guest may trust names and attributes of the root's own file system, seconds.
	// Those of other mounts it asks for each time.
	uint32_t cache_seconds;

	// DAX: the window's size, 0: none. The guest is told which files to map (FUSE_ATTR_DAX), and
	// must not be mounted with `dax=always`.
	uint64_t window_bytes;
	uint64_t dax_min_bytes; // regular files from this size on are mapped rather than read
	// Maps `fd` into the window, or unmaps. 0 or negative errno.
	int (*map)(void *arg, const struct fs_mapping *mapping, int fd);
	void *map_arg;

	uint32_t inodes_max; // 0: as RLIMIT_NOFILE allows
};

struct fs;

// Changes the working directory of the process to its /proc/self/fd, and the umask as requests want
// it.
int fs_create(const struct fs_options *options, struct fs **fs, struct err *err);
void fs_free(struct fs *fs);

// Forgets the guest: all inodes, open files and mappings.
void fs_reset(struct fs *fs);

// Serves the request in `chain`; returns how many bytes were written to it, for queue_push(). Errors
// are the guest's.
uint32_t fs_serve(struct fs *fs, const struct chain *chain);

// How many inodes, the root included, and open files the guest has. For tests and figures.
void fs_count(const struct fs *fs, uint32_t *inodes, uint32_t *handles);

// Are there mounts below the root, in this process's mount namespace? `proc_fd`: as in fs_options.
int fs_has_mounts(int proc_fd, int root_fd, bool *has, struct err *err);
