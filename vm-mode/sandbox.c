#include "vm-mode/sandbox.h"

#include "base/scope.h"
#include "base/str.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

// ---- system calls ----

// What memory, threads and the C library need anywhere.
static const int common_calls[] = {
	SYS_brk,	 SYS_munmap,	    SYS_mremap,		SYS_madvise,
	SYS_futex,	 SYS_rt_sigreturn,  SYS_rt_sigprocmask, SYS_restart_syscall,
	SYS_sched_yield, SYS_clock_gettime, SYS_getpid,		SYS_gettid,
	SYS_exit,	 SYS_exit_group,    SYS_read,		SYS_write,
	SYS_writev,	 SYS_close,	    SYS_sendmsg,	SYS_recvmsg,
	SYS_poll,
};

// fcntl(2) by its second argument: none that makes the kernel send signals (F_SETOWN, F_SETSIG).
static const uint32_t fcntls[] = { F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD,	  F_SETFD,
				   F_GETFL, F_SETFL,	     F_ADD_SEALS, F_GET_SEALS };

// Devices, streams and verbs: also on a vCPU's thread, which serves registers under the loop's lock.
static const int device_calls[] = {
	SYS_readv,
	SYS_preadv2,
	SYS_pwritev2,
	SYS_recvfrom,
	SYS_sendto,
	SYS_shutdown,
	SYS_epoll_ctl,
	SYS_timerfd_settime,
	SYS_getrandom,
	SYS_fallocate,
	SYS_fdatasync,
	SYS_fstat,
	SYS_newfstatat,
	SYS_eventfd2,
	SYS_waitid,
	SYS_ppoll,
	SYS_sched_getaffinity, // malloc(3), which counts processors
	SYS_pidfd_send_signal, // to the file server: no other pidfd is here, nor can be made
};

// The main thread alone: the loop, and the making of machine and threads.
static const int main_calls[] = {
	SYS_epoll_wait,	    SYS_epoll_pwait,   SYS_accept4,	    SYS_pread64, SYS_sendfile,
	SYS_lseek,	    SYS_rt_sigaction,  SYS_set_robust_list, SYS_rseq,	 SYS_signalfd4,
	SYS_timerfd_create, SYS_epoll_create1, SYS_prctl,	    SYS_seccomp, SYS_statx,
};

// As pthread_create(3) calls clone(2): a thread, and no process or namespace.
static const uint32_t clones[] = { CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM |
				   CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS |
				   CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID };

static const int file_server_calls[] = {
	SYS_readv,	     SYS_preadv,    SYS_pwritev,    SYS_preadv2,      SYS_pwritev2,
	SYS_pread64,	     SYS_pwrite64,  SYS_ppoll,	    SYS_openat,	      SYS_statx,
	SYS_readlinkat,	     SYS_fstatfs,   SYS_lseek,	    SYS_getdents64,   SYS_fsync,
	SYS_fdatasync,	     SYS_syncfs,    SYS_fallocate,  SYS_ftruncate,    SYS_truncate,
	SYS_copy_file_range, SYS_mkdirat,   SYS_mknodat,    SYS_symlinkat,    SYS_linkat,
	SYS_unlinkat,	     SYS_renameat2, SYS_renameat,   SYS_fchownat,     SYS_fchmodat,
	SYS_utimensat,	     SYS_getxattr,  SYS_setxattr,   SYS_listxattr,    SYS_removexattr,
	SYS_fgetxattr,	     SYS_fsetxattr, SYS_flistxattr, SYS_fremovexattr, SYS_umask,
	SYS_setfsuid,	     SYS_setfsgid,  SYS_capget,	    SYS_capset,	      SYS_newfstatat,
	SYS_fstat,	     SYS_fchmod,    SYS_fchown,	    SYS_faccessat,    SYS_getrandom,
};

// Not needed, but tried: these fail.
static const int refused_calls[] = { SYS_openat, SYS_open, SYS_socket, SYS_readlink, SYS_access };

// ioctl(2) by its second argument. Of KVM the main thread needs what makes vCPUs and their irqs. All that a vCPU's
// thread needs is here, too: it is under both filters.
static const uint32_t main_ioctls[] = {
	KVM_CHECK_EXTENSION,
	KVM_GET_VCPU_MMAP_SIZE,
	KVM_GET_SUPPORTED_CPUID,
	KVM_CREATE_VCPU,
	KVM_SET_CPUID2,
	KVM_GET_SREGS,
	KVM_SET_SREGS,
	KVM_GET_REGS,
	KVM_SET_REGS,
	KVM_SET_FPU,
	KVM_SET_MSRS,
	KVM_SET_GSI_ROUTING,
	KVM_RUN,
	KVM_KVMCLOCK_CTRL,
	TCGETS,
	TCSETS,
	TCSETSW,
	TCSETSF,
	TIOCGWINSZ,
	TUNSETOFFLOAD,
};
static const uint32_t vcpu_ioctls[] = {
	KVM_RUN, KVM_GET_REGS, KVM_KVMCLOCK_CTRL, KVM_SET_GSI_ROUTING,
	TCGETS,	 TCSETS,       TIOCGWINSZ,	  TUNSETOFFLOAD,
};

// getsockopt(2) by its third argument: more would give a pidfd of the peer (SO_PEERPIDFD).
static const uint32_t sockopts[] = { SO_PEERCRED };

#define FILTER_MAX 256

struct filter {
	struct sock_filter v[FILTER_MAX];
	unsigned short n;
};

#define FIELD(name) ((uint32_t)offsetof(struct seccomp_data, name))

static void add(struct filter *filter, struct sock_filter instruction)
{
	if (filter->n < FILTER_MAX)
		filter->v[filter->n++] = instruction;
}

// Another architecture's calls, and those of x32, have other numbers.
static void begin(struct filter *filter)
{
	*filter = (struct filter){ .n = 0 };
	add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(arch)));
	add(filter,
	    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
	add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
	add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(nr)));
}

static void add_calls(struct filter *filter, const int *calls, size_t n, uint32_t result)
{
	for (size_t i = 0; i < n; i++) {
		add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							 (uint32_t)calls[i], 0, 1));
		add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, result));
	}
}

#define ALLOW(filter, calls) add_calls(filter, calls, ARRAY_SIZE(calls), SECCOMP_RET_ALLOW)

#define REFUSE(code) (SECCOMP_RET_ERRNO | ((code)&SECCOMP_RET_DATA))

// Call `nr` by the lower half of one of its arguments: allowed for these values, else `result`.
static void add_by_argument(struct filter *filter, int nr, int argument, const uint32_t *values,
			    size_t n, uint32_t result)
{
	const uint8_t skip = (uint8_t)(2 * n + 2);

	add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, skip));
	add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(args[argument])));
	for (size_t i = 0; i < n; i++) {
		add(filter,
		    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, values[i], 0, 1));
		add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	}
	add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, result));
}

#define BY_ARGUMENT(filter, nr, argument, values, result) \
	add_by_argument(filter, nr, argument, values, ARRAY_SIZE(values), result)

// Memory may be had, but none with new code in it.
static void add_mapping(struct filter *filter, int nr)
{
	add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 4));
	add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(args[2])));
	add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1));
	add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
	add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

// What all three have.
static void add_common(struct filter *filter)
{
	ALLOW(filter, common_calls);
	add_mapping(filter, SYS_mmap);
	add_mapping(filter, SYS_mprotect);
	BY_ARGUMENT(filter, SYS_fcntl, 1, fcntls, REFUSE(EPERM));
}

// What the VMM's threads have: devices, and signals to each other. The ioctls come first: a vCPU's thread
// makes little else, and the kernel has to ask the filter each time, as for all that goes by arguments.
static void begin_vmm(struct filter *filter, const uint32_t *ioctls, size_t n)
{
	const uint32_t self[] = { (uint32_t)getpid() };

	begin(filter);
	add_by_argument(filter, SYS_ioctl, 1, ioctls, n, REFUSE(ENOTTY));
	add_common(filter);
	ALLOW(filter, device_calls);
	BY_ARGUMENT(filter, SYS_tgkill, 0, self, SECCOMP_RET_KILL_PROCESS);
	add_calls(filter, refused_calls, ARRAY_SIZE(refused_calls), REFUSE(EPERM));
}

// All else ends the process.
static int install(struct filter *filter, struct err *err)
{
	add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
	const struct sock_fprog program = { .len = filter->n, .filter = filter->v };

	if (filter->n == FILTER_MAX)
		return err_set(err, E2BIG, "the seccomp filter is too long");
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return err_sys(err, "load a seccomp filter");
	return 0;
}

// ---- the rest ----

static int keep_caps(uint64_t caps, struct err *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	// Without CAP_SETPCAP the bounding set stays, which no_new_privs makes worthless.
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (!(caps >> cap & 1))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capget, &header, data) < 0)
		return err_sys(err, "capget");
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(caps >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, data) < 0)
		return err_sys(err, "give up capabilities");
	return 0;
}

// Nobody may attach to it, and its memory, which is the guest's, goes into no file. The limit of one byte
// is the one that also holds for programs that core dumps are piped to, and it holds where being dumpable
// comes back: with the first setfsuid(2), if fs.suid_dumpable is 2.
static int close_off(struct err *err)
{
	const struct rlimit one = { 1, 1 }, none = { 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "no_new_privs");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    (setrlimit(RLIMIT_CORE, &one) < 0 && setrlimit(RLIMIT_CORE, &none) < 0))
		return err_sys(err, "forbid core dumps");
	return 0;
}

// As the newest kernel knows it: that of Debian 12's headers ends with the first field.
struct ruleset {
	uint64_t files, net, scoped;
};

int sandbox_landlock(struct err *err)
{
	// By version, Documentation/userspace-api/landlock.rst: in the second REFER, in the third
	// TRUNCATE, in the fourth TCP, in the fifth IOCTL_DEV, in the sixth abstract Unix sockets. (Not
	// signals: the file server, outside of this, has to be ended.)
	static const struct {
		struct ruleset rules;
		size_t size;
	} by_version[] = { { { 0x1fff, 0, 0 }, 8 },  { { 0x3fff, 0, 0 }, 8 },
			   { { 0x7fff, 0, 0 }, 8 },  { { 0x7fff, 3, 0 }, 16 },
			   { { 0xffff, 3, 0 }, 16 }, { { 0xffff, 3, 1 }, 24 } };
	const long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
				     LANDLOCK_CREATE_RULESET_VERSION);

	if (version <= 0)
		return 0;
	const size_t known = version <= (long)ARRAY_SIZE(by_version) ? (size_t)version :
								       ARRAY_SIZE(by_version);
	scope_fd int fd = (int)syscall(SYS_landlock_create_ruleset, &by_version[known - 1].rules,
				       by_version[known - 1].size, 0);
	if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return err_sys(err, "Landlock");
	return (int)version;
}

int sandbox_vmm(struct err *err)
{
	static const uint32_t itself[] = { 0 };
	struct filter filter;

	if (keep_caps(0, err) < 0 || close_off(err) < 0 || sandbox_landlock(err) < 0)
		return -err->code;
	begin_vmm(&filter, main_ioctls, ARRAY_SIZE(main_ioctls));
	ALLOW(&filter, main_calls);
	BY_ARGUMENT(&filter, SYS_getsockopt, 2, sockopts, REFUSE(EPERM));
	BY_ARGUMENT(&filter, SYS_clone, 0, clones, SECCOMP_RET_KILL_PROCESS);
	// Its flags can't be seen; the C library then takes the other.
	add_calls(&filter, (const int[]){ SYS_clone3 }, 1, REFUSE(ENOSYS));
	BY_ARGUMENT(&filter, SYS_prlimit64, 0, itself, SECCOMP_RET_KILL_PROCESS);
	return install(&filter, err);
}

int sandbox_vcpu(struct err *err)
{
	struct filter filter;

	begin_vmm(&filter, vcpu_ioctls, ARRAY_SIZE(vcpu_ioctls));
	return install(&filter, err);
}

#define CAP(name) (UINT64_C(1) << CAP_##name)

int sandbox_file_server(struct err *err)
{
	static const uint64_t caps = CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) |
				     CAP(FOWNER) | CAP(FSETID) | CAP(SETUID) | CAP(SETGID) |
				     CAP(MKNOD) | CAP(SETFCAP) | CAP(SYS_ADMIN);
	struct filter filter;

	if (keep_caps(caps, err) < 0 || close_off(err) < 0)
		return -err->code;
	begin(&filter);
	add_common(&filter);
	ALLOW(&filter, file_server_calls);
	add_calls(&filter, (const int[]){ SYS_ioctl }, 1, REFUSE(ENOTTY));
	return install(&filter, err);
}
