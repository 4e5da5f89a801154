#include "vm-mode/size.h"

#include "base/str.h"
#include "vm-mode/fs/fs.h"
#include "vm-mode/machine/layout.h"
#include "vm-mode/split.h"

#define MIB		 (UINT64_C(1) << 20)
#define PERIOD_US	 100000 // the kernel's default
#define WINDOW_MAX	 (UINT64_C(4) << 30)
#define PAGE_SIZE	 4096
#define PAGE_STRUCT	 64 // `struct page`, which the guest's kernel has for each page
#define CPUS_DEFAULT_MAX 8  // each vCPU costs at boot, and most programs have no use for more

uint64_t vm_size_busy_vcpus(const struct oci_cpu *cpu)
{
	if (!cpu || cpu->quota.v <= 0)
		return 0;
	return ((uint64_t)cpu->quota.v - 1) / (cpu->period.v ? cpu->period.v : PERIOD_US) + 1;
}

static unsigned int vcpus_of(const struct oci_resources *resources, unsigned int usual,
			     unsigned int cpus)
{
	const uint64_t busy = vm_size_busy_vcpus(resources ? resources->cpu : NULL);
	uint64_t wanted = busy ? busy : usual ? usual : CPUS_DEFAULT_MAX;

	if (wanted > cpus)
		wanted = cpus;
	if (wanted > LAYOUT_VCPUS_MAX)
		wanted = LAYOUT_VCPUS_MAX;
	return wanted ? (unsigned int)wanted : 1;
}

static uint64_t whole_mib(uint64_t bytes)
{
	bytes = (bytes + MIB - 1) & ~(MIB - 1);
	return bytes < VM_MEMORY_MIN_BYTES ? VM_MEMORY_MIN_BYTES : bytes;
}

uint64_t vm_size_window(uint64_t memory_bytes)
{
	const uint64_t bytes = memory_bytes / 2;

	return bytes < WINDOW_MAX ? bytes & ~(FS_WINDOW_SLOT - 1) : WINDOW_MAX;
}

// What the guest's kernel takes of so much memory: for itself, and for the pages of RAM and window.
static uint64_t kernel_part(uint64_t memory_bytes)
{
	return VM_GUEST_OVERHEAD_BYTES +
	       (memory_bytes + vm_size_window(memory_bytes)) / PAGE_SIZE * PAGE_STRUCT;
}

// What is left for the container.
static uint64_t container_part(uint64_t memory_bytes)
{
	return memory_bytes - kernel_part(memory_bytes);
}

// More than any machine can have, as the largest number, is no limit.
static bool is_endless(uint64_t limit)
{
	return limit > container_part(LAYOUT_MEMORY_MAX);
}

// The least memory that leaves so much for the container.
static uint64_t memory_for(uint64_t limit)
{
	uint64_t bytes = 0, more = whole_mib(limit);

	while (more > bytes) {
		bytes = more;
		more = whole_mib(limit + kernel_part(bytes));
	}
	return bytes;
}

uint64_t vm_size_limit(const struct oci_resources *resources)
{
	uint64_t limit = 0;

	if (!resources)
		return 0;
	if (resources->memory && resources->memory->limit.v > 0)
		limit = (uint64_t)resources->memory->limit.v;
	// The file is written last. What is no number of bytes there, as `max`, counts for nothing.
	for (size_t i = 0; i < resources->unified.n; i++)
		if (str_eq(resources->unified.v[i].key, "memory.max"))
			str_to_u64(resources->unified.v[i].value, &limit);
	return limit < INT64_MAX ? limit : INT64_MAX;
}

static uint64_t memory_of(const struct oci_resources *resources, uint64_t usual, uint64_t host)
{
	const uint64_t limit = vm_size_limit(resources);
	uint64_t bytes = usual ? usual : VM_MEMORY_DEFAULT_BYTES;

	if (limit > 0 && !is_endless(limit))
		bytes = memory_for(limit);
	if (bytes > host)
		bytes = host & ~(MIB - 1);
	return whole_mib(bytes);
}

static int check_hw_memory(uint64_t bytes, uint64_t host, struct err *err)
{
	if (bytes < VM_MEMORY_MIN_BYTES || bytes > LAYOUT_MEMORY_MAX)
		return err_set(err, EINVAL,
			       "vm.hwConfig.memory: %llu bytes are not in %llu to %llu",
			       (unsigned long long)bytes, (unsigned long long)VM_MEMORY_MIN_BYTES,
			       (unsigned long long)LAYOUT_MEMORY_MAX);
	if (bytes > host)
		return err_set(err, EINVAL,
			       "vm.hwConfig.memory: %llu bytes are more than the %llu that this "
			       "host has",
			       (unsigned long long)bytes, (unsigned long long)host);
	return 0;
}

int vm_size_of(const struct oci_spec *spec, const struct vm_size *usual, const struct vm_size *host,
	       struct vm_size *size, struct err *err)
{
	const struct oci_vm_hw_config *hardware = spec->vm ? spec->vm->hw_config : NULL;
	const struct oci_resources *resources = spec->linux->resources;

	*size = (struct vm_size){ .vcpus = vcpus_of(resources, usual->vcpus, host->vcpus),
				  .memory_bytes = memory_of(resources, usual->memory_bytes,
							    host->memory_bytes) };
	if (hardware && hardware->vcpus.set) {
		if (hardware->vcpus.v == 0 || hardware->vcpus.v > LAYOUT_VCPUS_MAX)
			return err_set(err, EINVAL, "vm.hwConfig.vcpus: %u is not in 1 to %u",
				       hardware->vcpus.v, LAYOUT_VCPUS_MAX);
		size->vcpus = hardware->vcpus.v;
	}
	if (hardware && hardware->memory.set) {
		if (check_hw_memory(hardware->memory.v, host->memory_bytes, err) < 0)
			return -err->code;
		size->memory_bytes = whole_mib(hardware->memory.v);
	}
	return 0;
}

int vm_size_resize(const struct oci_spec *spec, const struct vm_size *made, int64_t limit,
		   struct vm_size *size, struct err *err)
{
	const uint64_t first = vm_size_limit(spec->linux->resources);
	uint64_t most = container_part(made->memory_bytes);
	const uint64_t kernel_bytes = made->memory_bytes - most;

	// What it was made for stays good, also where vm.hwConfig or the host's memory left less than that.
	if (first > most && !is_endless(first))
		most = first;
	*size = *made;
	if (limit < 0 || is_endless((uint64_t)limit))
		return 0;
	if ((uint64_t)limit > most)
		return err_set(
			err, EINVAL,
			"linux.resources.memory.limit: %lld is more than the %llu bytes that "
			"the VM was made for",
			(long long)limit, (unsigned long long)most);
	const uint64_t bytes = whole_mib((uint64_t)limit + kernel_bytes);
	if (bytes < size->memory_bytes)
		size->memory_bytes = bytes;
	return 0;
}

int vm_size_swap(int64_t swap, uint64_t limit, uint64_t host_limit, int64_t *host_swap,
		 struct err *err)
{
	if ((uint64_t)swap < limit)
		return err_set(err, EINVAL,
			       "linux.resources.memory.swap: %lld is less than the limit on memory",
			       (long long)swap);
	if (__builtin_add_overflow(host_limit, (uint64_t)swap - limit, host_swap))
		*host_swap = -1;
	return 0;
}

static struct oci_memory *host_memory(const struct oci_resources *resources,
				      const struct vm_size *size, struct arena *arena)
{
	const int64_t limit = (int64_t)vm_size_limit(resources);
	const int64_t whole = (int64_t)(size->memory_bytes + VM_HOST_OVERHEAD_BYTES);

	if (!resources->memory && limit == 0)
		return NULL;
	struct oci_memory *host = arena_new(arena, struct oci_memory, 1);
	if (resources->memory)
		*host = *resources->memory;
	if (limit == 0)
		return host;
	// Of swap the host's cgroup may use as much as before; what is too much to say is no limit.
	if (host->swap.v > 0 && __builtin_add_overflow(host->swap.v - limit, whole, &host->swap.v))
		host->swap.v = -1;
	host->limit.set = true;
	host->limit.v = whole;
	return host;
}

const struct oci_resources *vm_size_resources(const struct oci_resources *resources,
					      const struct vm_size *size, struct arena *arena)
{
	if (!resources)
		return NULL;
	struct oci_resources *host = arena_new(arena, struct oci_resources, 1);

	*host = *resources;
	host->memory = host_memory(resources, size, arena);
	host->hugepage_limits.n = 0;
	host->unified.v = arena_new(arena, struct oci_pair, resources->unified.n);
	host->unified.n = 0;
	for (size_t i = 0; i < resources->unified.n; i++)
		if (vm_split_file(resources->unified.v[i].key).host)
			host->unified.v[host->unified.n++] = resources->unified.v[i];
	if (resources->pids && resources->pids->limit.set && resources->pids->limit.v > 0) {
		host->pids = arena_new(arena, struct oci_pids, 1);
		*host->pids = *resources->pids;
		if (__builtin_add_overflow(host->pids->limit.v,
					   (int64_t)size->vcpus + VM_HOST_OVERHEAD_PIDS,
					   &host->pids->limit.v))
			host->pids->limit = resources->pids->limit;
	}
	return host;
}
