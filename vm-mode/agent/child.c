#include "vm-mode/agent/child.h"

#include "base/proc.h"
#include "base/scope.h"
#include "base/str.h"
#include "namespaces/sysctl.h"
#include "process/channel.h"
#include "process/console.h"
#include "process/hooks.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#define FILES_SOFT 1024

static int do_join(struct child *child, struct err *err)
{
	if (!child->join)
		return 0;
	if (cgroup_join(child->join, err) < 0)
		return -err->code;
	cgroup_join_close(child->join);
	return 0;
}

static int do_namespaces(struct child *child, struct err *err)
{
	if (ns_arrive(child->ns_plan, &child->spawn, err) < 0)
		return -err->code;
	if (!child->rootfs_plan)
		return 0;
	if (ns_unshare_cgroup(child->ns_plan, err) < 0)
		return -err->code;
	return ns_setup(child->ns_plan, err);
}

static int do_mounts(struct child *child, struct err *err)
{
	return rootfs_mount(child->rootfs_plan, err);
}

static int do_enter(struct child *child, struct err *err)
{
	if (rootfs_enter(child->rootfs_plan, err) < 0)
		return -err->code;
	return process_make_cwd(child->plan, err);
}

static int open_terminal(struct child *child, struct err *err)
{
	struct console console = { .master = -1 };

	if (console_open(child->process->console_size, &console, err) < 0)
		return -err->code;
	int ret = console_send(child->console_to, &console, err);
	replace_fd(&console.master, -1);
	replace_fd(&child->console_to, -1);
	return ret;
}

static int do_terminal(struct child *child, struct err *err)
{
	if (child->process->terminal)
		return open_terminal(child, err);
	setsid();
	for (int fd = 0; fd < 3; fd++)
		if (dup2(child->stdio[fd], fd) < 0)
			return err_sys(err, "standard streams");
	return 0;
}

static int do_sysctl(struct child *child, struct err *err)
{
	if (child->sysctl->n == 0)
		return 0;
	int procfd = rootfs_procfs(child->rootfs_plan, err);
	return procfd < 0 ? procfd : sysctl_apply(child->sysctl, procfd, err);
}

static int do_seal(struct child *child, struct err *err)
{
	return rootfs_seal(child->rootfs_plan, child->process->terminal ? STDIN_FILENO : -1, err);
}

static int do_settle(struct child *child, struct err *err)
{
	return process_prepare(child->plan, err);
}

// The names are those of container mode, so that an error reads the same.
static const struct {
	const char *name;
	int (*run)(struct child *child, struct err *err);
	bool creates; // only where the container is made
} steps[] = {
	{ "join", do_join, false },	    { "namespaces", do_namespaces, false },
	{ "mounts", do_mounts, true },	    { "enter", do_enter, true },
	{ "terminal", do_terminal, false }, { "sysctl", do_sysctl, true },
	{ "seal", do_seal, true },	    { "settle", do_settle, false },
};

// The agent's own limit is high; what the program has, unless the spec says otherwise, is what
// service managers give.
static void lower_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > FILES_SOFT) {
		files.rlim_cur = FILES_SOFT;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int take_steps(struct child *child, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (steps[i].creates && !child->rootfs_plan)
			continue;
		if (steps[i].run(child, err) < 0)
			// As `exec` has it in container mode: without the step.
			return child->rootfs_plan ? err_wrap(err, "%s", steps[i].name) : -err->code;
	}
	return 0;
}

void child_run(struct child *child)
{
	const struct process_channels channels = { .report_fd = child->channel, .notify_fd = -1 };
	struct err err = { 0 };
	int ret;

	lower_limits();
	ret = take_steps(child, &err);
	if (ret == 0) {
		// Others may live in the pid namespace from here on (runtime/init.c).
		prctl(PR_SET_DUMPABLE, 0);
		proc_obey_signals();
		channel_ok(child->channel);
		if (channel_wait(child->channel, &err) != 1)
			_exit(1);
		if (child->start_hooks && child->start_hooks->n)
			ret = hooks_run_inside("startContainer", child->start_hooks,
					       child->hook_state, strlen(child->hook_state), &err);
	}
	if (ret == 0)
		process_enter(child->plan, &channels, &err);
	channel_fail(child->channel, &err);
	_exit(1);
}
