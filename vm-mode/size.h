// size: how large a VM is made, from the limits of its container. Pure.
//
// The container's limits hold in the guest, whose kernel needs memory of its own; and the container's
// cgroup on the host holds the whole VM, and what the VMM needs.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "oci-spec/types.h"

#include <stdint.h>

// Beside the container: the guest's kernel (it, its page tables, its buffers), and on the host the VMM, the file
// server, and what the kernel keeps for them.
#define VM_GUEST_OVERHEAD_BYTES (UINT64_C(64) << 20)
#define VM_HOST_OVERHEAD_BYTES	(UINT64_C(64) << 20)
#define VM_HOST_OVERHEAD_PIDS	64 // threads, and processes that stand for those of `exec`

#define VM_MEMORY_DEFAULT_BYTES (UINT64_C(1) << 30)
#define VM_MEMORY_MIN_BYTES	(UINT64_C(128) << 20)

struct vm_size {
	unsigned int vcpus;
	uint64_t memory_bytes; // the guest's RAM, whole MiB
};

// How many vCPUs a quota of processor time keeps busy; 0: there is none.
uint64_t vm_size_busy_vcpus(const struct oci_cpu *cpu);

// The DAX window of a machine with so much memory: half as large, and 4 GiB at most. The guest's kernel has 64 bytes
// for each 4 KiB of it, as it has for RAM.
uint64_t vm_size_window(uint64_t memory_bytes);

// The limit on the container's memory, in bytes; 0: none. It is memory.limit, or what stands as a number in memory.max,
// a file of cgroup v2 that a spec may name instead (linux.resources.unified).
uint64_t vm_size_limit(const struct oci_resources *resources);

// vm.hwConfig where it says so; else as many vCPUs as the CPU quota needs, and memory for the limit and the guest's
// kernel. Where the spec has no such limit it is `usual`; a 0 there stands for moat's own default. All but hwConfig's
// number of vCPUs is at most what the host has, for a limit is an upper bound; but 1 vCPU and VM_MEMORY_MIN_BYTES at
// least. -EINVAL: hwConfig asks for what can't be, or for more memory than the host has.
int vm_size_of(const struct oci_spec *spec, const struct vm_size *usual, const struct vm_size *host,
	       struct vm_size *size, struct err *err);

// The size to which a VM that was made for `spec` is brought by a new limit: by its balloon, and so never above
// what it was made with. A limit below 0 is none, nor is one above what any machine can have. -EINVAL: the limit is
// more than the machine has memory for.
int vm_size_resize(const struct oci_spec *spec, const struct vm_size *made, int64_t limit,
		   struct vm_size *size, struct err *err);

// A new limit `swap` of the container, on memory and swap together, for the host's cgroup: as much more than that one's
// limit on memory, `host_limit`, as it is more than the container's, `limit`, which no guest has told. In
// *host_swap; -1: too much to say, and so none. -EINVAL: it is less than `limit`.
int vm_size_swap(int64_t swap, uint64_t limit, uint64_t host_limit, int64_t *host_swap,
		 struct err *err);

// The limits of the cgroup on the host, in `arena`: the spec's, with memory and pids for the VM as
// a whole. NULL gives NULL.
const struct oci_resources *vm_size_resources(const struct oci_resources *resources,
					      const struct vm_size *size, struct arena *arena);
