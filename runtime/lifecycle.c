#include "runtime/lifecycle.h"

#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"
#include "process/channel.h"
#include "process/hooks.h"
#include "runtime/activation.h"
#include "runtime/payload.h"

#include <fcntl.h>
#include <poll.h>

// How long a killed init may take to be gone: it may sit in an uninterruptible system call, on a
// dead network mount say.
#define DEATH_TIMEOUT_MS 10000

static int run_poststart(struct container *container, struct err *err)
{
	const struct oci_hooks *hooks = container->spec->hooks;

	if (!hooks || hooks->poststart.n == 0)
		return 0;
	const char *state = container_hook_state(container, STATUS_RUNNING);
	return hooks_run("poststart", &hooks->poststart, state, strlen(state), err);
}

int lifecycle_signal(struct container *container, int sig, bool all, struct err *err)
{
	int frozen;

	if (container_open_cgroup(container, err) < 0)
		return -err->code;
	const struct payload_verbs *verbs = payload_verbs_of(container);
	// SIGKILL is for the VMM itself, which may not be able to listen any more.
	if (verbs->signal && sig != SIGKILL)
		return verbs->signal(container, sig, all, err);
	if (all && container->cgroup)
		return cgroup_kill(container->cgroup, sig, err);
	scope_fd int pidfd = proc_pidfd(&container->state.init, err);
	int ret = pidfd < 0 ? pidfd : sys_pidfd_send_signal(pidfd, sig);
	if (pidfd >= 0 && ret < 0)
		ret = err_sys(err, "signal process %d", container->state.init.pid);
	if (ret == -ESRCH)
		return err_set(err, ESRCH, "container not running");
	if (ret < 0)
		return ret;
	// The v1 freezer holds even SIGKILL back.
	if (sig != SIGKILL || !container->cgroup)
		return 0;
	frozen = cgroup_frozen(container->cgroup, err);
	return frozen > 0 ? cgroup_freeze(container->cgroup, false, err) : frozen;
}

static int kill_init(struct container *container, struct err *err)
{
	const struct proc_id *init = &container->state.init;
	scope_fd int pidfd = proc_pidfd(init, err);

	if (pidfd < 0)
		return err->code == ESRCH ? 0 : -err->code;
	struct pollfd gone = { .fd = pidfd, .events = POLLIN };
	if (lifecycle_signal(container, SIGKILL, false, err) < 0 && err->code != ESRCH)
		return -err->code;
	if (poll(&gone, 1, DEATH_TIMEOUT_MS) != 1)
		return err_set(err, EBUSY, "process %d doesn't end, though killed", init->pid);
	return 0;
}

int lifecycle_start(struct container *container, int conn, int *notify, struct err *err)
{
	struct err ignored;
	scope_fd int sock = -1;

	*notify = -1;
	if (activation_listen(container, &sock, err) < 0)
		return -err->code;
	channel_ok(conn);
	int ret = channel_wait(conn, err);
	if (unlinkat(container->dirfd, "gate", 0) < 0 && errno != ENOENT && ret >= 0)
		ret = err_sys(err, "remove the gate");
	if (ret < 0) {
		// It has ended or is about to; whoever deletes it next shall not find it alive.
		kill_init(container, &ignored);
		return err_wrap(err, "start");
	}
	if (container_load_spec(container, err) < 0 || run_poststart(container, err) < 0) {
		kill_init(container, &ignored);
		return -err->code;
	}
	container_unlock(container);
	*notify = take_fd(&sock);
	return 0;
}

void lifecycle_poststop(struct container *container)
{
	struct err err;

	if (container_load_spec(container, &err) < 0) {
		log_warn("%s: poststop hooks are skipped", err.msg);
		return;
	}
	const struct oci_hooks *hooks = container->spec->hooks;
	if (!hooks || hooks->poststop.n == 0)
		return;
	const char *state = container_hook_state(container, STATUS_STOPPED);
	hooks_run_all("poststop", &hooks->poststop, state, strlen(state));
}

int lifecycle_destroy(struct container *container, struct err *err)
{
	if (kill_init(container, err) < 0 || container_open_cgroup(container, err) < 0)
		return -err->code;
	if (container->cgroup && (cgroup_kill(container->cgroup, SIGKILL, err) < 0 ||
				  cgroup_delete(container->cgroup, err) < 0))
		return -err->code;
	if (!container->has_record)
		return container_remove(container, err);
	lifecycle_poststop(container);
	return container_remove(container, err);
}

// A container that was created but never started may go without --force, as in runc.
static int may_delete(struct container *container, struct err *err)
{
	enum container_status status;

	if (container_status(container, &status, err) < 0)
		return -err->code;
	if (status != STATUS_STOPPED && status != STATUS_CREATED)
		return err_set(
			err, EBUSY,
			"cannot delete container %s that is not stopped: %s (--force kills it)",
			container->state.id, container_status_name(status));
	return 0;
}

int lifecycle_delete(const struct runtime *rt, const char *id, bool force, struct err *err)
{
	scope_container struct container container = { .dirfd = -1 };

	if (container_open(rt, id, force ? CONTAINER_SALVAGE : CONTAINER_CHANGE, &container, err) <
	    0)
		return err->code == ENOENT && force ? 0 : -err->code;
	if (!force && may_delete(&container, err) < 0)
		return -err->code;
	return lifecycle_destroy(&container, err);
}
