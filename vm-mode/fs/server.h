// server: the file server as a process.
//
// It serves the queues of a virtio-fs device without the VMM's help: kicks come from eventfds,
// buffers are in the guest's memory, which it maps, and interrupts go to an irqfd. The VMM says when
// the device starts and is reset (vm-mode/fs/messages.h), and maps files into the DAX window for it.
//
// One thread serves one request after the other.
//
// virtio 1.2, 5.11.
#pragma once

#include "base/err.h"
#include "vm-mode/fs/fs.h"
#include "vm-mode/fs/messages.h"
#include "vm-mode/fs/window.h"

struct fs_server_config {
	struct fs_options options; // but `map`, which is the server's
	int control_fd;
	int window_fd; // -1: no window
	// This process's own, of the same size, at any place: for a guest that reads from one file into
	// another that it has mapped, past its cache (O_DIRECT).
	const struct fs_window *window;
	// After all has been opened that must be, before the first word of the guest's: the place
	// for seccomp. NULL: nothing to do.
	int (*confine)(struct err *err);
};

// Serves until the VMM has gone: 0. The descriptors remain the caller's.
//
// Raises the limit of descriptors as far as it may, since each file that the guest knows is one,
// and takes the working directory and the umask (fs_create()). SIGXFSZ should be ignored.
//
// System calls from `confine` on: read, write, preadv, pwritev, poll, recvmsg, sendmsg, close,
// openat, statx, readlinkat, fstatfs, lseek, getdents64, fsync, fdatasync, syncfs, fallocate,
// ftruncate, truncate, copy_file_range, mkdirat, mknodat, symlinkat, linkat, unlinkat, renameat2,
// fchownat, fchmodat, utimensat, getxattr, setxattr, listxattr, removexattr, umask, setfsuid,
// setfsgid, capget, capset, fcntl, mmap, munmap, madvise, brk, exit_group.
int fs_server_run(const struct fs_server_config *config, struct err *err);
