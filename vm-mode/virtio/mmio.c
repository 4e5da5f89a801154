#include "vm-mode/virtio/mmio.h"

#include "base/log.h"
#include "base/scope.h"

#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>

#define MAGIC	   UINT32_C(0x74726976) // "virt"
#define VENDOR	   UINT32_C(0x54414f4d) // "MOAT"
#define PAGE_BYTES 4096
// A guest can break a device as often as it likes.
#define LOG_INTERVAL_S 10

#define TRANSPORT_FEATURES                                                            \
	(UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX | \
	 UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC)

struct mmio_queue {
	struct loop_source kick; // first
	struct mmio *mmio;
	unsigned int index;
	struct queue_setup setup;
	bool ready;
};

struct mmio {
	struct device *device;
	struct mmio_window windows[MMIO_WINDOWS_MAX];
	atomic_uint own_status;
	uint32_t status; // VIRTIO_CONFIG_S_*
	uint32_t device_features_sel, driver_features_sel, queue_sel, shm_sel;
	uint64_t driver_features;
	uint32_t generation;
	struct mmio_queue queues[DEVICE_QUEUES_MAX];
	time_t last_log_s;
	struct dev_env env; // as the device got it, for when that has gone
};

static struct mmio *mmio_of(struct device *device)
{
	return device->transport;
}

// ---- what the device says ----

static void raise_config(struct mmio *mmio)
{
	const struct dev_irq *irq = &mmio->device->env.irq;
	const uint64_t one = 1;

	atomic_fetch_or(irq->status, VIRTIO_MMIO_INT_CONFIG);
	if (irq->fd >= 0 && write(irq->fd, &one, sizeof(one)) < 0)
		return;
}

static void config_changed(struct device *device)
{
	struct mmio *mmio = mmio_of(device);

	mmio->generation++;
	if (mmio->status & VIRTIO_CONFIG_S_DRIVER_OK)
		raise_config(mmio);
}

static void log_failure(struct mmio *mmio, const struct err *why)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (mmio->last_log_s && now.tv_sec - mmio->last_log_s < LOG_INTERVAL_S)
		return;
	mmio->last_log_s = now.tv_sec;
	log_warn("the guest has lost its device %s: %s", mmio->device->env.name, why->msg);
}

static void forget_queues(struct mmio *mmio)
{
	for (unsigned int i = 0; i < DEVICE_QUEUES_MAX; i++)
		mmio->device->queues[i] = (struct queue){ 0 };
}

static void stop_device(struct mmio *mmio)
{
	struct device *device = mmio->device;
	bool was_started = device->started;

	device->started = false;
	if (was_started && device->ops->reset)
		device->ops->reset(device);
	forget_queues(mmio);
}

static void fail(struct device *device, const struct err *why)
{
	struct mmio *mmio = mmio_of(device);

	if (mmio->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	log_failure(mmio, why);
	stop_device(mmio);
	mmio->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (mmio->status & VIRTIO_CONFIG_S_DRIVER_OK)
		raise_config(mmio);
}

// ---- the status machine ----

static void reset(struct mmio *mmio)
{
	stop_device(mmio);
	mmio->status = 0;
	mmio->driver_features = 0;
	mmio->device->driver_features = 0;
	mmio->device_features_sel = mmio->driver_features_sel = 0;
	mmio->queue_sel = mmio->shm_sel = 0;
	for (unsigned int i = 0; i < DEVICE_QUEUES_MAX; i++) {
		mmio->queues[i].ready = false;
		mmio->queues[i].setup = (struct queue_setup){ 0 };
	}
	atomic_store(mmio->device->env.irq.status, 0);
}

static uint64_t offered(const struct mmio *mmio)
{
	return mmio->device->ops->features | TRANSPORT_FEATURES;
}

static bool agreed(const struct mmio *mmio, unsigned int feature)
{
	return mmio->driver_features >> feature & 1;
}

static int make_queues(struct mmio *mmio, struct err *err)
{
	struct device *device = mmio->device;

	for (unsigned int i = 0; i < device->ops->queues; i++) {
		struct mmio_queue *queue = &mmio->queues[i];

		if (!queue->ready)
			continue;
		queue->setup.event_idx = agreed(mmio, VIRTIO_RING_F_EVENT_IDX);
		queue->setup.indirect = agreed(mmio, VIRTIO_RING_F_INDIRECT_DESC);
		if (queue_init(&device->queues[i], device->env.memory, &queue->setup, err) < 0)
			return err_wrap(err, "queue %u", i);
	}
	return 0;
}

static void start(struct mmio *mmio)
{
	struct device *device = mmio->device;
	struct err err;

	device->driver_features = mmio->driver_features;
	if (make_queues(mmio, &err) < 0) {
		fail(device, &err);
		return;
	}
	device->started = true;
	if (device->ops->start && device->ops->start(device, &err) < 0)
		fail(device, &err);
}

// 2.1.1: a driver only adds bits, or writes 0. FEATURES_OK is refused by not setting it.
static void write_status(struct mmio *mmio, uint32_t value)
{
	const uint32_t known = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			       VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK |
			       VIRTIO_CONFIG_S_FAILED;

	if (value == 0) {
		reset(mmio);
		return;
	}
	uint32_t added = value & known & ~mmio->status;
	if (added & VIRTIO_CONFIG_S_FEATURES_OK &&
	    (mmio->driver_features & ~offered(mmio) || !agreed(mmio, VIRTIO_F_VERSION_1)))
		added &= ~(uint32_t)VIRTIO_CONFIG_S_FEATURES_OK;
	if (!((mmio->status | added) & VIRTIO_CONFIG_S_FEATURES_OK))
		added &= ~(uint32_t)VIRTIO_CONFIG_S_DRIVER_OK;
	mmio->status |= added;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK &&
	    !(mmio->status & (VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED)))
		start(mmio);
}

static void write_features(struct mmio *mmio, uint32_t value)
{
	if (mmio->status & VIRTIO_CONFIG_S_FEATURES_OK || mmio->driver_features_sel > 1)
		return;
	const unsigned int shift = 32 * mmio->driver_features_sel;
	mmio->driver_features &= ~(UINT64_C(0xffffffff) << shift);
	mmio->driver_features |= (uint64_t)value << shift;
}

// ---- queues ----

// The queue that the driver has chosen, or NULL.
static struct mmio_queue *chosen(struct mmio *mmio)
{
	return mmio->queue_sel < mmio->device->ops->queues ? &mmio->queues[mmio->queue_sel] : NULL;
}

static void kick(struct mmio *mmio, unsigned int index)
{
	struct device *device = mmio->device;
	struct err err;

	if (device->started && device->ops->kick(device, index, &err) < 0)
		fail(device, &err);
}

static void kicked(struct loop_source *source, uint32_t events)
{
	struct mmio_queue *queue = (struct mmio_queue *)source;
	uint64_t count;

	(void)events;
	if (read(source->fd, &count, sizeof(count)) == sizeof(count))
		kick(queue->mmio, queue->index);
}

// Comes here where no ioeventfd is: of a device whose driver spins.
static void notify(struct mmio *mmio, uint32_t index)
{
	const uint64_t one = 1;

	if (index >= mmio->device->ops->queues)
		return;
	if (mmio->device->ops->kick)
		kick(mmio, index);
	else if (write(mmio->device->kick_fds[index], &one, sizeof(one)) < 0)
		return;
}

static void set_half(uint64_t *address, bool high, uint32_t value)
{
	if (high)
		*address = (*address & 0xffffffff) | (uint64_t)value << 32;
	else
		*address = (*address & ~UINT64_C(0xffffffff)) | value;
}

static void write_queue(struct mmio *mmio, uint64_t offset, uint32_t value)
{
	struct mmio_queue *queue = chosen(mmio);

	if (!queue)
		return;
	if (offset == VIRTIO_MMIO_QUEUE_READY) {
		queue->ready = value & 1;
		// 4.2.2.2: from the answer on, the device leaves the queue alone.
		if (!queue->ready)
			mmio->device->queues[queue->index] = (struct queue){ 0 };
		return;
	}
	if (queue->ready)
		return;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		// What is beyond 16 bits must not become a good size.
		queue->setup.size = value <= mmio->device->ops->queue_size ? (uint16_t)value :
									     UINT16_MAX;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_half(&queue->setup.desc, offset == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_half(&queue->setup.avail, offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_half(&queue->setup.used, offset == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
		break;
	}
}

// ---- the registers ----

// 4.2.2: all ones for a region that isn't there.
static uint32_t read_window(const struct mmio *mmio, uint64_t offset)
{
	uint64_t base = UINT64_MAX, size = UINT64_MAX;

	for (size_t i = 0; i < MMIO_WINDOWS_MAX; i++) {
		if (mmio->windows[i].size > 0 && mmio->windows[i].id == mmio->shm_sel) {
			base = mmio->windows[i].gpa;
			size = mmio->windows[i].size;
		}
	}
	switch (offset) {
	case VIRTIO_MMIO_SHM_LEN_LOW:
		return (uint32_t)size;
	case VIRTIO_MMIO_SHM_LEN_HIGH:
		return (uint32_t)(size >> 32);
	case VIRTIO_MMIO_SHM_BASE_LOW:
		return (uint32_t)base;
	default:
		return (uint32_t)(base >> 32);
	}
}

static uint32_t read_register(struct mmio *mmio, uint64_t offset)
{
	const struct device_ops *ops = mmio->device->ops;
	const struct mmio_queue *queue = chosen(mmio);

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return 2;
	case VIRTIO_MMIO_DEVICE_ID:
		return ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return mmio->device_features_sel > 1 ?
			       0 :
			       (uint32_t)(offered(mmio) >> (32 * mmio->device_features_sel));
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return queue ? ops->queue_size : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return queue && queue->ready;
	case VIRTIO_MMIO_STATUS:
		return mmio->status;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return read_window(mmio, offset);
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return mmio->generation;
	default:
		return 0;
	}
}

static void write_register(struct mmio *mmio, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		mmio->device_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		mmio->driver_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		write_features(mmio, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		mmio->queue_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		notify(mmio, value);
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(mmio, value);
		break;
	case VIRTIO_MMIO_SHM_SEL:
		mmio->shm_sel = value;
		break;
	default:
		write_queue(mmio, offset, value);
	}
}

// 4.2.2: the registers are 32 bits wide, and only accessed so.
static bool is_register(uint64_t offset, size_t len)
{
	return offset < VIRTIO_MMIO_CONFIG && offset % 4 == 0 && len == 4;
}

void mmio_read(void *owner, uint64_t offset, void *data, size_t len)
{
	struct mmio *mmio = owner;
	struct device *device = mmio->device;

	memset(data, 0, len);
	if (is_register(offset, len)) {
		uint32_t value;

		if (offset == VIRTIO_MMIO_INTERRUPT_STATUS) {
			value = atomic_load(device->env.irq.status);
		} else {
			loop_lock(device->env.loop);
			value = read_register(mmio, offset);
			loop_unlock(device->env.loop);
		}
		memcpy(data, &value, sizeof(value));
	} else if (offset >= VIRTIO_MMIO_CONFIG && device->ops->config_read) {
		loop_lock(device->env.loop);
		device->ops->config_read(device, offset - VIRTIO_MMIO_CONFIG, data, len);
		loop_unlock(device->env.loop);
	}
}

void mmio_write(void *owner, uint64_t offset, const void *data, size_t len)
{
	struct mmio *mmio = owner;
	struct device *device = mmio->device;

	if (is_register(offset, len)) {
		uint32_t value;

		memcpy(&value, data, sizeof(value));
		if (offset == VIRTIO_MMIO_INTERRUPT_ACK) {
			atomic_fetch_and(device->env.irq.status, ~value);
			return;
		}
		loop_lock(device->env.loop);
		write_register(mmio, offset, value);
		loop_unlock(device->env.loop);
	} else if (offset >= VIRTIO_MMIO_CONFIG && device->ops->config_write) {
		loop_lock(device->env.loop);
		device->ops->config_write(device, offset - VIRTIO_MMIO_CONFIG, data, len);
		loop_unlock(device->env.loop);
	}
}

// ---- life ----

// A page for InterruptStatus that can be given to another process.
static int share_status(struct dev_env *env, struct err *err)
{
	scope_fd int fd = memfd_create("moat-irq", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, PAGE_BYTES) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return err_sys(err, "%s: a page to share", env->name);
	void *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return err_sys(err, "%s: map a page to share", env->name);
	env->irq.status = page;
	env->irq.status_fd = take_fd(&fd);
	return 0;
}

static int make_kicks(struct mmio *mmio, struct err *err)
{
	struct device *device = mmio->device;

	for (unsigned int i = 0; i < device->ops->queues; i++) {
		struct mmio_queue *queue = &mmio->queues[i];
		int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

		if (fd < 0)
			return err_sys(err, "%s: eventfd", mmio->env.name);
		device->kick_fds[i] = queue->kick.fd = fd;
		queue->kick.ready = kicked;
		queue->mmio = mmio;
		queue->index = i;
		if (device->ops->kick && loop_watch(mmio->env.loop, &queue->kick, EPOLLIN, err) < 0)
			return err_wrap(err, "%s", mmio->env.name);
	}
	return 0;
}

static void release(struct mmio *mmio)
{
	for (unsigned int i = 0; i < DEVICE_QUEUES_MAX; i++) {
		loop_unwatch(mmio->env.loop, &mmio->queues[i].kick);
		replace_fd(&mmio->queues[i].kick.fd, -1);
	}
	if (mmio->env.irq.status_fd >= 0) {
		munmap((void *)mmio->env.irq.status, PAGE_BYTES);
		close(mmio->env.irq.status_fd);
	}
	free(mmio);
}

int mmio_create(struct mmio **mmio, struct device *device, const struct mmio_setup *setup,
		struct err *err)
{
	struct mmio *made = calloc(1, sizeof(*made));

	if (!made)
		return err_sysn(err, ENOMEM, "%s", setup->name);
	made->device = device;
	memcpy(made->windows, setup->windows, sizeof(made->windows));
	made->env = (struct dev_env){
		.memory = setup->memory,
		.loop = setup->loop,
		.irq = { .status = &made->own_status, .fd = setup->irq_fd, .status_fd = -1 },
		.name = setup->name,
	};
	device->transport = made;
	device->config_changed = config_changed;
	device->fail = fail;
	device->started = false;
	for (unsigned int i = 0; i < DEVICE_QUEUES_MAX; i++)
		device->kick_fds[i] = made->queues[i].kick.fd = -1;
	if ((!device->ops->kick && share_status(&made->env, err) < 0) ||
	    make_kicks(made, err) < 0) {
		release(made);
		return -err->code;
	}
	device->env = made->env;
	*mmio = made;
	return 0;
}

void mmio_free(struct mmio *mmio)
{
	if (!mmio)
		return;
	struct device *device = mmio->device;
	stop_device(mmio);
	if (device->ops->close)
		device->ops->close(device);
	release(mmio);
}
