// exec in a container's VM: see runtime/execution.h.

#include "base/proc.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"
#include "process/channel.h"
#include "runtime/execution.h"
#include "vm-mode/agent_config.h"
#include "vm-mode/control/client.h"
#include "vm-mode/control/control.h"
#include "vm-mode/control/hostfd.h"
#include "vm-mode/split.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>

// The descriptors go non-blocking to the VMM, which can't make them so itself.
static int ask(const struct execution *e, int sock, struct vm_client_answer *answer,
	       struct err *err)
{
	const struct agent_exec agent_exec = {
		.process = vm_split_process(e->spec, e->rt->arena),
		.cgroups = *e->cgroups,
	};
	scope_text struct text json = { 0 };
	scope_fd int in = hostfd_reopen(STDIN_FILENO);
	scope_fd int out = e->spec->terminal ? -1 : hostfd_reopen(STDOUT_FILENO);
	scope_fd int errors = e->spec->terminal ? -1 : hostfd_reopen(STDERR_FILENO);
	const int fds[] = { in < 0 ? STDIN_FILENO : in, out < 0 ? STDOUT_FILENO : out,
			    errors < 0 ? STDERR_FILENO : errors };

	agent_exec_write(&agent_exec, &json);
	const struct vm_client_request request = {
		.type = PROTO_EXEC,
		.payload = json.str,
		.len = (uint32_t)json.len,
		.fds = fds,
		.nfds = e->spec->terminal ? 1 : ARRAY_SIZE(fds),
	};
	return vm_client_ask(sock, &request, PROTO_STARTED, answer, err);
}

// Of what can't be sent, the end of the VM is the reason, which is heard of by receiving.
static void send_size(int sock, uint32_t id)
{
	struct winsize window;
	struct proto_size size;
	struct err ignored;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &window) < 0)
		return;
	size = (struct proto_size){ .rows = window.ws_row, .cols = window.ws_col };
	const struct vm_client_request request = {
		.type = PROTO_RESIZE, .id = id, .payload = &size, .len = sizeof(size)
	};
	vm_client_send(sock, &request, &ignored);
}

// As many as may be without an answer: `open` is how many are. The others stay pending, as with any process that is
// slow to take them.
static void hand_on_signals(const struct execution *e, int signals, int sock, uint32_t id,
			    unsigned int *open)
{
	struct signalfd_siginfo info;
	struct err ignored;

	while (*open < CONTROL_ASKED_MAX &&
	       read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		const struct proto_signal sig = { .number = info.ssi_signo };
		const struct vm_client_request request = {
			.type = PROTO_SIGNAL, .id = id, .payload = &sig, .len = sizeof(sig)
		};

		if (info.ssi_signo == SIGWINCH && e->spec->terminal)
			send_size(sock, id);
		else if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGPIPE &&
			 info.ssi_signo != SIGWINCH &&
			 vm_client_send(sock, &request, &ignored) == 0)
			++*open;
	}
}

// The process's exit status, or -1 as long as it runs. Answers to signals come, too, and that one
// could not be sent is no end of the process.
static int take_answer(int sock, struct vm_client_answer *answer)
{
	struct err err;

	if (vm_client_receive(sock, answer, &err) < 0)
		return err.code == ECONNRESET ? 128 + SIGKILL : -1;
	if (answer->header.type != PROTO_EXIT)
		return -1;
	return (int)((const struct proto_exit *)(const void *)answer->payload)->status;
}

static int stand(const struct execution *e, int signals, int sock, struct vm_client_answer *answer)
{
	struct pollfd fds[] = { { .fd = sock, .events = POLLIN },
				{ .fd = signals, .events = POLLIN } };
	const uint32_t id = answer->header.id;
	unsigned int open = 0;
	int status = -1;

	while (status < 0) {
		fds[1].fd = open < CONTROL_ASKED_MAX ? signals : -1;
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue; // after a pause
		if (fds[1].revents)
			hand_on_signals(e, signals, sock, id, &open);
		if (fds[0].revents) {
			status = take_answer(sock, answer);
			open -= open > 0;
		}
	}
	return status;
}

// The exit status of the guest's process, or the error why it doesn't run.
static int run(struct execution *e, struct err *err)
{
	struct vm_client_answer *answer = arena_new(e->rt->arena, struct vm_client_answer, 1);
	scope_fd int sock = vm_client_connect(e->container.dirfd, 0, err);
	scope_fd int signals = sock < 0 ? -1 : proc_take_signals(NULL, 0, err);
	int ret = signals < 0 ? -err->code : ask(e, sock, answer, err);

	if (ret < 0)
		return ret;
	const int keep[] = { sock, signals };
	if (proc_close_fds(3, keep, ARRAY_SIZE(keep)) < 0)
		return err_sys(err, "close descriptors");
	return stand(e, signals, sock, answer);
}

// ---- the ways of struct execution_ops ----

static int begin(struct execution *e, struct err *err)
{
	if (e->preserve_fds > 0)
		return err_set(err, ENOTSUP, "descriptors can't be passed on into a VM");
	return 0;
}

// Engines give an exec what the container has.
static int check_label(const char *field, const char *wanted, const char *own, struct err *err)
{
	if (!wanted || !*wanted || (own && str_eq(wanted, own)))
		return 0;
	return err_set(err, ENOTSUP,
		       "process.%s: %s: a VM has one label, from its start, and that is %s", field,
		       wanted, own && *own ? own : "none");
}

static int check_labels(const struct execution *e, struct err *err)
{
	const struct oci_process *own = e->container.spec->process;
	const char *profile = e->spec->apparmor_profile;

	// That of a privileged exec; in the guest every process is so.
	if (profile && str_eq(profile, "unconfined"))
		profile = NULL;
	if (check_label("apparmorProfile", profile, own->apparmor_profile, err) < 0 ||
	    check_label("selinuxLabel", e->spec->selinux_label, own->selinux_label, err) < 0)
		return -err->code;
	return 0;
}

// The guest makes its own; here it is made to find what is wrong.
static int plan(struct execution *e, struct err *err)
{
	const struct process_env env = { .caps = process_caps_grantable(true) };

	if (check_labels(e, err) < 0)
		return -err->code;
	return process_plan_make(e->spec, e->container.spec->linux, &env, e->rt->arena, &e->plan,
				 err);
}

static int sources(struct execution *e, struct err *err)
{
	return execution_open_cgroup(e, NULL, err);
}

static int bear(struct execution *e, struct err *err)
{
	struct clone_args args = { .flags = CLONE_PIDFD,
				   .pidfd = (uint64_t)(uintptr_t)&e->child.pidfd,
				   .exit_signal = SIGCHLD };

	if (e->child.cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)e->child.cgroup_fd;
	}
	const pid_t pid = sys_clone3(&args);
	if (pid < 0)
		return err_sys(err, "clone");
	e->child.pid = pid;
	return pid > 0;
}

static void __attribute__((noreturn)) become(struct execution *e)
{
	struct err err = { 0 };
	int ret = 0;

	replace_fd(&e->channel, -1);
	replace_fd(&e->terminal.from, -1);
	if (e->join)
		ret = cgroup_join(e->join, &err);
	if (ret == 0)
		ret = execution_take_streams(e, &err);
	if (ret == 0) {
		channel_ok(e->child_channel);
		if (channel_wait(e->child_channel, &err) != 1)
			_exit(1);
		ret = run(e, &err);
	}
	if (ret < 0)
		channel_fail(e->child_channel, &err);
	_exit(ret < 0 ? 1 : ret);
}

const struct execution_ops exec_vm = {
	.begin = begin,
	.plan = plan,
	.sources = sources,
	.bear = bear,
	.become = become,
};
