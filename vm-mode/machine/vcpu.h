// vcpu: the processors of a machine: a thread for each, which runs the guest, answers its accesses to
// devices (vm-mode/machine/bus.h) and tells its end.
//
// Threads are born paused. Signals don't reach them but one, SIGRTMIN, which makes KVM_RUN return.
#pragma once

#include "base/err.h"
#include "vm-mode/machine/bus.h"

#include <stdint.h>

enum vcpu_end_kind {
	VCPU_END_EXIT = 1, // in order, with a status
	VCPU_END_RESET, // reset, or a triple fault: Linux reboots so, and so dies what has lost its way
	VCPU_END_CRASH, // the guest tells that it has crashed
	VCPU_END_ERROR, // it can't go on; `why` says for what reason
};

struct vcpu_end {
	enum vcpu_end_kind kind;
	int status;	// VCPU_END_EXIT
	struct err why; // in words, always
};

struct vcpus_config {
	int kvm_fd, vm_fd; // stay the caller's
	unsigned int count;
	const struct bus *mmio, *pio; // stay as long
	// Called on the thread of a vCPU, which then runs no further; others still do. May be called
	// by several.
	void (*ended)(void *owner, const struct vcpu_end *end);
	void *owner;
	int (*confine)(struct err *err); // in each thread, first of all; NULL: nothing to do
};

struct vcpus;

// Makes the vCPUs; vCPU 0 will begin at vcpus_set_entry(), the others wait for it to wake them.
int vcpus_create(struct vcpus **vcpus, const struct vcpus_config *config, struct err *err);

// Where vCPU 0 begins, in long mode, as boot.h wants it; rdi and rsi are given, the other registers
// are 0.
int vcpus_set_entry(struct vcpus *vcpus, uint64_t rip, uint64_t rsi, struct err *err);

// Starts the threads, paused.
int vcpus_start(struct vcpus *vcpus, struct err *err);

// From here on they run.
void vcpus_resume(struct vcpus *vcpus);

// Waits until no vCPU runs and what it was doing with a device is done. The caller must not hold a
// lock that the bus takes.
void vcpus_pause(struct vcpus *vcpus);

// They will run no more. Doesn't wait; for any thread.
void vcpus_stop(struct vcpus *vcpus);

// Stops them, waits for the threads and frees all. The caller must not hold a lock that the bus takes.
void vcpus_free(struct vcpus *vcpus);
