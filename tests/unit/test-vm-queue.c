// Virtqueues, as a driver fills them and as a hostile one does.
#include "vm-mode/virtio/device.h"
#include "vm-mode/virtio/queue.h"

#include "tests/unit/tap.h"
#include "tests/unit/vring.h"

#include <linux/virtio_mmio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SIZE 8
#define GPA  0x100000

static struct vring_test ring;
static struct queue queue;
static struct chain chain;
static struct err err;

// An address in the data area.
static uint64_t data(size_t offset)
{
	return GPA + VRING_DATA + offset;
}

static void describe(unsigned int index, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	ring.desc[index] =
		(struct vring_desc){ .addr = addr, .len = len, .flags = flags, .next = next };
}

static void begin(void)
{
	vring_test_init(&ring, SIZE, GPA);
	if (queue_init(&queue, &ring.memory, &ring.setup, &err) < 0)
		printf("# %s\n", err.msg);
}

static void end(void)
{
	vring_test_free(&ring);
}

static void test_init(void)
{
	struct queue_setup setup;

	begin();
#define REFUSED(change)                                                  \
	do {                                                             \
		setup = ring.setup;                                      \
		change;                                                  \
		ok(queue_init(&queue, &ring.memory, &setup, &err) < 0 && \
			   queue_pop(&queue, &chain, &err) == -EPROTO,   \
		   "refused: " #change);                                 \
	} while (0)
	REFUSED(setup.size = 0);
	REFUSED(setup.size = 3);
	REFUSED(setup.size = 2 * QUEUE_SIZE_MAX);
	REFUSED(setup.desc += 8);
	REFUSED(setup.avail += 1);
	REFUSED(setup.used += 2);
	REFUSED(setup.desc = 0);
	REFUSED(setup.desc = GPA + VRING_RAM - SIZE * 16 + 16);
	REFUSED(setup.avail = GPA + VRING_RAM - (3 + SIZE) * 2 + 2);
	REFUSED(setup.used = GPA + VRING_RAM - 4 - SIZE * 8);
	REFUSED(setup.used = -UINT64_C(4));
#undef REFUSED
	end();

	struct queue none = { 0 };
	is_int(queue_pop(&none, &chain, &err), -EPROTO);
	ok(!queue_has_more(&none) && !queue_needs_interrupt(&none), "a queue that isn't ready");
	queue_push(&none, 0, 0);
	queue_want_kicks(&none, false);
}

static void test_chain(void)
{
	char text[64] = "";

	begin();
	is_int(queue_pop(&queue, &chain, &err), 0);
	memcpy(ring.ram + VRING_DATA, "abcdef", 6);
	describe(3, data(0), 2, VRING_DESC_F_NEXT, 1);
	describe(1, data(2), 4, VRING_DESC_F_NEXT, 0);
	describe(0, data(100), 3, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 7);
	describe(7, data(200), 5, VRING_DESC_F_WRITE, 0);
	vring_test_offer(&ring, 3);
	ok(queue_has_more(&queue), "there is one");
	is_int(queue_pop(&queue, &chain, &err), 1);
	is_int(chain.head, 3);
	is_int((long long)chain.out_count, 2);
	is_int((long long)chain.in_count, 2);
	is_int((long long)chain.out_bytes, 6);
	is_int((long long)chain.in_bytes, 8);
	is_int((long long)chain_read(&chain, 0, text, 4), 4);
	is_str(text, "abcd");
	is_int((long long)chain_read(&chain, 1, text, 60), 5);
	is_str(text, "bcdef");
	is_int((long long)chain_read(&chain, 6, text, 1), 0);
	is_int((long long)chain_write(&chain, 2, "0123456789", 10), 6);
	is_str(ring.ram + VRING_DATA + 102, "0");
	is_str(ring.ram + VRING_DATA + 200, "12345");
	is_int((long long)chain_write(&chain, SIZE_MAX, "0", 1), 0);

	queue_unpop(&queue);
	is_int(queue_pop(&queue, &chain, &err), 1);
	is_int(chain.head, 3);
	is_int(queue_pop(&queue, &chain, &err), 0);
	queue_push(&queue, 3, 8);
	is_int(ring.used->idx, 1);
	is_int(ring.used->ring[0].id, 3);
	is_int(ring.used->ring[0].len, 8);
	end();
}

static void test_wrap(void)
{
	begin();
	describe(0, data(0), 1, 0, 0);
	int good = 0;
	for (int i = 0; i < 70000; i++) {
		vring_test_offer(&ring, 0);
		good += queue_pop(&queue, &chain, &err) == 1;
		queue_push(&queue, 0, 0);
		good += ring.used->idx == (uint16_t)(i + 1);
	}
	is_int(good, 140000);
	ok(queue_needs_interrupt(&queue), "an interrupt after more than all numbers");
	for (int i = 0; i < 65536; i++) {
		vring_test_offer(&ring, 0);
		good -= queue_pop(&queue, &chain, &err) == 1;
		queue_push(&queue, 0, 0);
	}
	is_int(good, 140000 - 65536);
	ok(queue_needs_interrupt(&queue), "an interrupt after exactly all numbers");
	end();
}

// Several at once, over the end of the ring.
static void test_push_all(void)
{
	const struct queue_used used[] = { { 5, 1 }, { 6, 2 }, { 7, 3 } };

	begin();
	describe(0, data(0), 1, 0, 0);
	for (int i = 0; i < SIZE - 1; i++) {
		vring_test_offer(&ring, 0);
		is_int(queue_pop(&queue, &chain, &err), 1);
		queue_push(&queue, 0, 0);
	}
	queue_needs_interrupt(&queue);
	queue_push_all(&queue, used, 0);
	is_int(ring.used->idx, SIZE - 1);
	ok(!queue_needs_interrupt(&queue), "nothing to tell of");
	queue_push_all(&queue, used, 3);
	is_int(ring.used->idx, SIZE + 2);
	ok(ring.used->ring[SIZE - 1].id == 5 && ring.used->ring[0].id == 6 &&
		   ring.used->ring[1].id == 7 && ring.used->ring[1].len == 3,
	   "in their order");
	ok(queue_needs_interrupt(&queue), "an interrupt for all");
	end();
}

static void test_indirect(void)
{
	begin();
	// Not aligned, which it need not be.
	struct vring_desc *table = (void *)(ring.ram + VRING_DATA + 4);
	struct vring_desc row = {
		.addr = data(0x1000), .len = 7, .flags = VRING_DESC_F_NEXT, .next = 2
	};
	memcpy(&table[0], &row, sizeof(row));
	row.next = 0;
	row.flags = VRING_DESC_F_WRITE;
	memcpy(&table[2], &row, sizeof(row));
	describe(0, data(0x2000), 5, VRING_DESC_F_NEXT, 1);
	describe(1, data(4), 3 * 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE, 0);
	vring_test_offer(&ring, 0);
	is_int(queue_pop(&queue, &chain, &err), 1);
	is_int((long long)chain.out_count, 2);
	is_int((long long)chain.out_bytes, 12);
	is_int((long long)chain.in_count, 1);
	is_int((long long)chain.in_bytes, 7);
	end();
}

// Offers chain 0 and wants to hear that it is broken, and stays so.
static void refused(const char *why)
{
	char want[128];

	vring_test_offer(&ring, 0);
	is_int(queue_pop(&queue, &chain, &err), -EPROTO);
	snprintf(want, sizeof(want), "queue: %s", why);
	is_str(err.msg, want);
	ok(queue.broken && queue_pop(&queue, &chain, &err) == -EPROTO, "it stays broken");
	queue_push(&queue, 0, 1);
	is_int(ring.used->idx, 0);
	ok(!queue_has_more(&queue) && !queue_needs_interrupt(&queue), "a broken queue is silent");
	end();
}

static void test_hostile_chains(void)
{
	begin();
	describe(0, data(0), 1, VRING_DESC_F_NEXT, 1);
	describe(1, data(0), 1, VRING_DESC_F_NEXT, 0);
	refused("a chain that loops");

	begin();
	describe(0, data(0), 1, VRING_DESC_F_NEXT, SIZE);
	refused("a descriptor beyond its table");

	begin();
	ring.avail->ring[0] = 0;
	describe(0, data(0), 1, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	describe(1, data(0), 1, 0, 0);
	refused("a buffer to be read after one to be written");

	begin();
	describe(0, data(0), 0, 0, 0);
	refused("a buffer that is empty or not in memory");

	begin();
	describe(0, GPA + VRING_RAM - 1, 2, 0, 0);
	refused("a buffer that is empty or not in memory");

	begin();
	describe(0, UINT64_MAX, 2, 0, 0);
	refused("a buffer that is empty or not in memory");

	begin();
	describe(0, GPA, UINT32_MAX, 0, 0);
	refused("a buffer that is empty or not in memory");
}

static void test_hostile_indirect(void)
{
	const uint32_t wrong[] = { 0, 8, 17, (QUEUE_SIZE_MAX + 1) * 16, UINT32_MAX };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		begin();
		describe(0, data(0), wrong[i], VRING_DESC_F_INDIRECT, 0);
		refused("an indirect table of a wrong length");
	}
	begin();
	describe(0, GPA + VRING_RAM - 16, 32, VRING_DESC_F_INDIRECT, 0);
	refused("an indirect table that is not in memory");

	begin();
	describe(0, data(0), 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1);
	refused("an indirect table with a successor");

	begin();
	queue.setup.indirect = false;
	describe(0, data(0), 16, VRING_DESC_F_INDIRECT, 0);
	refused("an indirect table, which was not agreed on");

	begin();
	describe(0, data(0), 16, VRING_DESC_F_INDIRECT, 0);
	memcpy(ring.ram + VRING_DATA, &ring.desc[0], 16);
	refused("an indirect table in an indirect table");

	begin();
	describe(0, data(0), 16, VRING_DESC_F_INDIRECT, 0);
	*(struct vring_desc *)(ring.ram + VRING_DATA) =
		(struct vring_desc){ .addr = data(0), .len = 1, .flags = VRING_DESC_F_NEXT };
	refused("a chain that loops");
}

// Pieces up to the last that fit, then one more.
static void test_too_long(void)
{
	for (int over = 0; over < 2; over++) {
		begin();
		struct vring_desc *table = (void *)(ring.ram + VRING_DATA);
		for (uint16_t i = 0; i < QUEUE_SIZE_MAX; i++)
			table[i] = (struct vring_desc){ .addr = data(0x8000),
							.len = 1,
							.flags = VRING_DESC_F_NEXT,
							.next = (uint16_t)(i + 1) };
		table[QUEUE_SIZE_MAX - 1].flags = 0;
		describe(0, data(0x8000), 1, VRING_DESC_F_NEXT, over ? 1 : 2);
		describe(1, data(0x8000), 1, VRING_DESC_F_NEXT, 2);
		describe(2, data(0), QUEUE_SIZE_MAX * 16, VRING_DESC_F_INDIRECT, 0);
		if (over) {
			refused("a chain that is too long");
			continue;
		}
		vring_test_offer(&ring, 0);
		is_int(queue_pop(&queue, &chain, &err), 1);
		is_int((long long)chain.out_count, QUEUE_CHAIN_MAX);
		end();
	}

	// 4 GiB in pieces of memory that is there more than once.
	begin();
	static char *big;
	const size_t big_bytes = (size_t)1 << 28;
	big = aligned_alloc(4096, big_bytes); // never touched
	ring.memory.ranges[1] =
		(struct guest_range){ .gpa = 1 << 30, .size = big_bytes, .host = big };
	ring.memory.count = 2;
	struct vring_desc *table = (void *)(ring.ram + VRING_DATA);
	for (uint16_t i = 0; i < 16; i++)
		table[i] = (struct vring_desc){ .addr = 1 << 30,
						.len = big_bytes,
						.flags = i < 15 ? VRING_DESC_F_NEXT : 0,
						.next = (uint16_t)(i + 1) };
	describe(0, data(0), 256, VRING_DESC_F_INDIRECT, 0);
	refused("a chain of more than 4 GiB");
	free(big);
}

static void test_hostile_ring(void)
{
	begin();
	ring.avail->idx = SIZE;
	refused("more chains than it has places");

	begin();
	ring.avail->idx = UINT16_MAX - 1;
	refused("more chains than it has places");

	begin();
	ring.avail->ring[0] = UINT16_MAX;
	ring.avail->idx = 1;
	is_int(queue_pop(&queue, &chain, &err), -EPROTO);
	is_str(err.msg, "queue: a descriptor beyond its table");
	end();

	// One chain offered again and again while none comes back.
	begin();
	describe(0, data(0), 1, 0, 0);
	for (int i = 0; i < SIZE; i++) {
		vring_test_offer(&ring, 0);
		is_int(queue_pop(&queue, &chain, &err), 1);
	}
	refused("more chains under way than it has places");
}

static void serve(void)
{
	vring_test_offer(&ring, 0);
	is_int(queue_pop(&queue, &chain, &err), 1);
	queue_push(&queue, 0, 0);
}

static void test_notifications(void)
{
	begin();
	describe(0, data(0), 1, 0, 0);
	ok(!queue_needs_interrupt(&queue), "nothing done: no interrupt");
	serve();
	ok(queue_needs_interrupt(&queue), "an interrupt");
	ok(!queue_needs_interrupt(&queue), "but one");
	ring.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	serve();
	ok(!queue_needs_interrupt(&queue), "none, if the driver wants none");
	queue_want_kicks(&queue, false);
	is_int(ring.used->flags, VRING_USED_F_NO_NOTIFY);
	queue_want_kicks(&queue, true);
	is_int(ring.used->flags, 0);
	end();

	vring_test_init(&ring, SIZE, GPA);
	ring.setup.event_idx = true;
	is_int(queue_init(&queue, &ring.memory, &ring.setup, &err), 0);
	describe(0, data(0), 1, 0, 0);
	uint16_t *used_event = &ring.avail->ring[SIZE];
	uint16_t *avail_event = (void *)&ring.used->ring[SIZE];
	*used_event = 1;
	serve();
	ok(!queue_needs_interrupt(&queue), "event_idx: not for the first");
	serve();
	ok(queue_needs_interrupt(&queue), "event_idx: for the second");
	serve();
	ok(!queue_needs_interrupt(&queue), "event_idx: the driver hasn't moved on");
	is_int(*avail_event, 3);
	queue_want_kicks(&queue, false);
	vring_test_offer(&ring, 0);
	is_int(queue_pop(&queue, &chain, &err), 1);
	is_int(queue_pop(&queue, &chain, &err), 0);
	is_int(*avail_event, 3);
	queue_want_kicks(&queue, true);
	is_int(*avail_event, 4);
	end();
}

static void test_irq(void)
{
	atomic_uint status = 2;
	const struct dev_irq irq = { .status = &status, .fd = eventfd(0, EFD_CLOEXEC) };
	const struct dev_irq silent = { .status = &status, .fd = -1 };
	uint64_t count = 0;

	dev_irq_raise(&irq);
	dev_irq_raise(&silent);
	is_int(atomic_load(&status), 2 | VIRTIO_MMIO_INT_VRING);
	is_int(read(irq.fd, &count, sizeof(count)), 8);
	is_int((long long)count, 1);
	close(irq.fd);
}

int main(void)
{
	test_init();
	test_chain();
	test_wrap();
	test_push_all();
	test_indirect();
	test_hostile_chains();
	test_hostile_indirect();
	test_too_long();
	test_hostile_ring();
	test_notifications();
	test_irq();
	return done();
}
