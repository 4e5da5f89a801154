// vsock-guest: a guest's vsock driver in plain memory, to play guests against the device.
//
// It keeps the rules unless told otherwise: connections have credit both ways, buffers go back into
// the queue once they are read. A test looks into the structures; nothing here is hidden.
#pragma once

#include "vm-mode/devices/vsock.h"

#define GUEST_RAM_SIZE	  ((size_t)2 * 1024 * 1024)
#define GUEST_QUEUE_SIZE  64
#define GUEST_BUFFER_SIZE 4096 // of what the device fills, as Linux has it
#define GUEST_CONNS_MAX	  512
#define GUEST_CREDIT	  ((uint32_t)256 * 1024)

// A connection, as the guest sees it.
struct guest_conn {
	uint32_t local, port;
	bool used, open, reset;
	uint32_t host_shut;			    // what the host has shut down
	uint32_t sent, host_forwarded, host_buffer; // guest to host
	uint32_t received, forwarded;		    // host to guest
	uint32_t buffer;			    // the credit that it gives
	bool hold;				    // doesn't read: no credit comes back
	unsigned int credit_requests, credit_updates;
	char *data; // what has come and was not taken by guest_read()
	size_t len, cap;
};

struct guest_queue {
	uint16_t size, avail, seen; // seen: of the used ring
	uint64_t at;		    // where its areas lie
};

struct guest {
	struct guest_memory memory;
	char *ram;
	struct vsock *vsock;
	struct device *dev;
	struct guest_queue queues[3];
	bool no_buffers;      // puts none back
	unsigned int buffers; // with the device
	uint32_t buffer_len;  // of those that it puts out; 0: GUEST_BUFFER_SIZE
	unsigned int packets, strays, refusals;
	struct guest_conn conns[GUEST_CONNS_MAX];
	uint32_t next_port;
	int kick_result;
	struct err err;
};

// Makes a device and starts it, with its buffers put out.
void guest_init(struct guest *guest, struct loop *loop);
void guest_free(struct guest *guest);

// One piece of a chain for the device to read: at most 8 of them. `at` is an address that is used
// as it is, or 0: the data is put into memory.
struct guest_piece {
	const void *data;
	uint64_t at;
	uint32_t len;
};
int guest_put_chain(struct guest *guest, const struct guest_piece *pieces, size_t count);

// A packet with this header; its len is taken as it is.
int guest_put(struct guest *guest, const struct virtio_vsock_hdr *header, const void *data,
	      uint32_t len);

// Reads what the device has filled, and puts the buffers back. Returns the number of packets.
unsigned int guest_poll(struct guest *guest);
void guest_put_buffers(struct guest *guest, unsigned int count);

// Kicks a queue by hand.
int guest_kick(struct guest *guest, unsigned int queue);

struct guest_conn *guest_connect(struct guest *guest, uint32_t port);
// Another packet of a connection.
int guest_op(struct guest *guest, struct guest_conn *conn, uint16_t op, uint32_t flags);
// As much as there is credit for; returns that.
size_t guest_write(struct guest *guest, struct guest_conn *conn, const void *data, size_t len);
// Takes up to `len` bytes that have come, and tells the host of the room where that is due.
size_t guest_read(struct guest *guest, struct guest_conn *conn, void *data, size_t len);
