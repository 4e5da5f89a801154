// vsock-conn: a connection of the socket device, between its owner (vsock.h) and its packets
// (vsock.c). Private to the device.
//
// A connection ends on two sides, in either order: `gone`, the guest knows it no more; `disowned`,
// its owner does. It is freed by vsock_leave() when both are true.
#pragma once

#include "vm-mode/devices/vsock.h"

// Packets that a connection still has to send, once the guest has put out buffers. In this order.
#define PENDING_RESPONSE       1U
#define PENDING_SHUTDOWN       2U
#define PENDING_CREDIT_UPDATE  4U
#define PENDING_CREDIT_REQUEST 8U
#define PENDING_RST	       16U

#define STRAYS_MAX 64

struct conn {
	struct vsock_conn base; // first: a struct vsock_conn * is one of these
	struct vsock *vsock;
	uint32_t guest_port, port;
	bool gone, disowned;
	bool cut;		       // gone without having said that it sends no more
	unsigned int pending;	       // PENDING_
	uint32_t guest_shut, our_shut; // VIRTIO_VSOCK_SHUTDOWN_
	uint32_t told_shut;	       // of guest_shut, what the owner knows
	bool paused, delivering, short_of_space;

	// Free-running counts of bytes (5.10.6.3).
	uint32_t sent, guest_forwarded, guest_buffer; // host to guest
	uint32_t received, forwarded, told_forwarded; // guest to host

	// What the owner hasn't taken: a ring of VSOCK_BUFFER_SIZE, NULL until needed.
	char *ring;
	size_t ring_start, ring_len;
};

// A refusal that belongs to no connection.
struct stray {
	uint32_t guest_port, port;
	uint16_t type;
};

struct vsock {
	struct device dev; // first
	struct vsock_port *ports;
	struct conn *conns[VSOCK_CONNS_MAX];
	size_t conn_count, next_for_space;
	struct stray strays[STRAYS_MAX];
	size_t stray_count;
	unsigned int depth; // of vsock_enter()
	bool in_kick, failed, failure_told;
	struct err failure;
	struct chain out, in; // of the queues that the device reads, and writes
};

enum { QUEUE_RX, QUEUE_TX, QUEUE_EVENT };

static inline struct conn *conn_of(struct vsock_conn *conn)
{
	return (struct conn *)conn;
}

// Around all that may send or free. The outermost leave sends what is pending, raises the
// interrupt, and frees what has ended.
void vsock_enter(struct vsock *vsock);
void vsock_leave(struct vsock *vsock);

// One packet of this connection, with as much of the data as fits: the data bytes sent, 0 or
// more; -EAGAIN: the guest has put out no buffer; -EPROTO: the queue is broken.
ssize_t vsock_put_packet(struct vsock *vsock, struct virtio_vsock_hdr *header, const void *data,
			 size_t len);

// Sends what is pending; false when some of it has to wait.
bool conn_flush(struct conn *conn);

// How many more bytes the guest has room for.
uint32_t conn_credit(const struct conn *conn);

// `len` bytes have come. The caller has checked the credit, and counts them in `received`.
void conn_deliver(struct conn *conn, const char *data, size_t len);

// Tells the owner of shutdowns that are due, and ends the connection when both sides are done.
void conn_settle(struct conn *conn);

// The guest knows it no more. What it has sent is still delivered before the owner is told.
void conn_lost(struct conn *conn);

// Cuts it from our side, with a RST unless it is gone; what the owner hasn't taken is dropped.
void conn_abort(struct conn *conn);

void conn_free(struct conn *conn);
