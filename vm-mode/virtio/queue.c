// The guest is x86-64, as we are: what the specification has as little-endian is read as it is.
#include "vm-mode/virtio/queue.h"

#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <string.h>

// Where the compiler must not read guest memory again.
#define read_once_done() __asm__ volatile("" ::: "memory")

// ---- the three areas (2.7.5, 2.7.6, 2.7.8) ----

static uint16_t *avail_flags(const struct queue *queue)
{
	return &((struct vring_avail *)queue->avail)->flags;
}

static uint16_t *avail_idx(const struct queue *queue)
{
	return &((struct vring_avail *)queue->avail)->idx;
}

static uint16_t *avail_slot(const struct queue *queue, uint16_t index)
{
	return &((struct vring_avail *)queue->avail)->ring[index];
}

static struct vring_used_elem *used_slot(const struct queue *queue, uint16_t index)
{
	return &((struct vring_used *)queue->used)->ring[index];
}

static uint16_t load(const uint16_t *field)
{
	return __atomic_load_n(field, __ATOMIC_ACQUIRE);
}

static void store(uint16_t *field, uint16_t value)
{
	__atomic_store_n(field, value, __ATOMIC_RELEASE);
}

// VIRTIO_F_EVENT_IDX: each side's last field tells the other when to notify.
static uint16_t used_event(const struct queue *queue)
{
	return load(avail_slot(queue, queue->setup.size));
}

static void set_avail_event(struct queue *queue, uint16_t index)
{
	store((uint16_t *)used_slot(queue, queue->setup.size), index);
}

int queue_init(struct queue *queue, const struct guest_memory *memory,
	       const struct queue_setup *setup, struct err *err)
{
	const size_t size = setup->size;

	*queue = (struct queue){ .memory = memory, .setup = *setup, .signalled_valid = true };
	if (size == 0 || size > QUEUE_SIZE_MAX || (size & (size - 1)))
		return err_set(err, EINVAL, "a queue can't have the size %zu", size);
	if (setup->desc % VRING_DESC_ALIGN_SIZE || setup->avail % VRING_AVAIL_ALIGN_SIZE ||
	    setup->used % VRING_USED_ALIGN_SIZE)
		return err_set(err, EINVAL, "the parts of a queue are not aligned");
	queue->desc = guest_ptr(memory, setup->desc, size * sizeof(struct vring_desc));
	queue->avail = guest_ptr(memory, setup->avail, (3 + size) * sizeof(uint16_t));
	queue->used = guest_ptr(memory, setup->used,
				3 * sizeof(uint16_t) + size * sizeof(struct vring_used_elem));
	if (!queue->desc || !queue->avail || !queue->used) {
		queue->desc = NULL; // not ready
		return err_set(err, EINVAL, "the parts of a queue are not in memory");
	}
	return 0;
}

static int broken(struct queue *queue, struct err *err, const char *why)
{
	queue->broken = true;
	return err_set(err, EPROTO, "queue: %s", why);
}

// ---- taking a chain ----

// A table of descriptors that is walked: the queue's own, or an indirect one.
struct table {
	const struct vring_desc *desc;
	uint32_t count;
	uint32_t left; // steps, before it must be a loop
	bool indirect;
};

static const char *add_piece(const struct queue *queue, struct chain *chain,
			     const struct vring_desc *desc)
{
	size_t count = chain->out_count + chain->in_count;
	bool write = desc->flags & VRING_DESC_F_WRITE;

	if (count == QUEUE_CHAIN_MAX)
		return "a chain that is too long";
	if (!write && chain->in_count > 0)
		return "a buffer to be read after one to be written";
	if (chain->out_bytes + chain->in_bytes + desc->len > UINT32_MAX)
		return "a chain of more than 4 GiB";
	void *host = guest_ptr(queue->memory, desc->addr, desc->len);
	if (!host) {
		host = guest_window_ptr(queue->memory, desc->addr, desc->len);
		chain->window = &queue->memory->window;
	}
	if (!host)
		return "a buffer that is empty or not in memory";
	chain->pieces[count] = (struct iovec){ .iov_base = host, .iov_len = desc->len };
	if (write) {
		chain->in_count++;
		chain->in_bytes += desc->len;
	} else {
		chain->out_count++;
		chain->out_bytes += desc->len;
	}
	return NULL;
}

// 2.7.5.3: one indirect table at the end of a chain, none within another.
static const char *enter_indirect(const struct queue *queue, struct table *table,
				  const struct vring_desc *desc)
{
	if (!queue->setup.indirect)
		return "an indirect table, which was not agreed on";
	if (table->indirect)
		return "an indirect table in an indirect table";
	if (desc->flags & VRING_DESC_F_NEXT)
		return "an indirect table with a successor";
	if (desc->len == 0 || desc->len % sizeof(struct vring_desc) ||
	    desc->len / sizeof(struct vring_desc) > QUEUE_SIZE_MAX)
		return "an indirect table of a wrong length";
	table->desc = guest_ptr(queue->memory, desc->addr, desc->len);
	if (!table->desc)
		return "an indirect table that is not in memory";
	table->count = table->left = desc->len / sizeof(struct vring_desc);
	table->indirect = true;
	return NULL;
}

// Returns what is wrong, or NULL.
static const char *walk(const struct queue *queue, struct chain *chain)
{
	struct table table = { queue->desc, queue->setup.size, queue->setup.size, false };
	uint32_t index = chain->head;

	for (;;) {
		struct vring_desc desc;
		const char *why;

		if (index >= table.count)
			return "a descriptor beyond its table";
		if (table.left-- == 0)
			return "a chain that loops";
		memcpy(&desc, &table.desc[index], sizeof(desc));
		read_once_done();
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			why = enter_indirect(queue, &table, &desc);
			index = 0;
		} else {
			why = add_piece(queue, chain, &desc);
			index = desc.next;
		}
		if (why)
			return why;
		if (!(desc.flags & (VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT)))
			return NULL;
	}
}

// How many chains wait.
static uint16_t waiting(const struct queue *queue)
{
	return (uint16_t)(load(avail_idx(queue)) - queue->next_avail);
}

int queue_pop(struct queue *queue, struct chain *chain, struct err *err)
{
	const uint16_t size = queue->setup.size;

	if (queue->broken || !queue->desc)
		return err_set(err, EPROTO, "queue: it is %s",
			       queue->broken ? "broken" : "not ready");
	uint16_t count = waiting(queue);
	if (count == 0 && queue->setup.event_idx && !queue->kicks_off) {
		// From here on the driver kicks; what it did just before must not be missed.
		set_avail_event(queue, queue->next_avail);
		atomic_thread_fence(memory_order_seq_cst);
		count = waiting(queue);
	}
	if (count == 0)
		return 0;
	if (count > size)
		return broken(queue, err, "more chains than it has places");
	if ((uint16_t)(queue->next_avail - queue->next_used) >= size)
		return broken(queue, err, "more chains under way than it has places");

	// Not pieces[]: 16 KiB.
	chain->out_count = chain->in_count = 0;
	chain->out_bytes = chain->in_bytes = 0;
	chain->window = NULL;
	chain->head = load(avail_slot(queue, queue->next_avail & (size - 1)));
	const char *why = walk(queue, chain);
	if (why)
		return broken(queue, err, why);
	chain->out = chain->pieces;
	chain->in = chain->pieces + chain->out_count;
	queue->next_avail++;
	if (queue->setup.event_idx && !queue->kicks_off)
		set_avail_event(queue, queue->next_avail);
	return 1;
}

void queue_unpop(struct queue *queue)
{
	queue->next_avail--;
}

// ---- giving it back ----

void queue_push_all(struct queue *queue, const struct queue_used *used, size_t count)
{
	if (queue->broken || !queue->desc)
		return;
	for (size_t i = 0; i < count; i++) {
		*used_slot(queue, queue->next_used & (queue->setup.size - 1)) =
			(struct vring_used_elem){ .id = used[i].head, .len = used[i].written };
		queue->next_used++;
		// All 65536 numbers went by since the driver was told: nothing can be derived from
		// them.
		if (queue->next_used == queue->signalled_used)
			queue->signalled_valid = false;
	}
	store(&((struct vring_used *)queue->used)->idx, queue->next_used);
}

void queue_push(struct queue *queue, uint16_t head, uint32_t written)
{
	queue_push_all(queue, &(struct queue_used){ .head = head, .written = written }, 1);
}

bool queue_needs_interrupt(struct queue *queue)
{
	const uint16_t old = queue->signalled_used, now = queue->next_used;
	const bool valid = queue->signalled_valid;

	if (queue->broken || !queue->desc || (valid && old == now))
		return false;
	queue->signalled_used = now;
	queue->signalled_valid = true;
	// The used index must be out before the driver's wish is read: it does so the other way
	// round.
	atomic_thread_fence(memory_order_seq_cst);
	if (queue->setup.event_idx)
		return !valid || vring_need_event(used_event(queue), now, old);
	return !(load(avail_flags(queue)) & VRING_AVAIL_F_NO_INTERRUPT);
}

void queue_want_kicks(struct queue *queue, bool want)
{
	if (queue->broken || !queue->desc)
		return;
	queue->kicks_off = !want;
	if (!queue->setup.event_idx)
		store(&((struct vring_used *)queue->used)->flags,
		      want ? 0 : VRING_USED_F_NO_NOTIFY);
	else if (want)
		set_avail_event(queue, queue->next_avail);
	atomic_thread_fence(memory_order_seq_cst);
}

bool queue_has_more(const struct queue *queue)
{
	return !queue->broken && queue->desc && waiting(queue) != 0;
}

// ---- copies ----

struct copy {
	const struct guest_range *window; // not there; NULL: anywhere
	const struct iovec *pieces;
	size_t count, offset;
	char *to;	  // one of the two
	const char *from; //
	size_t len;
};

static bool lies_in(const struct iovec *piece, const struct guest_range *window)
{
	const uintptr_t start = (uintptr_t)window->host, at = (uintptr_t)piece->iov_base;

	return at >= start && at - start < window->size;
}

static size_t copy_pieces(const struct copy *copy)
{
	size_t offset = copy->offset, done = 0;

	for (size_t i = 0; i < copy->count && done < copy->len; i++) {
		const struct iovec *piece = &copy->pieces[i];

		if (offset >= piece->iov_len) {
			offset -= piece->iov_len;
			continue;
		}
		if (copy->window && lies_in(piece, copy->window))
			break;
		size_t now = piece->iov_len - offset;
		if (now > copy->len - done)
			now = copy->len - done;
		char *guest = (char *)piece->iov_base + offset;
		if (copy->to)
			memcpy(copy->to + done, guest, now);
		else
			memcpy(guest, copy->from + done, now);
		done += now;
		offset = 0;
	}
	read_once_done();
	return done;
}

size_t chain_read(const struct chain *chain, size_t offset, void *data, size_t len)
{
	return copy_pieces(&(struct copy){ .window = chain->window,
					   .pieces = chain->out,
					   .count = chain->out_count,
					   .offset = offset,
					   .to = data,
					   .len = len });
}

size_t pieces_write(const struct iovec *pieces, size_t count, size_t offset, const void *data,
		    size_t len)
{
	return copy_pieces(&(struct copy){
		.pieces = pieces, .count = count, .offset = offset, .from = data, .len = len });
}

size_t chain_write(const struct chain *chain, size_t offset, const void *data, size_t len)
{
	return copy_pieces(&(struct copy){ .window = chain->window,
					   .pieces = chain->in,
					   .count = chain->in_count,
					   .offset = offset,
					   .from = data,
					   .len = len });
}
