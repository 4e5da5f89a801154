// The small devices: console, random numbers and balloon; CPUID and the probe, which need no guest kernel.
#include "vm-mode/devices/balloon.h"
#include "vm-mode/devices/console.h"
#include "vm-mode/devices/rng.h"
#include "vm-mode/machine/cpuid.h"
#include "vm-mode/machine/probe.h"
#include "vm-mode/virtio/mmio.h"

#include "base/scope.h"
#include "tests/unit/tap.h"
#include "tests/unit/vring.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#define SIZE 8

static struct vring_test ring;
static struct device *device;
static struct loop *loop;
static struct mmio *mmio;
static struct err err;

// A device with queue `index` ready.
static void begin(unsigned int index)
{
	vring_test_init(&ring, SIZE, 0);
	if (loop_create(&loop, &err) < 0)
		printf("# %s\n", err.msg);
	const struct mmio_setup setup = {
		.memory = &ring.memory, .loop = loop, .name = "test", .irq_fd = -1
	};
	if (mmio_create(&mmio, device, &setup, &err) < 0 ||
	    queue_init(&device->queues[index], &ring.memory, &ring.setup, &err) < 0)
		printf("# %s\n", err.msg);
	device->started = true;
}

static void end(void)
{
	mmio_free(mmio);
	loop_free(loop);
	vring_test_free(&ring);
}

static void offer(uint16_t head, const char *out, uint32_t in_len)
{
	char *data = ring.ram + VRING_DATA + head * 4096;

	for (size_t i = 0; out && out[i]; i++)
		data[i] = out[i];
	ring.desc[head] = (struct vring_desc){ .addr = VRING_DATA + head * 4096,
					       .len = out ? (uint32_t)strlen(out) : in_len,
					       .flags = out ? 0 : VRING_DESC_F_WRITE };
	vring_test_offer(&ring, head);
}

static void test_rng(void)
{
	const char zero[256] = "";

	is_int(rng_create(&device, &err), 0);
	begin(0);
	offer(0, NULL, 64);
	offer(1, NULL, 65536);
	offer(2, "not for this", 0);
	is_int(device->ops->kick(device, 0, &err), 0);
	is_int(ring.used->idx, 3);
	is_int(ring.used->ring[0].len, 64);
	is_int(ring.used->ring[1].len, 256);
	is_int(ring.used->ring[2].len, 0);
	ok(memcmp(ring.ram + VRING_DATA, zero, 32) != 0, "something came");
	ok(memcmp(ring.ram + VRING_DATA, ring.ram + VRING_DATA + 4096, 32) != 0,
	   "and something else");
	ok(memcmp(ring.ram + VRING_DATA + 64, zero, 64) == 0, "not more than was asked for");
	ring.avail->idx += 100;
	is_int(device->ops->kick(device, 0, &err), -EPROTO);
	end();
}

static void test_console(void)
{
	static char tail[CONSOLE_KEPT_BYTES + 1];
	char small[12], got[64] = "";
	int ends[2];

	is_int(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	is_int(console_create(&device, ends[1], &err), 0);
	begin(1);
	offer(0, "one\ntwo\n", 0);
	offer(1, "three\nfour", 0);
	is_int(device->ops->kick(device, 1, &err), 0);
	is_int(device->ops->kick(device, 0, &err), 0);
	is_int(ring.used->idx, 2);
	is_int(read(ends[0], got, sizeof(got)), 18);
	is_str(got, "one\ntwo\nthree\nfour");
	is_int((long long)console_tail(device, tail, sizeof(tail)), 18);
	is_str(tail, "one\ntwo\nthree\nfour");
	console_tail(device, small, sizeof(small));
	is_str(small, "three\nfour");
	console_tail(device, small, 4);
	is_str(small, "our");
	console_tail(device, small, 1);
	is_str(small, "");

	// More than is kept, and more than the pipe takes.
	for (int i = 0; i < 3000; i++)
		console_add(device, "0123456789012345678901234567890\n", 32);
	is_int((long long)console_tail(device, tail, sizeof(tail)), CONSOLE_KEPT_BYTES);
	console_tail(device, tail, 100);
	is_str(tail, "0123456789012345678901234567890\n0123456789012345678901234567890\n"
		     "0123456789012345678901234567890\n");
	close(ends[0]);
	close(ends[1]);
	end();
}

static void say(const char *text)
{
	console_add(device, text, strlen(text));
}

static void test_panic(void)
{
	char words[40], tail[64];

	is_int(console_create(&device, -1, &err), 0);
	console_panic(device, words, sizeof(words));
	is_str(words, "");
	say("[ 0.1] Kernel panic - not syncing: the first\n");
	say("[ 0.2] Kernel panic - not syncing: No init\r\n");
	console_panic(device, words, sizeof(words));
	is_str(words, "No init");
	console_panic(device, words, 6);
	is_str(words, "No in");
	say("[ 0.2] CPU: 0\n");
	console_tail(device, tail, sizeof(tail));
	is_str(tail, "[ 0.2] Kernel panic - not syncing: No init\r\n[ 0.2] CPU: 0\n");
	for (int i = 0; i < 100; i++)
		say("[ 0.2]  a_function+0x10/0x20\n");
	console_tail(device, tail, sizeof(tail));
	is_str(tail, "[ 0.2] Kernel panic - not syncing: No init\r\n[ 0.2] CPU: 0\n[ 0.2");
	console_panic(device, words, sizeof(words));
	is_str(words, "No init");

	// A NUL hides nothing; what was long ago is no reason of an end now.
	console_add(device, "a\0Kernel panic - not syncing: x", 31);
	console_panic(device, words, sizeof(words));
	is_str(words, "x");
	for (int i = 0; i < 1000; i++)
		say("much that the kernel says\n");
	console_panic(device, words, sizeof(words));
	is_str(words, "");
	console_tail(device, tail, sizeof(tail));
	is_str(tail, "much that the kernel says\nmuch that the kernel says\n");
	device->ops->close(device);
}

static bool is_empty(const struct guest_memory *memory, uint64_t gpa)
{
	return *(const char *)guest_ptr(memory, gpa, 1) == 0;
}

// The rings stay in their own memory; what is given back is that of a memory file.
static void test_balloon(void)
{
	struct guest_memory memory;
	uint32_t target, actual = 7;

	is_int(balloon_create(&device, &err), 0);
	begin(0);
	is_int(guest_memory_create(&memory, 1 << 20, &err), 0);
	memset(memory.ranges[0].host, 'x', 1 << 20);
	// Above the rings.
	ring.memory.ranges[1] = memory.ranges[0];
	ring.memory.ranges[1].gpa = 1 << 20;
	ring.memory.fd = memory.fd;
	ring.memory.count = 2;
	const struct guest_memory *all = &ring.memory;

	// Inflate: two pages in a row, one that isn't there, the last.
	const uint32_t numbers[] = { 256, 257, UINT32_MAX, 511 };
	offer(0, "0123456789012345", 0);
	memcpy(ring.ram + VRING_DATA, numbers, sizeof(numbers));
	is_int(device->ops->kick(device, 0, &err), 0);
	is_int(ring.used->idx, 1);
	ok(is_empty(all, 256 << 12) && is_empty(all, 257 << 12) && is_empty(all, 511 << 12),
	   "given");
	ok(!is_empty(all, 258 << 12) && !is_empty(all, 510 << 12), "the rest is there");

	// Reports, by either number of that queue: whole pages only.
	for (unsigned int index = 2; index < 5; index++) {
		const uint64_t gpa = (300 + 10 * (uint64_t)index) << 12;

		memset(ring.ram + VRING_DESC, 0, VRING_DATA - VRING_DESC);
		is_int(queue_init(&device->queues[index], all, &ring.setup, &err), 0);
		ring.desc[0] = (struct vring_desc){ .addr = gpa + 1,
						    .len = 3 << 12,
						    .flags = VRING_DESC_F_WRITE };
		vring_test_offer(&ring, 0);
		is_int(device->ops->kick(device, index, &err), 0);
		ok(!is_empty(all, gpa) && is_empty(all, gpa + 4096) && is_empty(all, gpa + 8192) &&
			   !is_empty(all, gpa + 3 * 4096),
		   "whole pages");
	}
	mmio_read(mmio, 0x100, &target, 4);
	is_int(target, 0);
	balloon_set_target(device, 10 << 12);
	mmio_read(mmio, 0x100, &target, 4);
	is_int(target, 10);
	mmio_write(mmio, 0x104, &actual, 4);
	is_int((long long)balloon_actual(device), 7 << 12);
	mmio_write(mmio, 0x100, &actual, 4);
	mmio_read(mmio, 0x100, &target, 4);
	is_int(target, 10);
	end();
	guest_memory_free(&memory);
}

static const struct kvm_cpuid_entry2 *leaf(const struct cpuid *cpuid, uint32_t function,
					   uint32_t index)
{
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	return NULL;
}

static void test_cpuid(void)
{
	struct cpuid cpuid = {
		.nent = 5,
		.entries = { { .function = 1, .ebx = 0xaabb1234, .edx = 3 },
			     { .function = 0xb, .index = 0, .ebx = 99 },
			     { .function = 0xb, .index = 1, .ebx = 99 },
			     { .function = 4, .index = 0, .eax = 0xfc01c121 },
			     { .function = 0x40000000, .ebx = 0x4b4d564b } },
	};

	is_int(cpuid_set_topology(&cpuid, 2, 3, &err), 0);
	is_int(cpuid.nent, 6);
	is_int(leaf(&cpuid, 1, 0)->ebx, 0x02031234);
	is_int(leaf(&cpuid, 1, 0)->ecx, 0x80000000);
	is_int(leaf(&cpuid, 1, 0)->edx, 3 | 1 << 28);
	is_int(leaf(&cpuid, 4, 0)->eax, 0x0c000121);
	is_int(leaf(&cpuid, 0xb, 0)->ebx, 1);
	is_int(leaf(&cpuid, 0xb, 0)->ecx, 0x100);
	is_int(leaf(&cpuid, 0xb, 1)->eax, 2);
	is_int(leaf(&cpuid, 0xb, 1)->ebx, 3);
	is_int(leaf(&cpuid, 0xb, 1)->edx, 2);
	is_int(leaf(&cpuid, 0xb, 2)->ecx, 2);
	is_int(leaf(&cpuid, 0x40000000, 0)->ebx, 0x4b4d564b);
	// Again, for the next.
	is_int(cpuid_set_topology(&cpuid, 0, 1, &err), 0);
	is_int(cpuid.nent, 6);
	is_int(leaf(&cpuid, 1, 0)->ebx, 0x00011234);
	is_int(leaf(&cpuid, 1, 0)->edx, 3);
	cpuid.nent = CPUID_ENTRIES_MAX;
	is_int(cpuid_set_topology(&cpuid, 0, 1, &err), -E2BIG);
}

static void test_probe(void)
{
	scope_fd int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	scope_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct kvm_verdict verdict;
	struct timespec before, after;

	ok(kvm_probe(null, &verdict, &err) < 0, "no KVM");
	if (kvm_fd < 0) {
		skip("the probe", "/dev/kvm can't be opened");
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &before);
	is_int(kvm_probe(kvm_fd, &verdict, &err), 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	printf("# %s, in %ld us\n", verdict.good ? "good" : verdict.why,
	       (after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000);
	ok(verdict.good == (verdict.why[0] == '\0'), "a reason if it isn't good");
	if (access("/sys/module/kvm_pvm", F_OK) == 0)
		is_str(verdict.why, "this host's KVM can't run a standard kernel: SYSCALL from "
				    "ring 3 arrives in ring 3");
	if (access("/sys/module/kvm_amd", F_OK) == 0 || access("/sys/module/kvm_intel", F_OK) == 0)
		ok(verdict.good, "the processor's own virtualization is good");
}

int main(void)
{
	test_rng();
	test_console();
	test_panic();
	test_balloon();
	test_cpuid();
	test_probe();
	return done();
}
