#include "tests/unit/vsock-guest.h"

#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

// Where things lie in memory.
#define QUEUE_AREA   0x4000
#define RX_BUFFERS   0x40000
#define TX_BUFFERS   0x100000
#define TX_BUFFER    ((GUEST_RAM_SIZE - TX_BUFFERS) / GUEST_QUEUE_SIZE) // 16 KiB
#define EVENT_BUFFER 0xe0000

static struct vring_desc *descs(struct guest *guest, int queue)
{
	return (struct vring_desc *)(guest->ram + guest->queues[queue].at);
}

static struct vring_avail *avail(struct guest *guest, int queue)
{
	return (struct vring_avail *)(guest->ram + guest->queues[queue].at + 0x2000);
}

static struct vring_used *used(struct guest *guest, int queue)
{
	return (struct vring_used *)(guest->ram + guest->queues[queue].at + 0x3000);
}

static void make_available(struct guest *guest, int queue, uint16_t head)
{
	struct guest_queue *q = &guest->queues[queue];

	avail(guest, queue)->ring[q->avail % q->size] = head;
	avail(guest, queue)->idx = ++q->avail;
}

int guest_kick(struct guest *guest, unsigned int queue)
{
	if (!guest->dev->started)
		return 0;
	guest->kick_result = guest->dev->ops->kick(guest->dev, queue, &guest->err);
	return guest->kick_result;
}

// As a driver does it, which kicks only where the device wants to know.
static int kick_if_wanted(struct guest *guest, int queue)
{
	return used(guest, queue)->flags & VRING_USED_F_NO_NOTIFY ?
		       0 :
		       guest_kick(guest, (unsigned int)queue);
}

void guest_put_buffers(struct guest *guest, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		// Buffers are used in the order in which they were put out: so is their number free.
		uint16_t slot = guest->queues[0].avail % GUEST_QUEUE_SIZE;

		descs(guest, 0)[slot] = (struct vring_desc){
			.addr = RX_BUFFERS + (uint64_t)slot * GUEST_BUFFER_SIZE,
			.len = guest->buffer_len ? guest->buffer_len : GUEST_BUFFER_SIZE,
			.flags = VRING_DESC_F_WRITE,
		};
		make_available(guest, 0, slot);
		guest->buffers++;
	}
	if (count)
		kick_if_wanted(guest, 0);
}

// As the transport does it.
static void on_fail(struct device *dev, const struct err *why)
{
	(void)why;
	dev->started = false;
	dev->ops->reset(dev);
	memset(dev->queues, 0, sizeof(dev->queues));
}

void guest_init(struct guest *guest, struct loop *loop)
{
	memset(guest, 0, sizeof(*guest));
	guest->ram = calloc(1, GUEST_RAM_SIZE);
	if (!guest->ram || vsock_create(&guest->vsock, &guest->err) < 0)
		abort();
	guest->memory.ranges[0] = (struct guest_range){ .size = GUEST_RAM_SIZE,
							.host = guest->ram };
	guest->memory.count = 1;
	guest->memory.fd = -1;
	guest->next_port = 1024;
	guest->dev = vsock_device(guest->vsock);
	guest->dev->env = (struct dev_env){
		.memory = &guest->memory, .loop = loop, .irq.fd = -1, .name = "vsock"
	};
	static atomic_uint status;
	guest->dev->env.irq.status = &status;
	for (int i = 0; i < 3; i++) {
		guest->queues[i].size = GUEST_QUEUE_SIZE;
		guest->queues[i].at = (uint64_t)QUEUE_AREA * (uint64_t)(i + 1);
		const struct queue_setup setup = {
			.size = GUEST_QUEUE_SIZE,
			.desc = guest->queues[i].at,
			.avail = guest->queues[i].at + 0x2000,
			.used = guest->queues[i].at + 0x3000,
		};
		if (queue_init(&guest->dev->queues[i], &guest->memory, &setup, &guest->err) < 0)
			abort();
	}
	guest->dev->fail = on_fail;
	guest->dev->started = true;
	if (guest->dev->ops->start(guest->dev, &guest->err) < 0)
		abort();
	descs(guest, 2)[0] =
		(struct vring_desc){ .addr = EVENT_BUFFER, .len = 8, .flags = VRING_DESC_F_WRITE };
	make_available(guest, 2, 0);
	guest_put_buffers(guest, GUEST_QUEUE_SIZE);
}

void guest_free(struct guest *guest)
{
	guest->dev->ops->close(guest->dev);
	for (size_t i = 0; i < GUEST_CONNS_MAX; i++)
		free(guest->conns[i].data);
	free(guest->ram);
}

int guest_put_chain(struct guest *guest, const struct guest_piece *pieces, size_t count)
{
	struct guest_queue *q = &guest->queues[1];
	// One chain at a time where it has more than one piece: the device is done when it returns,
	// unless it stalls; then its place is not used again before.
	uint16_t head = (uint16_t)((unsigned int)q->avail * 8 % GUEST_QUEUE_SIZE);
	uint64_t at = TX_BUFFERS + (uint64_t)head * TX_BUFFER;

	for (size_t i = 0; i < count; i++) {
		const struct guest_piece *piece = &pieces[i];

		if (!piece->at && piece->len)
			memcpy(guest->ram + at, piece->data, piece->len);
		descs(guest, 1)[head + i] = (struct vring_desc){
			.addr = piece->at ? piece->at : at,
			.len = piece->len,
			.flags = i + 1 < count ? VRING_DESC_F_NEXT : 0,
			.next = (uint16_t)(head + i + 1),
		};
		at += piece->len;
	}
	make_available(guest, 1, head);
	return kick_if_wanted(guest, 1);
}

int guest_put(struct guest *guest, const struct virtio_vsock_hdr *header, const void *data,
	      uint32_t len)
{
	const struct guest_piece pieces[] = {
		{ .data = header, .len = sizeof(*header) },
		{ .data = data, .len = len },
	};

	return guest_put_chain(guest, pieces, len ? 2 : 1);
}

static void store(struct guest_conn *conn, const char *data, size_t len)
{
	if (conn->len + len > conn->cap) {
		conn->cap = (conn->len + len) * 2;
		conn->data = realloc(conn->data, conn->cap);
		if (!conn->data)
			abort();
	}
	if (len)
		memcpy(conn->data + conn->len, data, len);
	conn->len += len;
	conn->received += (uint32_t)len;
}

static void take(struct guest *guest, const struct virtio_vsock_hdr *header, const char *data)
{
	struct guest_conn *conn = NULL;

	for (size_t i = 0; i < GUEST_CONNS_MAX && !conn; i++)
		if (guest->conns[i].used && guest->conns[i].local == header->dst_port &&
		    guest->conns[i].port == header->src_port && !guest->conns[i].reset)
			conn = &guest->conns[i];
	guest->packets++;
	if (!conn) {
		guest->strays++;
		return;
	}
	conn->host_buffer = header->buf_alloc;
	conn->host_forwarded = header->fwd_cnt;
	switch (header->op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		conn->open = true;
		break;
	case VIRTIO_VSOCK_OP_RST:
		guest->refusals += !conn->open;
		conn->reset = true;
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		conn->host_shut |= header->flags;
		break;
	case VIRTIO_VSOCK_OP_RW:
		store(conn, data, header->len);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		conn->credit_requests++;
		break;
	default:
		conn->credit_updates++;
		break;
	}
}

unsigned int guest_poll(struct guest *guest)
{
	struct guest_queue *q = &guest->queues[0];
	unsigned int count = 0;

	while (used(guest, 0)->idx != q->seen) {
		unsigned int batch = 0;

		for (; used(guest, 0)->idx != q->seen; q->seen++, batch++) {
			struct vring_used_elem *elem = &used(guest, 0)->ring[q->seen % q->size];
			char *packet = guest->ram + descs(guest, 0)[elem->id].addr;
			struct virtio_vsock_hdr header;

			memcpy(&header, packet, sizeof(header));
			if (elem->len != sizeof(header) + header.len)
				abort();
			take(guest, &header, packet + sizeof(header));
			guest->buffers--;
		}
		count += batch;
		if (!guest->no_buffers)
			guest_put_buffers(guest, batch);
	}
	return count;
}

int guest_op(struct guest *guest, struct guest_conn *conn, uint16_t op, uint32_t flags)
{
	const struct virtio_vsock_hdr header = {
		.src_cid = VSOCK_GUEST_CID,
		.dst_cid = VSOCK_HOST_CID,
		.src_port = conn->local,
		.dst_port = conn->port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.flags = flags,
		.buf_alloc = conn->buffer,
		.fwd_cnt = conn->forwarded,
	};

	return guest_put(guest, &header, NULL, 0);
}

struct guest_conn *guest_connect(struct guest *guest, uint32_t port)
{
	size_t i = 0;

	while (guest->conns[i].used && !guest->conns[i].reset)
		i++;
	struct guest_conn *conn = &guest->conns[i];
	free(conn->data);
	*conn = (struct guest_conn){
		.used = true, .local = guest->next_port++, .port = port, .buffer = GUEST_CREDIT
	};
	guest_op(guest, conn, VIRTIO_VSOCK_OP_REQUEST, 0);
	guest_poll(guest);
	return conn;
}

size_t guest_write(struct guest *guest, struct guest_conn *conn, const void *data, size_t len)
{
	size_t done = 0;

	while (done < len && !conn->reset) {
		uint32_t credit = conn->host_buffer - (conn->sent - conn->host_forwarded);
		size_t now = len - done < 8192 ? len - done : 8192;
		struct virtio_vsock_hdr header = {
			.src_cid = VSOCK_GUEST_CID,
			.dst_cid = VSOCK_HOST_CID,
			.src_port = conn->local,
			.dst_port = conn->port,
			.type = VIRTIO_VSOCK_TYPE_STREAM,
			.op = VIRTIO_VSOCK_OP_RW,
			.buf_alloc = conn->buffer,
			.fwd_cnt = conn->forwarded,
		};

		if (now > credit)
			now = credit;
		if (now == 0)
			break;
		header.len = (uint32_t)now;
		if (guest_put(guest, &header, (const char *)data + done, (uint32_t)now) < 0)
			break;
		conn->sent += (uint32_t)now;
		done += now;
		guest_poll(guest);
	}
	return done;
}

size_t guest_read(struct guest *guest, struct guest_conn *conn, void *data, size_t len)
{
	if (len > conn->len)
		len = conn->len;
	if (len == 0)
		return 0;
	memcpy(data, conn->data, len);
	conn->len -= len;
	memmove(conn->data, conn->data + len, conn->len);
	conn->forwarded += (uint32_t)len;
	if (!conn->hold && !conn->reset) {
		guest_op(guest, conn, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
		guest_poll(guest);
	}
	return len;
}
