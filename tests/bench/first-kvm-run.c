/*
 * first-kvm-run COMMAND...: what a command and its children cost until one of them enters a guest.
 *
 * Prints, separated by a blank: milliseconds of processor time, of all of them, and milliseconds from
 * before the fork, to the first ioctl(KVM_RUN). Then it kills them. What they leave is the caller's to
 * remove. A seccomp filter stops them at that call and at no other, so that being looked at costs next
 * to nothing (SECCOMP_RET_TRACE, ptrace(2)).
 */
#include <err.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64

static struct {
	pid_t tid;
	double ms; // of processor time, when last seen
} threads[THREADS_MAX];
static size_t count;

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void stop_at_kvm_run(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KVM_RUN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	// Root needs no no_new_privs for it, and moat shall not find it set.
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		err(1, "seccomp");
}

static void account(pid_t tid)
{
	char path[64];
	unsigned long long ns;
	size_t i = 0;

	while (i < count && threads[i].tid != tid)
		i++;
	if (i == THREADS_MAX)
		errx(1, "more than %d threads", THREADS_MAX);
	threads[i].tid = tid;
	if (i == count)
		count++;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", tid, tid);
	FILE *file = fopen(path, "re");
	if (!file)
		return;
	if (fscanf(file, "%llu", &ns) == 1)
		threads[i].ms = (double)ns / 1e6;
	fclose(file);
}

int main(int argc, char **argv)
{
	const long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK |
			     PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT;
	double sum = 0;
	int status;

	if (argc < 2)
		errx(2, "usage: first-kvm-run COMMAND...");
	double start = now_ms();
	pid_t child = fork();
	if (child < 0)
		err(1, "fork");
	if (child == 0) {
		raise(SIGSTOP);
		stop_at_kvm_run();
		execvp(argv[1], argv + 1);
		err(127, "%s", argv[1]);
	}
	if (waitpid(child, &status, WUNTRACED) < 0 || ptrace(PTRACE_SEIZE, child, 0, options) < 0 ||
	    kill(child, SIGCONT) < 0)
		err(1, "trace");

	for (;;) {
		pid_t tid = waitpid(-1, &status, __WALL);
		int signal = 0;

		if (tid < 0)
			errx(1, "it ended without entering a guest");
		if (!WIFSTOPPED(status))
			continue;
		account(tid);
		if (status >> 16 == PTRACE_EVENT_SECCOMP)
			break;
		if (status >> 16 == 0 && WSTOPSIG(status) != SIGTRAP)
			signal = WSTOPSIG(status);
		ptrace(PTRACE_CONT, tid, 0, signal);
	}
	double wall = now_ms() - start;
	for (size_t i = 0; i < count; i++) {
		account(threads[i].tid);
		sum += threads[i].ms;
	}
	printf("%.2f %.2f\n", sum, wall);
	return 0; // and with it all the others (PTRACE_O_EXITKILL)
}
