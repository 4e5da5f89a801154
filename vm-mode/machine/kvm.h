// kvm: the kernel's virtual machines, as thin functions: an ioctl each, with an error that tells what
// was asked for.
//
// The kernel's Documentation/virt/kvm/api.rst.
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kvm_irq_routing_entry; // <linux/kvm.h>

// Is this a KVM that has all that moat needs? -ENOSYS, naming what it lacks.
int kvm_check(int kvm_fd, struct err *err);

// Returns the descriptor of a new machine, with nothing in it.
int kvm_create_vm(int kvm_fd, struct err *err);

// A local APIC in the kernel for each vCPU to come, and nothing else of a PC's: the I/O APIC is the caller's
// (vm-mode/machine/ioapic.h).
int kvm_create_irqchip(int vm_fd, struct err *err);

// `size` bytes at `host` become guest memory.
int kvm_set_memory(int vm_fd, uint32_t slot, uint64_t gpa, uint64_t size, void *host,
		   struct err *err);

// Where interrupt lines lead, all others nowhere; at most LAYOUT_IOAPIC_PINS.
int kvm_set_routes(int vm_fd, const struct kvm_irq_routing_entry *routes, size_t count,
		   struct err *err);

// From now on a write to `event_fd` raises interrupt line `line`.
int kvm_add_irqfd(int vm_fd, uint32_t line, int event_fd, struct err *err);

// From now on a 32-bit write of `value` to `gpa` is a write to `event_fd`, and no exit.
int kvm_add_ioeventfd(int vm_fd, uint64_t gpa, uint32_t value, int event_fd, struct err *err);
