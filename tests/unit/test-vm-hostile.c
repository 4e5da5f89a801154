// A bare guest that does its worst, with all devices plugged in: garbage in every register and ring,
// at every port, and where no memory is. It costs itself its devices; the VMM stays well, and the same
// devices serve an orderly driver afterwards.
//
// The guest executes a list of accesses which this test makes up from a seed, so that a failure can be had
// again: test-vm-hostile SEED. A VMM is a process of its own, in its sandbox. Each seed is run twice:
// `tame`, where the garbage spares the list itself and the ports that end a guest, so that it must come to
// its end and be served there; and `wild`, where nothing is spared, and any end will do.
#include "vm-mode/devices/balloon.h"
#include "vm-mode/devices/blk.h"
#include "vm-mode/devices/console.h"
#include "vm-mode/devices/net.h"
#include "vm-mode/devices/rng.h"
#include "vm-mode/devices/vsock.h"
#include "vm-mode/fs/device.h"
#include "vm-mode/machine/layout.h"
#include "vm-mode/machine/machine.h"
#include "vm-mode/sandbox.h"

#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "tests/unit/bare-guest.h"
#include "tests/unit/tap.h"
#include "tests/unit/vsock-echo.h"

#include <fcntl.h>
#include <ftw.h>
#include <linux/fuse.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define SEEDS	 8
#define STEPS	 1500 // pieces of garbage, of one access or a few dozen
#define MTU	 1500
#define DISK	 (1 << 20)
#define SURVIVED 42 // the guest's status when it has been served

#define MEMORY	  (UINT64_C(16) << 20)
#define TABLES	  UINT64_C(0x300000) // page tables for what is above 4 GiB
#define ORDERLY	  UINT64_C(0x310000) // the rings of the orderly driver
#define LIST	  UINT64_C(0x400000) // of accesses
#define LIST_MAX  (UINT64_C(4) << 20)
#define PLAY	  UINT64_C(0x800000) // the rings and buffers of the other
#define PLAY_SIZE (MEMORY - PLAY)

#define WINDOW_SIZE (UINT64_C(64) << 20)
#define PAGE_FLAGS  UINT64_C(0x83) // a large page, present and writable
#define TABLE_FLAGS UINT64_C(0x3)
#define FAR_AWAY    (UINT64_C(1) << 38)

// A driver's steps: ACKNOWLEDGE and DRIVER, FEATURES_OK, DRIVER_OK.
#define STATUS_DRIVER	3
#define STATUS_FEATURES 11
#define STATUS_LIVE	15

enum access {
	END, // the guest's, with status `value`
	WRITE_8,
	WRITE_16,
	WRITE_32,
	WRITE_64,
	READ_8,
	READ_16,
	READ_32,
	READ_64,
	OUT_8,
	OUT_16,
	OUT_32,
	IN_8,
	IN_16,
	IN_32,
	OUT_MANY, // `value` bytes
	AWAIT,	  // until there are these 16 bits
	ACCESSES
};

struct entry {
	uint64_t access, addr, value;
};

// Walks the list at rbx. The code for each access is at a multiple of 16 bytes.
#define NEXT "jmp 1b\n.balign 16\n"
GUEST(walker, "mov $0x400000, %ebx\n"
	      "1: mov (%rbx), %rcx\n mov 8(%rbx), %rdi\n mov 16(%rbx), %rax\n add $24, %rbx\n"
	      "shl $4, %rcx\n lea 2f(%rip), %rsi\n add %rcx, %rsi\n mov %edi, %edx\n jmp *%rsi\n"
	      ".balign 16\n"
	      "2: mov $0x500, %dx\n out %al, %dx\n 3: hlt; jmp 3b\n.balign 16\n"
	      "mov %al, (%rdi)\n" NEXT "mov %ax, (%rdi)\n" NEXT "mov %eax, (%rdi)\n" NEXT
	      "mov %rax, (%rdi)\n" NEXT "mov (%rdi), %al\n" NEXT "mov (%rdi), %ax\n" NEXT
	      "mov (%rdi), %eax\n" NEXT "mov (%rdi), %rax\n" NEXT "out %al, %dx\n" NEXT
	      "out %ax, %dx\n" NEXT "out %eax, %dx\n" NEXT "in %dx, %al\n" NEXT "in %dx, %ax\n" NEXT
	      "in %dx, %eax\n" NEXT "mov %eax, %ecx\n mov $0x800000, %esi\n rep outsb\n" NEXT
	      "4: cmp %ax, (%rdi)\n je 1b\n pause\n jmp 4b\n");

static char tree[] = "/tmp/moat-vm-hostile-XXXXXX";
static int root_fd = -1, proc_fd = -1, kvm_fd = -1;
static int disk_fd = -1,
	   tap_fd = -1; // a file, and a socket whose other end takes what it has room for

// ---- garbage ----

struct list {
	struct entry *entries;
	size_t count;
	uint64_t random; // state
	bool wild;
	unsigned int devices;
};

// xorshift64*
static uint64_t any(struct list *list)
{
	list->random ^= list->random >> 12;
	list->random ^= list->random << 25;
	list->random ^= list->random >> 27;
	return list->random * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t below(struct list *list, uint64_t limit)
{
	return (any(list) >> 16) % limit;
}

static void add(struct list *list, enum access access, uint64_t addr, uint64_t value)
{
	if (list->count < LIST_MAX / sizeof(struct entry))
		list->entries[list->count++] = (struct entry){ access, addr, value };
}

static uint64_t device_gpa(unsigned int device)
{
	return LAYOUT_VIRTIO + device * LAYOUT_VIRTIO_SIZE;
}

static void set(struct list *list, unsigned int device, uint64_t offset, uint32_t value)
{
	add(list, WRITE_32, device_gpa(device) + offset, value);
}

static uint64_t any_value(struct list *list)
{
	switch (below(list, 6)) {
	case 0:
		return below(list, 16);
	case 1:
		return UINT64_C(1) << below(list, 64);
	case 2:
		return UINT64_MAX - below(list, 16);
	case 3:
		return PLAY + below(list, PLAY_SIZE);
	default:
		return any(list);
	}
}

// Where nothing is, or something that must not be touched.
static uint64_t any_hole(struct list *list)
{
	const uint64_t holes[] = {
		MEMORY - 4, // half in RAM
		MEMORY + below(list, LAYOUT_HOLE - MEMORY),
		LAYOUT_HOLE + below(list, LAYOUT_VIRTIO - LAYOUT_HOLE),
		device_gpa(list->devices) + below(list, UINT64_C(1) << 24),
		FAR_AWAY + below(list, UINT64_C(1) << 29),
		LAYOUT_HOLE_END + WINDOW_SIZE + below(list, UINT64_C(1) << 29),
		// Only where any end will do: the interrupt controllers, KVM's pages, the window.
		LAYOUT_IOAPIC + below(list, 0x100),
		LAYOUT_LOCAL_APIC + below(list, 0x1000),
		LAYOUT_KVM_IDENTITY + below(list, 0x4000),
		LAYOUT_HOLE_END + below(list, WINDOW_SIZE),
	};

	return holes[below(list, list->wild ? ARRAY_SIZE(holes) : 6)];
}

// An address for a device. In a tame run it never writes to the list.
static uint64_t any_address(struct list *list)
{
	if (list->wild && below(list, 4) == 0)
		return below(list, MEMORY);
	switch (below(list, 8)) {
	case 0:
		return any_hole(list);
	case 1:
		return any(list) | UINT64_C(1) << 63; // the end of it wraps
	case 2:
		return MEMORY - below(list, 64);
	default:
		return PLAY + below(list, PLAY_SIZE / 16) * 16;
	}
}

static void any_register(struct list *list)
{
	const unsigned int device = (unsigned int)below(list, list->devices);
	const uint64_t offset = below(list, VIRTIO_MMIO_CONFIG / 4 + 16) * 4;
	const bool is_address = offset >= VIRTIO_MMIO_QUEUE_DESC_LOW &&
				offset <= VIRTIO_MMIO_QUEUE_USED_HIGH;
	uint64_t value = any_value(list);

	if (is_address && !list->wild)
		value = any_address(list) >> (offset & 4 ? 32 : 0);
	set(list, device, offset, (uint32_t)value);
}

// Any length at any place.
static void any_mmio(struct list *list)
{
	const uint64_t addr = device_gpa(0) + below(list, list->devices * LAYOUT_VIRTIO_SIZE);
	const enum access access = READ_8 + below(list, 4);

	if (list->wild || addr % LAYOUT_VIRTIO_SIZE >= VIRTIO_MMIO_CONFIG)
		add(list, below(list, 2) ? access : access - READ_8 + WRITE_8, addr,
		    any_value(list));
	else
		add(list, access, addr, 0);
}

static bool ends_guest(uint64_t port)
{
	return port <= LAYOUT_PORT_EXIT && port + 4 > LAYOUT_PORT_EXIT;
}

static bool resets_guest(uint64_t port)
{
	return port <= LAYOUT_PORT_I8042 && port + 4 > LAYOUT_PORT_I8042;
}

static void any_port(struct list *list)
{
	static const uint64_t known[] = { 0x20, 0x40, LAYOUT_PORT_I8042,  0x70,
					  0x92, 0xa0, LAYOUT_PORT_SERIAL, LAYOUT_PORT_EXIT,
					  0xcf8 };
	const uint64_t port = below(list, 4) ?
				      below(list, 0x10000) :
				      known[below(list, ARRAY_SIZE(known))] + below(list, 8);
	const enum access access = OUT_8 + below(list, 6);

	if (access <= OUT_32 && !list->wild && (ends_guest(port) || resets_guest(port)))
		return;
	add(list, access, port, any_value(list));
	if (below(list, 16) == 0 && !ends_guest(port) && !resets_guest(port))
		add(list, OUT_MANY, port, below(list, 200));
}

static void any_far_access(struct list *list)
{
	add(list, WRITE_8 + below(list, 8), any_hole(list), any_value(list));
}

// Where a line of the I/O APIC leads to. In a tame run to a vector, which the guest doesn't take, and not to an NMI
// or INIT, which would end it.
static void any_route(struct list *list)
{
	const uint64_t reg = below(list, 4) ? 0x10 + below(list, 2 * LAYOUT_IOAPIC_PINS) :
					      below(list, 256);
	const bool is_mode = reg % 2 == 0 && !list->wild;
	const uint64_t value = any(list) & (is_mode ? ~UINT64_C(0x700) : UINT64_MAX);

	add(list, WRITE_32, LAYOUT_IOAPIC, reg);
	add(list, WRITE_32, LAYOUT_IOAPIC + 0x10, value);
	add(list, READ_32, LAYOUT_IOAPIC + 0x10, 0);
}

static uint64_t ring_of(unsigned int device, uint64_t queue)
{
	return PLAY + (device * UINT64_C(8) + queue) * 0x4000;
}

// A driver's way to a live device, more or less.
static void any_driver(struct list *list)
{
	const unsigned int device = (unsigned int)below(list, list->devices);
	const uint32_t statuses[] = { 0, STATUS_DRIVER, STATUS_FEATURES, STATUS_LIVE };

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		if (statuses[i] == STATUS_FEATURES) {
			set(list, device, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
			set(list, device, VIRTIO_MMIO_DRIVER_FEATURES, 1);
			set(list, device, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
			set(list, device, VIRTIO_MMIO_DRIVER_FEATURES,
			    (uint32_t)(below(list, 2) ? below(list, 4) << 28 : any(list)));
		}
		for (uint32_t queue = 0; statuses[i] == STATUS_LIVE && queue < 5; queue++) {
			const uint64_t ring = below(list, 8) ? ring_of(device, queue) :
							       any_address(list);

			set(list, device, VIRTIO_MMIO_QUEUE_SEL, queue);
			set(list, device, VIRTIO_MMIO_QUEUE_NUM, UINT32_C(1) << below(list, 8));
			for (uint64_t part = 0; part < 3; part++) {
				const uint64_t at = ring + part * 0x1000;
				const uint64_t low = VIRTIO_MMIO_QUEUE_DESC_LOW + part * 0x10;

				set(list, device, low, (uint32_t)at);
				set(list, device, low + 4, (uint32_t)(at >> 32));
			}
			set(list, device, VIRTIO_MMIO_QUEUE_READY, 1);
		}
		set(list, device, VIRTIO_MMIO_STATUS, statuses[i]);
	}
}

// Descriptors and the places that lead to them, in the rings that any_driver() gives; and a kick.
static void any_ring(struct list *list)
{
	const unsigned int device = (unsigned int)below(list, list->devices);
	const uint64_t queue = below(list, 5), ring = ring_of(device, queue);
	const uint64_t descriptors = below(list, 4), available = below(list, 4);

	for (uint64_t i = 0; i <= descriptors; i++) {
		const uint64_t len = below(list, 4) ? below(list, 8192) : any(list) & UINT32_MAX;
		const uint64_t flags = below(list, 8) ? below(list, 4) : any(list) & 0xffff;

		add(list, WRITE_64, ring + i * 16, any_address(list));
		add(list, WRITE_64, ring + i * 16 + 8, len | flags << 32 | below(list, 6) << 48);
	}
	add(list, WRITE_64, ring + 0x1004 + below(list, 32) * 8,
	    below(list, 4) ? below(list, 4) * UINT64_C(0x0001000100010001) : any(list));
	add(list, WRITE_16, ring + 0x1002, available + below(list, 2) * below(list, 64));
	set(list, device, VIRTIO_MMIO_QUEUE_NOTIFY, (uint32_t)(below(list, 8) ? queue : any(list)));
}

// What may look like a request, a packet or a table of descriptors, while a device reads it.
static void any_bytes(struct list *list)
{
	const uint64_t at = PLAY + below(list, PLAY_SIZE - 256);
	const uint64_t len = 1 + below(list, 16);

	for (uint64_t i = 0; i < len; i++)
		add(list, WRITE_64, at + i * 8, any_value(list));
}

static void make_garbage(struct list *list)
{
	static void (*const kinds[])(struct list * list) = {
		any_register, any_mmio, any_port, any_far_access, any_driver,
		any_ring,     any_ring, any_ring, any_bytes,	  any_route,
	};

	for (int i = 0; i < STEPS; i++)
		kinds[below(list, ARRAY_SIZE(kinds))](list);
}

// ---- the orderly driver, after that ----

enum { RNG, CONSOLE, FS, BALLOON, VSOCK, BLK, NET, DEVICES };

static void start_orderly(struct list *list, unsigned int device, uint32_t queue)
{
	const uint64_t ring = ORDERLY + device * UINT64_C(0x4000);

	set(list, device, VIRTIO_MMIO_STATUS, 0);
	set(list, device, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
	set(list, device, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(list, device, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	set(list, device, VIRTIO_MMIO_STATUS, STATUS_FEATURES);
	set(list, device, VIRTIO_MMIO_QUEUE_SEL, queue);
	set(list, device, VIRTIO_MMIO_QUEUE_NUM, 8);
	set(list, device, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)ring);
	set(list, device, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)ring + 0x1000);
	set(list, device, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)ring + 0x2000);
	set(list, device, VIRTIO_MMIO_QUEUE_READY, 1);
	set(list, device, VIRTIO_MMIO_STATUS, STATUS_LIVE);
}

// One chain: `out_len` bytes that are at ring + 0x3000, then `in_len` behind ring + 0x3800. Waits until it
// comes back.
static void serve_orderly(struct list *list, unsigned int device, uint32_t queue, uint64_t out_len,
			  uint64_t in_len)
{
	const uint64_t ring = ORDERLY + device * UINT64_C(0x4000);
	const uint64_t next = in_len && out_len ? VRING_DESC_F_NEXT : 0;
	uint64_t at = ring;

	start_orderly(list, device, queue);
	if (out_len) {
		add(list, WRITE_64, at, ring + 0x3000);
		add(list, WRITE_64, at + 8, out_len | next << 32 | UINT64_C(1) << 48);
		at += 16;
	}
	if (in_len) {
		add(list, WRITE_64, at, ring + 0x3800);
		add(list, WRITE_64, at + 8, in_len | (uint64_t)VRING_DESC_F_WRITE << 32);
	}
	add(list, WRITE_16, ring + 0x1002, 1);
	set(list, device, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
	add(list, AWAIT, ring + 0x2002, 1);
}

// ---- the VMM ----

struct vmm {
	struct machine *machine;
	struct device *console;
	struct vsock_port port;
	struct vcpu_end end;
	struct err err;
	void *window;
};

static void on_end(void *owner, const struct vcpu_end *end)
{
	struct vmm *vmm = owner;

	vmm->end = *end;
	loop_stop(machine_loop(vmm->machine));
}

static void on_serial(void *owner, const char *bytes, size_t len)
{
	console_add(((struct vmm *)owner)->console, bytes, len);
}

// A sanitizer makes system calls of its own.
#ifdef __SANITIZE_ADDRESS__
#define CONFINED false
#else
#define CONFINED true
#endif

static int add_devices(struct vmm *vmm, const struct fs_window *window)
{
	const struct fs_device_config fs = {
		.tag = "root",
		.options = { .root_fd = root_fd, .proc_fd = proc_fd, .cache_seconds = 1 },
		.window = window,
		.confine = CONFINED ? sandbox_file_server : NULL,
	};
	static const uint8_t mac[NET_MAC_BYTES] = { 2, 0, 0, 0, 0, 1 };
	struct device *devices[DEVICES];
	static const char *const names[] = { "rng",   "console", "fs", "balloon",
					     "vsock", "blk",	 "net" };
	struct vsock *vsock;

	// The file server first: it is forked off.
	if (fs_device_create(&fs, &devices[FS], &vmm->err) < 0 ||
	    rng_create(&devices[RNG], &vmm->err) < 0 ||
	    console_create(&devices[CONSOLE], -1, &vmm->err) < 0 ||
	    balloon_create(&devices[BALLOON], &vmm->err) < 0 ||
	    vsock_create(&vsock, &vmm->err) < 0 ||
	    blk_create(&devices[BLK], disk_fd, "disk", &vmm->err) < 0 ||
	    net_create(&devices[NET], tap_fd, mac, MTU, &vmm->err) < 0)
		return -vmm->err.code;
	vmm->console = devices[CONSOLE];
	vmm->port = (struct vsock_port){ .port = 1, .connect = vsock_echo_connect };
	vsock_listen(vsock, &vmm->port);
	devices[VSOCK] = vsock_device(vsock);
	for (size_t i = 0; i < DEVICES; i++)
		if (machine_add_device(vmm->machine, devices[i], names[i], i == FS, &vmm->err) < 0)
			return -vmm->err.code;
	return 0;
}

// 1 GiB from 4 GiB on, and as much from far beyond what there can be, as far as the processor knows
// such addresses.
static void map_above(struct machine *machine)
{
	static uint64_t pages[512];
	const uint64_t bases[] = { LAYOUT_HOLE_END, FAR_AWAY };

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		const uint64_t table = TABLES + i * 0x1000, entry = table | TABLE_FLAGS;

		for (size_t page = 0; page < ARRAY_SIZE(pages); page++)
			pages[page] = (bases[i] + (page << 21)) | PAGE_FLAGS;
		bare_poke(machine, table, pages, sizeof(pages));
		// Behind the four of the first 4 GiB; the second also has its place in the order.
		bare_poke(machine, LAYOUT_PAGE_TABLES + 0x1000 + (4 + i * 252) * 8, &entry, 8);
	}
}

static void load(struct vmm *vmm, struct list *list)
{
	static const struct {
		struct fuse_in_header header;
		struct fuse_init_in in;
	} init = { { .len = sizeof(init), .opcode = FUSE_INIT, .unique = 1 },
		   { .major = 7, .minor = 38 } };

	make_garbage(list);
	serve_orderly(list, RNG, 0, 0, 64);
	serve_orderly(list, CONSOLE, 1, 8, 0);
	serve_orderly(list, FS, 1, sizeof(init), 128);
	add(list, END, 0, SURVIVED);
	// Whatever the garbage was, the list has its end.
	list->entries[LIST_MAX / sizeof(struct entry) - 1] = (struct entry){ END, 0, 1 };
	bare_poke(vmm->machine, ORDERLY + CONSOLE * 0x4000 + 0x3000, "\nserved\n", 8);
	bare_poke(vmm->machine, ORDERLY + FS * 0x4000 + 0x3000, &init, sizeof(init));
	map_above(vmm->machine);
}

// 0; 1: there was no machine; 2: the end was another than it must be; 3: a device has not served.
static int play(struct vmm *vmm, struct list *list)
{
	struct fs_window window = { .host = vmm->window, .bytes = WINDOW_SIZE };
	struct machine_config config = { .kvm_fd = kvm_fd,
					 .vcpus = 1,
					 .memory_bytes = MEMORY,
					 .window = vmm->window,
					 .window_bytes = WINDOW_SIZE,
					 .ended = on_end,
					 .serial = on_serial,
					 .owner = vmm,
					 .confine_vcpu = CONFINED ? sandbox_vcpu : NULL };
	scope_fd int code = bare_kernel(guest_walker, guest_walker_end);
	const struct machine_kernel kernel = { .kernel_fd = code, .initrd_fds = { -1, -1 } };
	char tail[256];

	if (machine_create(&vmm->machine, &config, &vmm->err) < 0 || add_devices(vmm, &window) < 0)
		return 1;
	list->devices = DEVICES;
	list->entries = guest_ptr(machine_memory(vmm->machine), LIST, LIST_MAX);
	if ((CONFINED && sandbox_vmm(&vmm->err) < 0) ||
	    machine_boot(vmm->machine, &kernel, &vmm->err) < 0)
		return 1;
	load(vmm, list);
	machine_resume(vmm->machine);
	for (time_t end = time(NULL) + (list->wild ? 3 : 60); !vmm->end.kind && time(NULL) < end;)
		if (loop_once(machine_loop(vmm->machine), 100, &vmm->err) < 0)
			return 2;
	// A wild one may have lost its way, and go round for ever.
	if (list->wild)
		return 0;
	if (vmm->end.kind != VCPU_END_EXIT || vmm->end.status != SURVIVED)
		return 2;
	const size_t len = console_tail(vmm->console, tail, sizeof(tail));
	return len >= 7 && memcmp(tail + len - 7, "served\n", 7) == 0 ? 0 : 3;
}

// In a process of its own.
static void run_vmm(uint64_t seed, bool wild)
{
	struct vmm vmm = { 0 };
	struct list list = { .random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1, .wild = wild };

	vmm.window = mmap(NULL, WINDOW_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const int ret = play(&vmm, &list);
	machine_free(vmm.machine);
	printf("# seed %llu, %zu accesses: %s\n", (unsigned long long)seed, list.count,
	       vmm.end.kind ? vmm.end.why.msg :
	       *vmm.err.msg ? vmm.err.msg :
			      "it goes on and on");
	fflush(stdout);
	_exit(ret);
}

// ---- what is left ----

// How many lines the log has; empties it.
static int take_log(int fd)
{
	static char text[1 << 16];
	const ssize_t len = pread(fd, text, sizeof(text), 0);
	int lines = 0;

	for (ssize_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	return ftruncate(fd, 0) < 0 ? -1 : lines;
}

static bool outside_is_untouched(int outer)
{
	char text[16] = "";
	scope_fd int fd = openat(outer, "canary", O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, text, sizeof(text)) == 6 && memcmp(text, "canary", 6) == 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

// Returns how many lines the log got.
static int test_seed(uint64_t seed, bool wild, int log, int outer)
{
	const time_t start = time(NULL);
	char name[64];
	int status;

	const pid_t pid = fork();
	if (pid == 0)
		run_vmm(seed, wild);
	waitpid(pid, &status, 0);
	snprintf(name, sizeof(name), "seed %llu, %s", (unsigned long long)seed,
		 wild ? "wild" : "tame: served in the end");
	if (!ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, name))
		printf("# %s %d\n", WIFSIGNALED(status) ? "signal" : "status",
		       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	// A line a device at once, and then one in ten seconds.
	const int lines = take_log(log);
	if (!ok(lines >= 0 && lines <= DEVICES * (1 + (time(NULL) - start + 9) / 10),
		"few lines in the log"))
		printf("# %d lines\n", lines);
	ok(outside_is_untouched(outer), "nothing outside of the shared root has changed");
	return lines;
}

static int prepare(int *outer, int *log)
{
	int ends[2];
	char path[64];
	struct err err;

	if (!mkdtemp(tree))
		return -1;
	*outer = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_fd int canary = openat(*outer, "canary", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (write(canary, "canary", 6) != 6 || mkdirat(*outer, "root", 0700) < 0)
		return -1;
	root_fd = openat(*outer, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	disk_fd = memfd_create("disk", MFD_CLOEXEC);
	if (ftruncate(disk_fd, DISK) < 0 ||
	    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	tap_fd = ends[0]; // the other stays open, too
	snprintf(path, sizeof(path), "%s/log", tree);
	if (log_open(path, LOG_TEXT, LOG_WARN, &err) < 0)
		return -1;
	*log = open(path, O_RDWR | O_CLOEXEC);
	return root_fd < 0 || proc_fd < 0 || *log < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	int outer = -1, log = -1, lines = 0;

	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm_fd < 0) {
		skip("hostile guests", "/dev/kvm can't be opened");
		return done();
	}
	if (prepare(&outer, &log) < 0)
		return 1;
	const uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	const uint64_t count = argc > 1 ? 1 : SEEDS;
	for (uint64_t seed = first; seed < first + count; seed++) {
		fflush(stdout);
		lines += test_seed(seed, false, log, outer);
		fflush(stdout);
		lines += test_seed(seed, true, log, outer);
	}
	ok(lines > 0, "guests have lost devices, and the log tells of it");
	nftw(tree, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	close(kvm_fd);
	return done();
}
