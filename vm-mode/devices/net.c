#include "vm-mode/devices/net.h"

#include "base/log.h"
#include "base/scope.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

enum { RECEIVE, TRANSMIT, QUEUES };

#define QUEUE_SIZE 256
#define TURNS_MAX  64 // packets, in each direction
#define HEADER_LEN sizeof(struct virtio_net_hdr_v1)
// A frame's header with one VLAN tag.
#define FRAME_HEADER_LEN (ETHER_HDR_LEN + 4)
#define PAYLOAD_MAX	 65535 // of one that is to be segmented: a packet of IP
#define PIECES_MAX	 (IOV_MAX - 1)

// Buffers taken from the queue for packets that are still to come, in the queue's order.
struct room {
	struct {
		uint16_t head;
		uint16_t pieces;
		uint32_t bytes;
	} chains[QUEUE_SIZE]; // never more: the queue has no more places
	size_t chain_count, piece_count, bytes;
	struct iovec pieces[PIECES_MAX + 1];
};

struct net {
	struct device device; // first
	struct loop_source tap;
	uint32_t events;       // that are waited for
	unsigned int offloads; // TUN_F_*: what the tap has been told
	bool gone;	       // the tap
	struct virtio_net_config config;
	struct chain chain;
	struct room room;
};

static bool agreed(const struct net *net, unsigned int feature)
{
	return net->device.driver_features >> feature & 1;
}

// Adds to what is waited for, or takes away.
static int wait_for(struct net *net, uint32_t event, bool on, struct err *err)
{
	const uint32_t events = on ? net->events | event : net->events & ~event;

	if (events == net->events || net->gone)
		return 0;
	net->events = events;
	return loop_watch(net->device.env.loop, &net->tap, events, err);
}

static void lose_tap(struct net *net)
{
	if (net->gone)
		return;
	log_warn("%s: the tap interface has gone", net->device.env.name);
	net->gone = true;
	loop_unwatch(net->device.env.loop, &net->tap);
	net->config.status &= (uint16_t)~VIRTIO_NET_S_LINK_UP;
	net->device.config_changed(&net->device);
}

// ---- to the guest (5.1.6.3, 5.1.6.4) ----

// How much the next packet may take.
static size_t packet_max(const struct net *net)
{
	const bool large = net->offloads & (TUN_F_TSO4 | TUN_F_TSO6);

	return HEADER_LEN + FRAME_HEADER_LEN + (large ? PAYLOAD_MAX : net->config.mtu);
}

// With merged buffers as many as it takes; else one, whose size is the driver's care.
static bool has_room(const struct net *net)
{
	return agreed(net, VIRTIO_NET_F_MRG_RXBUF) ? net->room.bytes >= packet_max(net) :
						     net->room.chain_count > 0;
}

static int pop_buffer(struct net *net, struct err *err)
{
	struct queue *queue = &net->device.queues[RECEIVE];
	int got = queue_pop(queue, &net->chain, err);

	// Kicks are wanted only now: else each buffer that the driver puts back would be an exit.
	if (got == 0) {
		queue_want_kicks(queue, true);
		got = queue_pop(queue, &net->chain, err);
	}
	return got;
}

// 1: there is room for a packet; 0: not yet, and the driver will kick; negative errno.
static int make_room(struct net *net, struct err *err)
{
	struct room *room = &net->room;
	const struct chain *chain = &net->chain;

	while (!has_room(net)) {
		int got = pop_buffer(net, err);

		if (got <= 0)
			return got;
		if (chain->in_bytes < HEADER_LEN)
			return err_set(err, EPROTO, "a buffer of %zu bytes is too small",
				       chain->in_bytes);
		if (chain->in_count > PIECES_MAX - room->piece_count) {
			if (room->chain_count == 0)
				return err_set(err, EPROTO, "a buffer of %zu pieces",
					       chain->in_count);
			queue_unpop(&net->device.queues[RECEIVE]);
			return 1;
		}
		memcpy(room->pieces + room->piece_count, chain->in,
		       chain->in_count * sizeof(*chain->in));
		room->chains[room->chain_count].head = chain->head;
		room->chains[room->chain_count].pieces = (uint16_t)chain->in_count;
		room->chains[room->chain_count++].bytes = (uint32_t)chain->in_bytes;
		room->piece_count += chain->in_count;
		room->bytes += chain->in_bytes;
	}
	return 1;
}

// Gives the buffers that hold a packet of `len` bytes to the guest: all at once, or it might look
// between two.
static void use_room(struct net *net, size_t len)
{
	struct room *room = &net->room;
	struct queue_used used[QUEUE_SIZE];
	size_t pieces = 0;
	uint16_t count = 0;

	while (len > 0) {
		const uint32_t bytes = room->chains[count].bytes;
		const uint32_t now = len < bytes ? (uint32_t)len : bytes;

		used[count] = (struct queue_used){ .head = room->chains[count].head,
						   .written = now };
		pieces += room->chains[count++].pieces;
		room->bytes -= bytes;
		len -= now;
	}
	pieces_write(room->pieces, room->piece_count,
		     offsetof(struct virtio_net_hdr_v1, num_buffers), &count, sizeof(count));
	queue_push_all(&net->device.queues[RECEIVE], used, count);
	room->chain_count -= count;
	room->piece_count -= pieces;
	memmove(room->chains, room->chains + count, room->chain_count * sizeof(*room->chains));
	memmove(room->pieces, room->pieces + pieces, room->piece_count * sizeof(*room->pieces));
}

// Reads one packet from the tap into the room there is; drops it if it doesn't fit, or can't be had. False:
// there is none.
static bool receive_packet(struct net *net)
{
	struct room *room = &net->room;
	char beyond;

	room->pieces[room->piece_count] = (struct iovec){ .iov_base = &beyond, .iov_len = 1 };
	const ssize_t len = readv(net->tap.fd, room->pieces, (int)room->piece_count + 1);
	if (len < 0 && errno == EBADFD)
		lose_tap(net);
	if (len < 0)
		return errno != EAGAIN && !net->gone;
	if ((size_t)len >= HEADER_LEN && (size_t)len <= room->bytes)
		use_room(net, (size_t)len);
	return true;
}

static int receive(struct net *net, struct err *err)
{
	struct queue *queue = &net->device.queues[RECEIVE];
	int room = 0;

	if (queue->setup.size == 0)
		return err_set(err, EPROTO, "the driver has taken its queue away");
	for (int turn = 0; turn < TURNS_MAX; turn++) {
		room = make_room(net, err);
		if (room <= 0 || net->gone || !receive_packet(net))
			break;
	}
	if (queue_needs_interrupt(queue))
		dev_irq_raise(&net->device.env.irq);
	if (room < 0)
		return room;
	if (room > 0)
		queue_want_kicks(queue, false);
	return wait_for(net, EPOLLIN, room > 0, err);
}

// ---- from the guest (5.1.6.2) ----

// Hands a packet to the tap, or drops it, as a network may. False: the tap takes none now.
static bool send_packet(const struct net *net)
{
	const struct chain *chain = &net->chain;
	ssize_t len;

	if (chain->out_bytes > HEADER_LEN + FRAME_HEADER_LEN + PAYLOAD_MAX)
		return true;
	do
		len = writev(net->tap.fd, chain->out, (int)chain->out_count);
	while (len < 0 && errno == EINTR);
	return len >= 0 || errno != EAGAIN;
}

static int transmit(struct net *net, struct err *err)
{
	struct queue *queue = &net->device.queues[TRANSMIT];
	bool blocked = false;
	int got = 0;

	for (int turn = 0; turn < TURNS_MAX && !blocked; turn++) {
		got = queue_pop(queue, &net->chain, err);
		if (got <= 0)
			break;
		blocked = !send_packet(net);
		if (blocked)
			queue_unpop(queue);
		else
			queue_push(queue, net->chain.head, 0);
	}
	if (queue_needs_interrupt(queue))
		dev_irq_raise(&net->device.env.irq);
	if (got < 0)
		return got;
	if (got > 0 && !blocked)
		dev_kick_again(&net->device, TRANSMIT);
	return wait_for(net, EPOLLOUT, blocked, err);
}

// ---- the device ----

static int kick(struct device *dev, unsigned int index, struct err *err)
{
	struct net *net = (struct net *)dev;

	return index == RECEIVE ? receive(net, err) : transmit(net, err);
}

static void on_tap(struct loop_source *source, uint32_t events)
{
	struct net *net = (struct net *)((char *)source - offsetof(struct net, tap));
	struct err err;
	int failed = 0;

	if (events & (EPOLLERR | EPOLLHUP)) {
		lose_tap(net);
		return;
	}
	if (events & EPOLLIN)
		failed = receive(net, &err);
	if (!failed && events & EPOLLOUT)
		failed = transmit(net, &err);
	if (failed)
		net->device.fail(&net->device, &err);
}

static int set_offloads(struct net *net, struct err *err)
{
	const unsigned int wanted = (agreed(net, VIRTIO_NET_F_GUEST_CSUM) ? TUN_F_CSUM : 0) |
				    (agreed(net, VIRTIO_NET_F_GUEST_TSO4) ? TUN_F_TSO4 : 0) |
				    (agreed(net, VIRTIO_NET_F_GUEST_TSO6) ? TUN_F_TSO6 : 0);

	if (wanted == net->offloads)
		return 0;
	if (ioctl(net->tap.fd, TUNSETOFFLOAD, (unsigned long)wanted) < 0)
		return err_sys(err, "set the offloads of the tap to %#x", wanted);
	net->offloads = wanted;
	return 0;
}

static int start(struct device *dev, struct err *err)
{
	struct net *net = (struct net *)dev;

	if (dev->queues[RECEIVE].setup.size == 0 || dev->queues[TRANSMIT].setup.size == 0)
		return err_set(err, EPROTO, "the driver has set up no queues");
	if (net->gone)
		return 0;
	if (set_offloads(net, err) < 0 || loop_watch(dev->env.loop, &net->tap, 0, err) < 0)
		return -err->code;
	return receive(net, err);
}

static void reset(struct device *dev)
{
	struct net *net = (struct net *)dev;

	loop_unwatch(dev->env.loop, &net->tap);
	net->events = 0;
	net->room.chain_count = net->room.piece_count = net->room.bytes = 0;
}

static void config_read(struct device *dev, uint64_t offset, void *data, size_t len)
{
	const struct net *net = (struct net *)dev;

	dev_config_read(&net->config, sizeof(net->config), offset, data, len);
}

static void close_device(struct device *dev)
{
	free(dev);
}

static const struct device_ops ops = {
	.id = VIRTIO_ID_NET,
	.features = 1 << VIRTIO_NET_F_MAC | 1 << VIRTIO_NET_F_MTU | 1 << VIRTIO_NET_F_STATUS |
		    1 << VIRTIO_NET_F_MRG_RXBUF | 1 << VIRTIO_NET_F_CSUM |
		    1 << VIRTIO_NET_F_HOST_TSO4 | 1 << VIRTIO_NET_F_HOST_TSO6 |
		    1 << VIRTIO_NET_F_GUEST_CSUM | 1 << VIRTIO_NET_F_GUEST_TSO4 |
		    1 << VIRTIO_NET_F_GUEST_TSO6,
	.queues = QUEUES,
	.queue_size = QUEUE_SIZE,
	.config_read = config_read,
	.start = start,
	.kick = kick,
	.reset = reset,
	.close = close_device,
};

int net_create(struct device **device, int tap_fd, const uint8_t mac[NET_MAC_BYTES], uint16_t mtu,
	       struct err *err)
{
	struct net *net = calloc(1, sizeof(*net));

	if (!net)
		return err_sysn(err, ENOMEM, "network card");
	net->device.ops = &ops;
	net->tap = (struct loop_source){ .fd = tap_fd, .ready = on_tap };
	memcpy(net->config.mac, mac, NET_MAC_BYTES);
	net->config.mtu = mtu;
	net->config.status = VIRTIO_NET_S_LINK_UP;
	*device = &net->device;
	return 0;
}

int net_open_tap(const char *name, struct err *err)
{
	const int header_len = HEADER_LEN;
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	if (strlen(name) >= sizeof(request.ifr_name))
		return err_set(err, ENAMETOOLONG, "tap %s: the name is too long", name);
	memcpy(request.ifr_name, name, strlen(name));
	scope_fd int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_sys(err, "open /dev/net/tun");
	// Offloads of who had the interface before.
	if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header_len) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, 0) < 0)
		return err_sys(err, "tap %s", name);
	return take_fd(&fd);
}
