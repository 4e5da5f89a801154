#include "vm-mode/machine/boot.h"

#include "base/str.h"
#include "vm-mode/machine/acpi.h"
#include "vm-mode/machine/layout.h"
#include "vm-mode/machine/mptable.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <stddef.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES    UINT64_C(4096)
#define SECTOR_BYTES  512
#define SYSSIZE_UNIT  16 // bytes
#define SEGMENTS_MAX  64
#define BOOT_FLAG     0xaa55
#define HEADER_MAGIC  0x53726448 // "HdrS"
#define PROTOCOL_MIN  0x020c	 // has xloadflags
#define LOADER_OTHER  0xff
#define ENTRY_64      0x200
#define E820_RAM      1
#define E820_RESERVED 2
#define E820_ACPI     3

// Enough of its file for either header. The setup header begins in the first sector.
union head {
	char bytes[2 * SECTOR_BYTES];
	Elf64_Ehdr elf;
};

// A kernel's file.
struct image {
	union head head;
	Elf64_Phdr segments[SEGMENTS_MAX]; // of a vmlinux
	struct setup_header header;	   // of a bzImage
	uint64_t size;			   // bytes
};

// A kernel that has been loaded.
struct loaded {
	struct setup_header header; // for the zero page
	uint64_t entry, end;	    // of what must not be overwritten
};

// ---- reading files: the caller adds whose error it is ----

static int file_size(int fd, uint64_t *size, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat");
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "not a regular file");
	*size = (uint64_t)st.st_size;
	return 0;
}

static int read_at(int fd, void *data, size_t len, uint64_t offset, struct err *err)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, (char *)data + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read");
		if (n == 0)
			return err_set(err, ENOEXEC, "it is cut short");
		done += (size_t)n;
	}
	return 0;
}

// The end of the RAM below the hole.
static uint64_t low_end(const struct guest_memory *memory)
{
	return memory->ranges[0].gpa + memory->ranges[0].size;
}

// A place for the kernel: all in low memory, which ends at `end`, and not where the tables are.
static int check_place(uint64_t gpa, uint64_t size, uint64_t end, struct err *err)
{
	if (gpa >= LAYOUT_HIGH_MEMORY && gpa < end && size <= end - gpa)
		return 0;
	return err_set(err, ENOMEM, "%llu bytes at 0x%llx do not fit in the guest's memory",
		       (unsigned long long)size, (unsigned long long)gpa);
}

// ---- the kernel's file ----

static bool is_elf(const struct image *image)
{
	return memcmp(image->head.elf.e_ident, ELFMAG, SELFMAG) == 0;
}

static int check_elf(const Elf64_Ehdr *elf, struct err *err)
{
	if (elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_ident[EI_DATA] != ELFDATA2LSB ||
	    elf->e_machine != EM_X86_64)
		return err_set(err, ENOEXEC, "not for x86-64");
	if (elf->e_type != ET_EXEC && elf->e_type != ET_DYN)
		return err_set(err, ENOEXEC, "not an executable");
	if (elf->e_phentsize != sizeof(Elf64_Phdr) || elf->e_phnum == 0 ||
	    elf->e_phnum > SEGMENTS_MAX || elf->e_phoff > INT64_MAX / 2)
		return err_set(err, ENOEXEC, "its table of segments is broken");
	return 0;
}

static bool is_loaded(const Elf64_Phdr *segment)
{
	return segment->p_type == PT_LOAD && segment->p_memsz > 0;
}

static int check_segment(const Elf64_Phdr *segment, uint64_t file_bytes, uint64_t memory_end,
			 struct err *err)
{
	if (segment->p_filesz > segment->p_memsz)
		return err_set(err, ENOEXEC, "its table of segments is broken");
	if (segment->p_offset > file_bytes || segment->p_filesz > file_bytes - segment->p_offset)
		return err_set(err, ENOEXEC, "it is cut short");
	if (segment->p_paddr < LAYOUT_HIGH_MEMORY)
		return err_set(err, ENOEXEC, "a segment at 0x%llx, below 1 MiB",
			       (unsigned long long)segment->p_paddr);
	return check_place(segment->p_paddr, segment->p_memsz, memory_end, err);
}

// A kernel runs in the upper half of the address space, but is entered by its physical address.
static int check_entry(const struct image *image, struct err *err)
{
	const Elf64_Ehdr *elf = &image->head.elf;

	for (size_t i = 0; i < elf->e_phnum; i++) {
		const Elf64_Phdr *segment = &image->segments[i];

		if (!is_loaded(segment) || elf->e_entry < segment->p_paddr ||
		    elf->e_entry - segment->p_paddr >= segment->p_filesz)
			continue;
		return segment->p_vaddr >> 63 ?
			       0 :
			       err_set(err, ENOEXEC,
				       "its addresses are a program's, not a kernel's");
	}
	return err_set(err, ENOEXEC, "its entry 0x%llx is in none of its segments",
		       (unsigned long long)elf->e_entry);
}

static int read_segments(int fd, struct image *image, uint64_t memory_end, struct err *err)
{
	const Elf64_Ehdr *elf = &image->head.elf;

	if (read_at(fd, image->segments, elf->e_phnum * sizeof(*image->segments), elf->e_phoff,
		    err) < 0)
		return -err->code;
	for (size_t i = 0; i < elf->e_phnum; i++)
		if (is_loaded(&image->segments[i]) &&
		    check_segment(&image->segments[i], image->size, memory_end, err) < 0)
			return -err->code;
	return check_entry(image, err);
}

// Where the code of a bzImage begins in its file.
static uint64_t code_start(const struct setup_header *header)
{
	const uint64_t sectors = header->setup_sects ? header->setup_sects : 4;

	return (sectors + 1) * SECTOR_BYTES;
}

// What it takes of memory, to unpack itself there.
static uint64_t room_needed(const struct image *image)
{
	const uint64_t size = image->size - code_start(&image->header);

	return image->header.init_size > size ? image->header.init_size : size;
}

static int check_bzimage(const struct image *image, uint64_t memory_end, struct err *err)
{
	const struct setup_header *header = &image->header;
	const uint64_t start = code_start(header);

	if (header->version < PROTOCOL_MIN)
		return err_set(err, ENOEXEC, "boot protocol %u.%02u, 2.12 is needed",
			       header->version >> 8, header->version & 0xff);
	if (!(header->xloadflags & XLF_KERNEL_64) || !(header->loadflags & LOADED_HIGH))
		return err_set(err, ENOEXEC, "it has no 64-bit entry");
	if (image->size <= start || image->size - start <= ENTRY_64 ||
	    (image->size - start) / SYSSIZE_UNIT < header->syssize)
		return err_set(err, ENOEXEC, "it is cut short");
	return check_place(header->pref_address, room_needed(image), memory_end, err);
}

// Reads all but what is to be loaded, and checks it. The guest's low memory ends at `memory_end`.
static int read_image(int fd, uint64_t memory_end, struct image *image, struct err *err)
{
	*image = (struct image){ 0 };
	if (file_size(fd, &image->size, err) < 0)
		return -err->code;
	if (image->size < sizeof(image->head))
		return err_set(err, ENOEXEC, "a file of %llu bytes is no kernel",
			       (unsigned long long)image->size);
	if (read_at(fd, &image->head, sizeof(image->head), 0, err) < 0)
		return -err->code;
	if (is_elf(image))
		return check_elf(&image->head.elf, err) < 0 ?
			       -err->code :
			       read_segments(fd, image, memory_end, err);
	memcpy(&image->header, image->head.bytes + offsetof(struct boot_params, hdr),
	       sizeof(image->header));
	if (image->header.boot_flag == BOOT_FLAG && image->header.header == HEADER_MAGIC)
		return check_bzimage(image, memory_end, err);
	return err_set(err, ENOEXEC, "neither an ELF vmlinux nor a bzImage");
}

int boot_check_kernel(int kernel_fd, uint64_t memory_bytes, struct err *err)
{
	const uint64_t memory_end = memory_bytes < LAYOUT_HOLE ? memory_bytes : LAYOUT_HOLE;
	struct image image;

	return read_image(kernel_fd, memory_end, &image, err);
}

// `size` bytes of a file from `offset` on to `gpa`, which is in low memory. They are sent from one file to
// the other: mapping either of them, for some seconds or for good, would cost a fault for each of its pages.
static int load_piece(const struct boot *boot, int fd, uint64_t gpa, uint64_t size, uint64_t offset,
		      struct err *err)
{
	const struct guest_range *low = &boot->memory->ranges[0];
	off_t from = (off_t)offset;

	if (!guest_ptr(boot->memory, gpa, size))
		return err_set(err, ENOMEM, "no memory at 0x%llx", (unsigned long long)gpa);
	if (lseek(boot->memory->fd, (off_t)(low->offset + (gpa - low->gpa)), SEEK_SET) < 0)
		return err_sys(err, "find its place in the guest's memory");
	while (size > 0) {
		const ssize_t n = sendfile(boot->memory->fd, fd, &from, size);

		if (n == 0)
			return err_set(err, ENOEXEC, "it is cut short");
		if (n < 0 && errno != EINTR)
			return err_sys(err, "copy it to the guest's memory");
		if (n > 0)
			size -= (uint64_t)n;
	}
	return 0;
}

// ---- vmlinux ----

static int load_elf(const struct boot *boot, const struct image *image, struct loaded *loaded,
		    struct err *err)
{
	const Elf64_Ehdr *elf = &image->head.elf;

	for (size_t i = 0; i < elf->e_phnum; i++) {
		const Elf64_Phdr *segment = &image->segments[i];

		if (!is_loaded(segment))
			continue;
		if (segment->p_filesz > 0 &&
		    load_piece(boot, boot->kernel_fd, segment->p_paddr, segment->p_filesz,
			       segment->p_offset, err) < 0)
			return -err->code;
		if (segment->p_paddr + segment->p_memsz > loaded->end)
			loaded->end = segment->p_paddr + segment->p_memsz;
	}
	loaded->entry = elf->e_entry;
	loaded->header = (struct setup_header){ .boot_flag = BOOT_FLAG,
						.header = HEADER_MAGIC,
						.version = 0x020f,
						.loadflags = LOADED_HIGH,
						.kernel_alignment = 0x1000000,
						.initrd_addr_max = UINT32_MAX };
	return 0;
}

// ---- bzImage ----

static int load_bzimage(const struct boot *boot, const struct image *image, struct loaded *loaded,
			struct err *err)
{
	const struct setup_header *header = &image->header;
	const uint64_t start = code_start(header);
	const uint64_t where = header->pref_address;
	const uint64_t size = image->size - start;

	if (load_piece(boot, boot->kernel_fd, where, size, start, err) < 0)
		return -err->code;
	loaded->header = *header;
	loaded->header.code32_start = (uint32_t)where;
	loaded->header.setup_data = 0;
	loaded->entry = where + ENTRY_64;
	loaded->end = where + room_needed(image);
	return 0;
}

static int load_kernel(const struct boot *boot, struct loaded *loaded, struct err *err)
{
	struct image image;

	if (read_image(boot->kernel_fd, low_end(boot->memory), &image, err) < 0 ||
	    (is_elf(&image) ? load_elf : load_bzimage)(boot, &image, loaded, err) < 0)
		return err_wrap(err, "kernel");
	return 0;
}

// ---- initramfs ----

// How an archive begins, or what the kernel can unpack one from (its lib/decompress.c).
static bool is_archive(const char *bytes, size_t len)
{
	static const struct {
		const char *magic;
		size_t len;
	} known[] = {
		{ "070701", 6 },   // newc
		{ "070702", 6 },   // the same with sums
		{ "\x1f\x8b", 2 }, // gzip
		{ "\x1f\x9e", 2 }, // gzip, of old
		{ "BZ", 2 },	   // bzip2
		{ "\x5d\x00", 2 }, // lzma
		{ "\xfd\x37", 2 }, // xz
		{ "\x89\x4c", 2 }, // lzo
		{ "\x02\x21", 2 }, // lz4
		{ "\x28\xb5", 2 }, // zstd
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (len >= known[i].len && memcmp(bytes, known[i].magic, known[i].len) == 0)
			return true;
	return false;
}

// Its size is such that a sum of two can't wrap.
static int initrd_size(int fd, uint64_t *size, struct err *err)
{
	if (file_size(fd, size, err) < 0)
		return -err->code;
	return *size > LAYOUT_HOLE ? err_set(err, ENOMEM, "it is too large") : 0;
}

int boot_check_initrd(int initrd_fd, struct err *err)
{
	char bytes[PAGE_BYTES];
	uint64_t size = 0, at = 0;
	size_t len = 0, zeros = 0;

	if (initrd_size(initrd_fd, &size, err) < 0)
		return -err->code;
	// The kernel skips zeros in front of an archive.
	do {
		at += zeros;
		len = size - at < sizeof(bytes) ? size - at : sizeof(bytes);
		if (read_at(initrd_fd, bytes, len, at, err) < 0)
			return -err->code;
		for (zeros = 0; zeros < len && bytes[zeros] == 0;)
			zeros++;
	} while (zeros > 0);
	return is_archive(bytes, len) ?
		       0 :
		       err_set(err, ENOEXEC,
			       "neither a cpio archive (newc) nor one that is compressed");
}

// As high as possible, page aligned, one behind the other.
static int load_initrds(const struct boot *boot, struct loaded *loaded, struct err *err)
{
	static const char *const names[BOOT_INITRDS_MAX] = { "first initramfs",
							     "second initramfs" };
	uint64_t sizes[BOOT_INITRDS_MAX] = { 0 };
	uint64_t total = 0, end = low_end(boot->memory);

	for (size_t i = 0; i < BOOT_INITRDS_MAX; i++) {
		if (boot->initrd_fds[i] < 0)
			continue;
		if (initrd_size(boot->initrd_fds[i], &sizes[i], err) < 0)
			return err_wrap(err, "%s", names[i]);
		// The kernel wants each to begin at a multiple of 4.
		total += (sizes[i] + 3) & ~UINT64_C(3);
	}
	if (total == 0)
		return 0;
	if (end > (uint64_t)loaded->header.initrd_addr_max + 1)
		end = (uint64_t)loaded->header.initrd_addr_max + 1;
	if (total > end || ((end - total) & ~(PAGE_BYTES - 1)) < loaded->end)
		return err_set(err, ENOMEM,
			       "an initramfs of %llu bytes does not fit in the guest's memory",
			       (unsigned long long)total);
	const uint64_t gpa = (end - total) & ~(PAGE_BYTES - 1);
	uint64_t to = gpa;
	for (size_t i = 0; i < BOOT_INITRDS_MAX; i++) {
		if (sizes[i] > 0 && load_piece(boot, boot->initrd_fds[i], to, sizes[i], 0, err) < 0)
			return err_wrap(err, "%s", names[i]);
		to += (sizes[i] + 3) & ~UINT64_C(3);
	}
	loaded->header.ramdisk_image = (uint32_t)gpa;
	loaded->header.ramdisk_size = (uint32_t)total;
	return 0;
}

// ---- the tables ----

int boot_write_tables(const struct guest_memory *memory, struct err *err)
{
	enum { PRESENT = 1, WRITABLE = 2, LARGE = 0x80 };
	// Flat segments of 64-bit code and data at the places that the protocol names.
	const uint64_t gdt[4] = { 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
	uint64_t *gdt_place = guest_ptr(memory, LAYOUT_GDT, sizeof(gdt));
	uint64_t *tables = guest_ptr(memory, LAYOUT_PAGE_TABLES, LAYOUT_PAGE_TABLES_SIZE);

	_Static_assert(sizeof(gdt) == BOOT_GDT_LIMIT + 1, "the GDT's limit");
	if (!gdt_place || !tables)
		return err_set(err, ENOMEM, "the guest's memory is too small");
	memcpy(gdt_place, gdt, sizeof(gdt));
	uint64_t *pml4 = tables, *pdpt = tables + 512, *pd = tables + 1024;
	pml4[0] = (LAYOUT_PAGE_TABLES + PAGE_BYTES) | PRESENT | WRITABLE;
	for (uint64_t i = 0; i < 4; i++)
		pdpt[i] = (LAYOUT_PAGE_TABLES + (2 + i) * PAGE_BYTES) | PRESENT | WRITABLE;
	for (uint64_t i = 0; i < UINT64_C(4) * 512; i++)
		pd[i] = i << 21 | PRESENT | WRITABLE | LARGE;
	return 0;
}

static void add_e820(struct boot_params *params, uint64_t start, uint64_t end, uint32_t type)
{
	if (end > start)
		params->e820_table[params->e820_entries++] = (struct boot_e820_entry){
			.addr = start, .size = end - start, .type = type
		};
}

static void fill_params(const struct boot *boot, const struct loaded *loaded,
			struct boot_params *params)
{
	memset(params, 0, sizeof(*params));
	params->hdr = loaded->header;
	params->hdr.type_of_loader = LOADER_OTHER;
	params->hdr.cmd_line_ptr = (uint32_t)LAYOUT_CMDLINE;
	params->hdr.cmdline_size = (uint32_t)strlen(boot->cmdline);
	params->acpi_rsdp_addr = LAYOUT_ACPI;
	add_e820(params, 0, LAYOUT_BASE_MEMORY_END, E820_RAM);
	add_e820(params, LAYOUT_BASE_MEMORY_END, 0xa0000, E820_RESERVED);
	add_e820(params, LAYOUT_ACPI, LAYOUT_ACPI + LAYOUT_ACPI_SIZE, E820_ACPI);
	add_e820(params, LAYOUT_MP_TABLE, LAYOUT_MP_TABLE + LAYOUT_MP_TABLE_SIZE, E820_RESERVED);
	add_e820(params, LAYOUT_HIGH_MEMORY, low_end(boot->memory), E820_RAM);
	for (size_t i = 1; i < boot->memory->count; i++)
		add_e820(params, boot->memory->ranges[i].gpa,
			 boot->memory->ranges[i].gpa + boot->memory->ranges[i].size, E820_RAM);
}

int boot_load(const struct boot *boot, uint64_t *entry, struct err *err)
{
	struct loaded loaded = { 0 };
	struct boot_params *params = guest_ptr(boot->memory, LAYOUT_BOOT_PARAMS,
					       sizeof(struct boot_params));
	char *cmdline = guest_ptr(boot->memory, LAYOUT_CMDLINE, LAYOUT_CMDLINE_MAX);
	size_t len = strlen(boot->cmdline);

	if (!params || !cmdline || low_end(boot->memory) <= LAYOUT_HIGH_MEMORY)
		return err_set(err, ENOMEM, "the guest's memory is too small for a kernel");
	if (len >= LAYOUT_CMDLINE_MAX)
		return err_set(err, E2BIG, "the kernel's command line is too long");
	if (load_kernel(boot, &loaded, err) < 0 || load_initrds(boot, &loaded, err) < 0 ||
	    boot_write_tables(boot->memory, err) < 0 ||
	    acpi_write(boot->memory, boot->vcpus, boot->devices, err) < 0 ||
	    mptable_write(boot->memory, boot->vcpus, boot->devices, err) < 0)
		return -err->code;
	memcpy(cmdline, boot->cmdline, len + 1);
	fill_params(boot, &loaded, params);
	*entry = loaded.entry;
	return 0;
}
