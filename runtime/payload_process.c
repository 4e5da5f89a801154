// The payload of container mode: a process, confined by process/.

#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"
#include "process/process.h"
#include "runtime/create.h"
#include "runtime/payload.h"
#include "runtime/seccomp_cache.h"

// All of the spec is the host's; but who names a guest's kernel expects a guest.
static int divide(struct creation *c, struct err *err)
{
	const struct create_settings *settings = c->settings;

	if (settings->vm_kernel || settings->vm_initrd)
		return err_set(err, EINVAL, "--vm-%s: this container is no VM (give --vm, too)",
			       settings->vm_kernel ? "kernel" : "initrd");
	return 0;
}

static int plan(struct creation *c, struct err *err)
{
	const bool userns = ns_has(&c->ns_plan, CLONE_NEWUSER);
	struct process_env env = {
		.keyring = c->container.state.session_keyring,
		.filter = &c->filter,
		.caps = process_caps_grantable(userns),
		.preserve_fds = (unsigned int)c->preserve_fds,
		.userns = userns || c->rt->rootless,
	};

	if (seccomp_cache_load(c->rt, c->spec->linux->seccomp, &c->filter, err) < 0)
		return -err->code;
	return process_plan_make(c->spec->process, c->spec->linux, &env, c->arena, &c->process_plan,
				 err);
}

static int limit(struct creation *c, struct err *err)
{
	return process_limit(c->process_plan, c->init.pid, err);
}

static int arrive(struct creation *c, struct err *err)
{
	return process_make_cwd(c->process_plan, err);
}

static int settle(struct creation *c, struct err *err)
{
	return process_prepare(c->process_plan, err);
}

static int enter(struct creation *c, int report_fd, struct err *err)
{
	struct process_channels channels = {
		.report_fd = report_fd,
		.notify_fd = c->listener.fd,
		.notify_msg = c->listener.message,
	};

	return process_enter(c->process_plan, &channels, err);
}

const struct payload_ops payload_process = {
	.mode = "container",
	.divide = divide,
	.plan = plan,
	.limit = limit,
	.arrive = arrive,
	.settle = settle,
	.enter = enter,
};
