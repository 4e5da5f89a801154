// machine: owns all that a virtual machine consists of, builds it in order and takes it down.
//
//     machine_create()       loop, memory, KVM's machine with its interrupt controllers
//     machine_add_device()   a window, a line, its queues' kicks
//     machine_boot()         kernel, command line, vCPUs
//     machine_resume()       the guest runs; so must machine_loop()
//     machine_free()         vCPUs, devices, KVM's machine, memory, loop
//
// What runs where: devices are under the loop's lock (vm-mode/loop.h). Kicks come to the loop by
// ioeventfd, but those of a driver that waits for the device; accesses to registers are served on the vCPU's thread. Not handed to the loop's: with
// virtio-mmio every interrupt costs two of them, and two switches of threads each would cost more
// than they. Interrupts go by irqfd, from any process.
//
// A device that another process serves (the file server) is a `struct device` without `kick`: its
// `start` gives that process env.memory's ranges, the first time its fd, queues[].setup, kick_fds, env.irq.fd and
// env.irq.status_fd; from then on the machine has no part in it.
#pragma once

#include "base/err.h"
#include "vm-mode/loop.h"
#include "vm-mode/machine/boot.h"
#include "vm-mode/machine/vcpu.h"
#include "vm-mode/memory.h"
#include "vm-mode/virtio/device.h"

struct machine_config {
	int kvm_fd; // stays the caller's
	unsigned int vcpus;
	uint64_t memory_bytes;
	// The DAX window: address space of the caller's, page aligned, which outlives the machine; he
	// maps files there (MAP_FIXED). A guest that accesses what is PROT_NONE ends. 0 bytes: none.
	void *window;
	uint64_t window_bytes;
	// Called once, in the loop, when the guest is at its end. It runs no more.
	void (*ended)(void *owner, const struct vcpu_end *end);
	// What the guest writes to its first serial port, some bytes at a time, under the loop's
	// lock. NULL: it has none.
	void (*serial)(void *owner, const char *bytes, size_t len);
	void *owner;			      // of both
	int (*confine_vcpu)(struct err *err); // see struct vcpus_config
};

struct machine_kernel {
	int kernel_fd;
	int initrd_fds[BOOT_INITRDS_MAX]; // -1: none
	const char *parameters;		  // more of them; NULL: none
	bool debug;			  // the kernel tells all
};

struct machine;

int machine_create(struct machine **machine, const struct machine_config *config, struct err *err);

// Stops it first. The caller is the thread that made it.
void machine_free(struct machine *machine);

struct loop *machine_loop(struct machine *machine);
const struct guest_memory *machine_memory(const struct machine *machine);

// Before machine_boot(). The device is the machine's from here on, also when this fails: it is closed
// with it. `name` must stay. `window`: the device's shared memory region 0 is the DAX window.
int machine_add_device(struct machine *machine, struct device *device, const char *name,
		       bool window, struct err *err);

// Loads the kernel and makes the vCPUs, paused.
int machine_boot(struct machine *machine, const struct machine_kernel *kernel, struct err *err);

// After machine_pause() no vCPU runs; devices still do. It lets vCPUs into the devices while it
// waits.
void machine_resume(struct machine *machine);
void machine_pause(struct machine *machine);
