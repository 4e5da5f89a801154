// Machines with bare guests of a few instructions, on the host's own /dev/kvm: exits, kicks,
// interrupts, a second processor, pause, the DAX window, and how each end is told.
#include "vm-mode/machine/cpuid.h"
#include "vm-mode/machine/layout.h"
#include "vm-mode/machine/machine.h"

#include "base/scope.h"
#include "tests/unit/bare-guest.h"
#include "tests/unit/echo.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MEMORY	(UINT64_C(4) << 20)
#define IDT	UINT64_C(0x1000)
#define COUNTER UINT64_C(0x100000)
#define WINDOW	UINT64_C(0x100000000)
// Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW: where the flags are in the guest's page.
#define CLOCK_FLAGS	   (UINT64_C(0x110000) + 29)
#define CLOCK_FLAG_STOPPED 2

#define EXIT(status)              \
	"mov $0x500, %dx\n"       \
	"mov $" #status ", %al\n" \
	"out %al, %dx\n"          \
	"1: hlt; jmp 1b\n"

#define SAY(letter)               \
	"mov $0x3f8, %dx\n"       \
	"mov $" #letter ", %al\n" \
	"out %al, %dx\n"

GUEST(exit, EXIT(7));
GUEST(say, SAY(0x68) SAY(0x69) EXIT(0));
GUEST(fault, "ud2\n");
GUEST(reset, "mov $0xfe, %al\n out %al, $0x64\n 1: hlt; jmp 1b\n");
GUEST(absent, "mov $0xd0fff000, %eax\n mov (%rax), %bl\n mov $0x500, %dx\n mov %bl, %al\n"
	      "out %al, %dx\n 1: hlt; jmp 1b\n");
// The two lowest bytes of MTRRdefType, upon one another.
GUEST(memory_type, "mov $0x2ff, %ecx\n rdmsr\n xor %ah, %al\n mov $0x500, %dx\n out %al, %dx\n"
		   "1: hlt; jmp 1b\n");
GUEST(mmio, "mov $0xd0000000, %eax\n mov (%rax), %ebx\n mov $0x500, %dx\n mov %bl, %al\n"
	    "out %al, %dx\n 1: hlt; jmp 1b\n");
GUEST(kick, "mov $0xd0000050, %eax\n movl $1, (%rax)\n 1: jmp 1b\n");
GUEST(kick_exit, "mov $0xd0000050, %eax\n movl $1, (%rax)\n" EXIT(3));
GUEST(count, "mov $0x100000, %ebx\n 1: incq (%rbx)\n jmp 1b\n");
// Sets up kvm-clock's page, then counts.
GUEST(clock, "mov $0x4b564d01, %ecx\n mov $0x110001, %eax\n xor %edx, %edx\n wrmsr\n"
	     "mov $0x100000, %ebx\n 1: incq (%rbx)\n jmp 1b\n");
// The number of the I/O APIC's last pin.
GUEST(pins, "mov $0xfec00000, %eax\n movl $1, (%rax)\n mov 0x10(%rax), %ebx\n shr $16, %ebx\n"
	    "mov $0x500, %dx\n mov %bl, %al\n out %al, %dx\n 1: hlt; jmp 1b\n");
// Masks the PICs, enables the local APIC, leads line 1 to vector 0x40, says that it is ready, and waits.
GUEST(irq, "mov $0xff, %al\n out %al, $0x21\n out %al, $0xa1\n"
	   "mov $0x2000, %eax\n lidt (%rax)\n mov $0x90000, %esp\n"
	   "mov $0xfee000f0, %eax\n movl $0x1ff, (%rax)\n"
	   "mov $0xfec00000, %eax\n movl $0x13, (%rax)\n movl $0, 0x10(%rax)\n"
	   "movl $0x12, (%rax)\n movl $0x40, 0x10(%rax)\n" SAY(0x72) "sti\n 1: hlt; jmp 1b\n");
GUEST(handler, EXIT(9));
// INIT and STARTUP to all others, which begin at 0x8000 in real mode.
GUEST(smp, "mov $0xfee000f0, %eax\n movl $0x1ff, (%rax)\n mov $0xfee00300, %eax\n"
	   "movl $0xc4500, (%rax)\n movl $0xc4608, (%rax)\n 1: hlt; jmp 1b\n");
GUEST(second, ".code16\n mov $0x500, %dx\n mov $3, %al\n out %al, %dx\n hlt\n .code64\n");
// The first 2 MiB of the address space become the window's.
GUEST(window, "mov $0x9000, %eax\n mov $0xa000, %ebx\n"
	      "mov $0x83, %ecx\n mov $1, %edx\n shl $32, %rdx\n or %rdx, %rcx\n"
	      "mov %rcx, 0x1000(%rbx)\n mov $0x9000, %eax\n mov %rax, %cr3\n"
	      "xor %eax, %eax\n mov 5(%rax), %bl\n mov $0x500, %dx\n mov %bl, %al\n out %al, %dx\n"
	      "1: hlt; jmp 1b\n");

struct guest {
	struct machine *machine;
	int kvm_fd, kernel_fd;
	void *window;
	struct vcpu_end end;
	char said[16];
	size_t said_len;
};

static struct err err;

static void on_end(void *owner, const struct vcpu_end *end)
{
	struct guest *guest = owner;

	guest->end = *end;
	loop_stop(machine_loop(guest->machine));
}

static void on_serial(void *owner, const char *bytes, size_t len)
{
	struct guest *guest = owner;

	if (len == 1 && guest->said_len < sizeof(guest->said) - 1)
		guest->said[guest->said_len++] = *bytes;
}

static void begin(struct guest *guest, unsigned int vcpus, uint64_t window)
{
	const struct machine_config config = { .kvm_fd = guest->kvm_fd,
					       .vcpus = vcpus,
					       .memory_bytes = MEMORY,
					       .window = guest->window,
					       .window_bytes = window,
					       .ended = on_end,
					       .serial = on_serial,
					       .owner = guest };

	guest->end = (struct vcpu_end){ 0 };
	memset(guest->said, 0, sizeof(guest->said));
	guest->said_len = 0;
	if (machine_create(&guest->machine, &config, &err) < 0)
		printf("# %s\n", err.msg);
}

static void boot(struct guest *guest, const char *code, const char *code_end)
{
	if (bare_boot(guest->machine, code, code_end, &err) < 0)
		printf("# %s\n", err.msg);
}

static void poke(struct guest *guest, uint64_t gpa, const void *data, size_t len)
{
	bare_poke(guest->machine, gpa, data, len);
}

static void end(struct guest *guest)
{
	machine_free(guest->machine);
}

// Runs it to its end, which must come in time.
static void run(struct guest *guest)
{
	machine_resume(guest->machine);
	for (int i = 0; i < 100 && !guest->end.kind; i++)
		loop_once(machine_loop(guest->machine), 100, &err);
}

#define RUN(guest, name)                                         \
	do {                                                     \
		begin((guest), 1, 0);                            \
		boot((guest), guest_##name, guest_##name##_end); \
		run((guest));                                    \
	} while (0)

static void test_ends(struct guest *guest)
{
	RUN(guest, exit);
	is_int(guest->end.kind, VCPU_END_EXIT);
	is_int(guest->end.status, 7);
	is_str(guest->end.why.msg, "the guest has ended with status 7");
	end(guest);

	RUN(guest, fault);
	is_int(guest->end.kind, VCPU_END_RESET);
	is_str(guest->end.why.msg, "the guest has reset itself (a triple fault)");
	end(guest);

	RUN(guest, reset);
	is_int(guest->end.kind, VCPU_END_RESET);
	is_str(guest->end.why.msg, "the guest has reset itself");
	end(guest);

	RUN(guest, say);
	is_str(guest->said, "hi");
	is_int(guest->end.status, 0);
	end(guest);

	RUN(guest, absent);
	is_int(guest->end.status, 0xff);
	end(guest);
}

static pthread_t kicked_by;

static int note_thread(struct device *dev, unsigned int index, struct err *error)
{
	kicked_by = pthread_self();
	return echo_kick(dev, index, error);
}

static void test_device(struct guest *guest)
{
	struct echo echo = { .device.ops = &echo_ops };

	begin(guest, 1, 0);
	is_int(machine_add_device(guest->machine, &echo.device, "echo", false, &err), 0);
	boot(guest, guest_mmio, guest_mmio_end);
	const char *line = guest_ptr(machine_memory(guest->machine), LAYOUT_CMDLINE, 2048);
	ok(strstr(line, " virtio_mmio.device=4K@0xd0000000:1"), "the kernel is told of it");
	run(guest);
	is_int(guest->end.status, 'v');
	end(guest);
	is_int(echo.closes, 1);

	// By ioeventfd: the guest stays where it is, the loop hears of it.
	echo = (struct echo){ .device.ops = &echo_ops };
	begin(guest, 1, 0);
	is_int(machine_add_device(guest->machine, &echo.device, "echo", false, &err), 0);
	echo.device.started = true;
	boot(guest, guest_kick, guest_kick_end);
	machine_resume(guest->machine);
	for (int i = 0; i < 100 && !echo.kicks; i++)
		loop_once(machine_loop(guest->machine), 100, &err);
	is_int(echo.kicks, 1);
	end(guest);

	// Of a driver that spins: its own thread serves it, and it goes on when that is done.
	struct device_ops spins = echo_ops;
	spins.driver_spins = true;
	spins.kick = note_thread;
	echo = (struct echo){ .device.ops = &spins };
	begin(guest, 1, 0);
	is_int(machine_add_device(guest->machine, &echo.device, "echo", false, &err), 0);
	echo.device.started = true;
	boot(guest, guest_kick_exit, guest_kick_exit_end);
	run(guest);
	is_int(guest->end.status, 3);
	is_int(echo.kicks, 1);
	ok(!pthread_equal(kicked_by, pthread_self()), "the vCPU served it");
	end(guest);

	begin(guest, 1, 0);
	int added = 0;
	struct echo all[LAYOUT_DEVICES_MAX + 1];
	for (size_t i = 0; i < LAYOUT_DEVICES_MAX + 1; i++) {
		all[i] = (struct echo){ .device.ops = &echo_ops };
		added += machine_add_device(guest->machine, &all[i].device, "echo", false, &err) ==
			 0;
	}
	is_int(added, LAYOUT_DEVICES_MAX);
	is_int(all[LAYOUT_DEVICES_MAX].closes, 1);
	end(guest);

	// A pin for each, and none that would only cost a kernel's time.
	struct echo two[2] = { { .device.ops = &echo_ops }, { .device.ops = &echo_ops } };
	begin(guest, 1, 0);
	for (size_t i = 0; i < 2; i++)
		is_int(machine_add_device(guest->machine, &two[i].device, "echo", false, &err), 0);
	boot(guest, guest_pins, guest_pins_end);
	run(guest);
	is_int(guest->end.status, 2);
	end(guest);
}

static void test_interrupt(struct guest *guest)
{
	// An interrupt gate for vector 0x40, to the handler behind the guest's code.
	const uint64_t handler = BARE_CODE + 512;
	const uint64_t gate[2] = { (handler & 0xffff) | 0x10 << 16 | UINT64_C(0x8e) << 40 |
					   (handler >> 16 & 0xffff) << 48,
				   handler >> 32 };
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = { 0x41 * 16 - 1, IDT };
	struct echo echo = { .device.ops = &echo_ops };

	begin(guest, 1, 0);
	is_int(machine_add_device(guest->machine, &echo.device, "echo", false, &err), 0);
	boot(guest, guest_irq, guest_irq_end);
	poke(guest, handler, guest_handler, (size_t)(guest_handler_end - guest_handler));
	poke(guest, IDT + 0x40 * 16, gate, sizeof(gate));
	poke(guest, 0x2000, &idtr, sizeof(idtr));
	machine_resume(guest->machine);
	for (int i = 0; i < 100 && !guest->said_len; i++)
		loop_once(machine_loop(guest->machine), 10, &err);
	is_str(guest->said, "r");
	is_int(guest->end.kind, 0);
	dev_irq_raise(&echo.device.env.irq);
	run(guest);
	is_int(guest->end.status, 9);
	end(guest);
}

static void test_second_processor(struct guest *guest)
{
	begin(guest, 2, 0);
	boot(guest, guest_smp, guest_smp_end);
	poke(guest, 0x8000, guest_second, (size_t)(guest_second_end - guest_second));
	run(guest);
	is_int(guest->end.status, 3);
	end(guest);
}

static void wait_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static void test_pause(struct guest *guest)
{
	begin(guest, 2, 0);
	boot(guest, guest_count, guest_count_end);
	volatile uint64_t *counter = guest_ptr(machine_memory(guest->machine), COUNTER, 8);

	is_int((long long)*counter, 0);
	int moved = 0, stood = 0;
	for (int i = 0; i < 20; i++) {
		uint64_t before = *counter;

		machine_resume(guest->machine);
		for (int turn = 0; turn < 1000 && *counter == before; turn++)
			wait_ms(1);
		machine_pause(guest->machine);
		moved += *counter != before;
		before = *counter;
		wait_ms(2);
		stood += *counter == before;
	}
	is_int(moved, 20);
	is_int(stood, 20);
	machine_resume(guest->machine);
	// Ends while it runs.
	end(guest);
}

static bool counts(volatile uint64_t *counter)
{
	const uint64_t before = *counter;

	for (int turn = 0; turn < 5000 && *counter == before; turn++)
		wait_ms(1);
	return *counter != before;
}

// As the freezer of a cgroup does; a child lets it go on.
static void stop_this_process(void)
{
	const pid_t self = getpid(), child = fork();
	char path[32], stat[256] = "";

	snprintf(path, sizeof(path), "/proc/%d/stat", self);
	if (child == 0) {
		kill(self, SIGSTOP);
		for (int turn = 0; turn < 5000 && !strstr(stat, ") T "); turn++) {
			const int fd = open(path, O_RDONLY | O_CLOEXEC);

			wait_ms(1);
			if (read(fd, stat, sizeof(stat) - 1) < 0)
				break;
			close(fd);
		}
		kill(self, SIGCONT);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

// A guest with kvm-clock hears that it stood still.
static void test_stopped(struct guest *guest)
{
	struct cpuid cpuid;
	bool has_clock = false;

	if (cpuid_read(guest->kvm_fd, &cpuid, &err) == 0)
		for (uint32_t i = 0; i < cpuid.nent; i++)
			has_clock |= cpuid.entries[i].function == 0x40000001 &&
				     cpuid.entries[i].eax >> 3 & 1;
	if (!has_clock) {
		skip("it is told that it stood still", "KVM has no kvm-clock");
		return;
	}
	begin(guest, 1, 0);
	boot(guest, guest_clock, guest_clock_end);
	const struct guest_memory *memory = machine_memory(guest->machine);
	volatile uint64_t *counter = guest_ptr(memory, COUNTER, 8);
	volatile uint8_t *flags = guest_ptr(memory, CLOCK_FLAGS, 1);

	machine_resume(guest->machine);
	ok(counts(counter) && !(*flags & CLOCK_FLAG_STOPPED), "it runs, and has never stood still");
	machine_pause(guest->machine);
	machine_resume(guest->machine);
	ok(counts(counter) && *flags & CLOCK_FLAG_STOPPED, "it is told that it stood still");
	*flags = 0;
	stop_this_process();
	ok(counts(counter) && *flags & CLOCK_FLAG_STOPPED, "also when the whole process did");
	end(guest);
}

static void test_window(struct guest *guest)
{
	const uint64_t size = UINT64_C(64) << 20;

	guest->window = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	begin(guest, 1, size);
	ok(!guest_ptr(machine_memory(guest->machine), WINDOW, 1),
	   "the window is no memory to devices");
	char *page = mmap(guest->window, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	page[5] = 77;
	boot(guest, guest_window, guest_window_end);
	run(guest);
	is_int(guest->end.kind, VCPU_END_EXIT);
	is_int(guest->end.status, 77);
	end(guest);

	ok(mprotect(page, 4096, PROT_NONE) == 0, "the page is gone");
	begin(guest, 1, size);
	boot(guest, guest_window, guest_window_end);
	run(guest);
	// A KVM in software may take it for a device's.
	ok(guest->end.kind == VCPU_END_ERROR ?
		   strstr(guest->end.why.msg, "the guest has used memory that isn't there") !=
			   NULL :
		   guest->end.status == 0xff,
	   "the window where nothing is");
	end(guest);
}

// Of a kernel with MTRRs: they are on (8), and what they don't name is write-back (6).
static void test_memory_type(struct guest *guest)
{
	RUN(guest, memory_type);
	is_int(guest->end.status, 8 ^ 6);
	end(guest);
}

static void test_refusals(struct guest *guest)
{
	struct machine_config config = { .kvm_fd = guest->kernel_fd,
					 .vcpus = 1,
					 .memory_bytes = MEMORY };

	is_int(machine_create(&guest->machine, &config, &err), -ENOTTY);
	config.kvm_fd = guest->kvm_fd;
	config.memory_bytes = 5;
	is_int(machine_create(&guest->machine, &config, &err), -EINVAL);
	begin(guest, LAYOUT_VCPUS_MAX + 1, 0);
	scope_fd int fd = bare_kernel(guest_exit, guest_exit_end);
	const struct machine_kernel kernel = { .kernel_fd = fd, .initrd_fds = { -1, -1 } };
	is_int(machine_boot(guest->machine, &kernel, &err), -EINVAL);
	end(guest);
}

int main(void)
{
	scope_fd int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	scope_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct guest guest = { .kvm_fd = kvm_fd, .kernel_fd = null };

	if (kvm_fd < 0) {
		skip("bare guests", "/dev/kvm can't be opened");
		return done();
	}
	test_ends(&guest);
	test_device(&guest);
	test_interrupt(&guest);
	test_second_processor(&guest);
	test_pause(&guest);
	test_stopped(&guest);
	test_window(&guest);
	test_memory_type(&guest);
	test_refusals(&guest);
	return done();
}
