// vm-boot-init: the first process for a guest of vm-boot: tells what it finds and ends the guest with
// status 42, or by a reboot. Loads /virtio_mmio.ko, if it is there, for kernels that have it as a module.
//
//     gcc -static -O2 -o init tests/vm/vm-boot-init.c && echo init | cpio -o -H newc >initrd
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PORT_EXIT 0x500

static size_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, size - 1);

	text[len < 0 ? 0 : len] = '\0';
	close(fd);
	return len < 0 ? 0 : (size_t)len;
}

static void say_uptime(const char *what)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	printf("init: %ld.%03ld s: %s\n", (long)now.tv_sec, now.tv_nsec / 1000000, what);
}

// A module gets its parameters from who loads it.
static void load_module(const char *path)
{
	char line[4096], parameters[4096] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	read_file("/proc/cmdline", line, sizeof(line));
	for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
		if (strncmp(word, "virtio_mmio.", 12) == 0) {
			strcat(parameters, word + 12);
			strcat(parameters, " ");
		}
	}
	if (syscall(SYS_finit_module, fd, parameters, 0) < 0)
		perror("virtio_mmio.ko");
	else
		say_uptime("virtio_mmio is loaded");
	close(fd);
}

static void open_console(void)
{
	int fd = open("/dev/hvc0", O_RDWR | O_CLOEXEC);

	for (int turn = 0; fd < 0 && turn < 100; turn++) {
		usleep(10000);
		fd = open("/dev/hvc0", O_RDWR | O_CLOEXEC);
	}
	if (fd < 0)
		fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	dup2(fd, 1);
	dup2(fd, 2);
}

static void tell_random(void)
{
	unsigned char random[16] = "";
	int fd = open("/dev/hwrng", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, random, sizeof(random));

	printf("init: hwrng: %zd bytes:", len);
	for (ssize_t i = 0; i < len; i++)
		printf(" %02x", random[i]);
	printf("\n");
	close(fd);
}

int main(void)
{
	static char text[8192];

	setvbuf(stdout, NULL, _IOLBF, 0);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	load_module("/virtio_mmio.ko");
	open_console();
	say_uptime("up");
	read_file("/proc/version", text, sizeof(text));
	printf("init: %s", text);
	printf("init: %ld processors\n", sysconf(_SC_NPROCESSORS_ONLN));
	read_file("/sys/devices/system/clocksource/clocksource0/current_clocksource", text,
		  sizeof(text));
	printf("init: clock: %s", text);
	read_file("/proc/interrupts", text, sizeof(text));
	printf("%s", text);
	tell_random();
	fflush(stdout);
	if (iopl(3) == 0)
		outb(42, PORT_EXIT);
	// A kernel without iopl(2).
	return reboot(RB_AUTOBOOT);
}
