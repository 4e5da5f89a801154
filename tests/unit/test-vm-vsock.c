// The socket device, against a guest's driver in plain memory.
#include "tests/unit/tap.h"
#include "tests/unit/vsock-guest.h"

#include "base/scope.h"

#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PORT 7

// An owner that notes what it is told.
static struct owner {
	struct vsock_conn *conn;
	size_t room; // takes that many bytes more
	char got[512 * 1024];
	size_t len;
	uint32_t shut;
	unsigned int closed, cut, spaces, accepted;
	bool refuse, close_on_data;
} owner;

static struct guest guest;

static size_t owner_data(struct vsock_conn *conn, const void *data, size_t len)
{
	struct owner *own = conn->user;
	size_t now = len < own->room ? len : own->room;

	if (own->close_on_data) {
		vsock_conn_close(conn);
		own->conn = NULL;
		return 0;
	}
	memcpy(own->got + own->len, data, now);
	own->len += now;
	own->room -= now;
	return now;
}

static void owner_shutdown(struct vsock_conn *conn, uint32_t flag)
{
	struct owner *own = conn->user;

	own->shut |= flag;
}

static void owner_space(struct vsock_conn *conn)
{
	struct owner *own = conn->user;

	own->spaces++;
}

static void owner_closed(struct vsock_conn *conn, bool cut)
{
	struct owner *own = conn->user;

	own->closed++;
	own->cut += cut;
	own->conn = NULL;
}

static bool accept_conn(struct vsock_port *port, struct vsock_conn *conn)
{
	static const struct vsock_conn_ops ops = {
		.data = owner_data,
		.shutdown = owner_shutdown,
		.space = owner_space,
		.closed = owner_closed,
	};

	(void)port;
	if (owner.refuse)
		return false;
	owner.accepted++;
	owner.conn = conn;
	conn->ops = &ops;
	conn->user = &owner;
	return true;
}

static struct vsock_port port = { .port = PORT, .connect = accept_conn };

static char pattern[512 * 1024];

static void begin(void)
{
	memset(&owner, 0, sizeof(owner));
	owner.room = SIZE_MAX;
	guest_init(&guest, NULL);
	vsock_listen(guest.vsock, &port);
}

static void end(void)
{
	guest_free(&guest);
}

static void test_handshake(void)
{
	uint64_t cid = 0;

	begin();
	guest.dev->ops->config_read(guest.dev, 0, &cid, sizeof(cid));
	is_int(cid, 3);
	struct guest_conn *conn = guest_connect(&guest, PORT);
	ok(conn->open && owner.conn, "a connection opens");
	is_int(conn->host_buffer, VSOCK_BUFFER_SIZE);
	is_int(guest_write(&guest, conn, "hello", 5), 5);
	ok(owner.len == 5 && memcmp(owner.got, "hello", 5) == 0, "the owner gets the data");
	is_int(vsock_conn_send(owner.conn, "answer", 6), 6);
	guest_poll(&guest);
	ok(conn->len == 6 && memcmp(conn->data, "answer", 6) == 0, "the guest gets the answer");
	is_int(vsock_memory_bytes(guest.vsock), 0);
	end();
}

static void test_refusals(void)
{
	begin();
	ok(guest_connect(&guest, 99)->reset, "an unknown port is refused");
	owner.refuse = true;
	ok(guest_connect(&guest, PORT)->reset, "the owner may refuse");
	owner.refuse = false;

	struct guest_conn stranger = { .local = 5, .port = PORT };
	guest_op(&guest, &stranger, VIRTIO_VSOCK_OP_RW, 0);
	guest_poll(&guest);
	is_int(guest.strays, 1);
	guest_op(&guest, &stranger, VIRTIO_VSOCK_OP_RST, 0);
	is_int(guest_poll(&guest), 0); // no answer to a RST, for ever and ever

	struct virtio_vsock_hdr header = { .src_cid = 9,
					   .dst_cid = 2,
					   .src_port = 5,
					   .dst_port = PORT,
					   .type = VIRTIO_VSOCK_TYPE_STREAM,
					   .op = VIRTIO_VSOCK_OP_REQUEST };
	guest_put(&guest, &header, NULL, 0);
	header.src_cid = 3;
	header.dst_cid = 1;
	guest_put(&guest, &header, NULL, 0);
	is_int(guest_poll(&guest), 0);
	header.dst_cid = 2;
	header.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	guest_put(&guest, &header, NULL, 0);
	is_int(guest_poll(&guest), 1);
	is_int(owner.accepted, 0);
	end();
}

// Twice as many as there may be.
static void test_table_is_bounded(void)
{
	unsigned int open = 0, refused = 0;

	begin();
	for (int i = 0; i < 2 * VSOCK_CONNS_MAX; i++) {
		struct guest_conn *conn = guest_connect(&guest, PORT);

		open += conn->open;
		refused += conn->reset;
	}
	is_int(open, VSOCK_CONNS_MAX);
	is_int(refused, VSOCK_CONNS_MAX);
	end();
}

// The owner takes 100 bytes; the guest fills its credit, and not a byte more is kept.
static void test_credit_from_guest(void)
{
	begin();
	owner.room = 100;
	struct guest_conn *conn = guest_connect(&guest, PORT);
	is_int(guest_write(&guest, conn, pattern, sizeof(pattern)), VSOCK_BUFFER_SIZE);
	is_int(owner.len, 100);
	is_int(vsock_conn_buffered(owner.conn), VSOCK_BUFFER_SIZE - 100);
	is_int(vsock_memory_bytes(guest.vsock), VSOCK_BUFFER_SIZE);

	// A part, then all: order is kept, and the credit comes back.
	owner.room = VSOCK_BUFFER_SIZE / 2;
	vsock_conn_resume(owner.conn);
	guest_poll(&guest);
	is_int(owner.len, 100 + VSOCK_BUFFER_SIZE / 2);
	is_int(conn->credit_updates, 1);
	size_t more = guest_write(&guest, conn, pattern + VSOCK_BUFFER_SIZE, sizeof(pattern));
	is_int(more, VSOCK_BUFFER_SIZE / 2 + 100);
	owner.room = SIZE_MAX;
	vsock_conn_resume(owner.conn);
	is_int(owner.len, VSOCK_BUFFER_SIZE + more);
	ok(memcmp(owner.got, pattern, owner.len) == 0, "all of it, in its order");
	is_int(vsock_conn_buffered(owner.conn), 0);

	// Who asks is told.
	guest_poll(&guest);
	unsigned int updates = conn->credit_updates;
	guest_op(&guest, conn, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0);
	guest_poll(&guest);
	is_int(conn->credit_updates, updates + 1);
	end();
}

static void test_credit_exceeded(void)
{
	begin();
	owner.room = 0;
	struct guest_conn *conn = guest_connect(&guest, PORT);
	guest_write(&guest, conn, pattern, sizeof(pattern));
	conn->host_buffer += 10; // lies to itself
	guest_write(&guest, conn, pattern, 10);
	ok(conn->reset, "who sends more than the credit is cut off");
	is_int(owner.cut, 1);
	is_int(guest.kick_result, 0);
	is_int(vsock_memory_bytes(guest.vsock), 0);
	end();
}

static void test_credit_to_guest(void)
{
	char got[1000];

	begin();
	struct guest_conn *conn = guest_connect(&guest, PORT);
	conn->buffer = 1000;
	guest_op(&guest, conn, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	is_int(vsock_conn_send(owner.conn, pattern, 1500), 1000);
	guest_poll(&guest);
	is_int(conn->len, 1000);
	is_int(conn->credit_requests, 1);
	is_int(owner.spaces, 0);
	is_int(vsock_conn_send(owner.conn, pattern + 1000, 500), 0);
	guest_read(&guest, conn, got, 600);
	is_int(owner.spaces, 1);
	is_int(vsock_conn_send(owner.conn, pattern + 1000, 500), 500);
	guest_poll(&guest);
	is_int(conn->len, 900);
	ok(memcmp(got, pattern, 600) == 0 && memcmp(conn->data, pattern + 600, 900) == 0,
	   "all of it, in its order");

	// A count that runs ahead of what was sent gives no credit.
	conn->forwarded += 5000;
	guest_op(&guest, conn, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	is_int(vsock_conn_send(owner.conn, pattern, 10), 0);
	end();
}

static void test_no_buffers(void)
{
	begin();
	struct guest_conn *conn = guest_connect(&guest, PORT);
	guest.no_buffers = true;
	const size_t all = (size_t)guest.buffers *
			   (GUEST_BUFFER_SIZE - sizeof(struct virtio_vsock_hdr));

	conn->buffer = UINT32_MAX;
	guest_op(&guest, conn, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	is_int(vsock_conn_send(owner.conn, pattern, sizeof(pattern)), all);
	is_int(vsock_conn_send(owner.conn, pattern, 1), 0);
	guest_poll(&guest);
	is_int(guest.buffers, 0);

	// What has to be said waits, in no more memory than there is.
	for (int i = 0; i < 40; i++)
		guest_op(&guest, conn, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0);
	struct guest_conn *second = guest_connect(&guest, PORT);
	ok(!second->open && owner.accepted == 2, "a connection is made, but not yet answered");
	is_int(owner.spaces, 0);
	guest_put_buffers(&guest, 4);
	guest_poll(&guest);
	ok(second->open, "it is answered when there are buffers");
	is_int(conn->credit_updates, 1);
	is_int(owner.spaces, 1);

	// Refusals have a bound: then the guest's queue isn't read.
	guest_poll(&guest);
	guest_put_buffers(&guest, 0);
	while (guest.buffers > 0) {
		vsock_conn_send(owner.conn, pattern, 1);
		guest_poll(&guest);
	}
	struct guest_conn stranger = { .local = 5, .port = PORT };
	for (int i = 0; i < 100; i++)
		guest_op(&guest, &stranger, VIRTIO_VSOCK_OP_RW, 0);
	is_int(guest.dev->queues[1].next_used - guest.dev->queues[1].next_avail, 0);
	ok(guest.queues[1].avail != guest.dev->queues[1].next_used, "the rest stays in the queue");
	guest.no_buffers = false;
	unsigned int strays = guest.strays;
	guest_put_buffers(&guest, GUEST_QUEUE_SIZE);
	guest_poll(&guest);
	guest_kick(&guest, 1);
	guest_poll(&guest);
	is_int(guest.strays - strays, 100);
	end();
}

static void test_half_close(void)
{
	// The guest ends its direction; ours goes on.
	begin();
	owner.room = 3;
	struct guest_conn *conn = guest_connect(&guest, PORT);
	guest_write(&guest, conn, "abcdef", 6);
	guest_op(&guest, conn, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND);
	is_int(owner.shut, 0); // not before the data is taken
	owner.room = 3;
	vsock_conn_resume(owner.conn);
	is_int(owner.len, 6);
	is_int(owner.shut, VIRTIO_VSOCK_SHUTDOWN_SEND);
	is_int(vsock_conn_send(owner.conn, "still", 5), 5);
	guest_poll(&guest);
	is_int(conn->len, 5);
	vsock_conn_shutdown(owner.conn, VIRTIO_VSOCK_SHUTDOWN_SEND);
	guest_poll(&guest);
	is_int(conn->host_shut, VIRTIO_VSOCK_SHUTDOWN_SEND);
	is_int(vsock_conn_send(owner.conn, "x", 1), -EPIPE);
	is_int(owner.closed, 0);
	guest_op(&guest, conn, VIRTIO_VSOCK_OP_SHUTDOWN, 3);
	guest_poll(&guest);
	ok(conn->reset && owner.closed == 1 && owner.cut == 0, "both: an orderly end");
	end();

	// We end ours; the guest's goes on.
	begin();
	conn = guest_connect(&guest, PORT);
	vsock_conn_send(owner.conn, "end", 3);
	vsock_conn_shutdown(owner.conn, VIRTIO_VSOCK_SHUTDOWN_SEND);
	guest_poll(&guest);
	ok(conn->len == 3 && conn->host_shut == VIRTIO_VSOCK_SHUTDOWN_SEND, "data, then the end");
	is_int(guest_write(&guest, conn, "more", 4), 4);
	is_int(owner.len, 4);

	// We take no more: what comes is dropped, and costs no credit.
	vsock_conn_shutdown(owner.conn, VIRTIO_VSOCK_SHUTDOWN_RCV);
	guest_poll(&guest);
	is_int(conn->host_shut, 3);
	is_int(guest_write(&guest, conn, pattern, sizeof(pattern)), sizeof(pattern));
	is_int(owner.len, 4);
	guest_op(&guest, conn, VIRTIO_VSOCK_OP_RST, 0);
	is_int(owner.closed, 1);
	end();

	// A guest that reads no more.
	begin();
	conn = guest_connect(&guest, PORT);
	guest_op(&guest, conn, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_RCV);
	is_int(owner.shut, VIRTIO_VSOCK_SHUTDOWN_RCV);
	is_int(vsock_conn_send(owner.conn, "x", 1), -EPIPE);
	guest_op(&guest, conn, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND);
	guest_poll(&guest);
	ok(conn->reset && owner.shut == 3 && owner.closed == 1, "in two steps");
	end();
}

static void test_resets(void)
{
	begin();
	owner.room = 10;
	struct guest_conn *conn = guest_connect(&guest, PORT);
	guest_write(&guest, conn, pattern, 1000);
	guest_op(&guest, conn, VIRTIO_VSOCK_OP_RST, 0);
	is_int(guest_poll(&guest), 0);
	ok(owner.closed == 0 && owner.conn,
	   "reset in the middle: what has come is still to be taken");
	owner.room = SIZE_MAX;
	vsock_conn_resume(owner.conn);
	ok(owner.closed == 1 && owner.cut == 1 && owner.len == 1000, "then the owner is told");
	is_int(vsock_memory_bytes(guest.vsock), 0);

	// After a guest has said that it is done, a RST (it waits 8 seconds) loses nothing.
	owner.room = 10;
	owner.len = 0;
	conn = guest_connect(&guest, PORT);
	guest_write(&guest, conn, pattern, 1000);
	guest_op(&guest, conn, VIRTIO_VSOCK_OP_SHUTDOWN, 3);
	guest_op(&guest, conn, VIRTIO_VSOCK_OP_RST, 0);
	ok(owner.conn && owner.closed == 1, "its data is still to be taken");
	conn->reset = true;
	guest.next_port--; // and the port is free again
	struct vsock_conn *first = owner.conn;
	struct guest_conn *again = guest_connect(&guest, PORT);
	ok(again->open, "the same port again");
	owner.room = SIZE_MAX;
	vsock_conn_resume(first);
	ok(owner.len == 1000 && owner.closed == 2 && owner.cut == 1, "all of it");

	// Ours, in the middle of a packet's delivery and outside.
	owner.close_on_data = true;
	guest_write(&guest, again, pattern, 100);
	ok(again->reset && owner.closed == 2, "the owner cuts it, and isn't called");
	owner.close_on_data = false;
	conn = guest_connect(&guest, PORT);
	vsock_conn_close(owner.conn);
	guest_poll(&guest);
	ok(conn->reset, "the owner cuts it");

	// Cut while data waits that is offered again.
	owner.room = 0;
	conn = guest_connect(&guest, PORT);
	guest_write(&guest, conn, pattern, 100);
	owner.close_on_data = true;
	vsock_conn_resume(owner.conn);
	guest_poll(&guest);
	ok(conn->reset, "the owner cuts it while it is offered what waited");
	owner.close_on_data = false;

	// The device's own.
	owner.closed = owner.cut = 0;
	guest_connect(&guest, PORT);
	guest.dev->ops->reset(guest.dev);
	ok(owner.closed == 1 && owner.cut == 1, "a reset of the device cuts all");
	end();
}

static void test_lies(void)
{
	struct virtio_vsock_hdr header = { .src_cid = 3,
					   .dst_cid = 2,
					   .dst_port = PORT,
					   .type = VIRTIO_VSOCK_TYPE_STREAM,
					   .op = VIRTIO_VSOCK_OP_RW };

	begin();
	struct guest_conn *conn = guest_connect(&guest, PORT);
	header.src_port = conn->local;
	header.len = 5000;
	guest_put(&guest, &header, "short", 5);
	guest_poll(&guest);
	ok(conn->reset && owner.cut == 1 && owner.len == 0, "a length beyond the packet");

	conn = guest_connect(&guest, PORT);
	header.src_port = conn->local;
	header.len = 3;
	guest_put(&guest, &header, "longer", 6);
	ok(owner.len == 3, "bytes beyond the length don't count");
	header.len = 0;
	header.op = 77;
	guest_put(&guest, &header, NULL, 0);
	guest_poll(&guest);
	ok(conn->reset, "an unknown operation");

	conn = guest_connect(&guest, PORT);
	guest_op(&guest, conn, VIRTIO_VSOCK_OP_REQUEST, 0);
	guest_poll(&guest);
	ok(conn->reset, "a second request");
	conn = guest_connect(&guest, PORT);
	guest_op(&guest, conn, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND);
	guest_write(&guest, conn, "x", 1);
	guest_poll(&guest);
	ok(conn->reset, "data after the end");
	is_int(guest.kick_result, 0);
	end();
}

static void test_descriptors(void)
{
	struct virtio_vsock_hdr header = { .src_cid = 3,
					   .dst_cid = 2,
					   .dst_port = PORT,
					   .len = 6,
					   .type = VIRTIO_VSOCK_TYPE_STREAM,
					   .op = VIRTIO_VSOCK_OP_RW };
	const char *bytes = (const char *)&header;

	begin();
	struct guest_conn *conn = guest_connect(&guest, PORT);
	header.src_port = conn->local;
	char last[sizeof(header) + 2];
	memcpy(last, bytes, sizeof(header));
	last[sizeof(header)] = 'a';
	last[sizeof(header) + 1] = 'b';
	const struct guest_piece pieces[] = {
		{ .data = bytes, .len = 1 },
		{ .data = bytes + 1, .len = 30 },
		{ .data = last + 31, .len = sizeof(last) - 31 },
		{ .data = "c", .len = 1 },
		{ .data = "def", .len = 3 },
	};
	is_int(guest_put_chain(&guest, pieces, 5), 0);
	ok(owner.len == 6 && memcmp(owner.got, "abcdef", 6) == 0, "a header across descriptors");

	const struct guest_piece half = { .data = bytes, .len = 43 };
	ok(guest_put_chain(&guest, &half, 1) < 0, "a packet without a whole header");
	is_int(owner.cut, 1);
	is_int(vsock_memory_bytes(guest.vsock), 0);
	end();

	begin();
	guest_connect(&guest, PORT);
	const struct guest_piece outside = { .at = GUEST_RAM_SIZE, .len = 44 };
	ok(guest_put_chain(&guest, &outside, 1) < 0, "an address that is no memory");
	is_int(owner.cut, 1);
	end();
}

static void test_transport_reset(void)
{
	begin();
	guest_connect(&guest, PORT);
	vsock_transport_reset(guest.vsock);
	is_int(owner.cut, 1);
	is_int(guest.dev->queues[2].next_used, 1);
	ok(guest_connect(&guest, PORT)->open, "and then anew");
	end();
}

// A guest that never stops has a turn, and then others have theirs.
static void test_turns(void)
{
	const struct virtio_vsock_hdr stray = { .src_cid = 3,
						.dst_cid = 2,
						.op = VIRTIO_VSOCK_OP_RST };
	struct vring_used *used;
	uint64_t kicked = 0;

	guest_init(&guest, NULL);
	used = (struct vring_used *)(guest.ram + guest.queues[1].at + 0x3000);
	guest.dev->kick_fds[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	used->flags = VRING_USED_F_NO_NOTIFY;
	for (int i = 0; i < 40; i++)
		guest_put(&guest, &stray, NULL, 0);
	guest_kick(&guest, 1);
	is_int(used->idx, 32);
	ok(read(guest.dev->kick_fds[1], &kicked, sizeof(kicked)) == sizeof(kicked),
	   "it is called again");
	guest_kick(&guest, 1);
	is_int(used->idx, 40);
	ok(read(guest.dev->kick_fds[1], &kicked, sizeof(kicked)) < 0, "and then no more");
	replace_fd(&guest.dev->kick_fds[1], 0);
	guest_free(&guest);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (char)(i * 7 + i / 256 + i / 65536);
	test_handshake();
	test_refusals();
	test_table_is_bounded();
	test_credit_from_guest();
	test_credit_exceeded();
	test_credit_to_guest();
	test_no_buffers();
	test_half_close();
	test_resets();
	test_lies();
	test_descriptors();
	test_transport_reset();
	test_turns();
	return done();
}
