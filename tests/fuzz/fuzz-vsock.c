// fuzz-vsock: a guest's driver and the owners of its connections, both doing what the bytes say.
//
// Beyond "no crash": buffers stay within their bound, an owner is told of an end exactly once, and
// what the device fills fits its header (vsock-guest.c looks).
#include "tests/unit/vsock-guest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OWNERS 64

struct input {
	const uint8_t *data;
	size_t len;
};

static struct input input;
static struct guest guest;
static char bytes[16384];

static struct owner {
	struct vsock_conn *conn;
} owners[OWNERS];

static uint8_t next(void)
{
	if (input.len == 0)
		return 0;
	input.len--;
	return *input.data++;
}

// Small numbers, large ones, and those at the edges.
static uint32_t next_size(void)
{
	uint8_t byte = next();

	switch (byte & 7) {
	case 0:
		return 0;
	case 1:
		return byte >> 3;
	case 2:
		return (uint32_t)next() << (byte >> 3);
	case 3:
		return UINT32_MAX - (byte >> 3);
	case 4:
		return VSOCK_BUFFER_SIZE - 16 + (byte >> 3);
	default:
		return ((uint32_t)next() << 8 | next()) % sizeof(bytes);
	}
}

static void act(struct owner *owner)
{
	uint8_t what = next();

	if (!owner->conn)
		return;
	switch (what & 7) {
	case 0:
		vsock_conn_resume(owner->conn);
		break;
	case 1:
		vsock_conn_shutdown(owner->conn, what >> 3 & 3);
		break;
	case 2:
		vsock_conn_close(owner->conn);
		owner->conn = NULL;
		break;
	case 3:
		vsock_conn_send(owner->conn, bytes, next_size() % sizeof(bytes));
		break;
	default:
		break;
	}
}

static size_t on_data(struct vsock_conn *conn, const void *data, size_t len)
{
	struct owner *owner = conn->user;
	uint8_t what = next();

	if (owner->conn != conn || len == 0)
		abort();
	// It is all there to be read.
	for (size_t i = 0; i < len; i += 512)
		bytes[0] ^= ((const char *)data)[i];
	if (what & 1)
		act(owner);
	return what & 2 ? len : next() % (len + 1);
}

static void on_shutdown(struct vsock_conn *conn, uint32_t flag)
{
	struct owner *owner = conn->user;

	if (owner->conn != conn || (flag != 1 && flag != 2))
		abort();
	act(owner);
}

static void on_space(struct vsock_conn *conn)
{
	act(conn->user);
}

static void on_closed(struct vsock_conn *conn, bool cut)
{
	struct owner *owner = conn->user;

	(void)cut;
	if (owner->conn != conn)
		abort();
	owner->conn = NULL;
	act(&owners[next() % OWNERS]);
}

static bool on_connect(struct vsock_port *port, struct vsock_conn *conn)
{
	static const struct vsock_conn_ops ops = {
		.data = on_data, .shutdown = on_shutdown, .space = on_space, .closed = on_closed
	};
	(void)port;
	for (size_t i = 0; i < OWNERS; i++)
		if (!owners[i].conn) {
			owners[i].conn = conn;
			conn->ops = &ops;
			conn->user = &owners[i];
			act(&owners[i]);
			if (!owners[i].conn)
				return true; // closed at once
			return true;
		}
	return false;
}

static void put_packet(void)
{
	uint8_t odd = next();
	struct virtio_vsock_hdr header = {
		.src_cid = odd == 1 ? next() : VSOCK_GUEST_CID,
		.dst_cid = odd == 2 ? next() : VSOCK_HOST_CID,
		.src_port = next() % 8,
		.dst_port = odd == 3 ? next() : 1,
		.type = odd == 4 ? next() : VIRTIO_VSOCK_TYPE_STREAM,
		.op = next() % 9,
		.flags = next() % 4,
		.buf_alloc = odd & 8 ? next_size() : GUEST_CREDIT,
		.fwd_cnt = odd & 16 ? next_size() : 0,
	};
	uint32_t len = header.op == VIRTIO_VSOCK_OP_RW ? next_size() % sizeof(bytes) : 0;

	header.len = odd == 5 ? next_size() : len;
	guest_put(&guest, &header, bytes, len);
}

static void put_chain(void)
{
	struct guest_piece pieces[8];
	size_t count = next() % 8 + 1U;

	for (size_t i = 0; i < count; i++) {
		pieces[i].len = next_size() % 4096;
		pieces[i].data = bytes + next();
		pieces[i].at = next() & 1 ? next_size() : 0;
	}
	guest_put_chain(&guest, pieces, count);
}

static void step(void)
{
	switch (next() % 12) {
	case 0:
		guest_poll(&guest);
		break;
	case 1:
		guest.no_buffers = next() & 1;
		break;
	case 2:
		if (guest.buffers == 0)
			guest_put_buffers(&guest, next() % GUEST_QUEUE_SIZE);
		break;
	case 3:
	case 4:
	case 5:
		act(&owners[next() % OWNERS]);
		break;
	case 6:
		put_chain();
		break;
	case 7:
		if (next() % 8 == 0)
			vsock_transport_reset(guest.vsock);
		// Perhaps too small for a header.
		guest.buffer_len = next() % 8 == 0 ? next() : 0;
		break;
	default:
		put_packet();
		break;
	}
	if (vsock_memory_bytes(guest.vsock) > (size_t)VSOCK_CONNS_MAX * VSOCK_BUFFER_SIZE)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vsock_port port = { .port = 1, .connect = on_connect };

	input = (struct input){ data, size };
	memset(owners, 0, sizeof(owners));
	guest_init(&guest, NULL);
	vsock_listen(guest.vsock, &port);
	while (input.len > 0)
		step();
	guest_free(&guest);
	for (size_t i = 0; i < OWNERS; i++)
		if (owners[i].conn)
			abort();
	return 0;
}
