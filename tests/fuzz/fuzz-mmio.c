// fuzz-mmio: any accesses to the registers of a virtio device, with any bytes in the rings.
//
// The input is a byte that chooses the device, then a row of records of eight bytes: what to do,
// where, and a value. Some records are what a driver does, that the device gets more to do than to complain.
#include "tests/unit/echo.h"
#include "tests/unit/vring.h"
#include "tests/unit/vsock-echo.h"
#include "vm-mode/devices/balloon.h"
#include "vm-mode/devices/console.h"
#include "vm-mode/devices/rng.h"
#include "vm-mode/devices/vsock.h"
#include "vm-mode/virtio/mmio.h"

#include "base/log.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint16_t registers[] = {
	VIRTIO_MMIO_STATUS,
	VIRTIO_MMIO_DEVICE_FEATURES_SEL,
	VIRTIO_MMIO_DRIVER_FEATURES_SEL,
	VIRTIO_MMIO_DRIVER_FEATURES,
	VIRTIO_MMIO_QUEUE_SEL,
	VIRTIO_MMIO_QUEUE_NUM,
	VIRTIO_MMIO_QUEUE_READY,
	VIRTIO_MMIO_QUEUE_NOTIFY,
	VIRTIO_MMIO_INTERRUPT_ACK,
	VIRTIO_MMIO_QUEUE_DESC_LOW,
	VIRTIO_MMIO_QUEUE_DESC_HIGH,
	VIRTIO_MMIO_QUEUE_AVAIL_LOW,
	VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
	VIRTIO_MMIO_QUEUE_USED_LOW,
	VIRTIO_MMIO_QUEUE_USED_HIGH,
	VIRTIO_MMIO_SHM_SEL,
};

#define PORT 1

static struct vring_test ring;
static struct echo echo;

static void set(struct mmio *mmio, uint64_t offset, uint32_t value)
{
	mmio_write(mmio, offset, &value, sizeof(value));
}

// What takes a fuzzer long to find: the device is started, all queues at the same place, with the features
// that `features` has.
static void drive(struct mmio *mmio, uint32_t features)
{
	uint32_t offered;

	set(mmio, VIRTIO_MMIO_STATUS, 0);
	set(mmio, VIRTIO_MMIO_STATUS, 3);
	mmio_read(mmio, VIRTIO_MMIO_DEVICE_FEATURES, &offered, sizeof(offered));
	set(mmio, VIRTIO_MMIO_DRIVER_FEATURES, features & offered);
	set(mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(mmio, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	set(mmio, VIRTIO_MMIO_STATUS, 11);
	for (uint32_t queue = 0; queue < DEVICE_QUEUES_MAX; queue++) {
		set(mmio, VIRTIO_MMIO_QUEUE_SEL, queue);
		set(mmio, VIRTIO_MMIO_QUEUE_NUM, ECHO_SIZE);
		set(mmio, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)ring.setup.desc);
		set(mmio, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)ring.setup.avail);
		set(mmio, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)ring.setup.used);
		set(mmio, VIRTIO_MMIO_QUEUE_READY, 1);
	}
	// The driver's count and the device's begin at 0.
	ring.avail->idx = ring.used->idx = 0;
	set(mmio, VIRTIO_MMIO_STATUS, 15);
}

// A chain of up to three buffers in RAM, made available; its queue is kicked.
static void offer(struct mmio *mmio, const uint8_t record[8])
{
	const unsigned int count = 1 + record[1] % 3;

	for (unsigned int i = 0; i < count; i++) {
		// Each other descriptor has the lengths and places that packets' headers and pages have.
		const unsigned int byte = record[2 + 2 * i], at = record[3 + 2 * i];

		ring.desc[i] = (struct vring_desc){
			.addr = VRING_DATA + at * UINT64_C(64),
			.len = byte & 1 ? byte >> 1 : (uint32_t)(byte >> 1) * 64,
			.flags = (uint16_t)((i + 1 < count ? VRING_DESC_F_NEXT : 0) |
					    (record[1] >> (4 + i) & 1 ? VRING_DESC_F_WRITE : 0)),
			.next = (uint16_t)(i + 1),
		};
	}
	vring_test_offer(&ring, 0);
	set(mmio, VIRTIO_MMIO_QUEUE_NOTIFY, record[1] >> 2 & 3);
}

// A packet's header for the socket device, where offer() has its first buffers.
static void put_packet(const uint8_t record[8])
{
	const struct virtio_vsock_hdr header = {
		.src_cid = VSOCK_GUEST_CID,
		.dst_cid = VSOCK_HOST_CID,
		.src_port = record[1] % 4,
		.dst_port = PORT,
		.len = record[2],
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = record[3] % 9,
		.flags = record[4],
		.buf_alloc = record[5] * UINT32_C(1024),
		.fwd_cnt = record[6],
	};

	memcpy(ring.ram + VRING_DATA + (record[7] % 4) * 64, &header, sizeof(header));
}

static void act(struct mmio *mmio, const uint8_t record[8])
{
	const size_t lens[] = { 1, 2, 4, 8 };
	uint8_t bytes[8] = { 0 };
	uint16_t where;
	uint32_t value;

	memcpy(&where, record + 2, 2);
	memcpy(&value, record + 4, 4);
	switch (record[0] % 9) {
	case 0:
		set(mmio, registers[record[1] % (sizeof(registers) / sizeof(*registers))], value);
		break;
	case 1:
		memcpy(bytes, record, 8);
		mmio_write(mmio, where % 4088, bytes, lens[record[1] % 4]);
		break;
	case 2:
		mmio_read(mmio, where % 4088, bytes, lens[record[1] % 4]);
		break;
	case 3: // descriptors and the available ring
		memcpy(ring.ram + VRING_DESC + where % (VRING_USED - VRING_DESC - 4), record + 4,
		       4);
		break;
	case 4:
		ring.avail->ring[record[1] % ECHO_SIZE] = where % (ECHO_SIZE + 1);
		ring.avail->idx++;
		break;
	case 5:
		drive(mmio, value);
		break;
	case 6:
	case 7:
		offer(mmio, record);
		break;
	case 8:
		put_packet(record);
		break;
	}
}

static struct device *make_device(unsigned int kind)
{
	static struct vsock_port port;
	struct device *device = &echo.device;
	struct vsock *vsock = NULL;
	struct err err;

	echo = (struct echo){ .device.ops = &echo_ops };
	port = (struct vsock_port){ .port = PORT, .connect = vsock_echo_connect };
	if ((kind % 5 == 1 && rng_create(&device, &err) < 0) ||
	    (kind % 5 == 2 && console_create(&device, -1, &err) < 0) ||
	    (kind % 5 == 3 && balloon_create(&device, &err) < 0) ||
	    (kind % 5 == 4 && vsock_create(&vsock, &err) < 0))
		abort();
	if (vsock) {
		vsock_listen(vsock, &port);
		device = vsock_device(vsock);
	}
	return device;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct loop *loop;
	struct mmio *mmio;
	struct err err;

	if (size == 0)
		return 0;
	if (!loop) {
		log_close();
		vring_test_init(&ring, ECHO_SIZE, 0);
		if (loop_create(&loop, &err) < 0)
			abort();
	}
	memset(ring.ram + VRING_DESC, 0, 3 * 4096);
	const struct mmio_setup setup = { .memory = &ring.memory,
					  .loop = loop,
					  .name = "echo",
					  .irq_fd = -1,
					  .windows = {
						  { .id = 1, .gpa = 1 << 30, .size = 4096 } } };
	if (mmio_create(&mmio, make_device(data[0]), &setup, &err) < 0)
		abort();
	for (data++, size--; size >= 8; data += 8, size -= 8) {
		act(mmio, data);
		loop_once(loop, 0, &err);
	}
	mmio_free(mmio);
	return 0;
}
