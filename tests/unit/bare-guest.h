// bare-guest: guests of a few instructions, for tests on the host's own /dev/kvm.
//
// A guest is a kernel to moat: an ELF file with the instructions. It begins in long mode with the
// first 4 GiB mapped one to one, and no interrupt table: any exception is its end.
#pragma once

#include "vm-mode/machine/machine.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BARE_CODE UINT64_C(0x200000)
#define BARE_MAX  1024 // bytes of instructions

// guest_NAME and guest_NAME_end enclose the instructions.
#define GUEST(name, code)                                                \
	extern const char guest_##name[];                                \
	extern const char guest_##name##_end[];                          \
	__asm__(".pushsection .rodata\n"                                 \
		".globl guest_" #name "\n"                               \
		"guest_" #name ":\n" code ".globl guest_" #name "_end\n" \
		"guest_" #name "_end: .popsection\n")

// The kernel's file, the caller's to close; -1.
static inline int bare_kernel(const char *code, const char *code_end)
{
	struct {
		Elf64_Ehdr head;
		Elf64_Phdr segment;
		char code[BARE_MAX];
	} file = {
		.head = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
			  .e_type = ET_EXEC,
			  .e_machine = EM_X86_64,
			  .e_entry = BARE_CODE,
			  .e_phoff = sizeof(Elf64_Ehdr),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_phnum = 1 },
		.segment = { .p_type = PT_LOAD,
			     .p_offset = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
			     .p_vaddr = UINT64_C(0xffffffff80000000) + BARE_CODE,
			     .p_paddr = BARE_CODE,
			     .p_filesz = BARE_MAX,
			     .p_memsz = BARE_MAX },
	};
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	memcpy(file.code, code, (size_t)(code_end - code));
	return write(fd, &file, sizeof(file)) == sizeof(file) ? fd : -1;
}

static inline int bare_boot(struct machine *machine, const char *code, const char *code_end,
			    struct err *err)
{
	const int fd = bare_kernel(code, code_end);
	const struct machine_kernel kernel = { .kernel_fd = fd, .initrd_fds = { -1, -1 } };
	const int ret = machine_boot(machine, &kernel, err);

	close(fd);
	return ret;
}

static inline void bare_poke(struct machine *machine, uint64_t gpa, const void *data, size_t len)
{
	memcpy(guest_ptr(machine_memory(machine), gpa, len), data, len);
}
