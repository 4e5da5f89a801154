// messages: what the VMM and the file server say to each other.
//
// The control socket (SOCK_SEQPACKET, a message a packet): at each start of the device WIRING, then
// START; at its reset RESET, answered by DONE. BROKEN comes from the server: the guest has broken a
// queue. Either side's end is the other's too.
//
// The window socket (SOCK_SEQPACKET): the server sends a struct fs_mapping, with the file's
// descriptor unless nothing is to be mapped, and waits for the answer, an int32_t: 0 or negative
// errno.
#pragma once

#include "base/err.h"
#include "vm-mode/memory.h"
#include "vm-mode/virtio/queue.h"

#include <stdint.h>

// One for what must not wait (FORGET), and one of requests.
#define FS_QUEUES 2

enum fs_message_type { FS_WIRING = 1, FS_START, FS_RESET, FS_DONE, FS_BROKEN };

struct fs_message {
	uint32_t type;
	uint32_t ranges_count;
	// FS_WIRING: nothing but its descriptors: irqfd, the page of the interrupt's status, the
	// queues' eventfds.
	union {
		// FS_START; the first one comes with the memory file's descriptor.
		struct {
			struct guest_range ranges[GUEST_RANGES_MAX]; // `host` is 0
			uint64_t window_gpa;			     // where the DAX window is
			struct queue_setup queues[FS_QUEUES];
		} start;
		struct err broken; // FS_BROKEN
	};
};
