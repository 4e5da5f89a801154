#include "vm-mode/devices/console.h"

#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECEIVE, TRANSMIT, QUEUES };

// One place is in use at a time, and each of those for input, which never comes, Linux fills with a page.
#define QUEUE_SIZE 8
// At a kick: a driver that spins has given one. More are the loop's to serve, since the vCPU holds its lock meanwhile.
#define TURNS 2
// Of a chain that is longer, the rest is dropped.
#define CHAIN_MAX_BYTES ((size_t)64 * 1024)
// A panic's trace is shorter.
#define PANIC_MAX_BYTES ((size_t)8 * 1024)

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

// What has been kept since byte `from`, of `to` bytes in all.
static size_t copy(const struct console *console, uint64_t from, uint64_t to, char *text)
{
	const size_t len = (size_t)(to - from);

	for (size_t i = 0; i < len; i++)
		text[i] = console->kept[(from + i) % CONSOLE_KEPT_BYTES];
	text[len] = '\0';
	return len;
}

// Where a line begins, at `from` or after it; `from` if there is no such.
static uint64_t line_after(const struct console *console, uint64_t from)
{
	for (uint64_t at = from; from > 0 && at < console->total; at++)
		if (console->kept[(at - 1) % CONSOLE_KEPT_BYTES] == '\n')
			return at;
	return from;
}

// Where the last line begins that tells of a panic, and how far into it the reason stands. False: there
// is none among the last PANIC_MAX_BYTES.
static bool find_panic(const struct console *console, uint64_t *line, size_t *reason)
{
	static const char words[] = "Kernel panic - not syncing: ";
	char text[PANIC_MAX_BYTES + 1];
	const uint64_t first = console->total > PANIC_MAX_BYTES ? console->total - PANIC_MAX_BYTES :
								  0;
	const char *start = text;
	bool found = false;

	// A NUL is the guest's to send, and would hide what follows.
	for (size_t i = 0, len = copy(console, first, console->total, text); i < len; i++) {
		if (text[i] == '\0')
			text[i] = ' ';
		if (text[i] == '\n')
			start = text + i + 1;
		if (strncmp(text + i, words, strlen(words)) == 0) {
			found = true;
			*line = first + (uint64_t)(start - text);
			*reason = (size_t)(text + i - start) + strlen(words);
		}
	}
	return found;
}

size_t console_tail(const struct device *device, char *tail, size_t size)
{
	const struct console *console = (const struct console *)device;
	uint64_t from = 0, to = console->total, panic;
	size_t reason;

	if (console->total > CONSOLE_KEPT_BYTES)
		from = console->total - CONSOLE_KEPT_BYTES;
	if (console->total - from > size - 1)
		from = line_after(console, console->total - (size - 1));
	if (find_panic(console, &panic, &reason) && panic < from) {
		from = panic;
		to = from + size - 1;
	}
	return copy(console, from, to, tail);
}

void console_panic(const struct device *device, char *words, size_t size)
{
	const struct console *console = (const struct console *)device;
	uint64_t line, end;
	size_t reason;

	*words = '\0';
	if (!find_panic(console, &line, &reason))
		return;
	end = console->total - line - reason < size ? console->total : line + reason + size - 1;
	copy(console, line + reason, end, words);
	words[strcspn(words, "\r\n")] = '\0';
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
	return dev_serve_chains(dev, index, &((struct console *)dev)->chain, take, TURNS, err);
}

static void close_device(struct device *dev)
{
	free(dev);
}

static const struct device_ops ops = {
	.id = VIRTIO_ID_CONSOLE,
	.queues = QUEUES,
	.queue_size = QUEUE_SIZE,
	.driver_spins = true,
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
