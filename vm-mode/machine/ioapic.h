// ioapic: the machine's I/O APIC: for each line a vector and a processor, which the guest chooses. Pure; what
// carries interrupts there is KVM, by the routes that this gives.
//
// It is not KVM's own, which always has 24 lines: kernels read and clear all lines there are, several times, and
// each access leaves the guest. Lines are edge triggered, as all of moat's devices are, so none waits for an end of
// interrupt.
//
// Intel 82093AA I/O APIC datasheet, chapter 3.
#pragma once

#include "vm-mode/machine/layout.h"

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ioapic {
	unsigned int pins;
	uint32_t selected, id;
	uint64_t entries[LAYOUT_IOAPIC_PINS];
};

// All lines masked, as after a reset. `pins`: 1 to LAYOUT_IOAPIC_PINS.
void ioapic_init(struct ioapic *ioapic, unsigned int pins);

// A register, `offset` from LAYOUT_IOAPIC. Where there is none, reads are 0, writes are dropped.
uint32_t ioapic_read(const struct ioapic *ioapic, uint64_t offset);

// True: the routes have changed.
bool ioapic_write(struct ioapic *ioapic, uint64_t offset, uint32_t value);

// The routes of the lines that are not masked; returns how many. `routes` has room for LAYOUT_IOAPIC_PINS.
size_t ioapic_routes(const struct ioapic *ioapic, struct kvm_irq_routing_entry *routes);
