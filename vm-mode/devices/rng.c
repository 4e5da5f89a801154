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

static ssize_t answer(struct device *dev, unsigned int index, struct err *err)
{
	const struct chain *chain = &((struct rng *)dev)->chain;
	char random[ANSWER_MAX_BYTES];
	size_t len = chain->in_bytes < sizeof(random) ? chain->in_bytes : sizeof(random);

	(void)index;
	// This much is never cut short, once the kernel's generator has been seeded.
	if (getrandom(random, len, 0) != (ssize_t)len)
		return err_sys(err, "getrandom");
	return (ssize_t)chain_write(chain, 0, random, len);
}

static int kick(struct device *dev, unsigned int index, struct err *err)
{
	return dev_serve_chains(dev, index, &((struct rng *)dev)->chain, answer, QUEUE_SIZE, err);
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
