#include "base/run.h"

#include "base/proc.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define SELF_FD (STDERR_FILENO + 1)

// In the child of vfork(2), which has our memory and nothing else of ours: on Linux it may call
// what it likes, as long as it doesn't return.
static void __attribute__((noreturn))
become(const struct run *run, int input_fd, int output_fd, volatile int *code)
{
	setpgid(0, 0);
	proc_reset_signals();
	if (dup2(input_fd, STDIN_FILENO) >= 0 && dup2(output_fd, STDOUT_FILENO) >= 0 &&
	    dup2(output_fd, STDERR_FILENO) >= 0 &&
	    (run->exec_fd < 0 || dup2(run->exec_fd, SELF_FD) >= 0) &&
	    close_range(SELF_FD, ~0U, CLOSE_RANGE_CLOEXEC) == 0) {
		if (run->exec_fd < 0)
			execve(run->path, run->argv, run->envp);
		else if (fcntl(SELF_FD, F_SETFD, 0) == 0)
			sys_execveat(SELF_FD, "", run->argv, run->envp, AT_EMPTY_PATH);
	}
	*code = errno;
	_exit(1);
}

// vfork(2) and not fork: it doesn't copy moat's memory, and the reason why an execve(2) failed is
// left in it. Returns 0 or a positive errno.
static int start(const struct run *run, int output_fd, pid_t *pid)
{
	volatile int code = 0; // the child's to write
	scope_fd int null_fd = run->stdin_fd < 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
	const int input_fd = run->stdin_fd < 0 ? null_fd : run->stdin_fd;

	pid_t child = vfork();
	if (child == 0)
		become(run, input_fd, output_fd, &code); // NOLINT(clang-analyzer-unix.Vfork)
	*pid = child;
	if (child < 0)
		return errno;
	if (code != 0)
		proc_wait(child);
	return code;
}

// Takes what is in the pipe now, and keeps the end of it. False at the end of the file.
static bool take_output(struct run *run, int fd)
{
	char buf[4096];
	size_t have = strlen(run->output);
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		const size_t room = sizeof(run->output) - 1;
		size_t add = (size_t)n < room ? (size_t)n : room;
		size_t keep = have + add > room ? room - add : have;

		memmove(run->output, run->output + have - keep, keep);
		memcpy(run->output + keep, buf + n - add, add);
		have = keep + add;
		run->output[have] = '\0';
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void trim_newline(char *text)
{
	size_t len = strlen(text);

	if (len > 0 && text[len - 1] == '\n')
		text[len - 1] = '\0';
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Until the process ends: returns true; or the time is up: false.
static bool wait_for_end(struct run *run, int pidfd, int output_fd)
{
	struct pollfd fds[] = {
		{ .fd = pidfd, .events = POLLIN },
		{ .fd = output_fd, .events = POLLIN },
	};
	const long deadline = now_ms() + run->timeout_s * 1000L;

	for (;;) {
		long left = run->timeout_s > 0 ? deadline - now_ms() : -1;

		if (run->timeout_s > 0 && left <= 0)
			return false;
		int n = poll(fds, ARRAY_SIZE(fds), left > 60000 ? 60000 : (int)left);
		if (n < 0 && errno != EINTR)
			return false;
		if (n <= 0)
			continue;
		if (fds[1].revents && !take_output(run, output_fd))
			fds[1].fd = -1;
		if (fds[0].revents)
			return true;
	}
}

static int judge(const struct run *run, int status, bool in_time, struct err *err)
{
	const char *sep = *run->output ? ": " : "";

	if (!in_time)
		return err_set(err, ETIMEDOUT, "still running after %d seconds, killed%s%s",
			       run->timeout_s, sep, run->output);
	if (WIFSIGNALED(status))
		return err_set(err, EIO, "killed by signal %d (%s)%s%s", WTERMSIG(status),
			       strsignal(WTERMSIG(status)), sep, run->output);
	if (WEXITSTATUS(status) != 0)
		return err_set(err, EIO, "exit status %d%s%s", WEXITSTATUS(status), sep,
			       run->output);
	return 0;
}

int run_program(struct run *run, struct err *err)
{
	int ends[2], status = 0;
	pid_t pid;

	run->output[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	scope_fd int output_fd = ends[0];
	scope_fd int child_fd = ends[1];
	fcntl(output_fd, F_SETFL, O_NONBLOCK);

	int ret = start(run, child_fd, &pid);
	if (ret != 0)
		return err_sysn(err, ret, "start it");
	replace_fd(&child_fd, -1);

	// The child isn't reaped yet: its number, and its group's, can't be anybody else's.
	scope_fd int pidfd = sys_pidfd_open(pid, 0);
	bool in_time = pidfd >= 0 && wait_for_end(run, pidfd, output_fd);
	if (!in_time)
		kill(-pid, SIGKILL);
	pid_t got;
	do
		got = waitpid(pid, &status, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return err_sys(err, "wait for it");
	take_output(run, output_fd);
	trim_newline(run->output);
	return judge(run, status, in_time, err);
}
