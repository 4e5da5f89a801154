// boot: puts a kernel and what it needs into the guest's memory.
//
// The kernel is an ELF vmlinux, entered at its entry point, or a bzImage, entered at its 64-bit entry:
// no BIOS, no real mode. Its file is the operator's; all of its fields are checked all the same, so
// that a broken one gives an error and not a dead guest. The guest's memory must be new (zero).
//
// The kernel's Documentation/arch/x86/boot.rst ("64-bit Boot Protocol") and zero-page.rst.
#pragma once

#include "base/err.h"
#include "vm-mode/memory.h"

#include <stdint.h>

#define BOOT_INITRDS_MAX 2

// The code and data segments that the kernel expects: places in the GDT.
#define BOOT_CS 0x10
#define BOOT_DS 0x18

struct boot {
	const struct guest_memory *memory;
	int kernel_fd;
	int initrd_fds
		[BOOT_INITRDS_MAX]; // one behind the other, each newc, perhaps compressed; -1: none
	const char *cmdline;	    // vm-mode/machine/cmdline.h
	unsigned int vcpus;
	size_t devices; // virtio-mmio, at their places of vm-mode/machine/layout.h
};

// Whether a file is a kernel as above, for a guest with so much memory, as far as its headers and its length tell.
// -ENOEXEC or -EINVAL, and why not; -ENOMEM: it doesn't fit; else what reading gave.
int boot_check_kernel(int kernel_fd, uint64_t memory_bytes, struct err *err);

// Whether a file begins as an initramfs does: a cpio archive (newc), or what the kernel unpacks one from. -ENOEXEC,
// -EINVAL or -ENOMEM, and why not; else what reading gave.
int boot_check_initrd(int initrd_fd, struct err *err);

// Returns 0 and the address of the first instruction, to be executed in long mode, with paging by
// LAYOUT_PAGE_TABLES, the GDT at LAYOUT_GDT and rsi = LAYOUT_BOOT_PARAMS. -ENOEXEC: no such kernel;
// -ENOMEM: it or the initramfs doesn't fit; else what reading gave.
int boot_load(const struct boot *boot, uint64_t *entry, struct err *err);

// The parts that bare guests need too: the GDT and page tables for the first 4 GiB, one to one.
int boot_write_tables(const struct guest_memory *memory, struct err *err);

#define BOOT_GDT_LIMIT (4 * 8 - 1)
