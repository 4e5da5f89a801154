// echo: a virtio device for tests of the transport: it writes back what it reads.
#pragma once

#include "vm-mode/virtio/device.h"

#include <string.h>

#define ECHO_ID	     42
#define ECHO_FEATURE 5
#define ECHO_QUEUES  2
#define ECHO_SIZE    8

struct echo {
	struct device device; // first
	int starts, kicks, resets, closes;
	bool fails; // the next kick
	char config[16];
	struct chain chain;
};

static inline void echo_config_read(struct device *dev, uint64_t offset, void *data, size_t len)
{
	struct echo *echo = (struct echo *)dev;

	if (offset < sizeof(echo->config))
		memcpy(data, echo->config + offset,
		       len < sizeof(echo->config) - offset ? len : sizeof(echo->config) - offset);
}

static inline void echo_config_write(struct device *dev, uint64_t offset, const void *data,
				     size_t len)
{
	struct echo *echo = (struct echo *)dev;

	if (offset < sizeof(echo->config))
		memcpy(echo->config + offset, data,
		       len < sizeof(echo->config) - offset ? len : sizeof(echo->config) - offset);
}

static inline int echo_start(struct device *dev, struct err *err)
{
	struct echo *echo = (struct echo *)dev;

	if (!dev->driver_features)
		return err_set(err, EINVAL, "no features");
	echo->starts++;
	return 0;
}

static inline int echo_kick(struct device *dev, unsigned int index, struct err *err)
{
	struct echo *echo = (struct echo *)dev;
	struct queue *queue = &dev->queues[index];
	char buffer[64];
	int got;

	echo->kicks++;
	if (echo->fails)
		return err_set(err, EIO, "it was to fail");
	while ((got = queue_pop(queue, &echo->chain, err)) > 0) {
		size_t len = chain_read(&echo->chain, 0, buffer, sizeof(buffer));

		len = chain_write(&echo->chain, 0, buffer, len);
		queue_push(queue, echo->chain.head, (uint32_t)len);
	}
	if (queue_needs_interrupt(queue))
		dev_irq_raise(&dev->env.irq);
	return got;
}

static inline void echo_reset(struct device *dev)
{
	((struct echo *)dev)->resets++;
}

static inline void echo_close(struct device *dev)
{
	((struct echo *)dev)->closes++;
}

static const struct device_ops echo_ops = {
	.id = ECHO_ID,
	.features = 1 << ECHO_FEATURE,
	.queues = ECHO_QUEUES,
	.queue_size = ECHO_SIZE,
	.config_read = echo_config_read,
	.config_write = echo_config_write,
	.start = echo_start,
	.kick = echo_kick,
	.reset = echo_reset,
	.close = echo_close,
};
