// mmio: the virtio-mmio transport, version 2: the registers between a driver and a device.
//
// It leads the driver through the status machine, agrees on features, makes the queues and passes
// kicks on. A device that fails gets DEVICE_NEEDS_RESET and is silent until the driver resets it; a
// line in the log tells why, as often as once in a while.
//
// mmio_read() and mmio_write() are called on the threads of the vCPUs and take the loop's lock, but
// for the two registers of every interrupt.
//
// VIRTIO 1.2, "Virtio Over MMIO" (4.2), "Device Initialization" (3.1).
#pragma once

#include "vm-mode/virtio/device.h"

#define MMIO_WINDOWS_MAX 2

// A shared memory region (2.10): the DAX window.
struct mmio_window {
	uint8_t id;
	uint64_t gpa, size; // size 0: none
};

struct mmio_setup {
	const struct guest_memory *memory;
	struct loop *loop;
	const char *name;
	int irq_fd; // stays the caller's; -1 in tests
	struct mmio_window windows[MMIO_WINDOWS_MAX];
};

struct mmio;

// Takes the device over: fills in device->env, kick_fds and the two functions. `name` must stay.
int mmio_create(struct mmio **mmio, struct device *device, const struct mmio_setup *setup,
		struct err *err);

// Closes the device, too.
void mmio_free(struct mmio *mmio);

// Accesses of the guest to the window of the `struct mmio` that is given as owner; for vm-mode/machine/bus.h.
void mmio_read(void *owner, uint64_t offset, void *data, size_t len);
void mmio_write(void *owner, uint64_t offset, const void *data, size_t len);
