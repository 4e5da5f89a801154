#include "base/run.h"

#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

// posix_spawn(3) and not fork: it neither copies moat's memory nor runs moat's code in the child,
// and it tells why an execve(2) failed.
static int start(const struct run *run, int output_fd, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t all, none;
	int ret;

	sigfillset(&all);
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);

	posix_spawn_file_actions_init(&files);
	if (run->stdin_fd >= 0)
		posix_spawn_file_actions_adddup2(&files, run->stdin_fd, STDIN_FILENO);
	else
		posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, output_fd, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, output_fd, STDERR_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);

	ret = posix_spawn(pid, run->path, &files, &attr, run->argv, run->envp);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return ret;
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
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	take_output(run, output_fd);
	trim_newline(run->output);
	return judge(run, status, in_time, err);
}
