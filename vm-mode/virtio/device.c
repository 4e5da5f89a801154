#include "vm-mode/virtio/device.h"

#include <linux/virtio_mmio.h>
#include <string.h>
#include <unistd.h>

void dev_irq_raise(const struct dev_irq *irq)
{
	const uint64_t one = 1;

	atomic_fetch_or(irq->status, VIRTIO_MMIO_INT_VRING);
	// An irqfd takes it at once; there is no one to tell of an error, and none to expect.
	if (irq->fd >= 0 && write(irq->fd, &one, sizeof(one)) < 0)
		return;
}

void dev_kick_again(struct device *dev, unsigned int queue)
{
	const uint64_t one = 1;

	// 0: a test's, without a transport.
	if (dev->kick_fds[queue] > 0 && write(dev->kick_fds[queue], &one, sizeof(one)) < 0)
		return;
}

void dev_config_read(const void *space, size_t size, uint64_t offset, void *data, size_t len)
{
	memset(data, 0, len);
	if (offset < size)
		memcpy(data, (const char *)space + offset,
		       len < size - offset ? len : size - offset);
}

int dev_serve_chains(struct device *dev, unsigned int queue, struct chain *chain,
		     ssize_t (*serve)(struct device *dev, unsigned int queue, struct err *err),
		     int turns, struct err *err)
{
	struct queue *ring = &dev->queues[queue];
	int got = 0;

	for (int turn = 0; turn < turns; turn++) {
		got = queue_pop(ring, chain, err);
		if (got <= 0)
			break;
		const ssize_t written = serve(dev, queue, err);
		if (written < 0)
			return (int)written;
		queue_push(ring, chain->head, (uint32_t)written);
	}
	if (queue_needs_interrupt(ring))
		dev_irq_raise(&dev->env.irq);
	if (got > 0)
		dev_kick_again(dev, queue);
	return got < 0 ? got : 0;
}
