// What the VMM, its vCPUs and its file server can still do once they are confined. Each try is made in a
// process of its own.
#include "base/scope.h"
#include "base/str.h"
#include "tests/unit/tap.h"
#include "vm-mode/sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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

static bool has_caps_beyond_files(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	const uint32_t others = 1U << CAP_NET_ADMIN | 1U << CAP_SYS_PTRACE | 1U << CAP_SYS_MODULE;

	return syscall(SYS_capget, &header, data) < 0 || data[0].permitted & others;
}

static bool is_closed_off(void)
{
	struct rlimit core;

	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
	       prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && getrlimit(RLIMIT_CORE, &core) == 0 &&
	       core.rlim_max == 0;
}

// ---- from the outside ----

// Whether the VMM's /proc/PID/status says so, at the beginning of a line.
static bool status_says(const char *path, const char *line)
{
	char text[8192];
	scope_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0)
		return false;
	text[n] = '\0';
	return strstr(text, line) != NULL;
}

static void test_vmm_from_outside(void)
{
	int ends[2];
	char path[64], byte = '\0';

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	const pid_t pid = fork();
	if (pid == 0) {
		struct err err;

		close(ends[0]);
		// Until the other end is closed.
		if (sandbox_vmm(&err) == 0 && write(ends[1], "y", 1) == 1)
			_exit(read(ends[1], &byte, 1) == 0 ? 0 : 1);
		_exit(1);
	}
	close(ends[1]);
	ok(read(ends[0], &byte, 1) == 1, "the VMM is confined");
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	ok(status_says(path, "\nCapPrm:\t0000000000000000\n"), "VMM: no capabilities permitted");
	ok(status_says(path, "\nCapEff:\t0000000000000000\n"), "VMM: none effective");
	ok(status_says(path, "\nCapAmb:\t0000000000000000\n"), "VMM: none ambient");
	ok(status_says(path, "\nNoNewPrivs:\t1\n"), "VMM: no new privileges");
	ok(status_says(path, "\nSeccomp:\t2\n"), "VMM: a filter");
	close(ends[0]);
	waitpid(pid, NULL, 0);
}

// ---- tests ----

static void test_vmm(void)
{
	is_int(outcome(sandbox_vmm, reads_and_maps), 1);
	is_int(outcome(sandbox_vmm, opening_is_refused), 1);
	is_int(outcome(sandbox_vmm, socket_is_refused), 1);
	is_int(outcome(sandbox_vmm, accepts), 1);
	is_int(outcome(sandbox_vmm, is_closed_off), 1);
	is_int(outcome(sandbox_vmm, makes_vcpu), 1);
	is_int(outcome(sandbox_vmm, runs_vcpu), 1);
	is_int(outcome(sandbox_vmm, changes_memory), 0);
	is_int(outcome(sandbox_vmm, executes), IS_KILLED);
	is_int(outcome(sandbox_vmm, traces), IS_KILLED);
	is_int(outcome(sandbox_vmm, has_caps), IS_KILLED);
}

static void test_vcpu(void)
{
	is_int(outcome(confine_vcpu, reads_and_maps), 1);
	is_int(outcome(confine_vcpu, opening_is_refused), 1);
	is_int(outcome(confine_vcpu, runs_vcpu), 1);
	is_int(outcome(confine_vcpu, makes_vcpu), 0);
	is_int(outcome(confine_vcpu, accepts), IS_KILLED);
	is_int(outcome(confine_vcpu, is_closed_off), IS_KILLED);
}

static void test_file_server(void)
{
	is_int(outcome(sandbox_file_server, reads_and_maps), 1);
	is_int(outcome(sandbox_file_server, opens), 1);
	// Though it isn't dumpable, and its files in /proc are root's.
	is_int(outcome(sandbox_file_server, reopens_own_file), 1);
	is_int(outcome(sandbox_file_server, has_caps_beyond_files), 0);
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
	test_vmm_from_outside();
	test_vcpu();
	test_file_server();
	close(other_fd);
	return done();
}
