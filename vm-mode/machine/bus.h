// bus: who answers at an address. A machine has two, for memory-mapped I/O and for ports.
//
// Filled before the vCPUs run and not changed after, so lookups need no lock. A range's functions
// are called on the threads of the vCPUs, and lock what they need.
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define BUS_RANGES_MAX 32

struct bus_range {
	uint64_t start, size;
	const char *name;
	void *owner;
	// `offset` counts from `start`; all `len` bytes (1 to 8) lie in the range. `data` comes zeroed.
	// NULL: reads are 0, writes are dropped.
	void (*read)(void *owner, uint64_t offset, void *data, size_t len);
	void (*write)(void *owner, uint64_t offset, const void *data, size_t len);
};

struct bus {
	struct bus_range ranges[BUS_RANGES_MAX];
	size_t count;
};

// -EEXIST: it overlaps another; -EINVAL: it is empty or wraps; -ENOSPC.
int bus_add(struct bus *bus, const struct bus_range *range, struct err *err);

// An access by the guest. Where nobody answers (nor one alone for all bytes), reads are all ones and
// writes are dropped, as on a PC.
void bus_read(const struct bus *bus, uint64_t addr, void *data, size_t len);
void bus_write(const struct bus *bus, uint64_t addr, const void *data, size_t len);
