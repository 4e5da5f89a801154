// mptable: tells a kernel without ACPI, as moat's own is, of its processors and interrupt lines. One that has
// ACPI takes what vm-mode/machine/acpi.h says, and doesn't look here.
//
// Intel MultiProcessor Specification 1.4, chapter 4.
#pragma once

#include "base/err.h"
#include "vm-mode/memory.h"

// Writes it to LAYOUT_MP_TABLE: processors with the APIC ids 0 to vcpus - 1 (1 to LAYOUT_VCPUS_MAX),
// one I/O APIC, and the lines that lead there from `devices` devices (at most LAYOUT_DEVICES_MAX). -EINVAL.
int mptable_write(const struct guest_memory *memory, unsigned int vcpus, size_t devices,
		  struct err *err);
