#include "namespaces/birth.h"

#include "base/scope.h"
#include "base/sys.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct channel {
	int parent_end, child_end; // -1: closed
};

// What the stage says, once: the child's pid, or negative and `err` tells why.
struct report {
	pid_t pid;
	struct err err;
};

static void channel_close(struct channel *channel)
{
	scope_close_fd(&channel->parent_end);
	scope_close_fd(&channel->child_end);
}

#define scope_channel __attribute__((cleanup(channel_close)))

static int channel_open(struct channel *channel, struct err *err)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, "socket pair");
	*channel = (struct channel){ .parent_end = ends[0], .child_end = ends[1] };
	return 0;
}

static void report(const struct channel *channel, pid_t pid, const struct err *err)
{
	struct report report = { .pid = pid };
	size_t len = offsetof(struct report, err);

	if (pid < 0) {
		report.err = *err;
		len = sizeof(report);
	}
	// Nobody is left to be told if this fails.
	while (send(channel->child_end, &report, len, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

// Receives one packet. Returns its length, 0 when the other side is gone.
static ssize_t receive(int fd, void *data, size_t len)
{
	ssize_t n;

	do
		n = recv(fd, data, len, 0);
	while (n < 0 && errno == EINTR);
	return n;
}

static pid_t hear(const struct channel *channel, struct err *err)
{
	struct report report;

	if (receive(channel->parent_end, &report, sizeof(report)) <= 0)
		return err_set(err, ECHILD, "the process in between has ended early");
	if (report.pid < 0)
		*err = report.err;
	return report.pid;
}

int ns_make_err(struct err *err, const char *step)
{
	const int code = errno;
	const char *hint = code == ENOSPC ? " (a limit in /proc/sys/user is reached)" :
			   code == EPERM  ? " (only root, or a new user namespace, may make it)" :
			   code == EINVAL ? " (the kernel lacks one of them)" :
					    "";

	err_sysn(err, code, "%s", step);
	const size_t len = strlen(err->msg);
	snprintf(err->msg + len, sizeof(err->msg) - len, "%s", hint);
	return -code;
}

static void into_cgroup(struct clone_args *args, const struct ns_spawn *spawn)
{
	if (spawn->cgroup_fd < 0)
		return;
	args->flags |= CLONE_INTO_CGROUP;
	args->cgroup = (uint64_t)spawn->cgroup_fd;
}

static pid_t clone_child(uint64_t flags, struct ns_spawn *spawn, struct err *err)
{
	struct clone_args args = {
		.flags = flags | CLONE_CLEAR_SIGHAND,
		// With CLONE_PARENT the child has the stage's.
		.exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
	};

	if (!(flags & CLONE_PARENT)) {
		args.flags |= CLONE_PIDFD;
		args.pidfd = (uintptr_t)&spawn->pidfd;
	}
	into_cgroup(&args, spawn);
	pid_t pid = sys_clone3(&args);
	if (pid < 0 && flags & ~(uint64_t)CLONE_PARENT)
		return ns_make_err(err, "clone with new namespaces");
	return pid < 0 ? err_sys(err, "clone") : pid;
}

// In the stage. Returns in its child alone.
static void be_stage(const struct ns_birth *birth, struct channel *channel, struct ns_spawn *spawn)
{
	struct err err = { 0 };
	pid_t pid;

	replace_fd(&channel->parent_end, -1);
	spawn->stage_fd = channel->child_end;
	pid = birth->in_stage(birth->context, &err);
	if (pid == 0)
		pid = clone_child(birth->flags | CLONE_PARENT, spawn, &err);
	if (pid == 0)
		return;
	report(channel, pid, &err);
	_exit(0);
}

// The pid of a child born by way of the stage, 0 in that child.
static pid_t clone_by_stage(const struct ns_birth *birth, struct channel *channel,
			    struct ns_spawn *spawn, struct err *err)
{
	struct clone_args args = { .exit_signal = SIGCHLD };

	if (birth->stage_in_cgroup)
		into_cgroup(&args, spawn);
	pid_t stage = sys_clone3(&args);
	if (stage < 0)
		return err_sys(err, "clone the stage");
	if (stage == 0) {
		if (birth->stage_in_cgroup)
			spawn->cgroup_fd = -1;
		be_stage(birth, channel, spawn);
		return 0;
	}
	replace_fd(&channel->child_end, -1);
	pid_t pid = hear(channel, err);
	while (waitpid(stage, NULL, 0) < 0 && errno == EINTR)
		;
	if (pid < 0)
		return pid;
	spawn->pidfd = sys_pidfd_open(pid, 0);
	return pid;
}

// In the child: until the parent has done its part; the parent's death ends it.
static void await_go(struct channel *channel, struct ns_spawn *spawn)
{
	replace_fd(&channel->parent_end, -1);
	if (receive(channel->child_end, &spawn->pid, sizeof(spawn->pid)) <= 0)
		_exit(1);
}

static int do_parents_part(const struct ns_birth *birth, struct channel *channel, pid_t pid,
			   struct err *err)
{
	int ret = birth->in_parent ? birth->in_parent(birth->context, pid, err) : 0;

	if (ret < 0)
		return ret;
	if (send(channel->parent_end, &pid, sizeof(pid), MSG_NOSIGNAL) < 0)
		return err_sys(err, "wake the new process");
	return 0;
}

static void abort_child(pid_t pid, struct ns_spawn *spawn)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	replace_fd(&spawn->pidfd, -1);
}

static void unblock_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int ns_birth_give(const struct ns_birth *birth, struct ns_spawn *spawn, struct err *err)
{
	const bool talk = birth->in_stage || birth->in_parent;
	scope_channel struct channel channel = { -1, -1 };
	int ret = talk ? channel_open(&channel, err) : 0;

	spawn->pidfd = -1;
	if (ret < 0)
		return ret;
	pid_t pid = birth->in_stage ? clone_by_stage(birth, &channel, spawn, err) :
				      clone_child(birth->flags, spawn, err);
	if (pid < 0)
		return pid;
	if (pid == 0) {
		unblock_signals();
		if (talk)
			await_go(&channel, spawn);
		return 0;
	}
	if (spawn->pidfd < 0)
		ret = err_sys(err, "pidfd of the new process");
	else if (talk)
		ret = do_parents_part(birth, &channel, pid, err);
	if (ret < 0) {
		abort_child(pid, spawn);
		return ret;
	}
	spawn->pid = pid;
	return 1;
}
