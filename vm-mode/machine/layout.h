// layout: where things are in the guest's physical address space. Constants and nothing else.
//
//     0                 RAM
//       0x500             GDT             boot.c, for the first instructions of the kernel
//       0x7000            boot_params     the "zero page"
//       0x9000 .. 0xefff  page tables     the first 4 GiB, mapped one to one
//       0x10000           command line
//       0x9fc00 ..        not in the kernel's memory map, as on a PC
//       0xe0000           ACPI tables     where a kernel looks for them, and for
//       0xf0000           the MP table
//       0x100000 ..       kernel          where its file says
//       .. end of it      initramfs
//     3 GiB             the hole
//       0xd0000000        virtio-mmio windows, a page each
//       0xfec00000        I/O APIC
//       0xfee00000        local APICs
//       0xfffbc000        KVM's own pages (TSS, identity map)
//     4 GiB             the rest of RAM
//     next GiB or more  the DAX window
//
// There is one I/O APIC, with as many pins as the devices need.
#pragma once

#include <stdint.h>

#define LAYOUT_GDT		UINT64_C(0x500)
#define LAYOUT_BOOT_PARAMS	UINT64_C(0x7000)
#define LAYOUT_PAGE_TABLES	UINT64_C(0x9000)
#define LAYOUT_PAGE_TABLES_SIZE UINT64_C(0x6000)
#define LAYOUT_CMDLINE		UINT64_C(0x10000)
#define LAYOUT_CMDLINE_MAX	2048 // COMMAND_LINE_SIZE of x86, its NUL included
#define LAYOUT_BASE_MEMORY_END	UINT64_C(0x9fc00)
#define LAYOUT_ACPI		UINT64_C(0xe0000)
#define LAYOUT_ACPI_SIZE	UINT64_C(0x10000)
#define LAYOUT_MP_TABLE		UINT64_C(0xf0000)
#define LAYOUT_MP_TABLE_SIZE	UINT64_C(0x10000)
#define LAYOUT_HIGH_MEMORY	UINT64_C(0x100000)

#define LAYOUT_HOLE	UINT64_C(0xc0000000)
#define LAYOUT_HOLE_END UINT64_C(0x100000000)

#define LAYOUT_VIRTIO	    UINT64_C(0xd0000000) // device `i` has LAYOUT_VIRTIO_AT(i) and LAYOUT_IRQ(i)
#define LAYOUT_VIRTIO_SIZE  UINT64_C(0x1000)
#define LAYOUT_IOAPIC	    UINT64_C(0xfec00000)
#define LAYOUT_LOCAL_APIC   UINT64_C(0xfee00000)
#define LAYOUT_KVM_IDENTITY UINT64_C(0xfffbc000) // one page
#define LAYOUT_KVM_TSS	    UINT64_C(0xfffbd000) // three pages
#define LAYOUT_WINDOW_ALIGN (UINT64_C(1) << 30)
#define LAYOUT_MEMORY_MAX   (UINT64_C(1) << 40) // of RAM, and of the DAX window
#define LAYOUT_IOAPIC_SIZE  UINT64_C(0x100)
#define LAYOUT_IOAPIC_PINS  24 // at most
#define LAYOUT_VCPUS_MAX    64

// Ports. A byte written to the first is the guest's orderly end, with that status.
#define LAYOUT_PORT_EXIT   0x500
#define LAYOUT_PORT_SERIAL 0x3f8 // eight of them
#define LAYOUT_PORT_I8042  0x64

// Interrupt lines are pins of the I/O APIC. Linux reads and writes each pin that there is some thirty times, exits all of
// them: so the devices have the first ones, after 0, which is no line to Linux. It takes them as they are because
// there are no PICs: beside these it would keep line 2 for itself, and want a timer at line 0. Of a PC's other devices only
// a serial port is here, which has no line.
#define LAYOUT_DEVICES_MAX   (LAYOUT_IOAPIC_PINS - 1)
#define LAYOUT_IRQ(i)	     ((unsigned int)(i) + 1)
#define LAYOUT_PINS(devices) LAYOUT_IRQ(devices) // from 0 to the last line
#define LAYOUT_VIRTIO_AT(i)  (LAYOUT_VIRTIO + (i)*LAYOUT_VIRTIO_SIZE)
