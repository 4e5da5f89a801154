#include "vm-mode/agent/guest.h"

#include "base/io.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "namespaces/namespaces.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LIST_MAX  ((size_t)64 * 1024)
#define FILES_MAX 524288

// ---- mounts ----

static const struct {
	const char *type, *place, *data;
	unsigned long flags;
	bool optional; // a kernel without it will do
} mounts[] = {
	{ "proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, false },
	{ "sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, false },
	{ "devtmpfs", "/dev", "mode=755", MS_NOSUID, false },
	// A container that has a writable one can't raise its own limits.
	{ "cgroup2", "/sys/fs/cgroup", "nsdelegate", MS_NOSUID | MS_NODEV | MS_NOEXEC, true },
};

// The initramfs's root can't be left by pivot_root(2), as the container's init does: a tmpfs is put
// upon it.
static int leave_initramfs(struct err *err)
{
	if (mkdir("/root", 0755) < 0 && errno != EEXIST)
		return err_sys(err, "make /root");
	if (mount("tmpfs", "/root", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m") < 0)
		return err_sys(err, "mount a root of its own");
	if (chdir("/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
		return err_sys(err, "leave the initramfs");
	return 0;
}

static int mount_all(struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		if (!str_starts(mounts[i].place, "/sys/") && mkdir(mounts[i].place, 0755) < 0)
			return err_sys(err, "make %s", mounts[i].place);
		if (mount(mounts[i].type, mounts[i].place, mounts[i].type, mounts[i].flags,
			  mounts[i].data) == 0)
			continue;
		if (!mounts[i].optional)
			return err_sys(err, "mount %s", mounts[i].place);
		log_warn("mount %s: %s", mounts[i].place, err_text(errno));
	}
	return 0;
}

// ---- modules ----

// What the kernel's command line has for the module `name`, as modprobe gives it: "NAME.x=y" is "x=y". The list of
// virtio-mmio devices comes to a driver that is a module in this way.
static void module_parameters(const char *cmdline, const char *name, struct text *out)
{
	const size_t len = strcspn(name, "."); // of a file name, NAME.ko

	for (const char *word = cmdline; *word; word += strspn(word, " \n")) {
		const size_t size = strcspn(word, " \n");

		if (size > len + 1 && strncmp(word, name, len) == 0 && word[len] == '.')
			text_printf(out, "%s%.*s", out->len ? " " : "", (int)(size - len - 1),
				    word + len + 1);
		word += size;
	}
}

static int load_module(int dir, const char *name, const char *cmdline, struct err *err)
{
	scope_fd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	scope_text struct text parameters = { 0 };

	if (fd < 0)
		return err_sys(err, "module %s", name);
	module_parameters(cmdline, name, &parameters);
	if (syscall(SYS_finit_module, fd, parameters.len ? parameters.str : "", 0) < 0 &&
	    errno != EEXIST)
		return err_sys(err, "load module %s", name);
	return 0;
}

// Those of the initramfs's directory `dir`, in the order that moat-initrd has found. One that can't be loaded is told of;
// what lacks it will fail.
static void load_modules(int dir)
{
	scope_free char *list = NULL, *cmdline = NULL;
	struct err err;
	char *next = NULL;

	if (io_read_file(dir, "order", LIST_MAX, &list, NULL, &err) < 0 ||
	    io_read_file(AT_FDCWD, "/proc/cmdline", LIST_MAX, &cmdline, NULL, &err) < 0) {
		log_warn("%s", err.msg);
		return;
	}
	for (char *name = strtok_r(list, "\n", &next); name; name = strtok_r(NULL, "\n", &next))
		if (load_module(dir, name, cmdline, &err) < 0)
			log_warn("%s", err.msg);
}

// ---- first of all ----

// Descriptors 0 to 2 are the console's, if the kernel has found one in the archive; else nothing's,
// and what is opened next must not become them.
static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i <= 2; i++)
		if (fcntl(i, F_GETFD) < 0)
			dup2(fd, i);
	if (fd > 2)
		close(fd);
}

// The kernel's own, 4096 at most, is too low for what containers are used to.
static void raise_limits(void)
{
	const struct rlimit files = { FILES_MAX, FILES_MAX };

	setrlimit(RLIMIT_NOFILE, &files);
}

int guest_prepare(struct err *err)
{
	struct err ignored;

	umask(022);
	raise_limits();
	// Only a distribution's kernel has any.
	scope_fd int modules = open("/modules", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (leave_initramfs(err) < 0 || mount_all(err) < 0)
		return -err->code;
	if (modules >= 0)
		load_modules(modules);
	// It may be descriptor 0, which would pass for a console.
	replace_fd(&modules, -1);
	open_console();
	// Descriptor 2 will be the container's in its children.
	log_open("/dev/console", LOG_TEXT, LOG_WARN, &ignored);
	return 0;
}

// ---- by the host's word ----

void guest_set_clock(const struct proto_clock *clock)
{
	const struct timespec now = { .tv_sec = clock->seconds, .tv_nsec = clock->nanoseconds };

	if (clock_settime(CLOCK_REALTIME, &now) < 0)
		log_warn("set the clock: %s", err_text(errno));
}

static int mount_root(bool dax, struct err *err)
{
	if (mkdir(GUEST_ROOT, 0755) < 0)
		return err_sys(err, "make " GUEST_ROOT);
	if (dax && mount("root", GUEST_ROOT, "virtiofs", 0, "dax=inode") == 0)
		return 0;
	if (mount("root", GUEST_ROOT, "virtiofs", 0, NULL) < 0)
		return err_sys(err, "mount the shared root");
	return 0;
}

int guest_adapt(const struct agent_config *config, struct err *err)
{
	struct err unimportant;

	if (config->debug)
		log_open("/dev/console", LOG_TEXT, LOG_DEBUG, &unimportant);
	// Until the spec says otherwise.
	if (sethostname(config->id, strlen(config->id)) < 0)
		log_warn("hostname %s: %s", config->id, err_text(errno));
	if (ns_raise_loopback(&unimportant) < 0)
		log_warn("%s", unimportant.msg);
	return mount_root(config->dax, err);
}

// Not RB_POWER_OFF: without ACPI that only halts. What restarts a machine ends a virtual one: a reset
// by the keyboard controller, or a triple fault.
void guest_end(const char *why)
{
	scope_fd int kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	scope_text struct text line = { 0 };

	// A write is a line. <3>: an error, which a quiet kernel tells, too. (dprintf(3) wants to know the position.)
	if (why)
		text_printf(&line, "<3>moat-agent: %s\n", why);
	if (kmsg >= 0 && why)
		io_write_all(kmsg, line.str, line.len);
	reboot(RB_AUTOBOOT);
	_exit(1);
}
