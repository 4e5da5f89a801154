#include "vm-mode/devices/console.h"

#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECEIVE, TRANSMIT, QUEUES };

#define QUEUE_SIZE 64
// Of a chain that is longer, the rest is dropped.
#define CHAIN_MAX_BYTES ((size_t)64 * 1024)

struct console {
	struct device device; // first
	int fd;
	struct chain chain;
	uint64_t total; // bytes, ever; the last of them are in kept[], each at its number
	char kept[CONSOLE_KEPT_BYTES];
};

void console_add(struct device *device, const char *bytes, size_t len)
{
	struct console *console = (struct console *)device;

	if (console->fd >= 0 && write(console->fd, bytes, len) < 0 && errno == EPIPE)
		console->fd = -1;
	for (size_t i = 0; i < len; i++)
		console->kept[console->total++ % CONSOLE_KEPT_BYTES] = bytes[i];
}

size_t console_tail(const struct device *device, char *tail, size_t size)
{
	const struct console *console = (const struct console *)device;
	uint64_t from = 0;

	if (console->total > CONSOLE_KEPT_BYTES)
		from = console->total - CONSOLE_KEPT_BYTES;
	if (console->total - from > size - 1) {
		from = console->total - (size - 1);
		// To the next line, if there is one.
		for (uint64_t at = from; at < console->total; at++) {
			if (console->kept[(at - 1) % CONSOLE_KEPT_BYTES] == '\n') {
				from = at;
				break;
			}
		}
	}
	size_t len = (size_t)(console->total - from);
	for (size_t i = 0; i < len; i++)
		tail[i] = console->kept[(from + i) % CONSOLE_KEPT_BYTES];
	tail[len] = '\0';
	return len;
}

static ssize_t take(struct device *dev, unsigned int index, struct err *err)
{
	struct console *console = (struct console *)dev;
	char buffer[1024];

	(void)index;
	(void)err;
	for (size_t done = 0; done < CHAIN_MAX_BYTES;) {
		size_t len = chain_read(&console->chain, done, buffer, sizeof(buffer));

		if (len == 0)
			break;
		console_add(dev, buffer, len);
		done += len;
	}
	return 0;
}

static int kick(struct device *dev, unsigned int index, struct err *err)
{
	// Buffers for input lie there for ever.
	if (index == RECEIVE)
		return 0;
	return dev_serve_chains(dev, index, &((struct console *)dev)->chain, take, QUEUE_SIZE, err);
}

static void close_device(struct device *dev)
{
	free(dev);
}

static const struct device_ops ops = {
	.id = VIRTIO_ID_CONSOLE,
	.queues = QUEUES,
	.queue_size = QUEUE_SIZE,
	.kick = kick,
	.close = close_device,
};

int console_create(struct device **device, int fd, struct err *err)
{
	struct console *console = calloc(1, sizeof(*console));

	if (!console)
		return err_sysn(err, ENOMEM, "console");
	console->device.ops = &ops;
	console->fd = fd;
	*device = &console->device;
	return 0;
}
