#include "base/proc.h"

#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

struct proc_stat {
	char state;
	uint64_t start_time;
};

// proc_pid_stat(5). The command name, field 2, may hold blanks and parentheses: the last `)` ends
// it.
static int read_stat(pid_t pid, struct proc_stat *stat)
{
	char path[64], line[1024];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	scope_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -(errno == ENOENT ? ESRCH : errno);
	ssize_t n = read(fd, line, sizeof(line) - 1);
	if (n < 0)
		return -errno;
	line[n] = '\0';
	const char *rest = strrchr(line, ')');
	if (!rest ||
	    sscanf(rest,
		   ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lu",
		   &stat->state, &stat->start_time) != 2)
		return -EIO;
	return 0;
}

int proc_identify(pid_t pid, struct proc_id *id, struct err *err)
{
	struct proc_stat stat = { 0 };
	int ret = read_stat(pid, &stat);

	if (ret < 0)
		return err_sysn(err, -ret, "process %d", pid);
	*id = (struct proc_id){ .pid = pid, .start_time = stat.start_time };
	return 0;
}

bool proc_alive(const struct proc_id *id)
{
	struct proc_stat stat = { 0 };

	if (id->pid <= 0)
		return false;
	int ret = read_stat(id->pid, &stat);
	// Only who is known to be gone is dead: there may just be no descriptor left to look with.
	if (ret < 0)
		return ret != -ESRCH;
	return stat.start_time == id->start_time && stat.state != 'Z' && stat.state != 'X';
}

int proc_pidfd(const struct proc_id *id, struct err *err)
{
	scope_fd int fd = id->pid > 0 ? sys_pidfd_open(id->pid, 0) : -1;

	// EINVAL is what older kernels say of one that goes at this very moment.
	if (id->pid <= 0 || (fd < 0 && (errno == ESRCH || errno == EINVAL)))
		return err_set(err, ESRCH, "process %d has ended", id->pid);
	if (fd < 0)
		return err_sys(err, "pidfd of process %d", id->pid);
	if (!proc_alive(id))
		return err_set(err, ESRCH, "process %d has ended", id->pid);
	return take_fd(&fd);
}

int proc_wait(pid_t pid)
{
	int status;
	pid_t got;

	do
		got = waitpid(pid, &status, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int proc_close_fds(int first, const int *keep, size_t n)
{
	for (;;) {
		int next = -1;

		for (size_t i = 0; i < n; i++)
			if (keep[i] >= first && (next < 0 || keep[i] < next))
				next = keep[i];
		if (next < 0)
			return close_range((unsigned int)first, ~0U, 0);
		if (next > first && close_range((unsigned int)first, (unsigned int)next - 1, 0) < 0)
			return -1;
		first = next + 1;
	}
}

// By the system call, since the C library refuses to touch the two signals that it keeps for
// itself, which somebody else may have left ignored.
void proc_reset_signals(void)
{
	static const uint64_t
		defaults[4]; // the kernel's struct sigaction: handler SIG_DFL, and nothing else
	static const uint64_t none;

	for (int sig = 1; sig < _NSIG; sig++)
		syscall(SYS_rt_sigaction, sig, defaults, NULL, sizeof(none));
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
}

static void __attribute__((noreturn)) end_by(int sig)
{
	_exit(128 + sig);
}

void proc_obey_signals(void)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM };

	const struct sigaction end = { .sa_handler = end_by };
	struct sigaction was;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (sigaction(signals[i], NULL, &was) == 0 && was.sa_handler == SIG_DFL)
			sigaction(signals[i], &end, NULL);
}

int proc_take_signals(const int *spared, size_t n, struct err *err)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS };
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		sigdelset(&set, faults[i]);
	for (size_t i = 0; i < n; i++)
		sigdelset(&set, spared[i]);
	int ret = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (ret != 0)
		return err_sysn(err, ret, "block signals");
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_sys(err, "signalfd") : fd;
}
