/*
 * floor: what the kernel's part of a container costs, and nothing else.
 *
 * The system calls that a runtime has to make for a default bundle, made by a plain sequential C
 * program: the figure that `make bench` divides every runtime's time by. It reads no config.json; the
 * two bundles that the benchmark uses (what `runc spec` writes, and containerd's default) are compiled
 * in as two profiles.
 *
 *	floor run    [OPTION...] ID [COMMAND...]	create, start, wait, delete in one process
 *	floor create [OPTION...] ID [COMMAND...]	up to the start gate
 *	floor start  [OPTION...] ID			opens the gate
 *	floor exec   [OPTION...] ID [COMMAND...]	one more process in a started container
 *	floor delete [OPTION...] ID
 *
 * It does, in the order in which runc does it: find the cgroup hierarchies (/proc/self/mountinfo and
 * /proc/self/cgroup); make a group below the caller's in each, v1 and v2; set cpuset's cpus and mems
 * and the v1 device list; clone into new pid, network, ipc, uts and mount namespaces and into the v2
 * group; join the v1 groups; bring the loopback up; mount proc, /dev, devpts, shm, mqueue, sysfs and the groups,
 * read-only; make the devices and links; pivot_root; remount the root, the read-only and the masked
 * paths; set host name, session keyring, rlimit, user, groups, capabilities, no_new_privs and the
 * seccomp filter; exec; wait; remove the groups. With create, also a state folder with the pid in it
 * and a FIFO as the gate.
 *
 * It leaves out what a runtime does in its own memory (JSON, validation, compiling a seccomp profile),
 * and also: the lock, log and state.json; resolving mount targets inside the root; hooks; a terminal;
 * protecting its own binary; passing errors back to the caller. On a pure v2 host it leaves out the
 * device program. Every failure ends it with a message, so a short time is never that of half the work.
 *
 * It is linked as any C program is: the start-up of a dynamic glibc program (0.5 ms where CPUID traps
 * into a hypervisor) is in its time, once for each process started, as it is in every runtime's; and
 * the container's own program pays its own.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMESPACES	(CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS)
#define MAX_HIERARCHIES 16
#define CAP(name)	(UINT64_C(1) << CAP_##name)

/* What differs between the two bundles. */
struct profile {
	uint64_t capabilities;
	bool root_readonly;
	bool run_tmpfs;
	bool cgroup_mount;
	unsigned long proc_flags;
	const char *const *masked;
	const char *const *readonly;
};

static const char *const spec_masked[] = {
	"/proc/acpi",
	"/proc/asound",
	"/proc/kcore",
	"/proc/keys",
	"/proc/latency_stats",
	"/proc/timer_list",
	"/proc/timer_stats",
	"/proc/sched_debug",
	"/sys/firmware",
	"/proc/scsi",
	NULL,
};
static const char *const spec_readonly[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL,
};

static const struct profile spec_profile = {
	.capabilities = CAP(AUDIT_WRITE) | CAP(KILL) | CAP(NET_BIND_SERVICE),
	.root_readonly = true,
	.cgroup_mount = true,
	.masked = spec_masked,
	.readonly = spec_readonly,
};
static const struct profile containerd_profile = {
	.capabilities = CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(FSETID) | CAP(FOWNER) | CAP(MKNOD) |
			CAP(NET_RAW) | CAP(SETGID) | CAP(SETUID) | CAP(SETFCAP) | CAP(SETPCAP) |
			CAP(NET_BIND_SERVICE) | CAP(SYS_CHROOT) | CAP(KILL) | CAP(AUDIT_WRITE),
	.run_tmpfs = true,
	.proc_flags = MS_NOSUID | MS_NOEXEC | MS_NODEV,
	.masked = spec_masked,
	.readonly = spec_readonly,
};

struct options {
	const struct profile *profile;
	const char *rootfs;
	const char *state_dir;
	struct sock_fprog filter;
	const char *id;
	char **argv;
};

/* One cgroup hierarchy: where it is mounted, and our container's group in it. */
struct hierarchy {
	char controllers[64];
	char mountpoint[128];
	char parent[PATH_MAX / 2];
	char group[PATH_MAX];
	bool unified;
};

struct cgroups {
	struct hierarchy list[MAX_HIERARCHIES];
	int count;
};

static void check(long result, const char *what)
{
	if (result < 0)
		err(1, "%s", what);
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "write '%s' to %s", text, path);
	close(fd);
}

static size_t read_file(const char *path, char *buffer, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;

	check(fd, path);
	for (ssize_t got; length + 1 < size; length += (size_t)got) {
		got = read(fd, buffer + length, size - 1 - length);
		check(got, path);
		if (got == 0)
			break;
	}
	close(fd);
	buffer[length] = '\0';
	return length;
}

/* Finds where each of the hierarchies that /proc/self/cgroup lists is mounted. */
static void find_hierarchies(struct cgroups *cgroups, const char *id)
{
	static char groups[8192], mounts[65536];
	char *next;

	read_file("/proc/self/cgroup", groups, sizeof(groups));
	read_file("/proc/self/mountinfo", mounts, sizeof(mounts));
	for (char *line = strtok_r(mounts, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
		char *tail = strstr(line, " - cgroup");
		if (!tail || cgroups->count == MAX_HIERARCHIES)
			continue;
		struct hierarchy h = { .unified = strncmp(tail, " - cgroup2 ", 11) == 0 };
		const char *controllers = strchr(tail, ',');
		if (!h.unified && controllers)
			snprintf(h.controllers, sizeof(h.controllers), "%s", controllers + 1);
		char key[80];
		snprintf(key, sizeof(key), ":%s:/", h.controllers);
		const char *own = strstr(groups, key);
		if (!own || sscanf(line, "%*s %*s %*s %*s %127s", h.mountpoint) != 1)
			continue;
		own += strlen(key) - 1;
		snprintf(h.parent, sizeof(h.parent), "%s%.*s", h.mountpoint,
			 (int)strcspn(own, "\n"), own);
		if (h.parent[strlen(h.parent) - 1] == '/')
			h.parent[strlen(h.parent) - 1] = '\0';
		snprintf(h.group, sizeof(h.group), "%s/%s", h.parent, id);
		cgroups->list[cgroups->count++] = h;
	}
	if (cgroups->count == 0)
		errx(1, "no cgroup hierarchy is mounted");
}

/* A new cpuset group has neither cpus nor memory nodes, and takes no process before it has both. */
static void inherit_cpuset(const struct hierarchy *h, const char *name)
{
	char path[PATH_MAX], value[256];

	snprintf(path, sizeof(path), "%s/%s", h->parent, name);
	read_file(path, value, sizeof(value));
	write_file(h->group, name, value);
}

static void make_groups(const struct cgroups *cgroups)
{
	static const char *const allowed[] = {
		"c *:* m",   "b *:* m",	  "c 1:3 rwm", "c 1:8 rwm",   "c 1:7 rwm", "c 5:0 rwm",
		"c 1:5 rwm", "c 1:9 rwm", "c 5:1 rwm", "c 136:* rwm", "c 5:2 rwm",
	};

	for (int i = 0; i < cgroups->count; i++) {
		const struct hierarchy *h = &cgroups->list[i];
		check(mkdir(h->group, 0755), h->group);
		if (strcmp(h->controllers, "cpuset") == 0) {
			inherit_cpuset(h, "cpuset.cpus");
			inherit_cpuset(h, "cpuset.mems");
		} else if (strcmp(h->controllers, "devices") == 0) {
			write_file(h->group, "devices.deny", "a");
			for (size_t k = 0; k < sizeof(allowed) / sizeof(*allowed); k++)
				write_file(h->group, "devices.allow", allowed[k]);
		}
	}
}

/*
 * The caller joins the v1 groups: as a thread of its own, not as a process by its pid. The kernel takes
 * a lock for the latter that on a quiet machine costs a wait for an RCU grace period, more than all else
 * together. For the same reason nothing is written to v2's cgroup.procs: see clone_into_group().
 */
static void join_groups(const struct cgroups *cgroups)
{
	for (int i = 0; i < cgroups->count; i++)
		if (!cgroups->list[i].unified)
			write_file(cgroups->list[i].group, "tasks", "0");
}

/* Forks, the child born into its v2 group and into the new namespaces given. */
static pid_t clone_into_group(const struct cgroups *cgroups, uint64_t namespaces)
{
	struct clone_args args = { .flags = namespaces, .exit_signal = SIGCHLD };

	for (int i = 0; i < cgroups->count; i++) {
		if (!cgroups->list[i].unified)
			continue;
		int fd = open(cgroups->list[i].group, O_PATH | O_DIRECTORY | O_CLOEXEC);
		check(fd, cgroups->list[i].group);
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)fd;
	}
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	check(pid, "clone3");
	return pid;
}

static void remove_groups(const struct cgroups *cgroups)
{
	for (int i = 0; i < cgroups->count; i++)
		check(rmdir(cgroups->list[i].group), cgroups->list[i].group);
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	check(fd, "socket");
	check(ioctl(fd, SIOCSIFFLAGS, &request), "bring lo up");
	close(fd);
}

static void mount_groups(const struct cgroups *cgroups)
{
	const unsigned long flags = MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RELATIME;

	if (cgroups->count == 1 && cgroups->list[0].unified) {
		check(mount("cgroup", "sys/fs/cgroup", "cgroup2", flags | MS_RDONLY, NULL),
		      "mount cgroup2");
		return;
	}
	check(mount("tmpfs", "sys/fs/cgroup", "tmpfs", flags, "mode=755"), "mount cgroup tmpfs");
	for (int i = 0; i < cgroups->count; i++) {
		const struct hierarchy *h = &cgroups->list[i];
		char target[128];
		if (h->unified)
			continue;
		snprintf(target, sizeof(target), "sys/fs/cgroup%s", strrchr(h->mountpoint, '/'));
		check(mkdir(target, 0755), target);
		check(mount(h->group, target, NULL, MS_BIND, NULL), target);
		check(mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL),
		      target);
	}
	check(mount(NULL, "sys/fs/cgroup", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL),
	      "remount cgroup tmpfs");
}

static void make_devices(void)
{
	static const struct {
		const char *path;
		unsigned int major, minor;
	} devices[] = {
		{ "dev/null", 1, 3 }, { "dev/random", 1, 8 }, { "dev/full", 1, 7 },
		{ "dev/tty", 5, 0 },  { "dev/zero", 1, 5 },   { "dev/urandom", 1, 9 },
	};
	static const char *const links[][2] = {
		{ "/proc/self/fd", "dev/fd" },	     { "/proc/self/fd/0", "dev/stdin" },
		{ "/proc/self/fd/1", "dev/stdout" }, { "/proc/self/fd/2", "dev/stderr" },
		{ "pts/ptmx", "dev/ptmx" },
	};

	umask(0);
	for (size_t i = 0; i < sizeof(devices) / sizeof(*devices); i++) {
		dev_t device = makedev(devices[i].major, devices[i].minor);
		check(mknod(devices[i].path, S_IFCHR | 0666, device), devices[i].path);
		check(chown(devices[i].path, 0, 0), devices[i].path);
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++)
		check(symlink(links[i][0], links[i][1]), links[i][1]);
}

static void mount_all(const struct options *options, const struct cgroups *cgroups)
{
	const unsigned long safe = MS_NOSUID | MS_NOEXEC | MS_NODEV;

	check(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), "make / a slave");
	check(mount(options->rootfs, options->rootfs, NULL, MS_BIND | MS_REC, NULL),
	      "bind the root");
	check(chdir(options->rootfs), "chdir to the root");
	check(mount("proc", "proc", "proc", options->profile->proc_flags, NULL), "mount /proc");
	check(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"),
	      "mount /dev");
	check(mkdir("dev/pts", 0755), "mkdir /dev/pts");
	check(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		    "newinstance,ptmxmode=0666,mode=0620,gid=5"),
	      "mount /dev/pts");
	check(mkdir("dev/shm", 0755), "mkdir /dev/shm");
	check(mount("shm", "dev/shm", "tmpfs", safe, "mode=1777,size=65536k"), "mount /dev/shm");
	check(mkdir("dev/mqueue", 0755), "mkdir /dev/mqueue");
	check(mount("mqueue", "dev/mqueue", "mqueue", safe, NULL), "mount /dev/mqueue");
	check(mount("sysfs", "sys", "sysfs", safe | MS_RDONLY, NULL), "mount /sys");
	if (options->profile->run_tmpfs)
		check(mount("tmpfs", "run", "tmpfs", MS_NOSUID | MS_STRICTATIME,
			    "mode=755,size=65536k"),
		      "mount /run");
	if (options->profile->cgroup_mount)
		mount_groups(cgroups);
	make_devices();
}

static void switch_root(void)
{
	check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	check(umount2(".", MNT_DETACH), "detach the old root");
	check(chdir("/"), "chdir to /");
}

static void protect_paths(const struct profile *profile)
{
	if (profile->root_readonly)
		check(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL),
		      "remount / read-only");
	for (const char *const *path = profile->readonly; *path; path++) {
		if (mount(*path, *path, NULL, MS_BIND | MS_REC, NULL) == 0)
			check(mount(NULL, *path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL),
			      *path);
		else if (errno != ENOENT)
			err(1, "bind %s", *path);
	}
	for (const char *const *path = profile->masked; *path; path++) {
		if (mount("/dev/null", *path, NULL, MS_BIND, NULL) == 0 || errno == ENOENT)
			continue;
		check(mount("tmpfs", *path, "tmpfs", MS_RDONLY, NULL), *path);
	}
}

/* Reads the filter while its path can still be reached: before pivot_root. */
static void read_filter(struct sock_fprog *filter, const char *path)
{
	static struct sock_filter code[BPF_MAXINSNS];
	size_t length = read_file(path, (char *)code, sizeof(code));

	filter->len = (unsigned short)(length / sizeof(*code));
	filter->filter = code;
}

/* The confinement of one process, of the container's first and of each that exec adds. */
static void confine(const struct options *options, char **argv)
{
	const uint64_t keep = options->profile->capabilities;
	const struct rlimit files = { .rlim_cur = 1024, .rlim_max = 1024 };
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2] = {
		{ .effective = (uint32_t)keep, .permitted = (uint32_t)keep },
		{ .effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32) },
	};

	check(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, options->id, 0, 0, 0),
	      "session keyring");
	check(setrlimit(RLIMIT_NOFILE, &files), "setrlimit");
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(keep >> cap & 1))
			check(prctl(PR_CAPBSET_DROP, cap, 0, 0, 0), "drop a capability");
	check(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "keep capabilities");
	check(syscall(SYS_setgroups, 0, NULL), "setgroups");
	check(syscall(SYS_setresgid, 0, 0, 0), "setresgid");
	check(syscall(SYS_setresuid, 0, 0, 0), "setresuid");
	check(syscall(SYS_capset, &header, sets), "capset");
	check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0),
	      "clear ambient capabilities");
	check(chdir("/"), "chdir to the cwd");
	umask(0022);
	check(close_range(3, ~0U, CLOSE_RANGE_CLOEXEC), "close_range");
	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	if (options->filter.len)
		check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &options->filter),
		      "load the filter");
	static char *const environment[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm",
		NULL
	};
	execve(argv[0], argv, environment);
	err(255, "exec %s", argv[0]);
}

static void state_path(char *path, size_t size, const struct options *options, const char *name)
{
	snprintf(path, size, "%s/%s%s", options->state_dir, options->id, name);
}

/* The container's side: everything between clone and exec. */
static void run_init(const struct options *options, const struct cgroups *cgroups, int sync,
		     int gate)
{
	char byte;

	check(prctl(PR_SET_PDEATHSIG, gate < 0 ? SIGKILL : 0, 0, 0, 0), "parent death signal");
	join_groups(cgroups);
	check(setsid(), "setsid");
	loopback_up();
	mount_all(options, cgroups);
	switch_root();
	protect_paths(options->profile);
	check(sethostname("runc", 4), "sethostname");
	if (gate >= 0) {
		check(write(sync, "", 1), "report ready");
		if (read(gate, &byte, 1) != 1)
			err(1, "wait at the gate");
	}
	confine(options, options->argv);
}

/* Forks a container's init; with a gate, returns when it waits there. */
static pid_t start_init(const struct options *options, const struct cgroups *cgroups, int gate)
{
	int sync[2];
	char byte;

	check(pipe2(sync, O_CLOEXEC), "pipe2");
	pid_t pid = clone_into_group(cgroups, NAMESPACES);
	if (pid == 0)
		run_init(options, cgroups, sync[1], gate);
	close(sync[1]);
	if (gate >= 0 && read(sync[0], &byte, 1) != 1)
		errx(1, "the container's init failed");
	close(sync[0]);
	return pid;
}

static int wait_for(pid_t pid)
{
	int status;

	check(waitpid(pid, &status, 0), "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static pid_t read_pid(const struct options *options)
{
	char path[PATH_MAX], text[32];

	state_path(path, sizeof(path), options, "/pid");
	read_file(path, text, sizeof(text));
	return (pid_t)strtol(text, NULL, 10);
}

static int verb_run(const struct options *options)
{
	struct cgroups cgroups = { .count = 0 };

	find_hierarchies(&cgroups, options->id);
	make_groups(&cgroups);
	int status = wait_for(start_init(options, &cgroups, -1));
	remove_groups(&cgroups);
	return status;
}

static int verb_create(const struct options *options)
{
	struct cgroups cgroups = { .count = 0 };
	char path[PATH_MAX], text[32];

	state_path(path, sizeof(path), options, "");
	check(mkdir(path, 0711), path);
	state_path(path, sizeof(path), options, "/gate");
	check(mkfifo(path, 0600), path);
	int gate = open(path, O_RDWR | O_CLOEXEC);
	check(gate, path);
	find_hierarchies(&cgroups, options->id);
	make_groups(&cgroups);
	pid_t pid = start_init(options, &cgroups, gate);

	state_path(path, sizeof(path), options, "/pid");
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int length = snprintf(text, sizeof(text), "%d", pid);
	if (fd < 0 || write(fd, text, (size_t)length) != length)
		err(1, "write %s", path);
	close(fd);
	return 0;
}

static int verb_start(const struct options *options)
{
	char dir[PATH_MAX];

	state_path(dir, sizeof(dir), options, "");
	write_file(dir, "gate", "0");
	return 0;
}

static int verb_exec(const struct options *options)
{
	struct cgroups cgroups = { .count = 0 };
	int container = pidfd_open(read_pid(options), 0);

	check(container, "pidfd_open");
	find_hierarchies(&cgroups, options->id);
	check(setns(container, CLONE_NEWPID), "setns to the pid namespace");
	pid_t pid = clone_into_group(&cgroups, 0);
	if (pid == 0) {
		join_groups(&cgroups);
		check(setsid(), "setsid");
		check(setns(container, NAMESPACES & ~CLONE_NEWPID), "setns");
		confine(options, options->argv);
	}
	return wait_for(pid);
}

static int verb_delete(const struct options *options)
{
	struct cgroups cgroups = { .count = 0 };
	char path[PATH_MAX];

	if (kill(read_pid(options), 0) == 0)
		errx(1, "%s is still running", options->id);
	find_hierarchies(&cgroups, options->id);
	remove_groups(&cgroups);
	static const char *const files[] = { "/gate", "/pid" };
	for (int i = 0; i < 2; i++) {
		state_path(path, sizeof(path), options, files[i]);
		check(unlink(path), path);
	}
	state_path(path, sizeof(path), options, "");
	check(rmdir(path), path);
	return 0;
}

/*
 * Writes the seccomp filter that a running process has to standard output, as the kernel hands it to a
 * tracer: this is how the benchmark gets the very program that a runtime made of a profile.
 */
static int verb_filter(const struct options *options)
{
	static struct sock_filter code[BPF_MAXINSNS];
	pid_t pid = (pid_t)strtol(options->id, NULL, 10);

	check(ptrace(PTRACE_SEIZE, pid, NULL, NULL), "PTRACE_SEIZE");
	check(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), "PTRACE_INTERRUPT");
	check(waitpid(pid, NULL, __WALL), "waitpid");
	long count = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, NULL, code);
	check(count, "PTRACE_SECCOMP_GET_FILTER");
	size_t size = (size_t)count * sizeof(*code);
	if (write(STDOUT_FILENO, code, size) != (ssize_t)size)
		err(1, "write the filter");
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const struct options *options);
} verbs[] = {
	{ "run", verb_run },   { "create", verb_create }, { "start", verb_start },
	{ "exec", verb_exec }, { "delete", verb_delete }, { "filter-of", verb_filter },
};

static void usage(void)
{
	fputs("usage: floor run|create|start|exec|delete [OPTION...] ID [COMMAND...]\n"
	      "       floor filter-of PID > FILE\n"
	      "  --rootfs DIR     the container's root (./rootfs)\n"
	      "  --state DIR      where create keeps its state (/run)\n"
	      "  --containerd     containerd's default bundle instead of runc spec's\n"
	      "  --seccomp FILE   load this filter, as filter-of writes it\n",
	      stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static char *const default_argv[] = { "/bin/true", NULL };
	static const struct option long_options[] = {
		{ "rootfs", required_argument, NULL, 'r' },
		{ "state", required_argument, NULL, 's' },
		{ "containerd", no_argument, NULL, 'c' },
		{ "seccomp", required_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 },
	};
	struct options options = {
		.profile = &spec_profile,
		.rootfs = "rootfs",
		.state_dir = "/run",
	};

	if (argc < 2)
		usage();
	argv++, argc--;
	const char *verb = argv[0];
	for (int c; (c = getopt_long(argc, argv, "+", long_options, NULL)) != -1;) {
		switch (c) {
		case 'r':
			options.rootfs = optarg;
			break;
		case 's':
			options.state_dir = optarg;
			break;
		case 'c':
			options.profile = &containerd_profile;
			break;
		case 'f':
			read_filter(&options.filter, optarg);
			break;
		default:
			usage();
		}
	}
	if (optind == argc)
		usage();
	options.id = argv[optind];
	options.argv = optind + 1 < argc ? argv + optind + 1 : (char **)default_argv;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (strcmp(verb, verbs[i].name) == 0)
			return verbs[i].run(&options);
	usage();
}
