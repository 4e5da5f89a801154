#include "runtime/exec_vm.h"

#include "base/proc.h"
#include "base/scope.h"
#include "base/str.h"
#include "vm-mode/agent_config.h"
#include "vm-mode/client.h"
#include "vm-mode/hostfd.h"
#include "vm-mode/split.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>

// The descriptors go non-blocking to the VMM, which can't make them so itself.
static int ask(const struct exec_vm *exec, int sock, struct vm_client_answer *answer,
	       struct err *err)
{
	const struct agent_exec agent_exec = {
		.process = vm_split_process(exec->process, exec->container->arena),
		.cgroups = *exec->cgroups,
	};
	scope_text struct text json = { 0 };
	scope_fd int in = hostfd_reopen(STDIN_FILENO);
	scope_fd int out = exec->process->terminal ? -1 : hostfd_reopen(STDOUT_FILENO);
	scope_fd int errors = exec->process->terminal ? -1 : hostfd_reopen(STDERR_FILENO);
	const int fds[] = { in < 0 ? STDIN_FILENO : in, out < 0 ? STDOUT_FILENO : out,
			    errors < 0 ? STDERR_FILENO : errors };

	agent_exec_write(&agent_exec, &json);
	const struct vm_client_request request = {
		.type = PROTO_EXEC,
		.payload = json.str,
		.len = (uint32_t)json.len,
		.fds = fds,
		.nfds = exec->process->terminal ? 1 : ARRAY_SIZE(fds),
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

static void hand_on_signals(const struct exec_vm *exec, int signals, int sock, uint32_t id)
{
	struct signalfd_siginfo info;
	struct err ignored;

	while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		const struct proto_signal sig = { .number = info.ssi_signo };
		const struct vm_client_request request = {
			.type = PROTO_SIGNAL, .id = id, .payload = &sig, .len = sizeof(sig)
		};

		if (info.ssi_signo == SIGWINCH && exec->process->terminal)
			send_size(sock, id);
		else if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGPIPE &&
			 info.ssi_signo != SIGWINCH)
			vm_client_send(sock, &request, &ignored);
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

static int stand(const struct exec_vm *exec, int signals, int sock, struct vm_client_answer *answer)
{
	struct pollfd fds[] = { { .fd = sock, .events = POLLIN },
				{ .fd = signals, .events = POLLIN } };
	const uint32_t id = answer->header.id;
	int status = -1;

	while (status < 0) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue; // after a pause
		if (fds[1].revents)
			hand_on_signals(exec, signals, sock, id);
		if (fds[0].revents)
			status = take_answer(sock, answer);
	}
	return status;
}

int exec_vm_stand_in(const struct exec_vm *exec, struct err *err)
{
	struct vm_client_answer *answer = arena_new(exec->container->arena, struct vm_client_answer,
						    1);
	scope_fd int sock = vm_client_connect(exec->container->dirfd, err);
	scope_fd int signals = sock < 0 ? -1 : proc_take_signals(NULL, 0, err);
	int ret = signals < 0 ? -err->code : ask(exec, sock, answer, err);

	if (ret < 0)
		return ret;
	const int keep[] = { sock, signals };
	if (proc_close_fds(3, keep, ARRAY_SIZE(keep)) < 0)
		return err_sys(err, "close descriptors");
	return stand(exec, signals, sock, answer);
}
