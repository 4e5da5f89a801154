// acpi: tells a kernel that has ACPI of its processors, its I/O APIC and its virtio devices: the least of tables
// of "hardware-reduced" ACPI, without registers, events or methods. Distributions' kernels find virtio-mmio
// in no other way; moat's own kernel has no ACPI, and is told by vm-mode/machine/mptable.h and cmdline.h. A kernel
// that knows both ways binds each device once: the second time its registers are taken.
//
//     RSDP -> XSDT -> FADT -> DSDT   a device LNRO0005 for each virtio device
//                     MADT           local APICs, the I/O APIC
//
// ACPI Specification 6.4: 5.2 (tables), 6.4 (resources), 20 (AML).
#pragma once

#include "base/err.h"
#include "vm-mode/memory.h"

// Writes them to LAYOUT_ACPI, RSDP first. Processors have the APIC ids 0 to vcpus - 1 (1 to LAYOUT_VCPUS_MAX);
// devices are at their places of vm-mode/machine/layout.h (at most LAYOUT_DEVICES_MAX). -EINVAL.
int acpi_write(const struct guest_memory *memory, unsigned int vcpus, size_t devices,
	       struct err *err);
