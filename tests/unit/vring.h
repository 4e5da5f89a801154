// vring: the driver's side of a split virtqueue in plain memory, for tests of what serves one.
#pragma once

#include "vm-mode/virtio/queue.h"

#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#define VRING_RAM   (256 * 1024)
#define VRING_DESC  0x1000
#define VRING_AVAIL 0x2000
#define VRING_USED  0x3000
#define VRING_DATA  0x10000 // free for buffers

struct vring_test {
	char *ram;
	struct guest_memory memory;
	struct queue_setup setup;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
};

// `gpa`: where the RAM begins.
static inline void vring_test_init(struct vring_test *ring, uint16_t size, uint64_t gpa)
{
	ring->ram = aligned_alloc(4096, VRING_RAM);
	memset(ring->ram, 0, VRING_RAM);
	ring->memory = (struct guest_memory){
		.ranges = { { .gpa = gpa, .size = VRING_RAM, .host = ring->ram } },
		.count = 1,
		.fd = -1,
	};
	ring->setup = (struct queue_setup){ .size = size,
					    .indirect = true,
					    .desc = gpa + VRING_DESC,
					    .avail = gpa + VRING_AVAIL,
					    .used = gpa + VRING_USED };
	ring->desc = (void *)(ring->ram + VRING_DESC);
	ring->avail = (void *)(ring->ram + VRING_AVAIL);
	ring->used = (void *)(ring->ram + VRING_USED);
}

static inline void vring_test_free(struct vring_test *ring)
{
	free(ring->ram);
}

// Makes the chain that begins at `head` available.
static inline void vring_test_offer(struct vring_test *ring, uint16_t head)
{
	ring->avail->ring[ring->avail->idx % ring->setup.size] = head;
	ring->avail->idx++;
}
