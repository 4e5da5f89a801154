#include "vm-mode/devices/vsock-conn.h"

#include <stdlib.h>
#include <string.h>

#define BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

// ---- host to guest ----

uint32_t conn_credit(const struct conn *conn)
{
	uint32_t under_way = conn->sent - conn->guest_forwarded;

	return under_way < conn->guest_buffer ? conn->guest_buffer - under_way : 0;
}

static ssize_t put(struct conn *conn, uint16_t op, const void *data, size_t len)
{
	struct virtio_vsock_hdr header = {
		.src_cid = VSOCK_HOST_CID,
		.dst_cid = VSOCK_GUEST_CID,
		.src_port = conn->port,
		.dst_port = conn->guest_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.flags = op == VIRTIO_VSOCK_OP_SHUTDOWN ? conn->our_shut : 0,
		.buf_alloc = VSOCK_BUFFER_SIZE,
		.fwd_cnt = conn->forwarded,
	};
	ssize_t n = vsock_put_packet(conn->vsock, &header, data, len);

	if (n < 0)
		return n;
	conn->told_forwarded = conn->forwarded;
	conn->pending &= ~PENDING_CREDIT_UPDATE; // every packet tells it
	return n;
}

bool conn_flush(struct conn *conn)
{
	static const struct {
		unsigned int pending;
		uint16_t op;
	} packets[] = {
		{ PENDING_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE },
		{ PENDING_SHUTDOWN, VIRTIO_VSOCK_OP_SHUTDOWN },
		{ PENDING_CREDIT_UPDATE, VIRTIO_VSOCK_OP_CREDIT_UPDATE },
		{ PENDING_CREDIT_REQUEST, VIRTIO_VSOCK_OP_CREDIT_REQUEST },
		{ PENDING_RST, VIRTIO_VSOCK_OP_RST },
	};

	if (conn->gone)
		conn->pending = 0;
	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]) && conn->pending; i++) {
		if (!(conn->pending & packets[i].pending))
			continue;
		if (put(conn, packets[i].op, NULL, 0) < 0)
			return false;
		conn->pending &= ~packets[i].pending;
		if (packets[i].op == VIRTIO_VSOCK_OP_RST)
			conn->gone = true;
	}
	return true;
}

ssize_t vsock_conn_send(struct vsock_conn *conn, const void *data, size_t len)
{
	struct conn *self = conn_of(conn);
	size_t done = 0;

	if (self->our_shut & VIRTIO_VSOCK_SHUTDOWN_SEND ||
	    self->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV || self->gone)
		return -EPIPE;
	vsock_enter(self->vsock);
	bool open = conn_flush(self);
	while (open && done < len) {
		size_t now = smaller(len - done, conn_credit(self));
		if (now == 0) {
			// The guest's updates are its own choice; asked, it must tell.
			self->pending |= PENDING_CREDIT_REQUEST;
			break;
		}
		ssize_t n = put(self, VIRTIO_VSOCK_OP_RW, (const char *)data + done, now);
		if (n < 0)
			break;
		done += (size_t)n;
		self->sent += (uint32_t)n;
	}
	self->short_of_space = done < len;
	vsock_leave(self->vsock);
	return (ssize_t)done;
}

// ---- guest to host ----

static bool ring_put(struct conn *conn, const char *data, size_t len)
{
	if (!conn->ring)
		conn->ring = malloc(VSOCK_BUFFER_SIZE);
	if (!conn->ring || len > VSOCK_BUFFER_SIZE - conn->ring_len)
		return false;
	size_t at = (conn->ring_start + conn->ring_len) % VSOCK_BUFFER_SIZE;
	size_t first = smaller(len, VSOCK_BUFFER_SIZE - at);
	memcpy(conn->ring + at, data, first);
	memcpy(conn->ring, data + first, len - first);
	conn->ring_len += len;
	return true;
}

static void forward(struct conn *conn, size_t len)
{
	conn->forwarded += (uint32_t)len;
	if (conn->forwarded - conn->told_forwarded >= VSOCK_BUFFER_SIZE / 4)
		conn->pending |= PENDING_CREDIT_UPDATE;
}

// Whether data is for nobody.
static bool is_deaf(const struct conn *conn)
{
	return conn->disowned || conn->our_shut & VIRTIO_VSOCK_SHUTDOWN_RCV;
}

static size_t offer(struct conn *conn, const char *data, size_t len)
{
	if (conn->paused)
		return 0;
	conn->delivering = true;
	size_t taken = conn->base.ops->data(&conn->base, data, len);
	conn->delivering = false;
	if (taken < len)
		conn->paused = true;
	forward(conn, taken);
	return taken;
}

void conn_deliver(struct conn *conn, const char *data, size_t len)
{
	size_t taken = is_deaf(conn) || conn->ring_len > 0 ? 0 : offer(conn, data, len);

	if (is_deaf(conn))
		forward(conn, len - taken);
	else if (taken < len && !ring_put(conn, data + taken, len - taken))
		conn_abort(conn);
}

static void drain(struct conn *conn)
{
	while (conn->ring_len > 0 && !conn->paused && !is_deaf(conn)) {
		size_t len = smaller(conn->ring_len, VSOCK_BUFFER_SIZE - conn->ring_start);
		size_t taken = offer(conn, conn->ring + conn->ring_start, len);

		if (conn->disowned) // it has closed the connection: nothing is left
			break;
		conn->ring_start = (conn->ring_start + taken) % VSOCK_BUFFER_SIZE;
		conn->ring_len -= taken;
	}
	if (is_deaf(conn)) {
		forward(conn, conn->ring_len);
		conn->ring_len = 0;
	}
}

void vsock_conn_resume(struct vsock_conn *conn)
{
	struct conn *self = conn_of(conn);

	if (self->delivering)
		return;
	vsock_enter(self->vsock);
	self->paused = false;
	drain(self);
	conn_settle(self);
	vsock_leave(self->vsock);
}

size_t vsock_conn_buffered(const struct vsock_conn *conn)
{
	return ((const struct conn *)conn)->ring_len;
}

// ---- ends ----

static void tell_closed(struct conn *conn, bool cut)
{
	if (conn->disowned)
		return;
	conn->disowned = true;
	if (conn->base.ops)
		conn->base.ops->closed(&conn->base, cut);
}

static void tell_shutdown(struct conn *conn, uint32_t flag)
{
	if (!(conn->guest_shut & flag) || conn->told_shut & flag || conn->disowned)
		return;
	conn->told_shut |= flag;
	if (conn->base.ops->shutdown)
		conn->base.ops->shutdown(&conn->base, flag);
}

void conn_settle(struct conn *conn)
{
	tell_shutdown(conn, VIRTIO_VSOCK_SHUTDOWN_RCV);
	if (conn->ring_len > 0 || conn->delivering)
		return;
	tell_shutdown(conn, VIRTIO_VSOCK_SHUTDOWN_SEND);
	if (conn->gone) {
		tell_closed(conn, conn->cut);
	} else if (conn->guest_shut == BOTH) {
		// The answer that the guest waits for before it uses its port again (5.10.6.6).
		conn->pending |= PENDING_RST;
		tell_closed(conn, false);
	}
}

void conn_lost(struct conn *conn)
{
	conn->gone = true;
	conn->cut = !(conn->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND);
	conn_settle(conn);
}

void conn_abort(struct conn *conn)
{
	if (!conn->gone)
		conn->pending |= PENDING_RST;
	conn->ring_len = 0;
	tell_closed(conn, true);
}

void vsock_conn_shutdown(struct vsock_conn *conn, uint32_t flags)
{
	struct conn *self = conn_of(conn);

	if ((self->our_shut | flags) == self->our_shut)
		return;
	vsock_enter(self->vsock);
	self->our_shut |= flags & BOTH;
	self->pending |= PENDING_SHUTDOWN;
	if (!self->delivering) {
		drain(self);
		conn_settle(self);
	}
	vsock_leave(self->vsock);
}

void vsock_conn_close(struct vsock_conn *conn)
{
	struct conn *self = conn_of(conn);

	vsock_enter(self->vsock);
	self->disowned = true;
	conn_abort(self);
	vsock_leave(self->vsock);
}

void conn_free(struct conn *conn)
{
	free(conn->ring);
	free(conn);
}
