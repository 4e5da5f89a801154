// device: the VMM's side of the virtio-fs device.
//
// Configuration space, and the life of the file server's process: it is forked off when the device
// is made, and gets the queues when the driver has set them up. Requests don't pass through here. What the
// VMM does for the server is to map files into the DAX window.
//
// What a guest does wrong with its queues costs it the device. That the server itself goes, killed by
// somebody or something, would leave the guest waiting for its root for ever.
//
// virtio 1.2, 5.11.
#pragma once

#include "base/err.h"
#include "vm-mode/fs/server.h"
#include "vm-mode/fs/window.h"
#include "vm-mode/virtio/device.h"

// 5.11.4
#define FS_TAG_MAX 36

struct fs_device_config {
	const char *tag;	   // what the guest mounts it by, 1 to FS_TAG_MAX bytes
	struct fs_options options; // `map`, `map_arg` and `window_bytes` are the device's business
	const struct fs_window *window;	 // stays the caller's, longer than the device; NULL: none
	int (*confine)(struct err *err); // see struct fs_server_config; in the server's process
	// The server has gone, or doesn't answer: a machine can't go on without it. Under the loop's
	// lock. NULL: nobody wants to know.
	void (*lost)(void *owner, const struct err *why);
	void *owner;
};

// Forks the server off and makes the device, of which mmio_create() takes over. The caller must
// have no other threads. The server lives until the device is closed or this process ends.
int fs_device_create(const struct fs_device_config *config, struct device **device,
		     struct err *err);
