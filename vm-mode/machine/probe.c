#include "vm-mode/machine/probe.h"

#include "base/scope.h"
#include "vm-mode/machine/cpuid.h"
#include "vm-mode/machine/kvm.h"

#include <linux/kvm.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

// The guest's memory.
#define GDT	     0x0
#define PML4	     0x1000
#define PDPT	     0x2000
#define PAGE_DIR     0x3000
#define CODE	     0x4000
#define STACK	     0x6000
#define MEMORY_BYTES 0x8000
#define REPORTS	     0x7000
#define KERNEL_CS    0x10
#define USER_CS	     0x33
#define RING(cs)     ((cs)&3)
#define MSR_STAR     "0xc0000081"
#define MSR_LSTAR    "0xc0000082"
#define MSR_SFMASK   "0xc0000084"

extern const char probe_code[], probe_code_end[];

// To be run at CODE. SYSCALL takes its selectors from STAR: 0x10 and 0x18; SYSRET 0x33 and 0x2b.
// Reports go to memory, for which any ring is good enough. The guest ends in a triple fault.
__asm__(".pushsection .rodata\n"
	"probe_code:\n"
	"	mov $" MSR_STAR ", %ecx\n"
	"	xor %eax, %eax\n"
	"	mov $0x00230010, %edx\n"
	"	wrmsr\n"
	"	mov $" MSR_LSTAR ", %ecx\n"
	"	mov $0x4000 + (3f - probe_code), %eax\n"
	"	xor %edx, %edx\n"
	"	wrmsr\n"
	"	mov $" MSR_SFMASK ", %ecx\n"
	"	xor %eax, %eax\n"
	"	wrmsr\n"
	"	mov $0x7000, %ebx\n"
	"	push $0x2b\n"
	"	push $0x6000\n"
	"	push $0x2\n"
	"	push $0x33\n"
	"	push $0x4000 + (2f - probe_code)\n"
	"	iretq\n"
	"2:	mov %cs, %eax\n"
	"	mov %eax, (%rbx)\n"
	"	syscall\n"
	"	mov %cs, %eax\n"
	"	mov %eax, 8(%rbx)\n"
	"	ud2\n"
	"3:	mov %cs, %eax\n"
	"	mov %eax, 4(%rbx)\n"
	"	sysretq\n"
	"probe_code_end:\n"
	".popsection\n");

static void fill_memory(char *memory)
{
	enum { PRESENT = 1, WRITABLE = 2, USER = 4, LARGE = 0x80 };
	static const uint64_t gdt[] = {
		0,
		0,
		0x00af9b000000ffff, // 0x10: code
		0x00cf93000000ffff, // 0x18: data
		0,
		0x00cff3000000ffff, // 0x28: data of ring 3
		0x00affb000000ffff, // 0x30: code of ring 3
	};

	memcpy(memory + GDT, gdt, sizeof(gdt));
	*(uint64_t *)(memory + PML4) = PDPT | PRESENT | WRITABLE | USER;
	*(uint64_t *)(memory + PDPT) = PAGE_DIR | PRESENT | WRITABLE | USER;
	*(uint64_t *)(memory + PAGE_DIR) = LARGE | PRESENT | WRITABLE | USER;
	memcpy(memory + CODE, probe_code, (size_t)(probe_code_end - probe_code));
}

static int set_registers(int vcpu_fd, struct err *err)
{
	const struct kvm_regs regs = { .rip = CODE, .rsp = STACK, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return err_sys(err, "KVM: read a vCPU");
	sregs.cs = (struct kvm_segment){ .selector = KERNEL_CS,
					 .limit = UINT32_MAX,
					 .type = 11,
					 .present = 1,
					 .s = 1,
					 .l = 1,
					 .g = 1 };
	sregs.ss = sregs.cs;
	sregs.ss.selector = KERNEL_CS + 8;
	sregs.ss.type = 3;
	sregs.ss.l = 0;
	sregs.ss.db = 1;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss;
	sregs.gdt = (struct kvm_dtable){ .base = GDT, .limit = 7 * 8 - 1 };
	sregs.idt = (struct kvm_dtable){ .limit = 0 };
	sregs.cr0 = 0x80000031; // paging, numeric errors, protection
	sregs.cr3 = PML4;
	sregs.cr4 = 0x20;   // physical address extension
	sregs.efer = 0x501; // long mode, SYSCALL
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0)
		return err_sys(err, "KVM: set a vCPU");
	return 0;
}

static void __attribute__((format(printf, 2, 3)))
refuse(struct kvm_verdict *verdict, const char *fmt, ...)
{
	static const char intro[] = "this host's KVM can't run a standard kernel: ";
	va_list args;

	memcpy(verdict->why, intro, sizeof(intro));
	va_start(args, fmt);
	vsnprintf(verdict->why + sizeof(intro) - 1, sizeof(verdict->why) - sizeof(intro) + 1, fmt,
		  args);
	va_end(args);
}

// `reports`: the code segments in ring 3, after SYSCALL and after SYSRET; 0 where it did not come to
// that.
static void judge(const volatile uint32_t *reports, uint32_t exit_reason,
		  struct kvm_verdict *verdict)
{
	const uint32_t user = reports[0], entered = reports[1], returned = reports[2];

	if (user != USER_CS)
		refuse(verdict, "it doesn't get to ring 3 (exit %u)", exit_reason);
	else if (!entered)
		refuse(verdict, "SYSCALL doesn't arrive (exit %u)", exit_reason);
	else if (entered != KERNEL_CS)
		refuse(verdict, "SYSCALL from ring 3 arrives in ring %u", RING(entered));
	else if (returned != USER_CS)
		refuse(verdict, "SYSRET doesn't arrive in ring 3 (exit %u)", exit_reason);
	else
		verdict->good = true;
}

static int run(int vcpu_fd, const struct kvm_run *state, char *memory, struct kvm_verdict *verdict,
	       struct err *err)
{
	while (ioctl(vcpu_fd, KVM_RUN, 0) < 0)
		if (errno != EINTR && errno != EAGAIN)
			return err_sys(err, "KVM: run a guest");
	judge((uint32_t *)(memory + REPORTS), state->exit_reason, verdict);
	return 0;
}

static int run_guest(int kvm_fd, char *memory, struct kvm_verdict *verdict, struct err *err)
{
	struct cpuid cpuid;
	scope_fd int vm_fd = kvm_create_vm(kvm_fd, err);

	fill_memory(memory);
	if (vm_fd < 0 || kvm_set_memory(vm_fd, 0, 0, MEMORY_BYTES, memory, err) < 0 ||
	    cpuid_read(kvm_fd, &cpuid, err) < 0)
		return -err->code;
	scope_fd int vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	if (vcpu_fd < 0 || ioctl(vcpu_fd, KVM_SET_CPUID2, &cpuid) < 0)
		return err_sys(err, "KVM: make a vCPU");
	if (set_registers(vcpu_fd, err) < 0)
		return -err->code;
	int size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		return err_sysn(err, ENOSYS, "KVM: ask for the size of a vCPU");
	void *state = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);
	if (state == MAP_FAILED)
		return err_sys(err, "KVM: map a vCPU");
	int got = run(vcpu_fd, state, memory, verdict, err);
	munmap(state, (size_t)size);
	return got;
}

int kvm_probe(int kvm_fd, struct kvm_verdict *verdict, struct err *err)
{
	*verdict = (struct kvm_verdict){ 0 };
	if (kvm_check(kvm_fd, err) < 0)
		return -err->code;
	char *memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	if (memory == MAP_FAILED)
		return err_sys(err, "memory for a guest");
	int got = run_guest(kvm_fd, memory, verdict, err);
	munmap(memory, MEMORY_BYTES);
	return got;
}
