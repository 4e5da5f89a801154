// Loading a kernel: good ones, broken ones, and the tables beside it.
#include "vm-mode/machine/acpi.h"
#include "vm-mode/machine/boot.h"
#include "vm-mode/machine/cmdline.h"
#include "vm-mode/machine/layout.h"
#include "vm-mode/machine/mptable.h"

#include "base/scope.h"
#include "tests/unit/tap.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>

#define MEMORY	(UINT64_C(32) << 20)
#define KERNEL	(UINT64_C(16) << 20)
#define CONTENT "the kernel"

static struct guest_memory memory;
static struct err err;

static void begin(uint64_t bytes)
{
	if (guest_memory_create(&memory, bytes, &err) < 0)
		printf("# %s\n", err.msg);
}

static int make_file(const void *data, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		printf("# a file could not be made\n");
	return fd;
}

// ---- images ----

struct elf_image {
	Elf64_Ehdr head;
	Elf64_Phdr segments[2];
	char pad[1024];
	char content[64];
};

static struct elf_image good_elf(void)
{
	struct elf_image image = {
		.head = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
			  .e_type = ET_EXEC,
			  .e_machine = EM_X86_64,
			  .e_entry = KERNEL + 4,
			  .e_phoff = offsetof(struct elf_image, segments),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_phnum = 2 },
		.segments = { { .p_type = PT_NOTE, .p_paddr = 5, .p_filesz = UINT64_MAX },
			      { .p_type = PT_LOAD,
				.p_offset = offsetof(struct elf_image, content),
				.p_vaddr = UINT64_C(0xffffffff80000000) + KERNEL,
				.p_paddr = KERNEL,
				.p_filesz = sizeof(image.content),
				.p_memsz = 8192 } },
		.content = CONTENT,
	};
	return image;
}

struct bz_image {
	char sector[0x1f1];
	struct setup_header header;
	char rest[5 * 512 - 0x1f1 - sizeof(struct setup_header)];
	char content[1024];
};

static struct bz_image good_bz(void)
{
	return (struct bz_image){ .header = { .setup_sects = 4,
					      .boot_flag = 0xaa55,
					      .header = 0x53726448,
					      .version = 0x020f,
					      .loadflags = LOADED_HIGH,
					      .xloadflags = XLF_KERNEL_64,
					      .initrd_addr_max = 0x7fffffff,
					      .pref_address = KERNEL,
					      .init_size = 1 << 20 },
				  .content = CONTENT };
}

static int load(const void *image, size_t len, uint64_t *entry)
{
	scope_fd int fd = make_file(image, len);
	const struct boot boot = { .memory = &memory,
				   .kernel_fd = fd,
				   .initrd_fds = { -1, -1 },
				   .cmdline = "a=b",
				   .vcpus = 1 };

	return boot_load(&boot, entry, &err);
}

// Each case changes one field of a good image.
#define CASE(make, change, code, message)                          \
	do {                                                       \
		__typeof__(make()) image = make();                 \
		uint64_t entry;                                    \
                                                                   \
		change;                                            \
		is_int(load(&image, sizeof(image), &entry), code); \
		is_str(err.msg, message);                          \
	} while (0)

static void test_elf(void)
{
	const struct elf_image good = good_elf();
	uint64_t where = 0;

	begin(MEMORY);
	is_int(load(&good, sizeof(good), &where), 0);
	is_int((long long)where, KERNEL + 4);
	is_str(guest_ptr(&memory, KERNEL, sizeof(CONTENT)), CONTENT);

	const char *cut = "kernel: it is cut short";
	CASE(good_elf, image.head.e_machine = EM_AARCH64, -ENOEXEC, "kernel: not for x86-64");
	CASE(good_elf, image.head.e_ident[EI_CLASS] = 1, -ENOEXEC, "kernel: not for x86-64");
	CASE(good_elf, image.head.e_type = ET_REL, -ENOEXEC, "kernel: not an executable");
	const char *table = "kernel: its table of segments is broken";
	CASE(good_elf, image.head.e_phnum = 0, -ENOEXEC, table);
	CASE(good_elf, image.head.e_phnum = 65, -ENOEXEC, table);
	CASE(good_elf, image.head.e_phentsize = 8, -ENOEXEC, table);
	CASE(good_elf, image.head.e_phoff = UINT64_MAX - 8, -ENOEXEC, table);
	CASE(good_elf, image.head.e_phoff = 1 << 30, -ENOEXEC, cut);
	CASE(good_elf, image.segments[1].p_filesz = 8193, -ENOEXEC, table);
	CASE(good_elf, image.segments[1].p_filesz++, -ENOEXEC, cut);
	CASE(good_elf, image.segments[1].p_offset = UINT64_MAX, -ENOEXEC, cut);
	CASE(good_elf, image.segments[1].p_vaddr = KERNEL, -ENOEXEC,
	     "kernel: its addresses are a program's, not a kernel's");
	CASE(good_elf, image.segments[1].p_paddr = 0, -ENOEXEC,
	     "kernel: a segment at 0x0, below 1 MiB");
	CASE(good_elf, image.segments[1].p_paddr = MEMORY - 4096, -ENOMEM,
	     "kernel: 8192 bytes at 0x1fff000 do not fit in the guest's memory");
	CASE(good_elf, image.segments[1].p_memsz = UINT64_MAX, -ENOMEM,
	     "kernel: 18446744073709551615 bytes at 0x1000000 do not fit in the guest's memory");
	CASE(good_elf, image.segments[1].p_paddr = LAYOUT_HOLE_END, -ENOMEM,
	     "kernel: 8192 bytes at 0x100000000 do not fit in the guest's memory");
	const char *no_entry = "kernel: its entry 0x1000040 is in none of its segments";
	CASE(good_elf, image.head.e_entry = KERNEL + 64, -ENOEXEC, no_entry);
	guest_memory_free(&memory);
}

static void test_bzimage(void)
{
	const struct bz_image good = good_bz();
	uint64_t where = 0;

	begin(MEMORY);
	is_int(load(&good, sizeof(good), &where), 0);
	is_int((long long)where, KERNEL + 0x200);
	is_str(guest_ptr(&memory, KERNEL, sizeof(CONTENT)), CONTENT);
	const struct boot_params *params = guest_ptr(&memory, LAYOUT_BOOT_PARAMS, 4096);
	is_int(params->hdr.header, 0x53726448);
	is_int(params->hdr.init_size, 1 << 20);
	struct bz_image whole = good;
	whole.header.syssize = sizeof(whole.content) / 16;
	is_int(load(&whole, sizeof(whole), &where), 0);

	const char *no_kernel = "kernel: neither an ELF vmlinux nor a bzImage";
	CASE(good_bz, image.header.boot_flag = 0, -ENOEXEC, no_kernel);
	CASE(good_bz, image.header.header = 1, -ENOEXEC, no_kernel);
	CASE(good_bz, image.header.version = 0x20b, -ENOEXEC,
	     "kernel: boot protocol 2.11, 2.12 is needed");
	CASE(good_bz, image.header.xloadflags = 0, -ENOEXEC, "kernel: it has no 64-bit entry");
	CASE(good_bz, image.header.setup_sects = 6, -ENOEXEC, "kernel: it is cut short");
	CASE(good_bz, image.header.setup_sects = 255, -ENOEXEC, "kernel: it is cut short");
	CASE(good_bz, image.header.syssize = sizeof(image.content) / 16 + 1, -ENOEXEC,
	     "kernel: it is cut short");
	CASE(good_bz, image.header.pref_address = 0, -ENOMEM,
	     "kernel: 1048576 bytes at 0x0 do not fit in the guest's memory");
	CASE(good_bz, image.header.init_size = 17 << 20, -ENOMEM,
	     "kernel: 17825792 bytes at 0x1000000 do not fit in the guest's memory");
	CASE(good_bz, image.header.pref_address = UINT64_MAX, -ENOMEM,
	     "kernel: 1048576 bytes at 0xffffffffffffffff do not fit in the guest's memory");
	is_int(load(&good, 700, &where), -ENOEXEC);
	is_int(load(&good, 0, &where), -ENOEXEC);
	is_str(err.msg, "kernel: a file of 0 bytes is no kernel");
	guest_memory_free(&memory);
}

// boot_check_kernel() of a file, for a guest of so much memory.
static int check_kernel(const void *image, size_t len, uint64_t memory_bytes)
{
	scope_fd int fd = make_file(image, len);

	return boot_check_kernel(fd, memory_bytes, &err);
}

// What can be known of a file is known before there is a machine.
static void test_check_kernel(void)
{
	struct elf_image elf = good_elf();
	struct bz_image bz = good_bz();

	is_int(check_kernel(&elf, sizeof(elf), MEMORY), 0);
	is_int(check_kernel(&elf, sizeof(elf), LAYOUT_MEMORY_MAX), 0);
	is_int(check_kernel(&elf, sizeof(elf), KERNEL + 8191), -ENOMEM);
	is_int(check_kernel(&elf, sizeof(elf), KERNEL + 8192), 0);
	is_int(check_kernel(&elf, sizeof(elf) - 1, MEMORY), -ENOEXEC);
	is_str(err.msg, "it is cut short");
	elf.segments[1].p_paddr = LAYOUT_HOLE - 4096;
	is_int(check_kernel(&elf, sizeof(elf), LAYOUT_MEMORY_MAX), -ENOMEM);
	is_str(err.msg, "8192 bytes at 0xbffff000 do not fit in the guest's memory");
	is_int(check_kernel(&bz, sizeof(bz), MEMORY), 0);
	is_int(check_kernel(&bz, sizeof(bz), KERNEL + (1 << 20) - 1), -ENOMEM);
	bz.header.syssize = UINT32_MAX;
	is_int(check_kernel(&bz, sizeof(bz), MEMORY), -ENOEXEC);
	is_str(err.msg, "it is cut short");
}

// Any change of a few bytes is loaded or refused, but never more than that.
static void test_mutations(void)
{
	struct elf_image elf = good_elf();
	struct bz_image bz = good_bz();
	uint32_t random = 1;
	uint64_t entry;
	int done_right = 0;

	begin(MEMORY);
	for (int turn = 0; turn < 1000; turn++) {
		struct elf_image bad_elf = elf;
		struct bz_image bad_bz = bz;

		for (int i = 0; i < 3; i++) {
			random = random * 1664525 + 1013904223;
			((char *)&bad_elf)[(random >> 8) % (sizeof(Elf64_Ehdr) + 112)] =
				(char)(random >> 24);
			((char *)&bad_bz)[0x1f1 + (random >> 8) % sizeof(struct setup_header)] =
				(char)(random >> 24);
		}
		int got = load(&bad_elf, sizeof(bad_elf), &entry);
		done_right += got == 0 || got == -ENOEXEC || got == -ENOMEM;
		got = load(&bad_bz, sizeof(bad_bz), &entry);
		done_right += got == 0 || got == -ENOEXEC || got == -ENOMEM;
	}
	is_int(done_right, 2000);
	guest_memory_free(&memory);
}

// ---- what goes with it ----

static void test_initrds(void)
{
	struct elf_image image = good_elf();
	scope_fd int kernel = make_file(&image, sizeof(image));
	scope_fd int first = make_file("12345", 5);
	scope_fd int second = make_file("abc", 3);
	struct boot boot = { .memory = &memory,
			     .kernel_fd = kernel,
			     .initrd_fds = { first, second },
			     .cmdline = "a=b",
			     .vcpus = 2 };
	uint64_t entry;

	begin(MEMORY);
	is_int(boot_load(&boot, &entry, &err), 0);
	const struct boot_params *params = guest_ptr(&memory, LAYOUT_BOOT_PARAMS, 4096);
	is_int(params->hdr.ramdisk_size, 12);
	is_int(params->hdr.ramdisk_image, MEMORY - 4096);
	ok(memcmp(guest_ptr(&memory, MEMORY - 4096, 12), "12345\0\0\0abc\0", 12) == 0,
	   "one behind the other, aligned");
	is_str(guest_ptr(&memory, params->hdr.cmd_line_ptr, 4), "a=b");
	is_int(params->hdr.type_of_loader, 0xff);
	is_int((long long)params->acpi_rsdp_addr, LAYOUT_ACPI);
	is_int(params->e820_entries, 5);
	is_int(params->e820_table[2].type, 3);
	is_int((long long)params->e820_table[4].addr, 1 << 20);
	is_int((long long)params->e820_table[4].size, MEMORY - (1 << 20));

	boot.initrd_fds[0] = -1;
	is_int(boot_load(&boot, &entry, &err), 0);
	is_int(params->hdr.ramdisk_size, 4);
	is_int(params->e820_entries, 5);

	is_int(ftruncate(second, (off_t)(MEMORY - KERNEL - 8192)), 0);
	is_int(boot_load(&boot, &entry, &err), 0);
	is_int(ftruncate(second, (off_t)(MEMORY - KERNEL - 8192 + 1)), 0);
	is_int(boot_load(&boot, &entry, &err), -ENOMEM);
	is_int(ftruncate(second, INT64_MAX / 2), 0);
	is_int(boot_load(&boot, &entry, &err), -ENOMEM);
	is_str(err.msg, "second initramfs: it is too large");
	int ends[2];
	is_int(pipe2(ends, O_CLOEXEC), 0);
	boot.initrd_fds[1] = ends[0];
	is_int(boot_load(&boot, &entry, &err), -EINVAL);
	is_str(err.msg, "second initramfs: not a regular file");
	close(ends[0]);
	close(ends[1]);
	// sysfs says that its files have a page.
	scope_fd int line = open("/sys/kernel/uevent_seqnum", O_RDONLY | O_CLOEXEC);
	boot.initrd_fds[1] = line;
	is_int(boot_load(&boot, &entry, &err), -ENOEXEC);
	is_str(err.msg, "second initramfs: it is cut short");
	guest_memory_free(&memory);

	// Memory on both sides of the hole; and too little.
	begin(LAYOUT_HOLE + MEMORY);
	boot.initrd_fds[1] = -1;
	is_int(boot_load(&boot, &entry, &err), 0);
	params = guest_ptr(&memory, LAYOUT_BOOT_PARAMS, 4096);
	is_int(params->e820_entries, 6);
	is_int((long long)params->e820_table[5].addr, LAYOUT_HOLE_END);
	is_int((long long)params->e820_table[5].size, MEMORY);
	guest_memory_free(&memory);
	begin(4096);
	is_int(boot_load(&boot, &entry, &err), -ENOMEM);
	guest_memory_free(&memory);
}

static int check_initrd(const char *begin, size_t len, size_t zeros)
{
	static char file[10000];
	const size_t size = zeros + len;

	memset(file, 0, sizeof(file));
	memcpy(file + zeros, begin, len);
	scope_fd int fd = make_file(file, size);
	return boot_check_initrd(fd, &err);
}

static void test_check_initrd(void)
{
	static const struct {
		const char *begin;
		size_t len;
	} good[] = {
		{ "0707010000000", 13 },
		{ "0707020000000", 13 },
		{ "\x1f\x8b\x08", 3 },
		{ "\x1f\x9e\x08", 3 },
		{ "BZh9", 4 },
		{ "\x5d\0\0\x80", 4 },
		{ "\xfd"
		  "7zXZ",
		  5 },
		{ "\x89LZO", 4 },
		{ "\x02\x21\x4c\x18", 4 },
		{ "\x28\xb5\x2f\xfd", 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		is_int(check_initrd(good[i].begin, good[i].len, 0), 0);
	is_int(check_initrd(good[0].begin, good[0].len, 512), 0);
	is_int(check_initrd(good[0].begin, good[0].len, 4094), 0);
	is_int(check_initrd(good[0].begin, good[0].len, 8192), 0);
	is_int(check_initrd("root:x:0:0", 10, 0), -ENOEXEC);
	is_str(err.msg, "neither a cpio archive (newc) nor one that is compressed");
	is_int(check_initrd("root:x:0:0", 10, 4096), -ENOEXEC);
	is_int(check_initrd("070707", 6, 0), -ENOEXEC); // cpio's old format
	is_int(check_initrd("07070", 5, 0), -ENOEXEC);
	is_int(check_initrd("\x1f", 1, 0), -ENOEXEC);
	is_int(check_initrd("", 0, 0), -ENOEXEC);
	is_int(check_initrd("", 0, 8192), -ENOEXEC);
	scope_fd int huge = make_file("", 0);
	is_int(ftruncate(huge, INT64_MAX / 2), 0);
	is_int(boot_check_initrd(huge, &err), -ENOMEM);
	scope_fd int device = open("/dev/null", O_RDONLY | O_CLOEXEC);
	is_int(boot_check_initrd(device, &err), -EINVAL);
}

static uint8_t sum(const void *data, size_t len)
{
	uint8_t all = 0;

	for (size_t i = 0; i < len; i++)
		all += ((const uint8_t *)data)[i];
	return all;
}

static void test_mptable(void)
{
	begin(MEMORY);
	is_int(mptable_write(&memory, 0, 8, &err), -EINVAL);
	is_int(mptable_write(&memory, LAYOUT_VCPUS_MAX + 1, 8, &err), -EINVAL);
	is_int(mptable_write(&memory, 1, LAYOUT_DEVICES_MAX + 1, &err), -EINVAL);
	is_int(mptable_write(&memory, 3, 8, &err), 0);
	const uint8_t *table = guest_ptr(&memory, LAYOUT_MP_TABLE, LAYOUT_MP_TABLE_SIZE);
	ok(memcmp(table, "_MP_", 4) == 0 && sum(table, 16) == 0, "the pointer");
	const uint16_t len = (uint16_t)(table[20] | table[21] << 8);
	ok(memcmp(table + 16, "PCMP", 4) == 0 && sum(table + 16, len) == 0, "the table");
	is_int(len, 44 + 3 * 20 + 8 + 8 + 8 * 8 + 8);
	is_int(table[16 + 34], 3 + 1 + 1 + 8 + 1);
	const uint8_t *second = table + 16 + 44 + 20;
	ok(second[0] == 0 && second[1] == 1 && second[3] == 1, "the second processor");
	// ISA's line 1 to the same pin of the I/O APIC, which comes after the processors.
	static const uint8_t first_line[] = { 3, 0, 0, 0, 0, 1, 3, 1 };
	ok(memcmp(table + 16 + 44 + 3 * 20 + 8 + 8, first_line, 8) == 0, "the first device's line");
	guest_memory_free(&memory);
}

// The table that `field` of another has the address of; its sum and length are right.
static const uint8_t *acpi_table(const uint8_t *field, const char *signature, uint32_t length)
{
	uint64_t gpa;
	uint32_t claimed;

	memcpy(&gpa, field, sizeof(gpa));
	const uint8_t *table = guest_ptr(&memory, gpa, length);
	if (!ok(table && gpa % 16 == 0 && gpa > LAYOUT_ACPI &&
			gpa + length <= LAYOUT_ACPI + LAYOUT_ACPI_SIZE &&
			memcmp(table, signature, 4) == 0,
		signature))
		return NULL;
	memcpy(&claimed, table + 4, sizeof(claimed));
	is_int(claimed, length);
	is_int(sum(table, length), 0);
	return table;
}

// iasl disassembles it to Device (\_SB.V001) { Name (_HID, "LNRO0005") Name (_UID, 1) Name (_CRS, ResourceTemplate () {
// Memory32Fixed (ReadWrite, 0xD0001000, 0x1000) Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 2 } }) }.
static const uint8_t second_device[] = {
	0x5b, 0x82, 0x42, 0x04, '\\', 0x2e, '_',  'S',	'B',  '_',  'V',  '0',	'0',  '1',
	0x08, '_',  'H',  'I',	'D',  0x0d, 'L',  'N',	'R',  'O',  '0',  '0',	'0',  '5',
	0x00, 0x08, '_',  'U',	'I',  'D',  0x0a, 0x01, 0x08, '_',  'C',  'R',	'S',  0x11,
	0x1a, 0x0a, 0x17, 0x86, 0x09, 0x00, 0x01, 0x00, 0x10, 0x00, 0xd0, 0x00, 0x10, 0x00,
	0x00, 0x89, 0x06, 0x00, 0x03, 0x01, 0x02, 0x00, 0x00, 0x00, 0x79, 0x00,
};

static void test_acpi(void)
{
	begin(MEMORY);
	is_int(acpi_write(&memory, 0, 0, &err), -EINVAL);
	is_int(acpi_write(&memory, LAYOUT_VCPUS_MAX + 1, 0, &err), -EINVAL);
	is_int(acpi_write(&memory, 1, LAYOUT_DEVICES_MAX + 1, &err), -EINVAL);
	is_int(acpi_write(&memory, 3, 2, &err), 0);
	const uint8_t *rsdp = guest_ptr(&memory, LAYOUT_ACPI, 36);
	ok(memcmp(rsdp, "RSD PTR ", 8) == 0 && sum(rsdp, 20) == 0 && sum(rsdp, 36) == 0,
	   "the pointer, with both its sums");

	const uint8_t *xsdt = acpi_table(rsdp + 24, "XSDT", 36 + 2 * 8);
	const uint8_t *fadt = acpi_table(xsdt + 36, "FACP", 276);
	is_int(fadt[112 + 2], 0x10); // HW_REDUCED_ACPI
	const size_t device = sizeof(second_device);
	const uint8_t *dsdt = acpi_table(fadt + 140, "DSDT", (uint32_t)(36 + 2 * device));
	ok(memcmp(dsdt + 36 + device, second_device, device) == 0, "the second device");
	const uint8_t *madt = acpi_table(xsdt + 44, "APIC", 36 + 8 + 3 * 8 + 12);
	const uint8_t third[] = { 0, 8, 2, 2, 1, 0, 0, 0 };
	const uint8_t io_apic[] = { 1, 12, 3, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0 };
	ok(memcmp(madt + 44 + 2 * 8, third, sizeof(third)) == 0, "the third processor");
	ok(memcmp(madt + 44 + 3 * 8, io_apic, sizeof(io_apic)) == 0, "the I/O APIC");

	is_int(acpi_write(&memory, LAYOUT_VCPUS_MAX, LAYOUT_DEVICES_MAX, &err), 0);
	guest_memory_free(&memory);
	begin(4096);
	is_int(acpi_write(&memory, 1, 0, &err), -EINVAL);
	guest_memory_free(&memory);
}

static void test_cmdline(void)
{
	struct cmdline cmdline = { .serial = true, .devices = 2, .parameters = "root=x" };
	char long_one[LAYOUT_CMDLINE_MAX + 1] = "";

	scope_text struct text text = { 0 };
	is_int(cmdline_make(&cmdline, &text, &err), 0);
	ok(str_starts(text.str, "console=hvc0 "), "it begins with the console");
	ok(str_ends(text.str, " quiet earlyprintk=ttyS0 virtio_mmio.device=4K@0xd0000000:1 "
			      "virtio_mmio.device=4K@0xd0001000:2 root=x"),
	   "devices, then the operator's");
	scope_text struct text loud = { 0 };
	cmdline = (struct cmdline){ .debug = true };
	is_int(cmdline_make(&cmdline, &loud, &err), 0);
	ok(strstr(loud.str, " ignore_loglevel") && !strstr(loud.str, "quiet"), "all of it");
	ok(!strstr(loud.str, "earlyprintk"), "no serial port");

	scope_text struct text bad = { 0 };
	cmdline.parameters = "a\nb";
	is_int(cmdline_make(&cmdline, &bad, &err), -EINVAL);
	scope_text struct text full = { 0 };
	memset(long_one, 'x', LAYOUT_CMDLINE_MAX - loud.len - 2);
	cmdline.parameters = long_one;
	is_int(cmdline_make(&cmdline, &full, &err), 0);
	is_int((long long)full.len, LAYOUT_CMDLINE_MAX - 1);
	scope_text struct text over = { 0 };
	strcat(long_one, "x");
	is_int(cmdline_make(&cmdline, &over, &err), -E2BIG);
}

int main(void)
{
	test_elf();
	test_bzimage();
	test_check_kernel();
	test_mutations();
	test_initrds();
	test_check_initrd();
	test_mptable();
	test_acpi();
	test_cmdline();
	return done();
}
