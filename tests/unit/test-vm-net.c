// The network card: on a socket of packets in the tap's place, and at last on a real tap where one can be had.
#include "vm-mode/devices/net.h"
#include "vm-mode/virtio/mmio.h"

#include "tests/unit/tap.h"
#include "tests/unit/vring.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE	  32
#define HEADER	  12
#define MTU	  200
#define TX_GPA	  (1 << 20)
#define MERGED	  (1 << VIRTIO_NET_F_MRG_RXBUF)
#define RX(page)  (rx.ram + VRING_DATA + (page)*4096)
#define TX(page)  (tx.ram + VRING_DATA + (page)*4096)
#define LOOP_MS	  10000 // at most, for what comes at once
#define TURNS	  30
#define NUM_AT	  10 // num_buffers
#define OFFLOADS  (1 << VIRTIO_NET_F_GUEST_CSUM | 1 << VIRTIO_NET_F_GUEST_TSO4)
#define INTERFACE "moat-test0"

static struct vring_test rx, tx;
static struct device *device;
static struct loop *loop;
static struct mmio *mmio;
static struct err err;
static uint16_t mtu = MTU;
static int sockets[2] = { -1, -1 }; // the tap's place, and who is behind it

static int start(uint64_t features)
{
	device->driver_features = features;
	device->started = true;
	return device->ops->start(device, &err);
}

static void init_queues(void)
{
	is_int(queue_init(&device->queues[0], &rx.memory, &rx.setup, &err), 0);
	is_int(queue_init(&device->queues[1], &rx.memory, &tx.setup, &err), 0);
}

static void make(int tap_fd)
{
	static const uint8_t mac[NET_MAC_BYTES] = { 2, 1, 2, 3, 4, 5 };

	vring_test_init(&rx, SIZE, 0);
	vring_test_init(&tx, SIZE, TX_GPA);
	rx.memory.ranges[1] = tx.memory.ranges[0];
	rx.memory.count = 2;
	is_int(net_create(&device, tap_fd, mac, mtu, &err), 0);
	is_int(loop_create(&loop, &err), 0);
	const struct mmio_setup setup = {
		.memory = &rx.memory, .loop = loop, .name = "net", .irq_fd = -1
	};
	is_int(mmio_create(&mmio, device, &setup, &err), 0);
	init_queues();
}

static void begin(uint64_t features)
{
	is_int(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets), 0);
	make(sockets[0]);
	is_int(start(features), 0);
}

static void end(void)
{
	mmio_free(mmio);
	loop_free(loop);
	vring_test_free(&rx);
	vring_test_free(&tx);
	for (int i = 0; i < 2; i++) {
		close(sockets[i]);
		sockets[i] = -1;
	}
}

// A buffer for packets, in the place of its number.
static void put_buffer(uint16_t head, uint32_t len)
{
	rx.desc[head] = (struct vring_desc){ .addr = VRING_DATA + head * 4096,
					     .len = len,
					     .flags = VRING_DESC_F_WRITE };
	vring_test_offer(&rx, head);
}

// Makes `head` a buffer of pieces of one byte each.
static void put_indirect(uint16_t head, uint16_t pieces)
{
	struct vring_desc *table = (struct vring_desc *)RX(8);

	for (uint16_t i = 0; i < pieces; i++)
		table[i] = (struct vring_desc){ .addr = VRING_DATA + i,
						.len = 1,
						.flags = VRING_DESC_F_WRITE | VRING_DESC_F_NEXT,
						.next = i + 1 };
	table[pieces - 1].flags = VRING_DESC_F_WRITE;
	rx.desc[head] = (struct vring_desc){ .addr = VRING_DATA + 8 * 4096,
					     .len = (uint32_t)(pieces * sizeof(*table)),
					     .flags = VRING_DESC_F_INDIRECT };
}

static void put_packet(uint16_t head, uint32_t len, char byte)
{
	memset(TX(head), byte, len < 4096 ? len : 4096);
	tx.desc[head] = (struct vring_desc){ .addr = TX_GPA + VRING_DATA + head * 4096,
					     .len = len };
	vring_test_offer(&tx, head);
}

static int kick(unsigned int queue)
{
	return device->ops->kick(device, queue, &err);
}

// A packet of `len` bytes, its header included, comes to the tap.
static void arrive(size_t len, char byte)
{
	char packet[4096];

	memset(packet, byte, sizeof(packet));
	is_int(write(sockets[1], packet, len), (long long)len);
}

static uint16_t num_buffers(int page)
{
	uint16_t num;

	memcpy(&num, RX(page) + NUM_AT, sizeof(num));
	return num;
}

// ---- to the guest ----

static void test_config(void)
{
	struct virtio_net_config config;

	begin(0);
	mmio_read(mmio, 0x100, &config, sizeof(config));
	ok(memcmp(config.mac, "\2\1\2\3\4\5", 6) == 0, "the address");
	is_int(config.status, VIRTIO_NET_S_LINK_UP);
	is_int(config.mtu, MTU);
	end();
}

static void test_receive(void)
{
	begin(0);
	is_int(rx.used->flags, 0);
	arrive(100, 'a');
	is_int(loop_once(loop, 0, &err), 0);
	is_int(rx.used->idx, 0);
	put_buffer(0, 100);
	put_buffer(1, 4096);
	is_int(kick(0), 0);
	is_int(rx.used->idx, 1);
	is_int(rx.used->ring[0].id, 0);
	is_int(rx.used->ring[0].len, 100);
	is_int(rx.used->flags, VRING_USED_F_NO_NOTIFY); // there is room for another
	is_int(num_buffers(0), 1);
	ok(RX(0)[0] == 'a' && RX(0)[HEADER] == 'a' && RX(0)[99] == 'a', "the packet as it came");
	// While nothing is kicked.
	arrive(40, 'b');
	is_int(loop_once(loop, LOOP_MS, &err), 0);
	is_int(rx.used->idx, 2);
	is_int(rx.used->ring[1].len, 40);
	is_int(rx.used->flags, 0);
	// No buffer any more: it waits, and the loop is not woken for it.
	arrive(40, 'c');
	is_int(loop_once(loop, 0, &err), 0);
	arrive(41, 'd');
	is_int(rx.used->idx, 2);
	put_buffer(2, 4096);
	put_buffer(3, 39);
	put_buffer(4, 4096);
	is_int(kick(0), 0);
	is_int(rx.used->idx, 3);
	is_int(RX(2)[20], 'c');
	ok(rx.used->ring[2].len == 40, "and what is too long for its buffer is dropped");
	arrive(39, 'e');
	arrive(40, 'f');
	is_int(loop_once(loop, LOOP_MS, &err), 0);
	is_int(rx.used->idx, 5);
	ok(rx.used->ring[3].id == 3 && rx.used->ring[4].id == 4, "the next fits it");
	arrive(HEADER - 1, 'g');
	put_buffer(5, 4096);
	is_int(kick(0), 0);
	is_int(rx.used->idx, 5);
	end();
}

static void test_merged(void)
{
	begin(MERGED);
	arrive(250, 'a');
	put_buffer(0, 100);
	put_buffer(1, 100);
	is_int(kick(0), 0);
	is_int(rx.used->idx, 0); // not enough yet for the largest
	put_buffer(2, 100);
	put_buffer(3, 100);
	is_int(kick(0), 0);
	is_int(rx.used->idx, 3);
	is_int(num_buffers(0), 3);
	ok(rx.used->ring[0].len == 100 && rx.used->ring[1].len == 100 &&
		   rx.used->ring[2].len == 50 && rx.used->ring[2].id == 2,
	   "three buffers, the last of them in part");
	ok(RX(2)[49] == 'a' && RX(2)[50] == 0, "all of it and no more");
	// The fourth is kept for the next.
	put_buffer(4, 200);
	arrive(50, 'b');
	is_int(kick(0), 0);
	is_int(rx.used->idx, 4);
	is_int(rx.used->ring[3].id, 3);
	is_int(num_buffers(3), 1);
	// After a reset it knows of none.
	device->ops->reset(device);
	memset(rx.ram, 0, VRING_RAM);
	init_queues();
	is_int(start(MERGED), 0);
	arrive(50, 'c');
	is_int(loop_once(loop, 0, &err), 0);
	is_int(rx.used->idx, 0);
	put_buffer(7, 4096);
	is_int(kick(0), 0);
	is_int(rx.used->ring[0].id, 7);
	end();
}

// The header lies in pieces: 11 bytes, 1, the rest.
static void test_split_header(void)
{
	begin(0);
	const uint32_t lens[] = { 11, 1, 100 };
	for (uint16_t i = 0; i < 3; i++)
		rx.desc[i] = (struct vring_desc){ .addr = VRING_DATA + i * 4096,
						  .len = lens[i],
						  .flags = VRING_DESC_F_WRITE | (i < 2 ? 1 : 0),
						  .next = i + 1 };
	vring_test_offer(&rx, 0);
	arrive(30, 'a');
	is_int(kick(0), 0);
	is_int(rx.used->ring[0].len, 30);
	ok(RX(0)[NUM_AT] == 1 && RX(1)[0] == 0 && RX(2)[17] == 'a' && RX(2)[18] == 0,
	   "each where it belongs");
	end();
}

static void test_bad_buffers(void)
{
	begin(MERGED);
	put_buffer(0, HEADER - 1);
	is_int(kick(0), -EPROTO);
	is_str(err.msg, "a buffer of 11 bytes is too small");
	end();

	begin(MERGED);
	put_indirect(0, QUEUE_SIZE_MAX);
	vring_test_offer(&rx, 0);
	is_int(kick(0), -EPROTO);
	is_str(err.msg, "a buffer of 1024 pieces");
	end();

	begin(MERGED);
	put_buffer(0, UINT32_MAX);
	is_int(kick(0), -EPROTO);
	end();

	// The queue is taken away while a packet is on its way: no write to what it had.
	begin(0);
	put_buffer(0, 4096);
	is_int(kick(0), 0);
	device->queues[0] = (struct queue){ 0 };
	arrive(50, 'a');
	is_int(loop_once(loop, LOOP_MS, &err), 0);
	ok(!device->started, "the device is lost");
	is_int(RX(0)[20], 0);
	end();

	begin(0);
	device->queues[1] = (struct queue){ 0 };
	is_int(start(0), -EPROTO);
	end();
}

// 600 pieces a buffer, of which the kernel takes no two at once: the second has to wait.
static void test_many_pieces(void)
{
	mtu = 2000;
	begin(MERGED);
	mtu = MTU;
	put_indirect(0, 600);
	for (int i = 0; i < 3; i++)
		vring_test_offer(&rx, 0);
	arrive(600, 'a');
	arrive(601, 'b'); // would need two
	arrive(599, 'c');
	is_int(kick(0), 0);
	is_int(rx.used->idx, 2);
	is_int(rx.used->ring[1].len, 599);
	is_int(RX(0)[590], 'c');
	end();
}

// ---- from the guest ----

static void test_transmit(void)
{
	char got[4096];

	begin(0);
	put_packet(0, 100, 'a');
	put_packet(1, 60, 'b');
	is_int(kick(1), 0);
	is_int(tx.used->idx, 2);
	is_int(tx.used->ring[1].len, 0);
	is_int(read(sockets[1], got, sizeof(got)), 100);
	is_int(got[99], 'a');
	is_int(read(sockets[1], got, sizeof(got)), 60);

	// More than a packet may be: dropped.
	put_packet(2, 96 * 1024, 'c');
	is_int(kick(1), 0);
	is_int(tx.used->idx, 3);
	ok(read(sockets[1], got, sizeof(got)) < 0 && errno == EAGAIN, "nothing comes");
	put_packet(3, UINT32_MAX, 'd');
	is_int(kick(1), -EPROTO);
	end();
}

// What the tap doesn't take stays in the queue until it does.
static void test_pressure(void)
{
	const int least = 1;
	char got[4096];
	int sent = 0, taken = 0;

	begin(0);
	setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	for (; sent < 30; sent++)
		put_packet((uint16_t)sent, 100, (char)sent);
	is_int(kick(1), 0);
	ok(tx.used->idx < sent, "the tap is full");
	for (; taken < sent; taken++) {
		if (read(sockets[1], got, sizeof(got)) != 100 || got[50] != taken)
			break;
		is_int(loop_once(loop, 0, &err), 0);
	}
	is_int(taken, sent);
	is_int(tx.used->idx, sent);
	end();
}

// Others have their turn after some packets.
static void test_turns(void)
{
	begin(0);
	tx.setup.size = 128;
	is_int(queue_init(&device->queues[1], &rx.memory, &tx.setup, &err), 0);
	put_packet(0, 96 * 1024, 'a'); // is dropped
	for (int i = 0; i < 69; i++)
		vring_test_offer(&tx, 0);
	is_int(kick(1), 0);
	is_int(tx.used->idx, 64);
	is_int(loop_once(loop, 0, &err), 0);
	is_int(tx.used->idx, 70);
	end();
}

// ---- a real tap ----

static bool set_up(int sock)
{
	struct ifreq request = { .ifr_name = INTERFACE };

	if (ioctl(sock, SIOCGIFFLAGS, &request) < 0)
		return false;
	request.ifr_flags |= IFF_UP;
	return ioctl(sock, SIOCSIFFLAGS, &request) == 0;
}

// A socket for the frames of the interface.
static int open_packets(void)
{
	int sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	const struct sockaddr_ll address = { .sll_family = AF_PACKET,
					     .sll_protocol = htons(ETH_P_ALL),
					     .sll_ifindex = (int)if_nametoindex(INTERFACE) };

	if (sock < 0 || bind(sock, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    !set_up(sock))
		printf("# a socket for the tap: %s\n", strerror(errno));
	return sock;
}

// Those of others (IPv6 asks for routers) go by.
static bool comes(int sock, char byte)
{
	char frame[256];

	for (int i = 0; i < 100; i++)
		if (recv(sock, frame, sizeof(frame), 0) == 60 && frame[30] == byte)
			return true;
	return false;
}

static void test_with_tap(int tap_fd)
{
	char frame[60];
	int len;

	make(tap_fd);
	is_int(ioctl(tap_fd, TUNGETVNETHDRSZ, &len), 0);
	is_int(len, HEADER);
	is_int(start(MERGED | OFFLOADS), 0);
	int sock = open_packets();

	put_packet(0, HEADER + 60, 0);
	memset(TX(0) + HEADER, 't', 60);
	is_int(kick(1), 0);
	ok(comes(sock, 't'), "a frame comes to the host");

	// With large packets to come, there must be room for one.
	for (uint16_t i = 0; i < 20; i++)
		put_buffer(i, 4096);
	is_int(kick(0), 0);
	memset(frame, 'r', sizeof(frame));
	is_int(send(sock, frame, sizeof(frame), 0), 60);
	bool came = false;
	for (int turn = 0; turn < TURNS && !came; turn++) {
		loop_once(loop, LOOP_MS, &err);
		for (uint16_t i = 0; i < rx.used->idx; i++)
			came |= RX(rx.used->ring[i].id)[HEADER + 30] == 'r';
	}
	ok(came, "and one to the guest");

	// The interface goes, and with it the link; the device stays.
	is_int(system("ip link delete " INTERFACE), 0);
	struct virtio_net_config config = { .status = VIRTIO_NET_S_LINK_UP };
	for (int turn = 0; turn < TURNS && config.status; turn++) {
		loop_once(loop, LOOP_MS, &err);
		mmio_read(mmio, 0x100, &config, sizeof(config));
	}
	is_int(config.status, 0);
	put_packet(1, HEADER + 60, 0);
	is_int(kick(1), 0);
	is_int(tx.used->idx, 2);
	device->ops->reset(device);
	init_queues();
	is_int(start(0), 0);
	close(sock);
	end();
}

static void test_tap(void)
{
	int tap_fd = -1;

	is_int(net_open_tap("a-name-that-is-too-long", &err), -ENAMETOOLONG);
	// In a namespace of its own.
	if (unshare(CLONE_NEWNET) < 0 || (tap_fd = net_open_tap(INTERFACE, &err)) < 0) {
		skip("on a real tap", "no network namespace, or no /dev/net/tun");
		return;
	}
	test_with_tap(tap_fd);
	close(tap_fd);
}

// What is no tap takes no offloads.
static void test_offloads_refused(void)
{
	is_int(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets), 0);
	make(sockets[0]);
	ok(start(OFFLOADS) < 0, "the driver is told");
	end();
}

int main(void)
{
	test_config();
	test_receive();
	test_merged();
	test_split_header();
	test_bad_buffers();
	test_many_pieces();
	test_transmit();
	test_pressure();
	test_turns();
	test_offloads_refused();
	test_tap();
	return done();
}
