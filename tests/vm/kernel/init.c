// init: the first process of a guest that only shows what its kernel can do. tests/vm/kernel/check packs
// it, statically linked, as /init.
//
// Says `ready SECONDS` on the console, the kernel's uptime, as its first line. With moat.probe on the kernel's
// command line, a line `ok NAME` or `MISSING NAME: why` follows for each feature that a container would
// notice. With moat.log the kernel's log follows. Then it resets the machine.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/vm_sockets.h>
#include <mqueue.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/reboot.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static void result(bool good, const char *format, ...)
{
	int error = errno;
	va_list arguments;

	printf("%s ", good ? "ok" : "MISSING");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	if (!good)
		printf(": %s", strerror(error));
	putchar('\n');
}

static size_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[got < 0 ? 0 : got] = 0;
	return got < 0 ? 0 : (size_t)got;
}

static void show_file(const char *path)
{
	static char text[4096];
	size_t length = read_file(path, text, sizeof(text));

	for (size_t i = 0; i < length; i++)
		if (text[i] == '\n' && i + 1 < length)
			text[i] = ' ';
	result(length > 0, "%s = %s", path, text);
}

static void probe_paths(void)
{
	static const char *const paths[] = {
		"/proc/self/ns/cgroup",
		"/proc/self/ns/ipc",
		"/proc/self/ns/mnt",
		"/proc/self/ns/net",
		"/proc/self/ns/pid",
		"/proc/self/ns/time",
		"/proc/self/ns/user",
		"/proc/self/ns/uts",
		"/proc/self/ns/time_for_children",
		"/proc/self/io",
		"/proc/self/smaps",
		"/proc/thread-self/children",
		"/proc/self/map_files",
		"/proc/self/timens_offsets",
		"/proc/self/setgroups",
		"/proc/self/cpuset",
		"/proc/self/schedstat",
		"/proc/self/oom_score_adj",
		"/proc/self/coredump_filter",
		"/proc/self/mem",
		"/proc/config.gz",
		"/proc/kallsyms",
		"/proc/keys",
		"/proc/key-users",
		"/proc/pressure/memory",
		"/proc/vmstat",
		"/proc/sysvipc/shm",
		"/proc/net/nf_conntrack",
		"/proc/net/ip_vs",
		"/proc/net/vlan",
		"/proc/net/ip_tables_names",
		"/proc/net/ip6_tables_names",
		"/proc/net/if_inet6",
		"/proc/net/packet",
		"/proc/sys/fs/mqueue/msg_max",
		"/proc/sys/fs/inotify/max_user_watches",
		"/proc/sys/fs/binfmt_misc",
		"/proc/sys/kernel/core_pattern",
		"/proc/sys/kernel/shmmax",
		"/proc/sys/kernel/sem",
		"/proc/sys/kernel/msgmax",
		"/proc/sys/kernel/keys/maxkeys",
		"/proc/sys/kernel/cap_last_cap",
		"/proc/sys/kernel/perf_event_paranoid",
		"/proc/sys/kernel/seccomp/actions_avail",
		"/proc/sys/kernel/unprivileged_bpf_disabled",
		"/proc/sys/kernel/panic_on_oops",
		"/proc/sys/kernel/ns_last_pid",
		"/proc/sys/kernel/io_uring_disabled",
		"/proc/sys/kernel/random/uuid",
		"/proc/sys/user/max_user_namespaces",
		"/proc/sys/vm/max_map_count",
		"/proc/sys/vm/overcommit_memory",
		"/proc/sys/vm/nr_hugepages",
		"/proc/sys/vm/drop_caches",
		"/proc/sys/vm/compact_memory",
		"/proc/sys/net/core/somaxconn",
		"/proc/sys/net/core/default_qdisc",
		"/proc/sys/net/core/rps_sock_flow_entries",
		"/proc/sys/net/ipv4/ip_forward",
		"/proc/sys/net/ipv4/ping_group_range",
		"/proc/sys/net/ipv4/vs/conntrack",
		"/proc/sys/net/ipv4/ip_unprivileged_port_start",
		"/proc/sys/net/ipv4/tcp_syncookies",
		"/proc/sys/net/ipv6/conf/all/disable_ipv6",
		"/proc/sys/net/ipv6/conf/all/forwarding",
		"/proc/sys/net/bridge/bridge-nf-call-iptables",
		"/proc/sys/net/netfilter/nf_conntrack_max",
		"/sys/kernel/mm/transparent_hugepage/enabled",
		"/sys/kernel/mm/hugepages/hugepages-2048kB",
		"/sys/devices/system/node/node0",
		"/sys/devices/system/memory/auto_online_blocks",
		"/sys/bus/nd",
		"/sys/bus/virtio/drivers/virtiofs",
		"/sys/bus/virtio/drivers/virtio_blk",
		"/sys/bus/virtio/drivers/virtio_net",
		"/sys/bus/virtio/drivers/virtio_balloon",
		"/sys/bus/virtio/drivers/virtio_console",
		"/sys/bus/virtio/drivers/virtio_mem",
		"/sys/bus/virtio/drivers/virtio_pmem",
		"/sys/bus/virtio/drivers/virtio_rng",
		"/sys/bus/virtio/drivers/vmw_vsock_virtio_transport",
		"/dev/fuse",
		"/dev/net/tun",
		"/dev/loop-control",
		"/dev/ptp0",
		"/dev/vsock",
		"/dev/hwrng",
		"/dev/kmsg",
		"/dev/ptmx",
		"/dev/full",
		"/dev/userfaultfd",
	};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		result(access(paths[i], F_OK) == 0, "%s", paths[i]);
}

static void probe_mount(const char *type, const char *options)
{
	char path[64];

	snprintf(path, sizeof(path), "/mnt/%s", type);
	mkdir(path, 0755);
	result(mount(type, path, type, 0, options) == 0, "mount -t %s -o %s", type,
	       options ? options : "-");
}

static void probe_mounts(void)
{
	mkdir("/mnt", 0755);
	probe_mount("tmpfs", "size=1m,mode=755");
	mkdir("/mnt/tmpfs/a", 0755);
	mkdir("/mnt/tmpfs/b", 0755);
	mkdir("/mnt/tmpfs/c", 0755);
	result(setxattr("/mnt/tmpfs/a", "user.x", "1", 1, 0) == 0, "tmpfs: user.* xattr");
	result(setxattr("/mnt/tmpfs/a", "trusted.x", "1", 1, 0) == 0, "tmpfs: trusted.* xattr");
	probe_mount("overlay", "lowerdir=/mnt/tmpfs/a,upperdir=/mnt/tmpfs/b,workdir=/mnt/tmpfs/c");
	result(mkdir("/mnt/overlay/d", 0755) == 0 &&
		       rename("/mnt/overlay/d", "/mnt/overlay/e") == 0,
	       "overlay: rename");
	probe_mount("devpts", "newinstance,ptmxmode=0666");
	probe_mount("mqueue", NULL);
	probe_mount("sysfs", NULL);
	probe_mount("binfmt_misc", NULL);
	probe_mount("hugetlbfs", NULL);
	probe_mount("securityfs", NULL);
	probe_mount("bpf", NULL);
	show_file("/sys/kernel/security/lsm");
}

static void probe_cgroup(void)
{
	static const char *const files[] = {
		"cgroup.freeze",  "cgroup.kill",     "cpu.max",		"cpu.weight",
		"cpu.pressure",	  "cpu.idle",	     "cpuset.cpus",	"cpuset.cpus.partition",
		"cpuset.mems",	  "hugetlb.2MB.max", "io.max",		"io.pressure",
		"io.weight",	  "memory.max",	     "memory.high",	"memory.low",
		"memory.reclaim", "memory.swap.max", "memory.pressure", "memory.oom.group",
		"misc.max",	  "pids.max",	     "rdma.max",
	};
	char path[128];

	probe_mount("cgroup2", NULL);
	show_file("/mnt/cgroup2/cgroup.controllers");
	int fd = open("/mnt/cgroup2/cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
	const char *controllers = "+cpuset +cpu +io +memory +hugetlb +pids +rdma +misc";
	result(write(fd, controllers, strlen(controllers)) > 0, "cgroup: %s", controllers);
	close(fd);
	mkdir("/mnt/cgroup2/c", 0755);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "/mnt/cgroup2/c/%s", files[i]);
		result(access(path, F_OK) == 0, "cgroup: %s", files[i]);
	}
}

// The program that a cgroup's device rules are.
static void probe_bpf(void)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.insns = (uintptr_t)code,
		.insn_cnt = ARRAY_SIZE(code),
		.license = (uintptr_t) "GPL",
	};
	int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	result(program >= 0, "bpf: a program for devices");
	union bpf_attr attach = {
		.target_fd = (unsigned int)open("/mnt/cgroup2/c",
						O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.attach_bpf_fd = (unsigned int)program,
		.attach_type = BPF_CGROUP_DEVICE,
		.attach_flags = BPF_F_ALLOW_MULTI,
	};
	result(syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)) == 0,
	       "bpf: attached to a cgroup");
}

static void probe_sockets(void)
{
	static const struct {
		const char *name;
		int family, type, protocol;
	} sockets[] = {
		{ "unix", AF_UNIX, SOCK_SEQPACKET, 0 },
		{ "tcp", AF_INET, SOCK_STREAM, 0 },
		{ "udp", AF_INET, SOCK_DGRAM, 0 },
		{ "icmp", AF_INET, SOCK_RAW, 1 },
		{ "tcp6", AF_INET6, SOCK_STREAM, 0 },
		{ "packet", AF_PACKET, SOCK_RAW, 0 },
		{ "vsock", AF_VSOCK, SOCK_STREAM, 0 },
		{ "vsock seqpacket", AF_VSOCK, SOCK_SEQPACKET, 0 },
		{ "netlink route", AF_NETLINK, SOCK_RAW, 0 },
		{ "netlink diag", AF_NETLINK, SOCK_RAW, 4 },
		{ "netlink netfilter", AF_NETLINK, SOCK_RAW, 12 },
		{ "netlink generic", AF_NETLINK, SOCK_RAW, 16 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sockets); i++)
		result(socket(sockets[i].family, sockets[i].type, sockets[i].protocol) >= 0,
		       "socket: %s", sockets[i].name);
}

static void probe_calls(void)
{
	static char ring_parameters[256];
	unsigned long nodes = 1;

	result(syscall(SYS_memfd_create, "x", 3) >= 0, "memfd_create");
	result(syscall(SYS_memfd_secret, 0) >= 0, "memfd_secret");
	result(syscall(SYS_io_uring_setup, 4, ring_parameters) >= 0, "io_uring_setup");
	result(syscall(SYS_userfaultfd, O_CLOEXEC) >= 0, "userfaultfd");
	result(fanotify_init(FAN_CLASS_CONTENT, O_RDONLY) >= 0, "fanotify, with permission events");
	result(syscall(SYS_pidfd_open, getpid(), 0) >= 0, "pidfd_open");
	result(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "x") >= 0, "keyctl");
	result(syscall(SYS_keyctl, KEYCTL_GET_PERSISTENT, 0, KEY_SPEC_PROCESS_KEYRING) >= 0,
	       "keyctl: persistent");
	result(syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 4,
	       "Landlock, with TCP");
	result(mq_open("/x", O_CREAT | O_RDWR, 0600, NULL) >= 0, "mq_open");
	result(shmget(1, 4096, IPC_CREAT | 0600) >= 0, "shmget");
	result(syscall(SYS_set_mempolicy, 3, &nodes, 64) == 0, "set_mempolicy");
	result(syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0) == 0, "kcmp");
	result(syscall(SYS_membarrier, 0, 0) > 0, "membarrier");
	result(syscall(SYS_pkey_alloc, 0, 0) >= 0 || errno == ENOSPC,
	       "pkey_alloc"); // ENOSPC: not this processor
	result(syscall(SYS_name_to_handle_at, AT_FDCWD, "/", NULL, NULL, 0) < 0 && errno == EFAULT,
	       "name_to_handle_at");
	result(personality(PER_LINUX32) >= 0 && personality(PER_LINUX) >= 0, "personality");
	uint32_t action = SECCOMP_RET_USER_NOTIF;
	result(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0,
	       "seccomp: user notification");
	result(unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP |
		       CLONE_NEWTIME) == 0,
	       "unshare");
	int ended = 0;
	pid_t child = fork();
	if (child == 0)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWPID) == 0 ? 0 : errno);
	waitpid(child, &ended, 0);
	errno = WEXITSTATUS(ended);
	result(ended == 0, "unshare: user, pid");
	child = fork();
	if (child == 0) {
		execl("/i386", "/i386", (char *)NULL);
		_exit(127);
	}
	waitpid(child, &ended, 0);
	errno = ENOEXEC;
	result(WIFEXITED(ended) && WEXITSTATUS(ended) == 42, "a program for i386");
}

static void show_log(void)
{
	static char log[1 << 20];
	int length = klogctl(3, log, sizeof(log)); // SYSLOG_ACTION_READ_ALL

	printf("%.*s", length < 0 ? 0 : length, log);
}

int main(void)
{
	char text[4096];
	struct timespec up;

	// Before anything that takes time, as others measure how long it takes until here.
	clock_gettime(CLOCK_BOOTTIME, &up);
	printf("ready %lld.%02ld\n", (long long)up.tv_sec, up.tv_nsec / 10000000);
	fflush(stdout);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	read_file("/proc/cmdline", text, sizeof(text));
	if (strstr(text, "moat.probe")) {
		mount("sysfs", "/sys", "sysfs", 0, NULL);
		mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
		mount("securityfs", "/sys/kernel/security", "securityfs", 0, NULL);
		show_file("/proc/version");
		show_file("/proc/filesystems");
		show_file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
		show_file("/sys/devices/system/cpu/online");
		show_file("/proc/sys/kernel/seccomp/actions_avail");
		probe_paths();
		probe_mounts();
		probe_cgroup();
		probe_bpf();
		probe_sockets();
		probe_calls();
	}
	if (strstr(text, "moat.log"))
		show_log();
	fflush(stdout);
	reboot(RB_AUTOBOOT);
	return 1;
}
