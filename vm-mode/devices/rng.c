#include "vm-mode/devices/rng.h"

#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

// The driver asks for some dozens. What is larger gets as much, and may come again.
#define ANSWER_MAX_BYTES 256
#define QUEUE_SIZE	 8

struct rng {
	struct device device; // first
	struct chain chain;
};

static int kick(struct device *dev, unsigned int index, struct err *err)
{
	struct rng *rng = (struct rng *)dev;
	struct queue *queue = &dev->queues[index];
	char random[ANSWER_MAX_BYTES];
	int got = 0;

	for (int turn = 0; turn < QUEUE_SIZE; turn++) {
		got = queue_pop(queue, &rng->chain, err);
		if (got <= 0)
			break;
		size_t len = rng->chain.in_bytes;
		if (len > sizeof(random))
			len = sizeof(random);
		// This much is never cut short, once the kernel's generator has been seeded.
		if (getrandom(random, len, 0) != (ssize_t)len)
			return err_sys(err, "getrandom");
		len = chain_write(&rng->chain, 0, random, len);
		queue_push(queue, rng->chain.head, (uint32_t)len);
	}
	if (queue_needs_interrupt(queue))
		dev_irq_raise(&dev->env.irq);
	if (got > 0)
		dev_kick_again(dev, index);
	return got < 0 ? got : 0;
}

static void close_device(struct device *dev)
{
	free(dev);
}

static const struct device_ops ops = {
	.id = VIRTIO_ID_RNG,
	.queues = 1,
	.queue_size = QUEUE_SIZE,
	.kick = kick,
	.close = close_device,
};

int rng_create(struct device **device, struct err *err)
{
	struct rng *rng = calloc(1, sizeof(*rng));

	if (!rng)
		return err_sysn(err, ENOMEM, "rng");
	rng->device.ops = &ops;
	*device = &rng->device;
	return 0;
}
