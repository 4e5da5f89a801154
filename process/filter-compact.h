// compact: libseccomp's program made small.
//
// What it costs to set a filter grows with its instructions, since the kernel translates them each
// time: 0.9 ms for an engine's default profile of some 430 system calls and three architectures.
// Nearly all of them say the same for every argument, and their numbers lie side by side. So the
// program is asked, by walking it, what it says for each number; the answers become a search tree
// over ranges of numbers; and only for the few numbers whose answer depends on arguments
// libseccomp's own instructions stay, without those that no such number reaches.
#pragma once

#include "base/arena.h"
#include "base/err.h"

#include <linux/filter.h>
#include <stddef.h>

// System calls of x32 come as those of x86_64, with this bit. No other machine has numbers as high.
#define COMPACT_X32_BIT 0x40000000U

// An architecture that the program is for.
struct compact_arch {
	uint32_t audit; // AUDIT_ARCH_*
	uint32_t last,
		last_x32; // numbers above these return ENOSYS; UINT32_MAX: none do. The second for those with the x32 bit
};

// Makes of `program` one that gives the same verdicts but for those numbers that are above the
// architectures' last. In `arena`. -ENOTSUP: it has instructions that seccomp programs don't have;
// -E2BIG: more instructions than the kernel takes.
int compact_program(const struct sock_fprog *program, const struct compact_arch *archs,
		    size_t arch_count, struct arena *arena, struct sock_fprog *out,
		    struct err *err);
