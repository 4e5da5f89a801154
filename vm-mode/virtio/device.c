#include "vm-mode/virtio/device.h"

#include <linux/virtio_mmio.h>
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
