// queue: a split virtqueue, seen from the device.
//
// Nothing else in moat reads a ring or a descriptor. Each is read once into memory of our own, then
// checked; addresses become pointers by guest_ptr() (vm-mode/memory.h); a chain is bounded in
// length by the queue's size (in an indirect table by QUEUE_SIZE_MAX: Linux takes the liberty) and
// in bytes by 4 GiB; no more chains are under way than the queue has places. A ring that breaks a
// rule breaks the queue: from then on it gives nothing, and the transport sets DEVICE_NEEDS_RESET.
//
// The memory behind a chain is the guest's, which may change it at any time: who decides by it
// copies it first (chain_read()).
//
// Virtual I/O Device (VIRTIO) 1.2, "Split Virtqueues" (2.7), with VIRTIO_F_EVENT_IDX and indirect
// descriptors.
#pragma once

#include "base/err.h"
#include "vm-mode/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define QUEUE_SIZE_MAX	1024
#define QUEUE_CHAIN_MAX (QUEUE_SIZE_MAX + 1) // pieces of a chain, indirect ones included

// What the driver tells of a queue, through the transport; what another process needs to serve it.
struct queue_setup {
	uint16_t size;		    // a power of 2, 0: unused
	bool event_idx, indirect;   // features that were agreed on
	uint64_t desc, avail, used; // guest addresses
};

// The fields are the queue's own business. Zero: a queue that isn't ready.
struct queue {
	const struct guest_memory *memory;
	struct queue_setup setup;
	const void *desc;
	void *avail, *used;
	uint16_t next_avail, next_used;
	uint16_t signalled_used; // what queue_needs_interrupt() has told last
	bool signalled_valid;
	bool kicks_off; // queue_want_kicks()
	bool broken;
};

// A chain of buffers that the driver made available.
struct chain {
	uint16_t head;
	size_t out_count, in_count; // pieces the device reads, and those it writes
	size_t out_bytes, in_bytes;
	struct iovec *out, *in; // in pieces[]
	// The DAX window, if pieces lie in it: those are for system calls alone, and chain_read() and
	// chain_write() stop at them. Else NULL.
	const struct guest_range *window;
	struct iovec pieces[QUEUE_CHAIN_MAX];
};

// -EINVAL: a size that is no power of 2, or an area that isn't aligned or not all in RAM.
int queue_init(struct queue *queue, const struct guest_memory *memory,
	       const struct queue_setup *setup, struct err *err);

// The next chain: 1, 0: none now, -EPROTO: the queue is (now) broken; why, is in *err. After a 0 the
// driver kicks when there is more, unless kicks are not wanted.
int queue_pop(struct queue *queue, struct chain *chain, struct err *err);

// Undoes the last queue_pop(): the chain will come again.
void queue_unpop(struct queue *queue);

// Gives a chain back with `written` bytes in it.
void queue_push(struct queue *queue, uint16_t head, uint32_t written);

// Gives several back, which the driver sees all at once or not at all.
struct queue_used {
	uint16_t head;
	uint32_t written;
};
void queue_push_all(struct queue *queue, const struct queue_used *used, size_t count);

// After a batch of pushes: does the driver want an interrupt for them?
bool queue_needs_interrupt(struct queue *queue);

// Asks the driver (not) to kick. After enabling, look once more: queue_has_more().
void queue_want_kicks(struct queue *queue, bool want);
bool queue_has_more(const struct queue *queue);

// Copies between a chain and memory of our own, from byte `offset` of its readable or to its
// writable part on. Returns the bytes copied, fewer than `len` where the chain ends or goes on in the DAX
// window.
size_t chain_read(const struct chain *chain, size_t offset, void *data, size_t len);
size_t chain_write(const struct chain *chain, size_t offset, const void *data, size_t len);

// As chain_write(), to `count` pieces that the caller keeps himself.
size_t pieces_write(const struct iovec *pieces, size_t count, size_t offset, const void *data,
		    size_t len);
