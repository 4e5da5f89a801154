// fuzz-queue: any bytes as the memory in which a guest keeps a virtqueue.
//
// Beyond "no crash": every piece of a chain lies in the guest's memory or in the DAX window, the sums are
// right, and no more chains come than were offered. Nothing is mapped in the window, so that whoever touches
// it crashes.
#include "vm-mode/virtio/queue.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define RAM_LOW	   4096
#define RAM_HIGH   4096
#define GPA_HIGH   0x10000
#define WINDOW	   4096
#define GPA_WINDOW 0x20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(4096) char low[RAM_LOW];
static _Alignas(4096) char high[RAM_HIGH];
static char *window;

static void must(int condition)
{
	if (!condition)
		abort();
}

static bool is_inside(const struct iovec *piece, const char *area, size_t size)
{
	const char *base = piece->iov_base;

	return base >= area && base < area + size && piece->iov_len <= size - (base - area);
}

static void check_chain(const struct queue *queue, const struct chain *chain)
{
	size_t bytes = 0;

	must(chain->head < queue->setup.size);
	must(chain->out_count + chain->in_count > 0);
	must(chain->out_count + chain->in_count <= QUEUE_CHAIN_MAX);
	must(chain->out == chain->pieces && chain->in == chain->pieces + chain->out_count);
	for (size_t i = 0; i < chain->out_count + chain->in_count; i++) {
		const struct iovec *piece = &chain->pieces[i];

		must(piece->iov_len > 0);
		must(is_inside(piece, low, sizeof(low)) || is_inside(piece, high, sizeof(high)) ||
		     (chain->window && is_inside(piece, window, WINDOW)));
		bytes += piece->iov_len;
	}
	must(bytes == chain->out_bytes + chain->in_bytes && bytes <= UINT32_MAX);
}

static void use_chain(struct queue *queue, const struct chain *chain)
{
	char buffer[512];
	size_t len = chain_read(chain, 3, buffer, sizeof(buffer));

	must(len <= sizeof(buffer) && len <= chain->out_bytes);
	memset(buffer, 'w', sizeof(buffer));
	len = chain_write(chain, 0, buffer, sizeof(buffer));
	must(chain->window ||
	     len == (chain->in_bytes < sizeof(buffer) ? chain->in_bytes : sizeof(buffer)));
	queue_push(queue, chain->head, (uint32_t)len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!window)
		window = mmap(NULL, WINDOW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct guest_memory memory = {
		.window = { .gpa = GPA_WINDOW, .size = WINDOW, .host = window },
		.ranges = { { .gpa = 0, .size = sizeof(low), .host = low },
			    { .gpa = GPA_HIGH, .size = sizeof(high), .host = high } },
		.count = 2,
		.fd = -1,
	};
	static struct chain chain;
	struct queue_setup setup;
	struct queue queue;
	struct err err;

	if (size < 8)
		return 0;
	setup = (struct queue_setup){ .size = (uint16_t)(1 << (data[0] & 15)),
				      .event_idx = data[1] & 1,
				      .indirect = data[1] & 2,
				      .desc = (uint64_t)data[2] << 4,
				      .avail = (uint64_t)data[3] << 4,
				      .used = (data[1] & 4 ? GPA_HIGH : 0) +
					      ((uint64_t)data[4] << 4) };
	memset(low, 0, sizeof(low));
	memset(high, 0, sizeof(high));
	size -= 8;
	memcpy(low, data + 8, size < sizeof(low) ? size : sizeof(low));
	if (size > sizeof(low))
		memcpy(high, data + 8 + sizeof(low),
		       size - sizeof(low) < sizeof(high) ? size - sizeof(low) : sizeof(high));
	if (queue_init(&queue, &memory, &setup, &err) < 0)
		return 0;
	// What is written may offer more chains; so the number of turns is bounded here.
	for (int turn = 0; turn < 64; turn++) {
		int got = queue_pop(&queue, &chain, &err);

		must(got == 1 || got == 0 || got == -EPROTO);
		must((got < 0) == queue.broken);
		if (got <= 0)
			break;
		check_chain(&queue, &chain);
		if (turn == 5)
			queue_unpop(&queue);
		else if (turn != 7)
			use_chain(&queue, &chain);
		queue_want_kicks(&queue, turn & 1);
		queue_needs_interrupt(&queue);
		queue_has_more(&queue);
	}
	return 0;
}
