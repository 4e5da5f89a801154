#include "vm-mode/devices/balloon.h"

#include <fcntl.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

// Behind these two, any other is for reports: drivers don't agree on whether the numbers of queues
// that aren't offered are left out (Linux before 6.11) or not.
enum { INFLATE, DEFLATE, REPORTS, QUEUES = 5 };

#define QUEUE_SIZE 128
#define PAGE_BYTES UINT64_C(4096)
// Chains of one kick, for each may have many holes punched.
#define TURNS_MAX 16
// Page numbers of a chain; Linux sends 256.
#define NUMBERS_MAX 1024

struct balloon {
	struct device device; // first
	struct virtio_balloon_config config;
	struct chain chain;
	uint32_t numbers[NUMBERS_MAX];
};

// Empties whole pages of a piece of guest memory. What can't be emptied stays: the guest is none the
// worse for it.
static void punch(const struct guest_memory *memory, uint64_t offset, uint64_t len)
{
	const uint64_t start = (offset + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	const uint64_t end = (offset + len) & ~(PAGE_BYTES - 1);

	if (end > start && fallocate(memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     (off_t)start, (off_t)(end - start)) < 0)
		return;
}

static void punch_piece(const struct guest_memory *memory, const struct iovec *piece)
{
	for (size_t i = 0; i < memory->count; i++) {
		const struct guest_range *range = &memory->ranges[i];
		const uintptr_t at = (uintptr_t)piece->iov_base - (uintptr_t)range->host;

		if (at < range->size)
			punch(memory, range->offset + at, piece->iov_len);
	}
}

// A chain of page numbers. Those that lie one behind the other go together.
static void punch_numbers(struct balloon *balloon)
{
	const struct guest_memory *memory = balloon->device.env.memory;
	const size_t count = chain_read(&balloon->chain, 0, balloon->numbers,
					sizeof(balloon->numbers)) /
			     sizeof(*balloon->numbers);

	for (size_t i = 0, run; i < count; i += run) {
		for (run = 1; i + run < count; run++)
			if (balloon->numbers[i + run] != balloon->numbers[i] + run)
				break;
		const struct iovec piece = {
			.iov_base = guest_ptr(memory, balloon->numbers[i] * PAGE_BYTES,
					      run * PAGE_BYTES),
			.iov_len = run * PAGE_BYTES,
		};
		if (piece.iov_base)
			punch_piece(memory, &piece);
	}
}

static ssize_t serve(struct device *dev, unsigned int index, struct err *err)
{
	struct balloon *balloon = (struct balloon *)dev;

	(void)err;
	if (index == INFLATE)
		punch_numbers(balloon);
	for (size_t i = 0; index >= REPORTS && i < balloon->chain.in_count; i++)
		punch_piece(dev->env.memory, &balloon->chain.in[i]);
	return 0;
}

static int kick(struct device *dev, unsigned int index, struct err *err)
{
	return dev_serve_chains(dev, index, &((struct balloon *)dev)->chain, serve, TURNS_MAX, err);
}

static void config_read(struct device *dev, uint64_t offset, void *data, size_t len)
{
	const struct balloon *balloon = (struct balloon *)dev;

	dev_config_read(&balloon->config, sizeof(balloon->config), offset, data, len);
}

// The driver writes one field, and as a whole.
static void config_write(struct device *dev, uint64_t offset, const void *data, size_t len)
{
	struct balloon *balloon = (struct balloon *)dev;

	if (offset == offsetof(struct virtio_balloon_config, actual) &&
	    len == sizeof(balloon->config.actual))
		memcpy(&balloon->config.actual, data, len);
}

static void reset(struct device *dev)
{
	((struct balloon *)dev)->config.actual = 0;
}

static void close_device(struct device *dev)
{
	free(dev);
}

static const struct device_ops ops = {
	.id = VIRTIO_ID_BALLOON,
	.features = 1 << VIRTIO_BALLOON_F_REPORTING,
	.queues = QUEUES,
	.queue_size = QUEUE_SIZE,
	.config_read = config_read,
	.config_write = config_write,
	.kick = kick,
	.reset = reset,
	.close = close_device,
};

int balloon_create(struct device **device, struct err *err)
{
	struct balloon *balloon = calloc(1, sizeof(*balloon));

	if (!balloon)
		return err_sysn(err, ENOMEM, "balloon");
	balloon->device.ops = &ops;
	*device = &balloon->device;
	return 0;
}

void balloon_set_target(struct device *device, uint64_t bytes)
{
	struct balloon *balloon = (struct balloon *)device;
	const uint64_t pages = bytes / PAGE_BYTES;

	balloon->config.num_pages = pages > UINT32_MAX ? UINT32_MAX : (uint32_t)pages;
	device->config_changed(device);
}

uint64_t balloon_target(const struct device *device)
{
	return ((const struct balloon *)device)->config.num_pages * PAGE_BYTES;
}

uint64_t balloon_actual(const struct device *device)
{
	return ((const struct balloon *)device)->config.actual * PAGE_BYTES;
}
