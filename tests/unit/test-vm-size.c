// How large a VM is made, and what its cgroup on the host may use.
#include "base/arena.h"
#include "tests/unit/tap.h"
#include "vm-mode/machine/layout.h"
#include "vm-mode/size.h"

#define MIB UINT64_C(1048576)

static struct err err;
static struct vm_size size, usual;
static struct arena arena;

static int size_of(const struct oci_resources *resources, const struct oci_vm_hw_config *hardware,
		   unsigned int cpus)
{
	struct oci_linux linux = { .resources = (struct oci_resources *)resources };
	struct oci_vm vm = { .hw_config = (struct oci_vm_hw_config *)hardware };
	const struct oci_spec spec = { .linux = &linux, .vm = hardware ? &vm : NULL };

	err = (struct err){ 0 };
	size = (struct vm_size){ 0 };
	return vm_size_of(&spec, &usual, cpus, &size, &err);
}

static unsigned int vcpus(int64_t quota, uint64_t period, unsigned int cpus)
{
	struct oci_cpu cpu = { .quota = { .set = quota != 0, .v = quota },
			       .period = { .set = period != 0, .v = period } };
	const struct oci_resources resources = { .cpu = &cpu };

	return size_of(&resources, NULL, cpus) == 0 ? size.vcpus : 0;
}

static uint64_t memory_mib(int64_t limit)
{
	struct oci_memory memory = { .limit = { .set = true, .v = limit } };
	const struct oci_resources resources = { .memory = &memory };

	return size_of(&resources, NULL, 1) == 0 ? size.memory_bytes / MIB : 0;
}

static void test_vcpus(void)
{
	is_int(size_of(NULL, NULL, 4), 0);
	is_int(size.vcpus, 4);
	is_int(vcpus(0, 0, 100), 8);
	is_int(vcpus(-1, 0, 4), 4);
	is_int(vcpus(100000, 100000, 4), 1);
	is_int(vcpus(100001, 100000, 4), 2);
	is_int(vcpus(1, 100000, 4), 1);
	is_int(vcpus(200000, 0, 4), 2);
	is_int(vcpus(200000, 50000, 16), 4);
	is_int(vcpus(1200000, 100000, 16), 12);
	is_int(vcpus(1200000, 100000, 4), 4);
	is_int(vcpus(INT64_MAX, 1, 1024), LAYOUT_VCPUS_MAX);
	is_int(vcpus(0, 0, 0), 1);
}

static void test_memory(void)
{
	is_int(size_of(NULL, NULL, 1), 0);
	is_int((long long)size.memory_bytes, VM_MEMORY_DEFAULT_BYTES);
	is_int(memory_mib(-1), 1024);
	is_int(memory_mib(256 * (int64_t)MIB), 256 + 64);
	is_int(memory_mib(256 * (int64_t)MIB + 1), 256 + 64 + 1);
	is_int(memory_mib(1), 128);
	is_int(memory_mib(INT64_MAX), 1024);
	is_int(memory_mib(INT64_MAX & ~INT64_C(4095)), 1024);
	// The most that fits, and one more.
	is_int(memory_mib((int64_t)(LAYOUT_MEMORY_MAX - VM_GUEST_OVERHEAD_BYTES) - 1),
	       LAYOUT_MEMORY_MAX / MIB);
	is_int(memory_mib((int64_t)(LAYOUT_MEMORY_MAX - VM_GUEST_OVERHEAD_BYTES)), 1024);
}

static int hardware(uint32_t vcpus_wanted, uint64_t memory)
{
	const struct oci_vm_hw_config config = { .vcpus = { .set = true, .v = vcpus_wanted },
						 .memory = { .set = true, .v = memory } };

	return size_of(NULL, &config, 2);
}

static void test_hardware(void)
{
	is_int(hardware(3, 512 * MIB + 1), 0);
	is_int(size.vcpus, 3);
	is_int((long long)size.memory_bytes, 513 * MIB);
	is_int(hardware(LAYOUT_VCPUS_MAX, LAYOUT_MEMORY_MAX), 0);
	is_int((long long)size.memory_bytes, LAYOUT_MEMORY_MAX);
	is_int(hardware(0, 512 * MIB), -EINVAL);
	is_str(err.msg, "vm.hwConfig.vcpus: 0 is not in 1 to 64");
	is_int(hardware(LAYOUT_VCPUS_MAX + 1, 512 * MIB), -EINVAL);
	is_int(hardware(1, VM_MEMORY_MIN_BYTES), 0);
	is_int(hardware(1, VM_MEMORY_MIN_BYTES - 1), -EINVAL);
	is_int(hardware(1, LAYOUT_MEMORY_MAX + 1), -EINVAL);
	is_int(hardware(1, UINT64_MAX), -EINVAL);
}

static const struct oci_memory *host_memory(int64_t limit, int64_t swap)
{
	struct oci_memory memory = { .limit = { .set = limit != 0, .v = limit },
				     .swap = { .set = swap != 0, .v = swap } };
	const struct oci_resources resources = { .memory = &memory };

	size_of(&resources, NULL, 1);
	return vm_size_resources(&resources, &size, &arena)->memory;
}

static int64_t host_pids(int64_t limit)
{
	struct oci_pids pids = { .limit = { .set = true, .v = limit } };
	const struct oci_resources resources = { .pids = &pids };

	size_of(&resources, NULL, 2);
	return vm_size_resources(&resources, &size, &arena)->pids->limit.v;
}

static void test_host(void)
{
	const int64_t whole = 256 + 64 + 64;

	ok(!vm_size_resources(NULL, &size, &arena), "no limits stay none");
	is_int(host_memory(256 * (int64_t)MIB, 0)->limit.v, whole * (int64_t)MIB);
	ok(!host_memory(256 * (int64_t)MIB, 0)->swap.set, "no limit on swap stays none");
	is_int(host_memory(256 * (int64_t)MIB, 300 * (int64_t)MIB)->swap.v,
	       (whole + 44) * (int64_t)MIB);
	is_int(host_memory(256 * (int64_t)MIB, -1)->swap.v, -1);
	is_int(host_memory(256 * (int64_t)MIB, INT64_MAX)->swap.v, -1);
	is_int(host_memory(-1, -1)->limit.v, -1);
	ok(!host_memory(0, 0)->limit.set, "no limit on memory stays none");
	is_int(host_pids(100), 100 + 2 + VM_HOST_OVERHEAD_PIDS);
	is_int(host_pids(-1), -1);
	is_int(host_pids(INT64_MAX), INT64_MAX);
}

static void test_usual(void)
{
	usual = (struct vm_size){ .vcpus = 3, .memory_bytes = 512 * MIB };
	is_int(size_of(NULL, NULL, 4), 0);
	is_int(size.vcpus, 3);
	is_int((long long)size.memory_bytes, 512 * MIB);
	// A limit is heard first, and so is the host.
	is_int(vcpus(100000, 100000, 4), 1);
	is_int(memory_mib(256 * (int64_t)MIB), 256 + 64);
	is_int(vcpus(0, 0, 2), 2);
	usual = (struct vm_size){ 0 };
}

int main(void)
{
	test_vcpus();
	test_memory();
	test_usual();
	test_hardware();
	test_host();
	arena_free(&arena);
	return done();
}
