// mptable: tells the kernel of its processors and interrupt lines, in place of ACPI.
//
// Intel MultiProcessor Specification 1.4, chapter 4.
#pragma once

#include "base/err.h"
#include "vm-mode/memory.h"

// Writes it to LAYOUT_MP_TABLE: processors with the APIC ids 0 to vcpus - 1 (1 to LAYOUT_VCPUS_MAX),
// one I/O APIC, whose pins have the numbers of the lines.
int mptable_write(const struct guest_memory *memory, unsigned int vcpus, struct err *err);
