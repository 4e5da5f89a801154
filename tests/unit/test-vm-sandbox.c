// What the VMM, its vCPUs and its file server can still do once they are confined. Each try is made in a
// process of its own.
#include "base/scope.h"
#include "base/str.h"
#include "tests/unit/tap.h"
#include "vm-mode/sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

static int other_fd; // any file that was open before

static int confine_vcpu(struct err *err)
{
	return sandbox_vmm(err) < 0 ? -err->code : sandbox_vcpu(err);
}

// 0 or 1 as the try says; 128 + the signal that ended it; 99: it could not be confined.
static int outcome(int (*confine)(struct err *err), bool (*try)(void))
{
	const pid_t pid = fork();
	struct err err;
	int status;

	if (pid == 0) {
		if (confine(&err) < 0) {
			fprintf(stderr, "# %s\n", err.msg);
			_exit(99);
		}
		_exit(try() ? 1 : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

#define IS_KILLED (128 + SIGSYS)

#define CAP(name) (UINT64_C(1) << CAP_##name)

// As docs/threat-model.md has them.
#define FILE_SERVER_CAPS                                                                     \
	(CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) | CAP(FOWNER) | CAP(FSETID) | \
	 CAP(SETUID) | CAP(SETGID) | CAP(MKNOD) | CAP(SETFCAP) | CAP(SYS_ADMIN))

// ---- processes that are not confined ----

static int keep_caps(uint64_t caps, struct err *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return err_sys(err, "capget");
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted &= (uint32_t)(caps >> (32 * i));
	return syscall(SYS_capset, &header, data) < 0 ? err_sys(err, "capset") : 0;
}

static int give_up_caps(struct err *err)
{
	return keep_caps(0, err);
}

static int give_up_ptrace(struct err *err)
{
	return keep_caps(~CAP(SYS_PTRACE), err);
}

// ---- tries ----

static bool reads_and_maps(void)
{
	const size_t large = (size_t)1 << 20;
	char byte;
	void *memory = malloc(large);
	void *mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	free(memory);
	return memory && mapped != MAP_FAILED && read(other_fd, &byte, 1) == 1;
}

static bool opens(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0;
}

static bool opening_is_refused(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 && errno == EPERM;
}

static bool reopens_own_file(void)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", other_fd);
	return open(path, O_RDONLY | O_CLOEXEC) >= 0;
}

static bool socket_is_refused(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 && errno == EPERM;
}

static bool makes_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0;
}

static bool executes(void)
{
	return execl("/proc/self/exe", "moat", NULL) == 0;
}

static bool accepts(void)
{
	return accept4(other_fd, NULL, NULL, SOCK_CLOEXEC) < 0 && errno == ENOTSOCK;
}

static bool traces(void)
{
	return syscall(SYS_ptrace, 0, 0, 0, 0) == 0;
}

// EBADF: the call has passed the filter. ENOTTY comes from the filter, or from a file of another kind.
static bool ioctl_passes(unsigned long request)
{
	return ioctl(-1, request, 0) < 0 && errno == EBADF;
}

static bool makes_vcpu(void)
{
	return ioctl_passes(KVM_CREATE_VCPU);
}

static bool runs_vcpu(void)
{
	return ioctl_passes(KVM_RUN);
}

static bool reads_segments(void)
{
	return ioctl_passes(KVM_GET_SREGS);
}

static bool tells_of_stop(void)
{
	return ioctl_passes(KVM_KVMCLOCK_CTRL);
}

static bool sets_offloads(void)
{
	return ioctl_passes(TUNSETOFFLOAD);
}

// A moat that connects: of the same user, and so somebody it might signal.
static bool gets_pidfd_of_peer(void)
{
	int pidfd = -1;
	socklen_t len = sizeof(pidfd);

	// EBADF: it has passed the filter.
	return getsockopt(-1, SOL_SOCKET, 77 /* SO_PEERPIDFD */, &pidfd, &len) < 0 &&
	       errno == EBADF;
}

static bool changes_memory(void)
{
	return ioctl_passes(KVM_SET_USER_MEMORY_REGION);
}

static bool has_caps(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	return syscall(SYS_capget, &header, data) < 0 || data[0].permitted || data[1].permitted ||
	       data[0].effective || data[1].effective || data[0].inheritable;
}

static bool is_closed_off(void)
{
	struct rlimit core;

	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
	       prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && getrlimit(RLIMIT_CORE, &core) == 0 &&
	       core.rlim_max <= 1;
}

static void *run_nothing(void *arg)
{
	return arg;
}

static bool makes_thread(void)
{
	pthread_t thread;
	void *ret = NULL;

	return pthread_create(&thread, NULL, run_nothing, &other_fd) == 0 &&
	       pthread_join(thread, &ret) == 0 && ret == &other_fd;
}

static bool makes_process(void)
{
	return fork() >= 0;
}

static bool makes_namespace(void)
{
	return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0) >= 0;
}

static bool signals_itself(void)
{
	return syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGURG) == 0;
}

static bool signals_others(void)
{
	return syscall(SYS_tgkill, 1, 1, 0) == 0;
}

static bool is_refused_signals_by_file(void)
{
	return fcntl(other_fd, F_SETOWN, 1) < 0 && errno == EPERM &&
	       fcntl(other_fd, F_SETSIG, SIGKILL) < 0 && errno == EPERM &&
	       fcntl(other_fd, F_GETFL) >= 0;
}

static bool maps_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	       MAP_FAILED;
}

static bool turns_data_to_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}

static bool limits_others(void)
{
	const struct rlimit none = { 0 };

	return syscall(SYS_prlimit64, 1, RLIMIT_NOFILE, NULL, &none) == 0;
}

static long forbidden_call;

static bool makes_forbidden_call(void)
{
	syscall(forbidden_call, -1, -1, -1, -1, -1, -1);
	return true;
}

// ---- others ----

static pid_t other; // another process of this user's

// Who may trace it: its user, if he has all of its capabilities, it is dumpable, and Landlock has nothing
// against it.
static bool sees_program_of_other(void)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/exe", other);
	return stat(path, &st) == 0;
}

// A process that is there, and confined, until `end` is closed.
static pid_t start(int (*confine)(struct err *err), int *end)
{
	int ends[2];
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	const pid_t pid = fork();
	if (pid == 0) {
		struct err err;

		close(ends[0]);
		if (confine(&err) < 0) {
			fprintf(stderr, "# %s\n", err.msg);
			_exit(99);
		}
		if (write(ends[1], "y", 1) != 1 || read(ends[1], &byte, 1) != 0)
			_exit(1);
		_exit(0);
	}
	close(ends[1]);
	if (pid < 0 || read(ends[0], &byte, 1) != 1)
		abort();
	*end = ends[0];
	return pid;
}

static void finish(pid_t pid, int end)
{
	close(end);
	waitpid(pid, NULL, 0);
}

// ---- Landlock ----

static long landlock_version(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

// 1: what is closed is closed; 2: there is no Landlock.
static void test_landlock(void)
{
	fflush(stdout);
	const pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct sockaddr_in any = { .sin_family = AF_INET };
		const int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct err err;
		char byte;

		// Without a right to it, Landlock wants that.
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			_exit(3);
		const int version = sandbox_landlock(&err);
		if (version <= 0)
			_exit(version == 0 ? 2 : 3);
		const bool closed = open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 &&
				    errno == EACCES &&
				    open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0 &&
				    errno == EACCES && mkdir("/tmp/moat-landlock", 0700) < 0 &&
				    errno == EACCES && read(other_fd, &byte, 1) == 1;
		const bool silent = version < 4 || sock < 0 ||
				    (bind(sock, (struct sockaddr *)&any, sizeof(any)) < 0 &&
				     errno == EACCES);
		_exit(closed && silent ? 1 : 0);
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		skip("Landlock", "this kernel has none");
	else
		ok(WIFEXITED(status) && WEXITSTATUS(status) == 1,
		   "Landlock: nothing can be opened or made, what is open can be read");
}

// What its filter allows the VMM, and Landlock doesn't.
static void test_landlock_of_vmm(void)
{
	int end;

	other = start(give_up_caps, &end);
	is_int(outcome(give_up_caps, sees_program_of_other), 1);
	if (landlock_version() > 0)
		is_int(outcome(sandbox_vmm, sees_program_of_other), 0);
	else
		skip("Landlock of the VMM", "this kernel has none");
	finish(other, end);
}

static int sender = -1; // that was open before
static struct sockaddr_un abstract;
static socklen_t abstract_len = sizeof(abstract);

static bool sends_to_abstract(void)
{
	return sendto(sender, "x", 1, 0, (struct sockaddr *)&abstract, abstract_len) == 1;
}

static void test_abstract_sockets(void)
{
	const sa_family_t any = AF_UNIX; // the kernel finds a name
	scope_fd int receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sender < 0 || bind(receiver, (const struct sockaddr *)&any, sizeof(any)) < 0 ||
	    getsockname(receiver, (struct sockaddr *)&abstract, &abstract_len) < 0)
		abort();
	is_int(outcome(give_up_caps, sends_to_abstract), 1);
	if (landlock_version() >= 6)
		is_int(outcome(sandbox_vmm, sends_to_abstract), 0);
	else
		skip("abstract sockets", "this kernel's Landlock knows nothing of them");
	close(sender);
}

// ---- from the outside ----

static void read_proc(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	scope_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
	text[n < 0 ? 0 : n] = '\0';
}

static uint64_t status_of(pid_t pid, const char *field)
{
	char text[8192], line[32];

	read_proc(pid, "status", text, sizeof(text));
	snprintf(line, sizeof(line), "\n%s:\t", field);
	const char *at = strstr(text, line);
	return at ? strtoull(at + strlen(line), NULL, 16) : UINT64_MAX;
}

static bool dumps_no_core(pid_t pid)
{
	static const char name[] = "Max core file size";
	char text[4096];
	unsigned long long soft, hard;

	read_proc(pid, "limits", text, sizeof(text));
	const char *at = strstr(text, name);
	return at && sscanf(at + strlen(name), "%llu %llu", &soft, &hard) == 2 && soft <= 1 &&
	       hard <= 1;
}

static void status_is(pid_t pid, const char *who, const char *field, uint64_t want)
{
	const uint64_t got = status_of(pid, field);
	char name[64];

	snprintf(name, sizeof(name), "%s: %s is 0x%llx", who, field, (unsigned long long)want);
	if (!ok(got == want, name))
		printf("#  got: 0x%llx\n", (unsigned long long)got);
}

// It keeps `caps`, as far as this process has them.
static void test_from_outside(int (*confine)(struct err *err), const char *who, uint64_t caps)
{
	const uint64_t own = status_of(getpid(), "CapPrm");
	const uint64_t bounds = status_of(getpid(), "CapBnd");
	char name[64];
	int end;

	other = start(confine, &end);
	status_is(other, who, "CapPrm", own & caps);
	status_is(other, who, "CapEff", own & caps);
	status_is(other, who, "CapInh", 0);
	status_is(other, who, "CapAmb", 0);
	status_is(other, who, "CapBnd", own & CAP(SETPCAP) ? bounds & caps : bounds);
	status_is(other, who, "NoNewPrivs", 1);
	status_is(other, who, "Seccomp", 2);
	snprintf(name, sizeof(name), "%s: no core dumps", who);
	ok(dumps_no_core(other), name);
	snprintf(name, sizeof(name), "%s: not dumpable: its user may not trace it", who);
	ok(outcome(give_up_ptrace, sees_program_of_other) == 0, name);
	finish(other, end);
}

// ---- tests ----

// What would lead out of a sandbox, or into seldom used parts of the kernel: the end of who tries.
static void test_forbidden(int (*confine)(struct err *err), const char *who)
{
	static const long forbidden[] = {
		SYS_execve,
		SYS_execveat,
		SYS_fork,
		SYS_vfork,
		SYS_ptrace,
		SYS_kill,
		SYS_tkill,
		SYS_process_vm_readv,
		SYS_process_vm_writev,
		SYS_pidfd_open,
		SYS_pidfd_getfd,
		SYS_kcmp,
		SYS_mount,
		SYS_umount2,
		SYS_pivot_root,
		SYS_chroot,
		SYS_open_tree,
		SYS_move_mount,
		SYS_fsopen,
		SYS_fsmount,
		SYS_fspick,
		SYS_mount_setattr,
		SYS_setns,
		SYS_unshare,
		SYS_open_by_handle_at,
		SYS_name_to_handle_at,
		SYS_openat2,
		SYS_bpf,
		SYS_perf_event_open,
		SYS_userfaultfd,
		SYS_io_uring_setup,
		SYS_io_uring_enter,
		SYS_keyctl,
		SYS_add_key,
		SYS_request_key,
		SYS_init_module,
		SYS_finit_module,
		SYS_delete_module,
		SYS_kexec_load,
		SYS_kexec_file_load,
		SYS_reboot,
		SYS_swapon,
		SYS_acct,
		SYS_quotactl,
		SYS_setuid,
		SYS_setgid,
		SYS_setresuid,
		SYS_setresgid,
		SYS_setgroups,
		SYS_setsockopt,
		SYS_socketpair,
		SYS_bind,
		SYS_connect,
		SYS_listen,
		SYS_memfd_create,
		SYS_shmget,
		SYS_msgget,
		SYS_semget,
		SYS_mq_open,
		SYS_inotify_init1,
		SYS_fanotify_init,
		SYS_iopl,
		SYS_ioperm,
		SYS_modify_ldt,
		SYS_arch_prctl,
		SYS_personality,
		SYS_sched_setaffinity,
		SYS_pkey_mprotect,
		SYS_remap_file_pages,
		SYS_vmsplice,
		SYS_splice,
		SYS_chdir,
		SYS_fchdir,
	};
	bool killed = true;

	for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
		forbidden_call = forbidden[i];
		if (outcome(confine, makes_forbidden_call) == IS_KILLED)
			continue;
		printf("# %s: system call %ld\n", who, forbidden[i]);
		killed = false;
	}
	ok(killed, who);
}

static void test_vmm(void)
{
	is_int(outcome(sandbox_vmm, makes_thread), 1);
	is_int(outcome(sandbox_vmm, makes_process), IS_KILLED);
	is_int(outcome(sandbox_vmm, makes_namespace), IS_KILLED);
	is_int(outcome(sandbox_vmm, signals_itself), 1);
	is_int(outcome(sandbox_vmm, signals_others), IS_KILLED);
	is_int(outcome(sandbox_vmm, is_refused_signals_by_file), 1);
	is_int(outcome(sandbox_vmm, maps_code), IS_KILLED);
	is_int(outcome(sandbox_vmm, turns_data_to_code), IS_KILLED);
	is_int(outcome(sandbox_vmm, limits_others), IS_KILLED);
	test_forbidden(sandbox_vmm, "forbidden system calls are the end of the VMM");
	is_int(outcome(sandbox_vmm, reads_and_maps), 1);
	is_int(outcome(sandbox_vmm, opening_is_refused), 1);
	is_int(outcome(sandbox_vmm, socket_is_refused), 1);
	is_int(outcome(sandbox_vmm, accepts), 1);
	is_int(outcome(sandbox_vmm, is_closed_off), 1);
	is_int(outcome(sandbox_vmm, makes_vcpu), 1);
	is_int(outcome(sandbox_vmm, runs_vcpu), 1);
	is_int(outcome(sandbox_vmm, reads_segments), 1);
	is_int(outcome(sandbox_vmm, changes_memory), 0);
	is_int(outcome(sandbox_vmm, gets_pidfd_of_peer), 0);
	is_int(outcome(sandbox_vmm, executes), IS_KILLED);
	is_int(outcome(sandbox_vmm, traces), IS_KILLED);
	is_int(outcome(sandbox_vmm, has_caps), IS_KILLED);
}

static void test_vcpu(void)
{
	is_int(outcome(confine_vcpu, makes_thread), IS_KILLED);
	is_int(outcome(confine_vcpu, signals_itself), 1);
	is_int(outcome(confine_vcpu, signals_others), IS_KILLED);
	is_int(outcome(confine_vcpu, maps_code), IS_KILLED);
	test_forbidden(confine_vcpu, "... of a vCPU");
	is_int(outcome(confine_vcpu, reads_and_maps), 1);
	is_int(outcome(confine_vcpu, opening_is_refused), 1);
	is_int(outcome(confine_vcpu, runs_vcpu), 1);
	is_int(outcome(confine_vcpu, tells_of_stop), 1);
	is_int(outcome(confine_vcpu, sets_offloads), 1);
	is_int(outcome(confine_vcpu, makes_vcpu), 0);
	is_int(outcome(confine_vcpu, reads_segments), 0);
	is_int(outcome(confine_vcpu, accepts), IS_KILLED);
	is_int(outcome(confine_vcpu, is_closed_off), IS_KILLED);
}

static void test_file_server(void)
{
	is_int(outcome(sandbox_file_server, makes_process), IS_KILLED);
	is_int(outcome(sandbox_file_server, signals_others), IS_KILLED);
	is_int(outcome(sandbox_file_server, is_refused_signals_by_file), 1);
	is_int(outcome(sandbox_file_server, maps_code), IS_KILLED);
	test_forbidden(sandbox_file_server, "... of the file server");
	is_int(outcome(sandbox_file_server, reads_and_maps), 1);
	is_int(outcome(sandbox_file_server, opens), 1);
	// Though it isn't dumpable, and its files in /proc are root's.
	is_int(outcome(sandbox_file_server, reopens_own_file), 1);
	is_int(outcome(sandbox_file_server, runs_vcpu), 0);
	is_int(outcome(sandbox_file_server, makes_socket), IS_KILLED);
	is_int(outcome(sandbox_file_server, executes), IS_KILLED);
}

int main(void)
{
#ifdef __SANITIZE_ADDRESS__
	skip("the sandbox", "a sanitizer makes system calls of its own");
	return done();
#endif
	other_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (other_fd < 0)
		return 1;
	test_vmm();
	test_vcpu();
	test_file_server();
	test_landlock();
	test_landlock_of_vmm();
	test_abstract_sockets();
	test_from_outside(sandbox_vmm, "VMM", 0);
	test_from_outside(confine_vcpu, "vCPU", 0);
	test_from_outside(sandbox_file_server, "file server", FILE_SERVER_CAPS);
	close(other_fd);
	return done();
}
