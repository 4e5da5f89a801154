// exec in a container: see runtime/execution.h.

#include "base/log.h"
#include "base/proc.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"
#include "process/channel.h"
#include "runtime/execution.h"
#include "runtime/seccomp_cache.h"
#include "runtime/self.h"

#include <fcntl.h>

// The container's spec doesn't tell of all who may trace, see self_note_tracer().
static int begin(struct execution *e, struct err *err)
{
	const int dirfd = e->container.dirfd;

	e->exposed = self_is_exposed(e->container.spec, true) ||
		     faccessat(dirfd, "traced", F_OK, 0) == 0;
	return !e->exposed ? 0 : self_protect(e->rt->argv, err);
}

static int plan(struct execution *e, struct err *err)
{
	const struct oci_spec *spec = e->container.spec;

	if (ns_plan_make(spec, &e->ns_plan, err) < 0 ||
	    seccomp_cache_load(e->rt, spec->linux->seccomp, &e->filter, err) < 0)
		return -err->code;
	const bool userns = ns_has(&e->ns_plan, CLONE_NEWUSER);
	struct process_env env = {
		.keyring = e->container.state.session_keyring,
		.filter = &e->filter,
		.caps = process_caps_grantable(userns),
		.preserve_fds = (unsigned int)e->preserve_fds,
		.userns = userns || e->rt->rootless,
	};
	return process_plan_make(e->spec, spec->linux, &env, e->rt->arena, &e->plan, err);
}

static int note_tracer(struct execution *e, struct err *err)
{
	if (!self_may_be_traced_by(e->spec) || ns_has(&e->ns_plan, CLONE_NEWUSER))
		return 0;
	return self_note_tracer(e->rt, e->container.state.init.pid, err);
}

static int sources(struct execution *e, struct err *err)
{
	if (note_tracer(e, err) < 0 ||
	    (e->filter.notify &&
	     listener_open(&e->listener, e->container.spec->linux->seccomp, err) < 0))
		return -err->code;
	return execution_open_cgroup(e, e->cgroups, err);
}

// In a process between moat and the child: joins the cgroup, and forgets what a tracer must not find
// in the child: descriptors (moat's, and those that moat was started with), and the environment.
static int leave_host(void *context, struct err *err)
{
	struct execution *e = context;
	const int keep[] = { e->child.stage_fd, e->child.target, e->child_channel, e->terminal.to,
			     e->listener.fd };

	if (e->join && cgroup_join(e->join, err) < 0)
		return -err->code;
	log_close();
	if (proc_close_fds(3 + e->preserve_fds, keep, ARRAY_SIZE(keep)) < 0)
		return err_sys(err, "close descriptors");
	e->join = NULL;
	e->channel = e->terminal.from = e->listener.procfd = e->container.dirfd = -1;
	for (char **var = environ; *var; var++)
		explicit_bzero(*var, strlen(*var));
	return 0;
}

// The child's way to its program. What it says on the channel, moat tells its user.
static void __attribute__((noreturn)) become(struct execution *e)
{
	struct err err = { 0 };
	int ret = 0;

	replace_fd(&e->channel, -1);
	replace_fd(&e->terminal.from, -1);
	// A directory of the host's, from which a container that can trace this process would climb.
	replace_fd(&e->container.dirfd, -1);
	if (e->join)
		ret = cgroup_join(e->join, &err);
	if (ret == 0)
		ret = ns_arrive(&e->ns_plan, &e->child, &err);
	if (ret == 0)
		ret = execution_take_streams(e, &err);
	if (ret == 0)
		ret = process_prepare(e->plan, &err);
	e->listener.pid = e->exposed ? e->child.pid : 0;
	if (ret == 0)
		ret = listener_describe(&e->listener, e->container.spec->linux->seccomp,
					&e->container.state, e->rt->arena, &err);
	if (ret == 0) {
		channel_ok(e->child_channel);
		if (channel_wait(e->child_channel, &err) != 1)
			_exit(1);
		struct process_channels channels = {
			.report_fd = e->child_channel,
			.notify_fd = e->listener.fd,
			.notify_msg = e->listener.message,
		};
		process_enter(e->plan, &channels, &err);
	}
	channel_fail(e->child_channel, &err);
	_exit(1);
}

// Into the cgroup that the init lives in.
static int join_init(struct execution *e, struct err *err)
{
	struct oci_strings subs = { .v = arena_new(e->rt->arena, char *, 1) };
	const char *sub;

	if (cgroup_sub_of(e->container.cgroup, e->container.state.init.pid, e->rt->arena, &sub,
			  err) < 0)
		return -err->code;
	if (sub)
		// A group's own name may have a colon, which would end a list of controllers.
		subs.v[subs.n++] = arena_printf(e->rt->arena, "/%s", sub);
	cgroup_join_close(e->join);
	return execution_open_cgroup(e, &subs, err);
}

static int spawn_into(struct execution *e, int init, struct err *err)
{
	e->child.leave = e->exposed ? leave_host : NULL;
	e->child.leave_context = e;
	int ret = ns_spawn_into(&e->ns_plan, init, &e->child, err);
	// A v2 group that has given its controllers to groups below takes no process any more: the
	// init (systemd, say) has moved into one of those.
	if (ret == -EBUSY && e->cgroups->n == 0 && join_init(e, err) == 0)
		ret = ns_spawn_into(&e->ns_plan, init, &e->child, err);
	return ret;
}

// In the child the init's descriptor stays open, which ns_arrive() wants.
static int bear(struct execution *e, struct err *err)
{
	int init = proc_pidfd(&e->container.state.init, err);

	if (init < 0)
		return init;
	int ret = spawn_into(e, init, err);
	if (ret != 0)
		close(init);
	return ret;
}

static int limit(struct execution *e, struct err *err)
{
	return process_limit(e->plan, e->child.pid, err);
}

const struct execution_ops exec_process = {
	.begin = begin,
	.plan = plan,
	.sources = sources,
	.bear = bear,
	.become = become,
	.limit = limit,
};
