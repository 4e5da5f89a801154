// vsock-echo: an owner of the socket device's connections, for devices that are tormented: it takes half of
// what comes, and answers with all of it.
#pragma once

#include "vm-mode/devices/vsock.h"

#include <stdbool.h>
#include <stddef.h>

static inline size_t vsock_echo_data(struct vsock_conn *conn, const void *data, size_t len)
{
	vsock_conn_send(conn, data, len);
	return (len + 1) / 2;
}

static inline void vsock_echo_closed(struct vsock_conn *conn, bool cut)
{
	(void)conn;
	(void)cut;
}

// struct vsock_port's `connect`.
static inline bool vsock_echo_connect(struct vsock_port *port, struct vsock_conn *conn)
{
	static const struct vsock_conn_ops ops = { .data = vsock_echo_data,
						   .closed = vsock_echo_closed };

	(void)port;
	conn->ops = &ops;
	return true;
}
