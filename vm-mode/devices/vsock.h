// vsock: the socket device, by which the guest's agent talks with the VMM.
//
// Stream sockets only, opened by the guest only, to CID 2 and to ports that someone here listens at;
// all else is refused with RST. There are no sockets behind a connection: who listens gets calls, in
// the loop's thread. Nothing is queued without a bound: what the guest sends waits in one buffer a
// connection, whose size is the credit that the guest is given; what is sent to it goes at once into
// buffers that it has put out, or is not taken.
//
// VIRTIO 1.2, "Socket Device" (5.10); linux/virtio_vsock.h.
#pragma once

#include "base/err.h"
#include "vm-mode/virtio/device.h"

#include <linux/virtio_vsock.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define VSOCK_GUEST_CID 3
#define VSOCK_HOST_CID	2
#define VSOCK_CONNS_MAX 256
#define VSOCK_BUFFER_SIZE \
	((uint32_t)128 * 1024) // a connection's, allocated when it is first needed

struct vsock;
struct vsock_conn;

// What the owner of a connection is told. In each it may use any function below, on any connection.
struct vsock_conn_ops {
	// `len` > 0 bytes from the guest. `data` may be the guest's own memory: what is decided by
	// is copied first. Returns how many are taken; once that is fewer than `len`, there is no
	// call until vsock_conn_resume().
	size_t (*data)(struct vsock_conn *conn, const void *data, size_t len);

	// The guest has shut down a direction: VIRTIO_VSOCK_SHUTDOWN_SEND comes once, after all data
	// has been taken; VIRTIO_VSOCK_SHUTDOWN_RCV once: it will read no more. May be NULL.
	void (*shutdown)(struct vsock_conn *conn, uint32_t flag);

	// vsock_conn_send() has taken less than it was offered, and now takes more. May be NULL.
	void (*space)(struct vsock_conn *conn);

	// It is over, and `conn` is no more after this; all that came has been offered and taken,
	// unless the guest broke a rule. `cut`: without an orderly end, so that data may be missing.
	void (*closed)(struct vsock_conn *conn, bool cut);
};

struct vsock_conn {
	const struct vsock_conn_ops *ops;
	void *user;
};

// A port that is listened at: the structure is its owner's.
struct vsock_port {
	uint32_t port;
	// A guest connects: sets conn->ops and conn->user and returns true, or refuses it.
	bool (*connect)(struct vsock_port *port, struct vsock_conn *conn);
	struct vsock_port *next; // private
};

// The device's operations are in vsock_device(); its environment is the transport's to set.
int vsock_create(struct vsock **vsock, struct err *err);
struct device *vsock_device(struct vsock *vsock);
void vsock_listen(struct vsock *vsock, struct vsock_port *port);
void vsock_unlisten(struct vsock *vsock, struct vsock_port *port);

// After the guest's memory was restored from elsewhere: all connections are cut, and the guest is
// told by VIRTIO_VSOCK_EVENT_TRANSPORT_RESET (5.10.6.7).
void vsock_transport_reset(struct vsock *vsock);

// Sends what fits the guest's credit and the buffers that it has put out. Returns the number of
// bytes taken, perhaps 0; -EPIPE when the guest reads no more, or after SHUTDOWN_SEND.
ssize_t vsock_conn_send(struct vsock_conn *conn, const void *data, size_t len);

// The owner takes data again. ops->data may be called before this returns.
void vsock_conn_resume(struct vsock_conn *conn);

// VIRTIO_VSOCK_SHUTDOWN_SEND: we send no more. VIRTIO_VSOCK_SHUTDOWN_RCV: we take no more, the
// guest's writers get EPIPE; what still comes is dropped.
void vsock_conn_shutdown(struct vsock_conn *conn, uint32_t flags);

// Cuts it (RST): `conn` is no more the owner's, who isn't called again.
void vsock_conn_close(struct vsock_conn *conn);

// The bytes from the guest that its owner has not taken yet.
size_t vsock_conn_buffered(const struct vsock_conn *conn);

// Bytes held in the buffers of all connections: for tests and figures.
size_t vsock_memory_bytes(const struct vsock *vsock);
