#include "vm-mode/devices/vsock.h"

#include "base/log.h"
#include "base/scope.h"
#include "vm-mode/devices/vsock-conn.h"

#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LEN sizeof(struct virtio_vsock_hdr)
#define TURNS_MAX  32 // packets of the guest's at a kick

// ---- to the guest ----

static int fail(struct vsock *vsock, const struct err *err)
{
	if (!vsock->failed)
		vsock->failure = *err;
	vsock->failed = true;
	return -EPROTO;
}

// The guest's next buffer to be filled: 1, 0 or -EPROTO. Kicks for such buffers are wanted only
// after there was none: else each one that the driver puts back would be an exit.
static int pop_buffer(struct vsock *vsock)
{
	struct queue *queue = &vsock->dev.queues[QUEUE_RX];
	struct err err;

	if (vsock->failed || !vsock->dev.started)
		return 0;
	int ret = queue_pop(queue, &vsock->in, &err);
	if (ret == 0) {
		queue_want_kicks(queue, true);
		ret = queue_pop(queue, &vsock->in, &err);
	}
	if (ret < 0)
		return fail(vsock, &err);
	if (ret > 0 && vsock->in.in_bytes <= HEADER_LEN) {
		err_set(&err, EPROTO, "a buffer of %zu bytes is too small for a packet",
			vsock->in.in_bytes);
		return fail(vsock, &err);
	}
	return ret;
}

ssize_t vsock_put_packet(struct vsock *vsock, struct virtio_vsock_hdr *header, const void *data,
			 size_t len)
{
	int ret = pop_buffer(vsock);

	if (ret <= 0)
		return ret < 0 ? ret : -EAGAIN;
	if (len > vsock->in.in_bytes - HEADER_LEN)
		len = vsock->in.in_bytes - HEADER_LEN;
	header->len = (uint32_t)len;
	chain_write(&vsock->in, 0, header, HEADER_LEN);
	chain_write(&vsock->in, HEADER_LEN, data, len);
	queue_push(&vsock->dev.queues[QUEUE_RX], vsock->in.head, (uint32_t)(HEADER_LEN + len));
	return (ssize_t)len;
}

static bool flush_strays(struct vsock *vsock)
{
	while (vsock->stray_count > 0) {
		const struct stray *stray = &vsock->strays[vsock->stray_count - 1];
		struct virtio_vsock_hdr header = {
			.src_cid = VSOCK_HOST_CID,
			.dst_cid = VSOCK_GUEST_CID,
			.src_port = stray->port,
			.dst_port = stray->guest_port,
			.type = stray->type,
			.op = VIRTIO_VSOCK_OP_RST,
		};

		if (vsock_put_packet(vsock, &header, NULL, 0) < 0)
			return false;
		vsock->stray_count--;
	}
	return true;
}

static void flush(struct vsock *vsock)
{
	bool room = flush_strays(vsock);

	for (size_t i = 0; i < vsock->conn_count && room; i++)
		room = conn_flush(vsock->conns[i]);
}

static void reap(struct vsock *vsock)
{
	for (size_t i = 0; i < vsock->conn_count;) {
		struct conn *conn = vsock->conns[i];

		if (conn->gone && conn->disowned) {
			vsock->conns[i] = vsock->conns[--vsock->conn_count];
			conn_free(conn);
		} else {
			i++;
		}
	}
}

// The guest knows no connection any more.
static void lose_all(struct vsock *vsock)
{
	vsock->stray_count = 0;
	for (size_t i = 0; i < vsock->conn_count; i++)
		if (!vsock->conns[i]->gone)
			conn_lost(vsock->conns[i]);
}

void vsock_enter(struct vsock *vsock)
{
	vsock->depth++;
}

void vsock_leave(struct vsock *vsock)
{
	bool interrupt = false;

	if (vsock->depth > 1) {
		vsock->depth--;
		return;
	}
	flush(vsock);
	if (vsock->failed)
		lose_all(vsock);
	for (unsigned int i = QUEUE_RX; i <= QUEUE_EVENT; i++)
		interrupt |= queue_needs_interrupt(&vsock->dev.queues[i]);
	if (interrupt)
		dev_irq_raise(&vsock->dev.env.irq);
	reap(vsock);
	vsock->depth = 0;
	if (vsock->failed && !vsock->in_kick && !vsock->failure_told && vsock->dev.fail) {
		vsock->failure_told = true;
		vsock->dev.fail(&vsock->dev, &vsock->failure);
	}
}

// ---- from the guest ----

static struct conn *find(struct vsock *vsock, const struct virtio_vsock_hdr *header)
{
	for (size_t i = 0; i < vsock->conn_count; i++) {
		struct conn *conn = vsock->conns[i];

		if (!conn->gone && conn->guest_port == header->src_port &&
		    conn->port == header->dst_port)
			return conn;
	}
	return NULL;
}

// There is room: the queue isn't read when there is none.
static void refuse(struct vsock *vsock, const struct virtio_vsock_hdr *header)
{
	if (header->op != VIRTIO_VSOCK_OP_RST)
		vsock->strays[vsock->stray_count++] = (struct stray){
			.guest_port = header->src_port,
			.port = header->dst_port,
			.type = header->type,
		};
}

static struct vsock_port *find_port(const struct vsock *vsock, uint32_t number)
{
	struct vsock_port *port = vsock->ports;

	while (port && port->port != number)
		port = port->next;
	return port;
}

static void open_conn(struct vsock *vsock, const struct virtio_vsock_hdr *header)
{
	struct vsock_port *port = find_port(vsock, header->dst_port);
	scope_free struct conn *conn = NULL;

	if (port && vsock->conn_count < VSOCK_CONNS_MAX)
		conn = calloc(1, sizeof(*conn));
	if (!conn) {
		refuse(vsock, header);
		return;
	}
	conn->vsock = vsock;
	conn->guest_port = header->src_port;
	conn->port = header->dst_port;
	conn->guest_buffer = header->buf_alloc;
	conn->guest_forwarded = header->fwd_cnt;
	conn->sent = header->fwd_cnt; // both should be 0
	conn->pending = PENDING_RESPONSE;
	if (!port->connect(port, &conn->base)) {
		refuse(vsock, header);
		return;
	}
	vsock->conns[vsock->conn_count++] = take_ptr(&conn);
}

static void receive(struct conn *conn, const struct virtio_vsock_hdr *header)
{
	const struct chain *chain = &conn->vsock->out;
	size_t skip = HEADER_LEN, left = header->len;

	if (conn->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND ||
	    left > VSOCK_BUFFER_SIZE - (conn->received - conn->forwarded)) {
		log_debug("vsock: the guest sends more than it may to port %u", conn->port);
		conn_abort(conn);
		return;
	}
	conn->received += header->len;
	for (size_t i = 0; i < chain->out_count && left > 0; i++) {
		const struct iovec *piece = &chain->out[i];

		if (piece->iov_len <= skip) {
			skip -= piece->iov_len;
			continue;
		}
		size_t now = piece->iov_len - skip < left ? piece->iov_len - skip : left;
		conn_deliver(conn, (const char *)piece->iov_base + skip, now);
		left -= now;
		skip = 0;
	}
}

static void handle(struct conn *conn, const struct virtio_vsock_hdr *header)
{
	conn->guest_buffer = header->buf_alloc;
	conn->guest_forwarded = header->fwd_cnt;
	switch (header->op) {
	case VIRTIO_VSOCK_OP_RW:
		receive(conn, header);
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		conn->guest_shut |= header->flags &
				    (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND);
		conn_settle(conn);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		conn->pending |= PENDING_CREDIT_UPDATE;
		break;
	case VIRTIO_VSOCK_OP_RST:
		conn_lost(conn);
		break;
	default: // a second REQUEST, a RESPONSE to none of ours, an unknown one
		conn_abort(conn);
		break;
	}
}

// Tells owners that wait for it that there is room, from another one on each time.
static void offer_space(struct vsock *vsock)
{
	size_t count = vsock->conn_count, first = vsock->next_for_space++;

	for (size_t i = 0; i < count; i++) {
		struct conn *conn = vsock->conns[(first + i) % count];

		if (!conn->short_of_space || conn->disowned || conn->gone ||
		    conn->pending & PENDING_RESPONSE || conn_credit(conn) == 0)
			continue;
		if (!queue_has_more(&vsock->dev.queues[QUEUE_RX])) {
			// Asks the driver to kick.
			if (pop_buffer(vsock) <= 0)
				return;
			queue_unpop(&vsock->dev.queues[QUEUE_RX]);
		}
		conn->short_of_space = false;
		if (conn->base.ops->space)
			conn->base.ops->space(&conn->base);
	}
}

static void take_packet(struct vsock *vsock, const struct virtio_vsock_hdr *header)
{
	// Nothing is routed: other addresses are none of ours (5.10.6.4.1).
	if (header->src_cid != VSOCK_GUEST_CID || header->dst_cid != VSOCK_HOST_CID)
		return;
	struct conn *conn = find(vsock, header);

	if (header->type != VIRTIO_VSOCK_TYPE_STREAM ||
	    header->len > vsock->out.out_bytes - HEADER_LEN) {
		if (conn && !conn->disowned)
			conn_abort(conn);
		else if (!conn)
			refuse(vsock, header);
	} else if (conn) {
		// One that we have closed only waits to send its RST.
		if (!conn->disowned || header->op == VIRTIO_VSOCK_OP_RST)
			handle(conn, header);
	} else if (header->op == VIRTIO_VSOCK_OP_REQUEST) {
		open_conn(vsock, header);
	} else {
		refuse(vsock, header);
	}
}

// Reads what the guest sends, while refusals can be kept.
static void drain_packets(struct vsock *vsock)
{
	struct queue *queue = &vsock->dev.queues[QUEUE_TX];
	struct virtio_vsock_hdr header;
	struct err err = { 0 };
	int ret = 0;

	for (int turn = 0;
	     !vsock->failed && (vsock->stray_count < STRAYS_MAX || flush_strays(vsock)); turn++) {
		if (turn == TURNS_MAX) {
			dev_kick_again(&vsock->dev, QUEUE_TX);
			break;
		}
		ret = queue_pop(queue, &vsock->out, &err);
		if (ret <= 0)
			break;
		if (chain_read(&vsock->out, 0, &header, HEADER_LEN) < HEADER_LEN) {
			ret = err_set(&err, EPROTO, "a packet of %zu bytes has no header",
				      vsock->out.out_bytes);
			break;
		}
		take_packet(vsock, &header);
		queue_push(queue, vsock->out.head, 0);
	}
	if (ret < 0)
		fail(vsock, &err);
}

// ---- the device ----

static struct vsock *vsock_of(struct device *dev)
{
	return (struct vsock *)dev;
}

static int vsock_kick(struct device *dev, unsigned int queue, struct err *err)
{
	struct vsock *vsock = vsock_of(dev);

	if (queue == QUEUE_EVENT)
		return 0;
	vsock_enter(vsock);
	vsock->in_kick = true;
	if (queue == QUEUE_RX && !vsock->failed) {
		queue_want_kicks(&dev->queues[QUEUE_RX], false);
		flush(vsock);
	}
	// Also after buffers came: refusals that couldn't be sent may have stopped it.
	drain_packets(vsock);
	offer_space(vsock);
	vsock_leave(vsock);
	vsock->in_kick = false;
	if (vsock->failed) {
		*err = vsock->failure;
		return -err->code;
	}
	return 0;
}

static int vsock_start(struct device *dev, struct err *err)
{
	struct vsock *vsock = vsock_of(dev);

	if (dev->queues[QUEUE_RX].setup.size == 0 || dev->queues[QUEUE_TX].setup.size == 0)
		return err_set(err, EPROTO, "the driver has set up no queues");
	vsock->failed = vsock->failure_told = false;
	queue_want_kicks(&dev->queues[QUEUE_RX], false);
	return 0;
}

static void vsock_reset(struct device *dev)
{
	struct vsock *vsock = vsock_of(dev);

	vsock->depth++;
	lose_all(vsock);
	vsock->depth--;
	// Within a call of ours, it frees them itself.
	if (vsock->depth == 0)
		reap(vsock);
	vsock->failed = vsock->failure_told = false;
}

static void vsock_close(struct device *dev)
{
	struct vsock *vsock = vsock_of(dev);

	vsock->depth++;
	for (size_t i = 0; i < vsock->conn_count; i++) {
		vsock->conns[i]->gone = true;
		conn_abort(vsock->conns[i]);
	}
	reap(vsock);
	free(vsock);
}

static void vsock_config_read(struct device *dev, uint64_t offset, void *data, size_t len)
{
	const struct virtio_vsock_config config = { .guest_cid = VSOCK_GUEST_CID };

	(void)dev;
	dev_config_read(&config, sizeof(config), offset, data, len);
}

static const struct device_ops vsock_ops = {
	.id = VIRTIO_ID_VSOCK,
	.queues = 3,
	.queue_size = 256,
	.config_read = vsock_config_read,
	.start = vsock_start,
	.kick = vsock_kick,
	.reset = vsock_reset,
	.close = vsock_close,
};

int vsock_create(struct vsock **vsock, struct err *err)
{
	struct vsock *made = calloc(1, sizeof(*made));

	if (!made)
		return err_sysn(err, ENOMEM, "vsock");
	made->dev.ops = &vsock_ops;
	*vsock = made;
	return 0;
}

struct device *vsock_device(struct vsock *vsock)
{
	return &vsock->dev;
}

void vsock_listen(struct vsock *vsock, struct vsock_port *port)
{
	port->next = vsock->ports;
	vsock->ports = port;
}

void vsock_unlisten(struct vsock *vsock, struct vsock_port *port)
{
	struct vsock_port **at = &vsock->ports;

	while (*at && *at != port)
		at = &(*at)->next;
	if (*at)
		*at = port->next;
}

void vsock_transport_reset(struct vsock *vsock)
{
	const struct virtio_vsock_event event = { .id = VIRTIO_VSOCK_EVENT_TRANSPORT_RESET };
	struct queue *queue = &vsock->dev.queues[QUEUE_EVENT];
	struct err err;

	vsock_enter(vsock);
	lose_all(vsock);
	if (vsock->dev.started && queue->setup.size && queue_pop(queue, &vsock->in, &err) == 1) {
		size_t n = chain_write(&vsock->in, 0, &event, sizeof(event));
		queue_push(queue, vsock->in.head, (uint32_t)n);
	}
	vsock_leave(vsock);
}

size_t vsock_memory_bytes(const struct vsock *vsock)
{
	size_t bytes = 0;

	for (size_t i = 0; i < vsock->conn_count; i++)
		bytes += vsock->conns[i]->ring ? VSOCK_BUFFER_SIZE : 0;
	return bytes;
}
