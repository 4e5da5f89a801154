// fuzz-devices: a driver that keeps to the transport's rules, and offers chains of any kind to each device.
//
// The input is a byte that chooses the device, one for what is agreed on, then steps. Beyond "no crash": a device
// writes only where it may, tells of no more bytes than a chain has place for, gives back no more chains than
// it got; a disk keeps its size, and one that is read-only what is on it.
#include "vm-mode/devices/balloon.h"
#include "vm-mode/devices/blk.h"
#include "vm-mode/devices/console.h"
#include "vm-mode/devices/net.h"
#include "vm-mode/devices/rng.h"
#include "vm-mode/virtio/mmio.h"

#include "base/log.h"

#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE   64 // descriptors of a queue, if the device lets it have so many
#define QUEUES 5
// A page of rings for each queue, and an indirect table; what the device may only read; what it may write, up
// to the end of memory.
#define RING(queue)  ((uint64_t)(queue)*4096)
#define AVAIL	     0x400
#define USED	     0x800
#define TABLE(queue) (RING(QUEUES) + (uint64_t)(queue)*TABLE_BYTES)
#define TABLE_BYTES  (QUEUE_SIZE_MAX * sizeof(struct vring_desc))
#define OUT	     TABLE(QUEUES)
#define OUT_BYTES    16384
#define IN	     (OUT + OUT_BYTES)
#define IN_BYTES     98304
#define RAM_BYTES    (IN + IN_BYTES)
#define DISK_BYTES   65536
#define DISK_BYTE    'd'

enum kind { CONSOLE, RNG, BALLOON, NET, DISK, RO_DISK, KINDS };

static _Alignas(4096) char ram[RAM_BYTES];
static char out_copy[OUT_BYTES];

static const uint8_t *input;
static size_t left;

static struct guest_queue {
	uint16_t size, offered, seen;
	uint16_t next_desc;
	size_t in_bytes[SIZE]; // by head
} queues[QUEUES];

// ---- what is behind the devices ----

// Made once, for all inputs.
static int tap[2]; // the network card's, and who is behind it
static int disk, ro_disk;

static void must(bool condition)
{
	if (!condition)
		abort();
}

static int make_disk(void)
{
	char bytes[DISK_BYTES];
	int fd = memfd_create("disk", MFD_CLOEXEC);

	memset(bytes, DISK_BYTE, sizeof(bytes));
	must(write(fd, bytes, sizeof(bytes)) == DISK_BYTES);
	return fd;
}

static void open_backends(void)
{
	const int least = 1;
	char path[64];

	disk = make_disk();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", make_disk());
	ro_disk = open(path, O_RDONLY | O_CLOEXEC);
	must(ro_disk >= 0 &&
	     socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, tap) == 0);
	setsockopt(tap[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)); // soon full
}

// What is still on its way to or from the tap's place.
static void drain_tap(void)
{
	char byte;

	for (int i = 0; i < 2; i++)
		while (recv(tap[i], &byte, 1, 0) >= 0)
			;
}

static struct device *make_device(enum kind kind)
{
	static const uint8_t mac[NET_MAC_BYTES] = { 2 };
	struct device *device = NULL;
	struct err err;

	switch (kind) {
	case CONSOLE:
		must(console_create(&device, -1, &err) == 0);
		break;
	case RNG:
		must(rng_create(&device, &err) == 0);
		break;
	case BALLOON:
		must(balloon_create(&device, &err) == 0);
		break;
	case NET:
		must(net_create(&device, tap[0], mac, 1500, &err) == 0);
		break;
	case DISK:
		must(blk_create(&device, disk, "fuzz", &err) == 0);
		break;
	default:
		must(blk_create(&device, ro_disk, "fuzz", &err) == 0);
	}
	return device;
}

// ---- the driver ----

static uint8_t next(void)
{
	if (left == 0)
		return 0;
	left--;
	return *input++;
}

// Small numbers, common ones, and those at the edges.
static uint32_t next_size(void)
{
	const uint8_t byte = next();

	switch (byte & 7) {
	case 0:
		return byte >> 3;
	case 1:
		return (uint32_t)(byte >> 3) * 512;
	case 2:
		return (uint32_t)next() << (byte >> 3);
	case 3:
		return UINT32_MAX - (byte >> 3);
	default:
		return (uint32_t)(next() << 8 | next());
	}
}

static struct vring_desc *descs(unsigned int queue)
{
	return (struct vring_desc *)(ram + RING(queue));
}

static void offer(unsigned int queue, uint16_t head)
{
	struct vring_avail *avail = (struct vring_avail *)(ram + RING(queue) + AVAIL);

	avail->ring[avail->idx % queues[queue].size] = head;
	avail->idx++;
	queues[queue].offered++;
}

// What lies at the beginning of a buffer that the device reads: any bytes, or a disk's header.
static void fill(uint64_t offset)
{
	struct virtio_blk_outhdr header = { .type = next() % 16 };

	if (header.type == 15) {
		for (int i = 0; i < 16; i++)
			ram[OUT + offset + i] = (char)next();
		return;
	}
	header.sector = next() & 1 ? next() % 160 : UINT64_MAX - next_size();
	memcpy(ram + OUT + offset, &header, sizeof(header));
}

// A chain of some pieces, those for reading first; if there is place for it.
static void put_chain(unsigned int index, uint16_t count)
{
	struct guest_queue *queue = &queues[index];
	const unsigned int outs = next() % (count + 1);

	if (queue->offered == queue->seen)
		queue->next_desc = 0;
	if (count > queue->size - queue->next_desc)
		return;
	const uint16_t head = queue->next_desc;
	queue->in_bytes[head] = 0;
	for (unsigned int i = 0; i < count; i++) {
		struct vring_desc *desc = &descs(index)[queue->next_desc++];
		const uint64_t where = (uint64_t)next() * 32;
		const bool in = i >= outs;

		*desc = (struct vring_desc){ .addr = in ? IN + where : OUT + where,
					     .len = next_size(),
					     .flags = (in ? VRING_DESC_F_WRITE : 0) |
						      (i + 1U < count ? VRING_DESC_F_NEXT : 0),
					     .next = queue->next_desc };
		// In the area that is only read, a piece must not reach into the next.
		if (!in && desc->len > OUT_BYTES - where)
			desc->len = next() & 1 ? UINT32_MAX : 16;
		if (in)
			queue->in_bytes[head] += desc->len;
		else if (i == 0)
			fill(where);
	}
	memcpy(out_copy, ram + OUT, OUT_BYTES);
	offer(index, head);
}

// A chain of up to a thousand small pieces of equal length, when the queue has no other.
static void put_indirect(unsigned int index)
{
	struct vring_desc *table = (struct vring_desc *)(ram + TABLE(index));
	struct guest_queue *queue = &queues[index];
	const uint16_t count = (uint16_t)(1 + next_size() % QUEUE_SIZE_MAX);
	const uint32_t len = 1 + next() % 64U;
	const bool out = next() & 1;

	if (queue->offered != queue->seen)
		return;
	fill(0);
	memcpy(out_copy, ram + OUT, OUT_BYTES);
	queue->in_bytes[0] = 0;
	for (uint16_t i = 0; i < count; i++) {
		const bool in = i > 0 && (!out || i == count - 1);

		table[i] = (struct vring_desc){ .addr = in ? IN + i : OUT,
						.len = i == 0 ? 16 : len,
						.flags = (in ? VRING_DESC_F_WRITE : 0) |
							 (i + 1 < count ? VRING_DESC_F_NEXT : 0),
						.next = i + 1 };
		queue->in_bytes[0] += in ? len : 0;
	}
	queue->next_desc = 1;
	descs(index)[0] = (struct vring_desc){ .addr = TABLE(index),
					       .len = count * (uint32_t)sizeof(*table),
					       .flags = VRING_DESC_F_INDIRECT };
	offer(index, 0);
}

// ---- the transport ----

static void set(struct mmio *mmio, uint64_t offset, uint32_t value)
{
	mmio_write(mmio, offset, &value, sizeof(value));
}

static void drive(struct mmio *mmio, const struct device *device, uint8_t wishes)
{
	uint64_t features = device->ops->features | UINT64_C(1) << VIRTIO_F_VERSION_1 |
			    UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC;

	if (device->ops->id == VIRTIO_ID_NET) // the tap's place takes no offloads
		features &= ~(UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM |
			      UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO4 |
			      UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO6);
	if (wishes & 1)
		features &= ~(UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF);
	if (wishes & 2)
		features &= ~(UINT64_C(1) << VIRTIO_BLK_F_FLUSH);
	if (wishes & 4)
		features |= UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX;
	memset(ram, 0, OUT);
	memset(queues, 0, sizeof(queues));
	set(mmio, VIRTIO_MMIO_STATUS, 0);
	set(mmio, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (uint32_t i = 0; i < 2; i++) {
		set(mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
		set(mmio, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32 * i));
	}
	set(mmio, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_FEATURES_OK);
	for (uint32_t i = 0; i < device->ops->queues; i++) {
		set(mmio, VIRTIO_MMIO_QUEUE_SEL, i);
		queues[i].size = device->ops->queue_size < SIZE ? device->ops->queue_size : SIZE;
		set(mmio, VIRTIO_MMIO_QUEUE_NUM, queues[i].size);
		set(mmio, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)RING(i));
		set(mmio, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)RING(i) + AVAIL);
		set(mmio, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)RING(i) + USED);
		set(mmio, VIRTIO_MMIO_QUEUE_READY, 1);
	}
	set(mmio, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER_OK);
	must(device->started);
}

// A queue, while the device runs.
static void take_away(struct mmio *mmio, uint32_t queue)
{
	set(mmio, VIRTIO_MMIO_QUEUE_SEL, queue);
	set(mmio, VIRTIO_MMIO_QUEUE_READY, 0);
}

static void check_used(const struct device *device)
{
	for (unsigned int i = 0; i < device->ops->queues; i++) {
		const struct vring_used *used = (struct vring_used *)(ram + RING(i) + USED);
		struct guest_queue *queue = &queues[i];

		must((uint16_t)(used->idx - queue->seen) <=
		     (uint16_t)(queue->offered - queue->seen));
		for (; queue->seen != used->idx; queue->seen++) {
			const struct vring_used_elem *elem = &used->ring[queue->seen % queue->size];

			must(elem->id < SIZE && elem->len <= queue->in_bytes[elem->id]);
		}
	}
	must(memcmp(out_copy, ram + OUT, OUT_BYTES) == 0);
}

static void step(struct mmio *mmio, const struct device *device, struct loop *loop)
{
	static char packet[70000];
	const uint8_t what = next();
	const unsigned int queue = (what >> 4) % device->ops->queues;
	struct err err;

	if (!device->started)
		drive(mmio, device, next());
	switch (what & 7) {
	case 0:
	case 1:
		put_chain(queue, 1 + next() % 8);
		set(mmio, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
		break;
	case 2:
		put_chain(queue, 1 + next() % 3);
		break;
	case 3:
		if (send(tap[1], packet, next_size() % sizeof(packet), 0) < 0)
			drain_tap();
		break;
	case 4:
		set(mmio, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
		break;
	case 5:
		if (what >> 4 == 15)
			drive(mmio, device, next());
		else if (what >> 4 == 14)
			drain_tap();
		else if (what >> 4 == 13)
			take_away(mmio, next() % device->ops->queues);
		break;
	case 6:
		put_indirect(queue);
		set(mmio, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
		break;
	default:
		break;
	}
	must(loop_once(loop, 0, &err) == 0);
}

static void check_ro_disk(void)
{
	char bytes[DISK_BYTES];

	must(pread(ro_disk, bytes, sizeof(bytes), 0) == DISK_BYTES);
	for (size_t i = 0; i < sizeof(bytes); i++)
		must(bytes[i] == DISK_BYTE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct guest_memory memory = {
		.ranges = { { .size = RAM_BYTES, .host = ram } }, .count = 1, .fd = -1
	};
	static struct loop *loop;
	struct mmio *mmio;
	struct err err;

	if (!loop) {
		log_close();
		open_backends();
		must(loop_create(&loop, &err) == 0);
	}
	input = data;
	left = size;
	const enum kind kind = next() % KINDS;
	struct device *device = make_device(kind);
	const struct mmio_setup setup = {
		.memory = &memory, .loop = loop, .name = "fuzz", .irq_fd = -1
	};
	must(mmio_create(&mmio, device, &setup, &err) == 0);
	memset(ram + OUT, 0, OUT_BYTES);
	memset(out_copy, 0, OUT_BYTES);
	drive(mmio, device, next());
	while (left > 0) {
		step(mmio, device, loop);
		check_used(device);
	}
	mmio_free(mmio);
	drain_tap();
	must(lseek(disk, 0, SEEK_END) == DISK_BYTES);
	if (kind == RO_DISK)
		check_ro_disk();
	return 0;
}
