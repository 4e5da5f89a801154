// window: the DAX window in the VMM's address space, and who maps files into it.
//
// The file server asks, the VMM maps: only regular files, only whole slots inside the window. What
// isn't mapped is memory of no one, which can't be touched. The VMM itself never reads or writes in
// the window: a file that was cut short ends the guest that looks there, not the VMM.
#pragma once

#include "base/err.h"
#include "vm-mode/fs/fs.h"

#include <stdint.h>

struct fs_window {
	void *host;	// page aligned
	uint64_t bytes; // a multiple of FS_WINDOW_SLOT, 0: no window
};

// Reserves the address space. -EINVAL, -ENOMEM.
int fs_window_create(struct fs_window *window, uint64_t bytes, struct err *err);
void fs_window_free(struct fs_window *window);

// Maps, or unmaps (prot 0). 0 or negative errno: -EINVAL for what isn't in the window or aligned, -EACCES
// for what is no regular file.
int fs_window_map(const struct fs_window *window, const struct fs_mapping *mapping, int fd);

// Takes one request from the socket, if there is one, and answers it. 1: served, 0: there was none,
// -EPIPE: the server has gone, or takes no answers. Doesn't block.
int fs_window_serve(const struct fs_window *window, int sock);
