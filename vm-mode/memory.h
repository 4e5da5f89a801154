// memory: the guest's physical memory, and the one way from a guest address to a host pointer.
//
// RAM is one file of memory, so that the file server can map it too, of huge pages where the kernel has
// them: each page costs the guest a fault, and one that leaves the guest at that. A range is a piece of guest
// physical address space behind which there is host memory. All that a device does with an address
// that a guest gave it goes through guest_ptr(): an address is good only if all of its bytes lie in
// one range of RAM. The DAX window is not RAM, but files: what is mapped there can go at any time, under
// the hands of who touches it. Only the file server lets system calls read and write there.
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define GUEST_RANGES_MAX 4

struct guest_range {
	uint64_t gpa;	 // guest physical address, page aligned
	uint64_t size;	 // bytes, page aligned
	uint64_t offset; // in the memory file
	void *host;
};

// Plain data: a unit test or fuzzer fills it by hand, with `fd` -1.
struct guest_memory {
	struct guest_range ranges[GUEST_RANGES_MAX];
	size_t count;
	int fd; // the memory file
	// The DAX window; size 0: none. `host` is NULL but in the file server.
	struct guest_range window;
};

// The host pointer for `len` bytes at `gpa`; NULL unless all of them lie in one range. len 0 is
// NULL too. Never wraps.
void *guest_ptr(const struct guest_memory *memory, uint64_t gpa, uint64_t len);

// The same in the DAX window; NULL also where it has no `host`. For system calls, which fail with EFAULT
// where nothing is; never to be touched.
void *guest_window_ptr(const struct guest_memory *memory, uint64_t gpa, uint64_t len);

// Makes the memory file and maps it: `bytes` of RAM (page aligned) from address 0 on, less the hole
// below 4 GiB for devices (vm-mode/machine/layout.h), whose rest comes at 4 GiB. Not touched: pages come
// when the guest uses them. Who has the file can cut it short, and every access to what is missing is a
// SIGBUS: it goes to the file server alone, which closes it before it serves the guest. -ENOMEM, -EINVAL.
int guest_memory_create(struct guest_memory *memory, uint64_t bytes, struct err *err);

// In another process, which got `memory->fd`: maps the same ranges; the caller has copied count,
// gpa, size and offset.
int guest_memory_map(struct guest_memory *memory, struct err *err);

// Unmaps and closes.
void guest_memory_free(struct guest_memory *memory);
