// How large a VM is made, and what its cgroup on the host may use.
#include "base/arena.h"
#include "base/str.h"
#include "tests/unit/tap.h"
#include "vm-mode/machine/layout.h"
#include "vm-mode/size.h"

#define MIB UINT64_C(1048576)

static struct err err;
static struct vm_size size, usual;
static uint64_t host_memory_bytes = LAYOUT_MEMORY_MAX;
static struct arena arena;

static int size_of(const struct oci_resources *resources, const struct oci_vm_hw_config *hardware,
		   unsigned int cpus)
{
	struct oci_linux linux = { .resources = (struct oci_resources *)resources };
	struct oci_vm vm = { .hw_config = (struct oci_vm_hw_config *)hardware };
	const struct oci_spec spec = { .linux = &linux, .vm = hardware ? &vm : NULL };

	const struct vm_size host = { .vcpus = cpus, .memory_bytes = host_memory_bytes };

	err = (struct err){ 0 };
	size = (struct vm_size){ 0 };
	return vm_size_of(&spec, &usual, &host, &size, &err);
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
	const struct oci_cpu cpu = { .quota.v = 100001 }, none = { .quota.v = -1 };
	is_int((long long)vm_size_busy_vcpus(&cpu), 2);
	is_int((long long)vm_size_busy_vcpus(&none), 0);
	is_int((long long)vm_size_busy_vcpus(NULL), 0);
}

static void test_memory(void)
{
	is_int(size_of(NULL, NULL, 1), 0);
	is_int((long long)size.memory_bytes, VM_MEMORY_DEFAULT_BYTES);
	is_int(memory_mib(-1), 1024);
	is_int(memory_mib(256 * (int64_t)MIB), (256 + 64) * 128 / 125 + 1);
	is_int(memory_mib(8000 * (int64_t)MIB - 64 * (int64_t)MIB), 8192);
	is_int(memory_mib(186 * (int64_t)MIB), 256);
	is_int(memory_mib(186 * (int64_t)MIB + 1), 256 + 1);
	is_int(memory_mib(1), 128);
	is_int(memory_mib(INT64_MAX), 1024);
	is_int(memory_mib(INT64_MAX & ~INT64_C(4095)), 1024);
	// The most that fits, and one more.
	const int64_t most = (int64_t)(LAYOUT_MEMORY_MAX -
				       (LAYOUT_MEMORY_MAX + (UINT64_C(4) << 30)) / 64 -
				       VM_GUEST_OVERHEAD_BYTES);
	is_int(memory_mib(most), LAYOUT_MEMORY_MAX / MIB);
	is_int(memory_mib(most + 1), 1024);
}

// The window, and what the guest's kernel has to keep of it, stop growing.
static void test_window(void)
{
	is_int((long long)vm_size_window(1024 * MIB), 512 * MIB);
	is_int((long long)vm_size_window(131 * MIB), 64 * MIB);
	is_int((long long)vm_size_window(8192 * MIB), 4096 * MIB);
	is_int((long long)vm_size_window(8198 * MIB), 4096 * MIB);
	is_int((long long)vm_size_window(LAYOUT_MEMORY_MAX), 4096 * MIB);
	is_int((long long)memory_mib(16384 * (int64_t)MIB), (16384 + 64 + 64) * 64 / 63 + 1);
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

// A limit is an upper bound, and so is what a VM has by default; what hwConfig asks for is all or nothing.
static void test_host_memory(void)
{
	host_memory_bytes = 6000 * MIB + 4096;
	is_int((long long)memory_mib(900000000000), 6000);
	is_int((long long)memory_mib(5950 * (int64_t)MIB), 6000);
	is_int((long long)memory_mib(256 * (int64_t)MIB), 328);
	is_int((long long)memory_mib(-1), 1024);
	is_int(hardware(1, host_memory_bytes), 0);
	is_int(hardware(1, host_memory_bytes + 1), -EINVAL);
	is_str(err.msg,
	       "vm.hwConfig.memory: 6291460097 bytes are more than the 6291460096 that this host has");
	host_memory_bytes = 512 * MIB;
	is_int((long long)memory_mib(-1), 512);
	usual.memory_bytes = 1536 * MIB;
	is_int((long long)memory_mib(-1), 512);
	usual.memory_bytes = 0;
	host_memory_bytes = 100 * MIB;
	is_int((long long)memory_mib(-1), 128);
	host_memory_bytes = LAYOUT_MEMORY_MAX;
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

// The limit on processor time holds for the VM as a whole.
static void test_host_cpu(void)
{
	struct oci_cpu cpu = { .quota = { .set = true, .v = 50000 },
			       .period = { .set = true, .v = 200000 } };
	const struct oci_resources resources = { .cpu = &cpu };
	const struct oci_cpu *host = vm_size_resources(&resources, &size, &arena)->cpu;

	ok(host != NULL, "the host limits processor time, too");
	is_int(host ? host->quota.v : 0, 50000);
	is_int(host ? (long long)host->period.v : 0, 200000);
}

static void test_host(void)
{
	const int64_t whole = 328 + 64;

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

// What the host's cgroup is spared.
static void test_unified(void)
{
	static char names[][16] = { "memory.high", "memory.swap.max", "pids.max", "cpu.weight",
				    "memory.max",  "memory.low",      "io.max" };
	struct oci_pair files[ARRAY_SIZE(names)] = { 0 };
	const struct oci_resources resources = { .unified = { .v = files,
							      .n = ARRAY_SIZE(files) } };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		files[i] = (struct oci_pair){ .key = names[i], .value = (char *)"1" };
	const struct oci_resources *host = vm_size_resources(&resources, &size, &arena);
	is_int((long long)host->unified.n, 4);
	is_str(host->unified.v[0].key, "memory.swap.max");
	is_str(host->unified.v[1].key, "cpu.weight");
	is_str(host->unified.v[2].key, "memory.low");
	is_str(host->unified.v[3].key, "io.max");
}

static const struct oci_memory *on_host;

// A limit as a file.
static uint64_t limit_of(const char *max, int64_t limit)
{
	struct oci_memory memory = { .limit = { .set = limit != 0, .v = limit } };
	struct oci_pair file = { .key = (char *)"memory.max", .value = (char *)max };
	const struct oci_resources resources = { .memory = limit ? &memory : NULL,
						 .unified = { .v = &file, .n = 1 } };

	is_int(size_of(&resources, NULL, 1), 0);
	on_host = vm_size_resources(&resources, &size, &arena)->memory;
	return vm_size_limit(&resources);
}

static void test_limit(void)
{
	is_int((long long)vm_size_limit(NULL), 0);
	is_int((long long)limit_of("268435456", 0), 256 * MIB);
	is_int((long long)size.memory_bytes, 328 * MIB);
	is_int(on_host->limit.v, (328 + 64) * (int64_t)MIB);
	is_int((long long)limit_of("268435456", 1), 256 * MIB);
	is_int((long long)limit_of("max", 0), 0);
	ok(!on_host, "no limit on the host either");
	is_int((long long)size.memory_bytes, 1024 * MIB);
	is_int((long long)limit_of("max", 256 * (int64_t)MIB), 256 * MIB);
	is_int((long long)limit_of("256M", 0), 0);
	is_int((long long)limit_of("18446744073709551615", 0), INT64_MAX);
	is_int((long long)size.memory_bytes, 1024 * MIB);
	is_int((long long)limit_of("max", -1), 0);
}

// A VM made with `made` MiB for a container of `limit` MiB (0: no limit), brought to `wanted` MiB (-1: no
// limit): to how many MiB, or the error.
static int64_t resized(uint64_t made, int64_t limit, int64_t wanted)
{
	struct oci_memory memory = { .limit = { .set = limit != 0, .v = limit * (int64_t)MIB } };
	struct oci_resources resources = { .memory = &memory };
	struct oci_linux linux = { .resources = limit ? &resources : NULL };
	const struct oci_spec spec = { .linux = &linux };
	const struct vm_size before = { .vcpus = 2, .memory_bytes = made * MIB };
	const int ret = vm_size_resize(&spec, &before, wanted < 0 ? -1 : wanted * (int64_t)MIB,
				       &size, &err);

	return ret < 0 ? ret : (int64_t)(size.memory_bytes / MIB);
}

static void test_resize(void)
{
	is_int(resized(1024, 0, 256), 256 + 64 + 24);
	is_int(size.vcpus, 2);
	is_int(resized(1024, 0, 1), 128);
	is_int(resized(1024, 0, -1), 1024);
	is_int(resized(1024, 0, 936), 1024);
	is_int(resized(1024, 0, 937), -EINVAL);
	is_str(err.msg,
	       "linux.resources.memory.limit: 982515712 is more than the 981467136 bytes that the "
	       "VM was made for");
	is_int(resized(328, 256, 256), 328);
	is_int(resized(328, 256, 257), -EINVAL);
	is_int(resized(128, 16, 61), 128);
	// vm.hwConfig may leave the kernel no room of its own.
	is_int(resized(512, 512, 512), 512);
	is_int(resized(512, 512, 513), -EINVAL);
	is_int(resized(512, 500, 510), -EINVAL);
	is_int(resized(512, 600, 436), 512);
	// What `create` took, `update` takes, too.
	is_int(resized(512, 600, 437), 512);
	is_int(resized(512, 600, 600), 512);
	is_int(resized(512, 600, 601), -EINVAL);
	is_int(resized(6000, 900000, 900000), 6000);
	is_int(resized(6000, 900000, 256), 256 + 64 + 141);
	is_int(resized(1024, INT64_MAX / (int64_t)MIB, 937), -EINVAL);
	is_int(resized(512, 600, LAYOUT_MEMORY_MAX / 2 / (int64_t)MIB), -EINVAL);
	// No limit, at `create` and here.
	is_int(resized(512, 600, INT64_MAX / (int64_t)MIB), 512);
}

static int64_t swapped(int64_t swap, uint64_t limit, uint64_t host_limit)
{
	int64_t host_swap = 0;
	const int ret = vm_size_swap(swap, limit, host_limit, &host_swap, &err);

	return ret < 0 ? ret : host_swap;
}

static void test_swap(void)
{
	is_int(swapped(300, 256, 392), 392 + 44);
	is_int(swapped(256, 256, 392), 392);
	is_int(swapped(255, 256, 392), -EINVAL);
	is_str(err.msg, "linux.resources.memory.swap: 255 is less than the limit on memory");
	is_int(swapped(300, UINT64_MAX, 392), -EINVAL);
	is_int(swapped(INT64_MAX, 256, 392), -1);
	is_int(swapped(300, 256, UINT64_MAX), -1); // no limit there
	is_int(swapped(INT64_MAX, 1, UINT64_MAX), -1);
	is_int(swapped(INT64_MAX, 256, 256), INT64_MAX);
}

static void test_usual(void)
{
	usual = (struct vm_size){ .vcpus = 3, .memory_bytes = 512 * MIB };
	is_int(size_of(NULL, NULL, 4), 0);
	is_int(size.vcpus, 3);
	is_int((long long)size.memory_bytes, 512 * MIB);
	// A limit is heard first, and so is the host.
	is_int(vcpus(100000, 100000, 4), 1);
	is_int(memory_mib(256 * (int64_t)MIB), 328);
	is_int(vcpus(0, 0, 2), 2);
	usual = (struct vm_size){ 0 };
}

int main(void)
{
	test_vcpus();
	test_memory();
	test_window();
	test_usual();
	test_hardware();
	test_host_memory();
	test_host();
	test_host_cpu();
	test_unified();
	test_limit();
	test_resize();
	test_swap();
	arena_free(&arena);
	return done();
}
