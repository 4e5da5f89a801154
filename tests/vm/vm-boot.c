// vm-boot KERNEL INITRD|- [--vcpus N] [--memory MIB] [--debug] [PARAMETERS]: boots a kernel on moat's
// machine with a console and a random number generator, and prints what it says.
//
// A tool for who works on vm-mode/. What it says itself, times among it, goes to standard error. Its
// exit status is the guest's (a byte written to the exit port), or 1.
#include "vm-mode/devices/console.h"
#include "vm-mode/devices/rng.h"
#include "vm-mode/machine/layout.h"
#include "vm-mode/machine/machine.h"

#include "base/scope.h"
#include "base/str.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct options {
	const char *kernel, *initrd, *parameters;
	uint32_t vcpus, memory_mib;
	bool debug;
};

struct guest {
	struct machine *machine;
	struct device *console;
	struct vcpu_end end;
	char line[256]; // of the serial port, which gives it byte by byte
	size_t len;
};

static struct timespec started;

static double elapsed_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - started.tv_sec) * 1e3 +
	       (double)(now.tv_nsec - started.tv_nsec) / 1e6;
}

static void say(const char *what)
{
	fprintf(stderr, "vm-boot: %9.3f ms  %s\n", elapsed_ms(), what);
}

static void on_end(void *owner, const struct vcpu_end *end)
{
	struct guest *guest = owner;

	guest->end = *end;
	loop_stop(machine_loop(guest->machine));
}

static void on_serial(void *owner, const char *bytes, size_t len)
{
	struct guest *guest = owner;

	for (size_t i = 0; i < len; i++) {
		guest->line[guest->len++] = bytes[i];
		if (bytes[i] == '\n' || guest->len == sizeof(guest->line)) {
			console_add(guest->console, guest->line, guest->len);
			guest->len = 0;
		}
	}
}

static int parse(int argc, char **argv, struct options *options)
{
	*options = (struct options){ .vcpus = 1, .memory_mib = 512 };
	if (argc < 3)
		return -EINVAL;
	options->kernel = argv[1];
	options->initrd = argv[2];
	for (int i = 3; i < argc; i++) {
		if (str_eq(argv[i], "--debug"))
			options->debug = true;
		else if (str_eq(argv[i], "--vcpus") && i + 1 < argc)
			str_to_u32(argv[++i], &options->vcpus);
		else if (str_eq(argv[i], "--memory") && i + 1 < argc)
			str_to_u32(argv[++i], &options->memory_mib);
		else if (!options->parameters && argv[i][0] != '-')
			options->parameters = argv[i];
		else
			return -EINVAL;
	}
	return 0;
}

static int build(const struct options *options, int kvm_fd, struct guest *guest, struct err *err)
{
	const struct machine_config config = { .kvm_fd = kvm_fd,
					       .vcpus = options->vcpus,
					       .memory_bytes = (uint64_t)options->memory_mib << 20,
					       .ended = on_end,
					       .serial = options->debug ? on_serial : NULL,
					       .owner = guest };
	scope_fd int kernel_fd = open(options->kernel, O_RDONLY | O_CLOEXEC);
	scope_fd int initrd_fd = str_eq(options->initrd, "-") ?
					 -1 :
					 open(options->initrd, O_RDONLY | O_CLOEXEC);
	const struct machine_kernel kernel = { .kernel_fd = kernel_fd,
					       .initrd_fds = { initrd_fd, -1 },
					       .parameters = options->parameters,
					       .debug = options->debug };
	struct device *rng;

	if (kernel_fd < 0 || (initrd_fd < 0 && !str_eq(options->initrd, "-")))
		return err_sys(err, "open the kernel or the initramfs");
	if (machine_create(&guest->machine, &config, err) < 0)
		return -err->code;
	say("a machine");
	if (console_create(&guest->console, STDOUT_FILENO, err) < 0 ||
	    machine_add_device(guest->machine, guest->console, "console", false, err) < 0 ||
	    rng_create(&rng, err) < 0 ||
	    machine_add_device(guest->machine, rng, "rng", false, err) < 0)
		return -err->code;
	say("devices");
	return machine_boot(guest->machine, &kernel, err);
}

static int run(const struct options *options)
{
	scope_fd int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct guest guest = { 0 };
	struct err err = { 0 };
	int status = 1;

	if (kvm_fd < 0)
		err_sys(&err, "/dev/kvm");
	else
		build(options, kvm_fd, &guest, &err);
	if (!err.code) {
		say("runs");
		machine_resume(guest.machine);
		loop_run(machine_loop(guest.machine), &err);
		// What it said last.
		loop_once(machine_loop(guest.machine), 0, &err);
		fputc('\n', stderr);
		say(guest.end.why.msg);
		if (guest.end.kind == VCPU_END_EXIT)
			status = guest.end.status;
	}
	if (err.code)
		fprintf(stderr, "vm-boot: %s\n", err.msg);
	machine_free(guest.machine);
	say("gone");
	return status;
}

int main(int argc, char **argv)
{
	struct options options;

	clock_gettime(CLOCK_MONOTONIC, &started);
	if (parse(argc, argv, &options) < 0) {
		fprintf(stderr,
			"usage: vm-boot KERNEL INITRD|- [--vcpus N] [--memory MIB] [--debug] "
			"[PARAMETERS]\n");
		return 1;
	}
	return run(&options);
}
