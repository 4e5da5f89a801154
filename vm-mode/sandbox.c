#include "vm-mode/sandbox.h"

#include "base/scope.h"
#include "base/str.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

// ---- system calls ----

// What memory, threads and the C library need anywhere.
static const int common_calls[] = {
	SYS_brk,
	SYS_mmap,
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	SYS_mprotect,
	SYS_futex,
	SYS_rt_sigreturn,
	SYS_rt_sigprocmask,
	SYS_restart_syscall,
	SYS_sched_yield,
	SYS_clock_gettime,
	SYS_getpid,
	SYS_gettid,
	SYS_exit,
	SYS_exit_group,
	SYS_read,
	SYS_write,
	SYS_writev,
	SYS_close,
	SYS_sendmsg,
	SYS_recvmsg,
	SYS_poll,
	SYS_fcntl,
};

// Devices, streams and verbs: also on a vCPU's thread, which serves registers under the loop's lock.
static const int device_calls[] = {
	SYS_readv,     SYS_preadv2,    SYS_pwritev2,  SYS_recvfrom,
	SYS_sendto,    SYS_shutdown,   SYS_epoll_ctl, SYS_timerfd_settime,
	SYS_getrandom, SYS_fallocate,  SYS_fstat,     SYS_newfstatat,
	SYS_tgkill,    SYS_getsockopt, SYS_eventfd2,  SYS_pidfd_send_signal,
	SYS_kill,      SYS_wait4,      SYS_waitid,    SYS_ppoll,
};

// The main thread alone: the loop, and the making of machine and threads.
static const int main_calls[] = {
	SYS_epoll_wait,	     SYS_epoll_pwait,	 SYS_accept4,
	SYS_pread64,	     SYS_lseek,		 SYS_rt_sigaction,
	SYS_clone3,	     SYS_clone, // where a filter around moat knows no clone3
	SYS_set_robust_list, SYS_rseq,		 SYS_sched_getaffinity,
	SYS_signalfd4,	     SYS_timerfd_create, SYS_epoll_create1,
	SYS_prctl,	     SYS_seccomp,	 SYS_sched_setaffinity,
	SYS_setsockopt,	     SYS_prlimit64,	 SYS_statx,
};

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

// ioctl(2) by its second argument. Of KVM the main thread needs what makes vCPUs and their irqs.
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
	KVM_RUN,
	TCGETS,
	TCSETS,
	TCSETSW,
	TCSETSF,
	TIOCGWINSZ,
};
static const uint32_t vcpu_ioctls[] = { KVM_RUN, KVM_GET_REGS, KVM_GET_SREGS, KVM_KVMCLOCK_CTRL,
					TCGETS,	 TCSETS,       TIOCGWINSZ };

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

// The accumulator holds the argument after this; so it comes last.
static void add_ioctls(struct filter *filter, const uint32_t *requests, size_t n)
{
	add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 1, 0));
	add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
	add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(args[1])));
	for (size_t i = 0; i < n; i++) {
		add(filter,
		    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, requests[i], 0, 1));
		add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	}
	add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						 SECCOMP_RET_ERRNO | (ENOTTY & SECCOMP_RET_DATA)));
}

static int install(const struct filter *filter, struct err *err)
{
	const struct sock_fprog program = { .len = filter->n,
					    .filter = (struct sock_filter *)filter->v };

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

// Nobody may attach to it, and its memory, which is the guest's, goes into no file.
static int close_off(struct err *err)
{
	const struct rlimit none = { 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "no_new_privs");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return err_sys(err, "forbid core dumps");
	return 0;
}

// All that the kernel's Landlock can forbid, allowed nowhere. Descriptors that are open stay so.
static int leave_file_system(struct err *err)
{
	// By version, Documentation/userspace-api/landlock.rst; the bits beyond these headers' are
	// those of REFER, TRUNCATE and IOCTL_DEV.
	static const uint64_t handled[] = { 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff };
	struct landlock_ruleset_attr rules = { 0 };
	const long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
				     LANDLOCK_CREATE_RULESET_VERSION);

	if (version <= 0)
		return 0;
	rules.handled_access_fs =
		handled[version <= (long)ARRAY_SIZE(handled) ? version - 1 :
							       (long)ARRAY_SIZE(handled) - 1];
	scope_fd int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
	if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return err_sys(err, "Landlock");
	return 0;
}

int sandbox_vmm(struct err *err)
{
	struct filter filter;

	if (keep_caps(0, err) < 0 || close_off(err) < 0 || leave_file_system(err) < 0)
		return -err->code;
	begin(&filter);
	ALLOW(&filter, common_calls);
	ALLOW(&filter, device_calls);
	ALLOW(&filter, main_calls);
	add_calls(&filter, refused_calls, ARRAY_SIZE(refused_calls),
		  SECCOMP_RET_ERRNO | (EPERM & SECCOMP_RET_DATA));
	add_ioctls(&filter, main_ioctls, ARRAY_SIZE(main_ioctls));
	return install(&filter, err);
}

int sandbox_vcpu(struct err *err)
{
	struct filter filter;

	begin(&filter);
	ALLOW(&filter, common_calls);
	ALLOW(&filter, device_calls);
	add_calls(&filter, refused_calls, ARRAY_SIZE(refused_calls),
		  SECCOMP_RET_ERRNO | (EPERM & SECCOMP_RET_DATA));
	add_ioctls(&filter, vcpu_ioctls, ARRAY_SIZE(vcpu_ioctls));
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
	ALLOW(&filter, common_calls);
	ALLOW(&filter, file_server_calls);
	add_ioctls(&filter, NULL, 0);
	return install(&filter, err);
}
