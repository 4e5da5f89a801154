// The buses and the virtio-mmio transport, driven as a driver does and as a hostile one.
#include "vm-mode/machine/bus.h"
#include "vm-mode/virtio/mmio.h"

#include "tests/unit/echo.h"
#include "tests/unit/tap.h"
#include "tests/unit/vring.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define GPA	   0x100000
#define WINDOW	   0xd0000000
#define READY_BITS (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)

static struct vring_test ring;
static struct loop *loop;
static struct echo echo;
static struct mmio *mmio;
static struct bus bus;
static struct err err;
static int irq_fd;

static uint32_t get(uint64_t offset)
{
	uint32_t value;

	bus_read(&bus, WINDOW + offset, &value, sizeof(value));
	return value;
}

static void set(uint64_t offset, uint32_t value)
{
	bus_write(&bus, WINDOW + offset, &value, sizeof(value));
}

static void begin(const struct device_ops *ops)
{
	vring_test_init(&ring, ECHO_SIZE, GPA);
	if (loop_create(&loop, &err) < 0)
		printf("# %s\n", err.msg);
	irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	echo = (struct echo){ .device.ops = ops, .config = "0123456789abcdef" };
	const struct mmio_setup setup = {
		.memory = &ring.memory,
		.loop = loop,
		.name = "echo",
		.irq_fd = irq_fd,
		.windows = { { .id = 7, .gpa = 0x123400000000, .size = 0x5000000000 } }
	};
	if (mmio_create(&mmio, &echo.device, &setup, &err) < 0)
		printf("# %s\n", err.msg);
	bus = (struct bus){ 0 };
	bus_add(&bus,
		&(struct bus_range){ .start = WINDOW,
				     .size = 4096,
				     .name = "echo",
				     .owner = mmio,
				     .read = mmio_read,
				     .write = mmio_write },
		&err);
}

static void end(void)
{
	mmio_free(mmio);
	is_int(echo.closes, 1);
	loop_free(loop);
	close(irq_fd);
	vring_test_free(&ring);
}

static bool interrupted(void)
{
	uint64_t count;

	return read(irq_fd, &count, sizeof(count)) == sizeof(count);
}

static void agree(uint64_t features)
{
	set(VIRTIO_MMIO_STATUS, 0);
	set(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	set(VIRTIO_MMIO_STATUS, READY_BITS);
	for (uint32_t half = 0; half < 2; half++) {
		set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
		set(VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> (32 * half)));
	}
	set(VIRTIO_MMIO_STATUS, READY_BITS | VIRTIO_CONFIG_S_FEATURES_OK);
}

static void set_queue(uint32_t index, uint32_t size, uint64_t desc)
{
	set(VIRTIO_MMIO_QUEUE_SEL, index);
	set(VIRTIO_MMIO_QUEUE_NUM, size);
	set(VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)desc);
	set(VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(desc >> 32));
	set(VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)ring.setup.avail);
	set(VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0);
	set(VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)ring.setup.used);
	set(VIRTIO_MMIO_QUEUE_USED_HIGH, 0);
	set(VIRTIO_MMIO_QUEUE_READY, 1);
}

static void drive(void)
{
	agree(UINT64_C(1) << VIRTIO_F_VERSION_1 | 1 << ECHO_FEATURE);
	set_queue(1, ECHO_SIZE, ring.setup.desc);
	set(VIRTIO_MMIO_STATUS, get(VIRTIO_MMIO_STATUS) | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void test_bus(void)
{
	struct bus all = { 0 };
	struct bus_range range = { .start = 0x1000, .size = 0x10, .name = "a" };
	uint32_t value = 1;

	is_int(bus_add(&all, &range, &err), 0);
	range = (struct bus_range){ .start = 0x100f, .size = 1, .name = "b" };
	is_int(bus_add(&all, &range, &err), -EEXIST);
	is_str(err.msg, "the addresses of b and a overlap");
	range = (struct bus_range){ .start = 0xfff, .size = 0x100, .name = "b" };
	is_int(bus_add(&all, &range, &err), -EEXIST);
	range = (struct bus_range){ .start = UINT64_MAX, .size = 2, .name = "b" };
	is_int(bus_add(&all, &range, &err), -EINVAL);
	range.size = 0;
	is_int(bus_add(&all, &range, &err), -EINVAL);
	range.size = 1;
	is_int(bus_add(&all, &range, &err), 0);
	bus_read(&all, 0x1000, &value, 4);
	is_int(value, 0);
	bus_read(&all, 0x100e, &value, 4);
	is_int(value, UINT32_MAX);
	bus_read(&all, 0x2000, &value, 4);
	is_int(value, UINT32_MAX);
	bus_write(&all, 0x1000, &value, 4);
	range = (struct bus_range){ .start = 0x10000, .size = 1, .name = "c" };
	while (bus_add(&all, &range, &err) == 0)
		range.start++;
	is_int(err.code, ENOSPC);
}

static void test_identity(void)
{
	begin(&echo_ops);
	is_int(get(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	is_int(get(VIRTIO_MMIO_VERSION), 2);
	is_int(get(VIRTIO_MMIO_DEVICE_ID), ECHO_ID);
	set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	is_int(get(VIRTIO_MMIO_DEVICE_FEATURES), 1 << ECHO_FEATURE | 1 << 28 | 1 << 29);
	set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	is_int(get(VIRTIO_MMIO_DEVICE_FEATURES), 1);
	set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	is_int(get(VIRTIO_MMIO_DEVICE_FEATURES), 0);
	set(VIRTIO_MMIO_QUEUE_SEL, 1);
	is_int(get(VIRTIO_MMIO_QUEUE_NUM_MAX), ECHO_SIZE);
	set(VIRTIO_MMIO_QUEUE_SEL, ECHO_QUEUES);
	is_int(get(VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	set(VIRTIO_MMIO_QUEUE_SEL, UINT32_MAX);
	set(VIRTIO_MMIO_QUEUE_READY, 1);
	is_int(get(VIRTIO_MMIO_QUEUE_READY), 0);

	set(VIRTIO_MMIO_SHM_SEL, 7);
	is_int(get(VIRTIO_MMIO_SHM_LEN_LOW), 0);
	is_int(get(VIRTIO_MMIO_SHM_LEN_HIGH), 0x50);
	is_int(get(VIRTIO_MMIO_SHM_BASE_LOW), 0);
	is_int(get(VIRTIO_MMIO_SHM_BASE_HIGH), 0x1234);
	set(VIRTIO_MMIO_SHM_SEL, 0);
	is_int(get(VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
	is_int(get(VIRTIO_MMIO_SHM_BASE_HIGH), UINT32_MAX);
	end();
}

static void test_config(void)
{
	char bytes[9] = "";
	uint16_t half = 0x5858;

	begin(&echo_ops);
	bus_read(&bus, WINDOW + VIRTIO_MMIO_CONFIG + 3, bytes, 8);
	is_str(bytes, "3456789a");
	bus_write(&bus, WINDOW + VIRTIO_MMIO_CONFIG + 15, &half, 2);
	bus_read(&bus, WINDOW + VIRTIO_MMIO_CONFIG + 14, bytes, 4);
	is_str(bytes, "eX");
	bus_read(&bus, WINDOW + 4092, bytes, 4);
	is_str(bytes, "");
	bus_read(&bus, WINDOW + VIRTIO_MMIO_MAGIC_VALUE, bytes, 1);
	is_int(bytes[0], 0);

	uint32_t generation = get(VIRTIO_MMIO_CONFIG_GENERATION);
	echo.device.config_changed(&echo.device);
	ok(get(VIRTIO_MMIO_CONFIG_GENERATION) != generation, "another generation");
	ok(!interrupted(), "but no interrupt before the driver is ready");
	drive();
	echo.device.config_changed(&echo.device);
	ok(interrupted(), "an interrupt for the configuration");
	is_int(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	set(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	is_int(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	end();
}

static void test_features(void)
{
	begin(&echo_ops);
	agree(1 << ECHO_FEATURE);
	is_int(get(VIRTIO_MMIO_STATUS), READY_BITS);
	agree(UINT64_C(1) << VIRTIO_F_VERSION_1 | 1 << 6);
	is_int(get(VIRTIO_MMIO_STATUS), READY_BITS);
	set(VIRTIO_MMIO_STATUS, READY_BITS | VIRTIO_CONFIG_S_DRIVER_OK);
	is_int(get(VIRTIO_MMIO_STATUS), READY_BITS);
	agree(UINT64_C(1) << VIRTIO_F_VERSION_1);
	is_int(get(VIRTIO_MMIO_STATUS), READY_BITS | VIRTIO_CONFIG_S_FEATURES_OK);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(VIRTIO_MMIO_DRIVER_FEATURES, 1 << ECHO_FEATURE);
	set(VIRTIO_MMIO_STATUS, get(VIRTIO_MMIO_STATUS) | VIRTIO_CONFIG_S_DRIVER_OK);
	ok(echo.device.started, "started");
	ok(echo.device.driver_features == UINT64_C(1) << VIRTIO_F_VERSION_1,
	   "features don't change after FEATURES_OK");
	end();
}

static void offer(void)
{
	ring.desc[0] = (struct vring_desc){
		.addr = GPA + VRING_DATA, .len = 5, .flags = VRING_DESC_F_NEXT, .next = 1
	};
	ring.desc[1] = (struct vring_desc){ .addr = GPA + VRING_DATA + 16,
					    .len = 16,
					    .flags = VRING_DESC_F_WRITE };
	vring_test_offer(&ring, 0);
}

static void test_life(void)
{
	const uint64_t one = 1;

	begin(&echo_ops);
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	is_int(echo.kicks, 0);
	drive();
	is_int(echo.starts, 1);
	is_int(get(VIRTIO_MMIO_STATUS), 15);
	memcpy(ring.ram + VRING_DATA, "hallo", 5);
	offer();
	// The way of an ioeventfd.
	is_int(write(echo.device.kick_fds[1], &one, sizeof(one)), 8);
	is_int(loop_once(loop, 1000, &err), 0);
	is_str(ring.ram + VRING_DATA + 16, "hallo");
	is_int(ring.used->idx, 1);
	is_int(ring.used->ring[0].len, 5);
	ok(interrupted(), "an interrupt");
	is_int(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	// And by an exit.
	offer();
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	is_int(ring.used->idx, 2);
	set(VIRTIO_MMIO_QUEUE_NOTIFY, ECHO_QUEUES);
	set(VIRTIO_MMIO_QUEUE_NOTIFY, UINT32_MAX);

	set(VIRTIO_MMIO_STATUS, get(VIRTIO_MMIO_STATUS) & ~(uint32_t)VIRTIO_CONFIG_S_DRIVER);
	is_int(get(VIRTIO_MMIO_STATUS), 15);

	set(VIRTIO_MMIO_STATUS, 0);
	is_int(echo.resets, 1);
	is_int(get(VIRTIO_MMIO_STATUS), 0);
	is_int(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	set(VIRTIO_MMIO_QUEUE_SEL, 1);
	is_int(get(VIRTIO_MMIO_QUEUE_READY), 0);
	int kicks = echo.kicks;
	is_int(write(echo.device.kick_fds[1], &one, sizeof(one)), 8);
	is_int(loop_once(loop, 1000, &err), 0);
	is_int(echo.kicks, kicks);

	ring.avail->idx = ring.used->idx = 0;
	drive();
	is_int(echo.starts, 2);
	offer();
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	is_int(ring.used->idx, 1);
	end();
}

static void test_failures(void)
{
	const uint32_t broken = 15 | VIRTIO_CONFIG_S_NEEDS_RESET;

	begin(&echo_ops);
	// A queue that is ready can't be moved.
	agree(UINT64_C(1) << VIRTIO_F_VERSION_1);
	set_queue(1, ECHO_SIZE, ring.setup.desc);
	set(VIRTIO_MMIO_QUEUE_DESC_LOW, 0);
	set(VIRTIO_MMIO_QUEUE_NUM, 3);
	set(VIRTIO_MMIO_STATUS, 15);
	is_int(get(VIRTIO_MMIO_STATUS), 15);
	set(VIRTIO_MMIO_STATUS, 0);
	is_int(echo.starts, 1);
	is_int(echo.resets, 1);
	echo.starts = echo.resets = 0;
	// A queue that isn't there.
	agree(UINT64_C(1) << VIRTIO_F_VERSION_1);
	set_queue(1, ECHO_SIZE, 0);
	set(VIRTIO_MMIO_STATUS, 15);
	is_int(get(VIRTIO_MMIO_STATUS), broken);
	is_int(echo.starts, 0);
	// Sizes: too large for the device, and too large for their type.
	const uint32_t sizes[] = { 0, 3, 2 * ECHO_SIZE, 0x10000 | ECHO_SIZE, UINT32_MAX };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		agree(UINT64_C(1) << VIRTIO_F_VERSION_1);
		set_queue(1, sizes[i], ring.setup.desc);
		set(VIRTIO_MMIO_STATUS, 15);
		is_int(get(VIRTIO_MMIO_STATUS), broken);
	}
	interrupted();

	// A broken ring.
	drive();
	is_int(get(VIRTIO_MMIO_STATUS), 15);
	ring.avail->idx = 100;
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	is_int(get(VIRTIO_MMIO_STATUS), broken);
	is_int(echo.resets, 1);
	ok(interrupted(), "it is told by an interrupt");
	is_int(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	int kicks = echo.kicks;
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	is_int(echo.kicks, kicks);
	set(VIRTIO_MMIO_STATUS, 15);
	ok(!echo.device.started, "no start without a reset");

	// A kick that fails; then all is well again.
	ring.avail->idx = 0;
	drive();
	echo.fails = true;
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	is_int(get(VIRTIO_MMIO_STATUS), broken);
	echo.fails = false;
	drive();
	is_int(get(VIRTIO_MMIO_STATUS), 15);
	err_set(&err, EIO, "of its own accord");
	echo.device.fail(&echo.device, &err);
	is_int(get(VIRTIO_MMIO_STATUS), broken);

	// 4.2.2.2: a queue is taken back.
	drive();
	set(VIRTIO_MMIO_QUEUE_SEL, 1);
	set(VIRTIO_MMIO_QUEUE_READY, 0);
	is_int(get(VIRTIO_MMIO_QUEUE_READY), 0);
	offer();
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	is_int(get(VIRTIO_MMIO_STATUS), broken);
	end();
}

// A device that another process serves.
static void test_elsewhere(void)
{
	struct device_ops ops = echo_ops;
	uint64_t count = 0;

	ops.kick = NULL;
	begin(&ops);
	drive();
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	is_int(loop_once(loop, 0, &err), 0);
	is_int(read(echo.device.kick_fds[1], &count, sizeof(count)), 8);
	is_int(echo.kicks, 0);
	atomic_uint *status = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
				   echo.device.env.irq.status_fd, 0);
	atomic_fetch_or(status, VIRTIO_MMIO_INT_VRING);
	is_int(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	set(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	is_int(atomic_load(status), 0);
	munmap(status, 4096);
	end();
}

static void *access_registers(void *unused)
{
	for (int i = 0; i < 2000; i++) {
		get(VIRTIO_MMIO_STATUS);
		set(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	}
	return unused;
}

// Registers on one thread, kicks in the loop of another: no kick is lost or doubled.
static void test_threads(void)
{
	const uint64_t one = 1;
	pthread_t thread;

	begin(&echo_ops);
	drive();
	is_int(pthread_create(&thread, NULL, access_registers, NULL), 0);
	for (int i = 0; i < 2000; i++) {
		if (write(echo.device.kick_fds[1], &one, sizeof(one)) < 0 ||
		    loop_once(loop, 1000, &err) < 0)
			break;
	}
	loop_unlock(loop);
	pthread_join(thread, NULL);
	loop_lock(loop);
	is_int(echo.kicks, 4000);
	end();
}

int main(void)
{
	test_bus();
	test_identity();
	test_config();
	test_features();
	test_life();
	test_failures();
	test_elsewhere();
	test_threads();
	return done();
}
