#include "runtime/init.h"

#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/scope.h"
#include "base/str.h"
#include "namespaces/sysctl.h"
#include "process/channel.h"
#include "process/hooks.h"
#include "runtime/gate.h"

#include <sys/prctl.h>
#include <unistd.h>

int init_join(struct creation *c, struct err *err)
{
	if (cgroup_join(c->join, err) < 0)
		return -err->code;
	cgroup_join_close(c->join);
	return 0;
}

int init_namespaces(struct creation *c, struct err *err)
{
	if (listener_describe(&c->listener, c->spec->linux->seccomp, &c->container.state, c->arena,
			      err) < 0)
		return -err->code;
	if (ns_arrive(&c->ns_plan, &c->init, err) < 0 || ns_unshare_cgroup(&c->ns_plan, err) < 0)
		return -err->code;
	return ns_setup(&c->ns_plan, err);
}

int init_mounts(struct creation *c, struct err *err)
{
	return rootfs_mount(c->rootfs_plan, err);
}

// Hooks that run in the container's namespaces are told the pid that it has there, as it is for
// whoever reads it there.
static const char *hook_state(struct creation *c, enum container_status status)
{
	c->container.state.init.pid = getpid();
	return container_hook_state(&c->container, status);
}

int init_hooks(struct creation *c, struct err *err)
{
	const char *state = hook_state(c, STATUS_CREATING);

	return hooks_run("createContainer", &c->spec->hooks->create_container, state, strlen(state),
			 err);
}

int init_enter(struct creation *c, struct err *err)
{
	if (rootfs_enter(c->rootfs_plan, err) < 0)
		return -err->code;
	return c->payload->arrive(c, err);
}

int init_terminal(struct creation *c, struct err *err)
{
	if (c->spec->process->terminal)
		return terminal_route_send(&c->terminal, c->spec->process->console_size,
					   c->payload->own_terminal, err);
	// A session of its own: the caller's signals and controlling terminal are not the
	// container's.
	setsid();
	return 0;
}

int init_sysctl(struct creation *c, struct err *err)
{
	int procfd = rootfs_procfs(c->rootfs_plan, err);

	return procfd < 0 ? procfd : sysctl_apply(&c->spec->linux->sysctl, procfd, err);
}

int init_seal(struct creation *c, struct err *err)
{
	const bool console = c->spec->process->terminal && !c->payload->own_terminal;

	return rootfs_seal(c->rootfs_plan, console ? STDIN_FILENO : -1, err);
}

int init_settle(struct creation *c, struct err *err)
{
	return c->payload->settle(c, err);
}

static int wait_for(struct creation *c, int fd, struct err *err)
{
	return c->payload->wait ? c->payload->wait(c, fd, err) : 0;
}

// The word to go: 1; 0 when whoever is at the other end goes away without it; negative errno when the
// payload has come to its end meanwhile, which is told there.
static int hear_word(struct creation *c, int conn, struct err *err)
{
	if (wait_for(c, conn, err) < 0) {
		channel_fail(conn, err);
		return -err->code;
	}
	return channel_wait(conn, err) == 1;
}

// Returns the channel on which whoever starts the container waits for how that goes. The word to go
// comes on it, too; who goes away from the gate without it has started nothing.
static int wait_for_start(struct creation *c, struct err *err)
{
	scope_fd int conn = take_fd(&c->channel);
	int word = 0;

	if (c->gate < 0)
		return hear_word(c, conn, err) > 0 ? take_fd(&conn) : -1;
	while (word == 0) {
		if (wait_for(c, c->gate, err) < 0) {
			// Nobody stands at the gate to be told.
			log_error("%s", err->msg);
			return -1;
		}
		replace_fd(&conn, gate_wait(c->gate, err));
		if (conn < 0)
			return -1;
		word = hear_word(c, conn, err);
	}
	return word > 0 ? take_fd(&conn) : -1;
}

static int run_start_hooks(struct creation *c, struct err *err)
{
	const struct oci_hooks *hooks = c->spec->hooks;

	if (!hooks || hooks->start_container.n == 0)
		return 0;
	const char *state = hook_state(c, STATUS_CREATED);
	return hooks_run_inside("startContainer", &hooks->start_container, state, strlen(state),
				err);
}

void init_start(struct creation *c)
{
	struct err err = { 0 };

	// The pid namespace may hold others from here on: an `exec`, or a pod's neighbours. They
	// shall not trace this process, which still has all rights. (Not earlier: limits are set
	// through /proc/PID, which an ordinary user may write only while it is dumpable.)
	prctl(PR_SET_DUMPABLE, 0);
	proc_obey_signals();
	int conn = wait_for_start(c, &err);

	if (conn < 0)
		_exit(1);
	replace_fd(&c->gate, -1);
	if (run_start_hooks(c, &err) == 0)
		c->payload->enter(c, conn, &err);
	channel_fail(conn, &err);
	_exit(1);
}
