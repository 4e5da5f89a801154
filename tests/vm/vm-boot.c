// vm-boot KERNEL INITRD|- [--vcpus N] [--memory MIB] [--tap NAME] [--disk FILE] [--ro-disk FILE] [--debug]
// [PARAMETERS]: boots a kernel on moat's machine with a console and a random number generator, and prints what
// it says. --tap adds a network card on the tap interface NAME, with an MTU of 1500; --disk and --ro-disk one
// disk each, /dev/vda before /dev/vdb.
//
// A tool for who works on vm-mode/. What it says itself, times among it, goes to standard error. Its
// exit status is the guest's (a byte written to the exit port), or 1.
#include "vm-mode/devices/blk.h"
#include "vm-mode/devices/console.h"
#include "vm-mode/devices/net.h"
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
	const char *tap, *disk, *ro_disk; // NULL: none
	uint32_t vcpus, memory_mib;
	bool debug;
};

struct guest {
	struct machine *machine;
	struct device *console;
	int tap_fd, disk_fd, ro_disk_fd;
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
		else if (str_eq(argv[i], "--tap") && i + 1 < argc)
			options->tap = argv[++i];
		else if (str_eq(argv[i], "--disk") && i + 1 < argc)
			options->disk = argv[++i];
		else if (str_eq(argv[i], "--ro-disk") && i + 1 < argc)
			options->ro_disk = argv[++i];
		else if (!options->parameters && argv[i][0] != '-')
			options->parameters = argv[i];
		else
			return -EINVAL;
	}
	return 0;
}

static int add_device(struct guest *guest, struct device *device, const char *name, struct err *err)
{
	return machine_add_device(guest->machine, device, name, false, err);
}

static int add_net(struct guest *guest, const char *name, struct err *err)
{
	static const uint8_t mac[NET_MAC_BYTES] = { 0x02, 0, 0, 0, 0, 0x01 }; // locally administered
	struct device *net;

	if (!name)
		return 0;
	guest->tap_fd = net_open_tap(name, err);
	if (guest->tap_fd < 0 || net_create(&net, guest->tap_fd, mac, 1500, err) < 0)
		return -err->code;
	return add_device(guest, net, "net", err);
}

static int add_disk(struct guest *guest, int *fd, const char *file, int flags, struct err *err)
{
	struct device *disk;

	if (!file)
		return 0;
	*fd = open(file, flags | O_CLOEXEC);
	if (*fd < 0)
		return err_sys(err, "open %s", file);
	if (blk_create(&disk, *fd, flags == O_RDWR ? "vm-boot-disk" : "vm-boot-ro-disk", err) < 0)
		return -err->code;
	return add_device(guest, disk, "disk", err);
}

static int add_devices(struct guest *guest, const struct options *options, struct err *err)
{
	struct device *rng;

	if (console_create(&guest->console, STDOUT_FILENO, err) < 0 ||
	    add_device(guest, guest->console, "console", err) < 0 || rng_create(&rng, err) < 0 ||
	    add_device(guest, rng, "rng", err) < 0 || add_net(guest, options->tap, err) < 0 ||
	    add_disk(guest, &guest->disk_fd, options->disk, O_RDWR, err) < 0 ||
	    add_disk(guest, &guest->ro_disk_fd, options->ro_disk, O_RDONLY, err) < 0)
		return -err->code;
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

	if (kernel_fd < 0 || (initrd_fd < 0 && !str_eq(options->initrd, "-")))
		return err_sys(err, "open the kernel or the initramfs");
	if (machine_create(&guest->machine, &config, err) < 0)
		return -err->code;
	say("a machine");
	if (add_devices(guest, options, err) < 0)
		return -err->code;
	say("devices");
	return machine_boot(guest->machine, &kernel, err);
}

static int run(const struct options *options)
{
	scope_fd int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct guest guest = { .tap_fd = -1, .disk_fd = -1, .ro_disk_fd = -1 };
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
	replace_fd(&guest.tap_fd, -1);
	replace_fd(&guest.disk_fd, -1);
	replace_fd(&guest.ro_disk_fd, -1);
	say("gone");
	return status;
}

int main(int argc, char **argv)
{
	struct options options;

	clock_gettime(CLOCK_MONOTONIC, &started);
	if (parse(argc, argv, &options) < 0) {
		fprintf(stderr,
			"usage: vm-boot KERNEL INITRD|- [--vcpus N] [--memory MIB] [--tap NAME] "
			"[--disk FILE] [--ro-disk FILE] [--debug] [PARAMETERS]\n");
		return 1;
	}
	return run(&options);
}
