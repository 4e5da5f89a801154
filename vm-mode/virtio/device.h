// device: what a virtio device is to the transport, and what a device has of the machine.
//
// A device is a `struct device` at the head of its own structure, with a table of operations. It
// runs under the lock of the machine's event loop (vm-mode/loop.h), one call at a time, and needs
// none of its own; a call may come on the thread of a vCPU. All it may touch comes in its `struct
// dev_env`, which the transport fills in.
//
// A device whose queues another process serves has no `kick`. It hands that process the queues'
// setups and kick_fds when it is started, and env.irq's two descriptors.
//
// VIRTIO 1.2, "Basic Facilities of a Virtio Device" (2).
#pragma once

#include "vm-mode/loop.h"
#include "vm-mode/memory.h"
#include "vm-mode/virtio/queue.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICE_QUEUES_MAX 8

// A line to the guest's interrupt controller. `status` is the transport's InterruptStatus register
// and may be shared with another process; writing to `fd` (an irqfd) raises the interrupt.
struct dev_irq {
	atomic_uint *status;
	int fd; // -1 in tests
	// A memory file of one page, `status` its first four bytes, if the device has no `kick`;
	// else -1.
	int status_fd;
};

// For used buffers. (A change of the configuration is the transport's to tell.)
void dev_irq_raise(const struct dev_irq *irq);

struct dev_env {
	const struct guest_memory *memory;
	struct loop *loop;
	struct dev_irq irq;
	const char *name; // for the log: `console`
};

struct device;

struct device_ops {
	uint32_t id;	   // VIRTIO_ID_*
	uint64_t features; // beyond those of the transport (VERSION_1, EVENT_IDX, INDIRECT_DESC)
	unsigned int queues;
	uint16_t queue_size; // the most that a driver may choose
	// The driver kicks and spins until it has its buffer back: the vCPU that kicks serves it then,
	// which is sooner than to wake the loop.
	bool driver_spins;

	// The configuration space; bytes beyond its end read as 0, writes to them are dropped.
	// NULL: none.
	void (*config_read)(struct device *dev, uint64_t offset, void *data, size_t len);
	void (*config_write)(struct device *dev, uint64_t offset, const void *data, size_t len);

	// DRIVER_OK: dev->queues are ready. NULL: nothing to do.
	int (*start)(struct device *dev, struct err *err);

	// The driver has kicked the queue. The device takes what it can; an error (a broken queue
	// too) costs the guest the device. NULL: another process listens to kick_fds.
	int (*kick)(struct device *dev, unsigned int queue, struct err *err);

	// The guest has reset it, or it is broken: forgets all that is under way. What it got at its
	// making stays.
	void (*reset)(struct device *dev);

	// The end.
	void (*close)(struct device *dev);
};

struct device {
	const struct device_ops *ops;
	struct dev_env env;
	uint64_t driver_features; // agreed on, when started
	bool started;
	struct queue queues[DEVICE_QUEUES_MAX]; // not ready where the driver doesn't use it
	int kick_fds[DEVICE_QUEUES_MAX];	// eventfds of the transport's
	void *transport;
	// Set by the transport: tells the guest that the configuration has changed, or that the
	// device is broken. For what happens outside of a kick.
	void (*config_changed)(struct device *dev);
	void (*fail)(struct device *dev, const struct err *err);
};

// Has `kick` called again for this queue, after what else waits in the loop: a device that stops with
// chains left, so that a driver that never runs dry doesn't have the VMM to itself.
void dev_kick_again(struct device *dev, unsigned int queue);

// For config_read: gives the driver its bytes of a configuration space that is kept as a structure.
void dev_config_read(const void *space, size_t size, uint64_t offset, void *data, size_t len);

// What most devices do at a kick: takes chains from the queue, at most `turns`, hands each to `serve`, and
// gives it back with as many bytes written as that returns; negative errno ends it, and the device.
// `chain` is room for one.
int dev_serve_chains(struct device *dev, unsigned int queue, struct chain *chain,
		     ssize_t (*serve)(struct device *dev, unsigned int queue, struct err *err),
		     int turns, struct err *err);
