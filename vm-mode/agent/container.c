#include "vm-mode/agent/container.h"

#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "oci-spec/spec.h"
#include "oci-spec/state.h"
#include "vm-mode/agent/agent.h"
#include "vm-mode/agent/guest.h"
#include "vm-mode/agent/job.h"

#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

// The program's pid where it has a pid namespace of its own, which vm-mode/split.h sees to.
#define FIRST_PID 1

// Both belong to processes of container mode that come to life here: the host's paths mean nothing.
static int plan_rootfs(const struct agent *agent, const struct cgroup_host *host,
		       const struct cgroup_plan *cgroup_plan, struct rootfs_plan **plan,
		       struct err *err)
{
	const struct container *container = &agent->container;
	struct arena *arena = (struct arena *)&container->arena;
	struct rootfs_cgroup *cgroups = arena_new(arena, struct rootfs_cgroup, host->hierarchies.n);
	struct rootfs_env env = {
		.bundle = "/",
		.rootfs = agent->root ? agent->root : GUEST_ROOT,
		.new_cgroupns = container->ns_plan.create & CLONE_NEWCGROUP,
		.new_netns = true,
		.unified = host->layout == CGROUP_UNIFIED,
		.own_sources = true,
		.cgroups = cgroups,
	};

	for (size_t i = 0; i < host->hierarchies.n; i++) {
		const struct cgroup_hierarchy *hierarchy = &host->hierarchies.v[i];
		const char *source = cgroup_plan_path_in(cgroup_plan, hierarchy);

		if (source)
			cgroups[env.cgroup_count++] =
				(struct rootfs_cgroup){ .name = hierarchy->name, .source = source };
	}
	return rootfs_plan_make(container->config.spec, &env, arena, plan, err);
}

static int make_cgroup(struct container *container, const struct cgroup_host **host,
		       const struct cgroup_plan **plan, struct err *err)
{
	const struct agent_config *config = &container->config;
	struct cgroup_options options = { .id = config->id };

	if (cgroup_host_detect(&container->arena, host, err) < 0)
		return -err->code;
	// A kernel without cgroups; limits are an error then.
	options.driver = (*host)->hierarchies.n ? CGROUP_CGROUPFS : CGROUP_DISABLED;
	if (cgroup_plan_make(*host, config->spec->linux, &options, &container->arena, plan, err) <
		    0 ||
	    cgroup_create(*plan, &container->cgroup, err) < 0)
		return err_wrap(err, "cgroup");
	return 0;
}

static int plan_process(const struct container *container, const struct oci_process *process,
			struct arena *arena, struct process_plan **plan, struct err *err)
{
	const struct process_env env = {
		.keyring = container->config.keyring,
		.filter = &container->filter,
		.caps = process_caps_grantable(false),
	};

	return process_plan_make(process, container->config.spec->linux, &env, arena, plan, err);
}

void container_tell_oom(struct agent *agent)
{
	struct container *container = &agent->container;
	struct err err;
	int ret = container->oom ? cgroup_oom_read(container->oom, &err) : 0;

	if (ret < 0)
		loop_unwatch(agent->loop, &container->oom_source);
	else if (ret == 1)
		control_send(agent, (struct proto_header){ .type = PROTO_OOM }, NULL, 0);
}

static void oom_ready(struct loop_source *source, uint32_t events)
{
	struct container *container =
		(struct container *)((char *)source - offsetof(struct container, oom_source));

	(void)events;
	container_tell_oom((struct agent *)((char *)container - offsetof(struct agent, container)));
}

// Without the memory controller nobody tells, which is no reason to fail.
static void watch_oom(struct agent *agent)
{
	struct container *container = &agent->container;
	struct err err = { 0 };

	if (cgroup_oom_open(container->cgroup, &container->arena, &container->oom, &err) < 0) {
		log_debug("%s", err.msg);
		container->oom = NULL;
		return;
	}
	container->oom_source = (struct loop_source){ .fd = cgroup_oom_fd(container->oom),
						      .ready = oom_ready };
	if (loop_watch(agent->loop, &container->oom_source, EPOLLIN, &err) < 0)
		log_warn("%s", err.msg);
}

// What startContainer hooks read.
static const char *hook_state(struct container *container)
{
	const struct agent_config *config = &container->config;
	const struct container_state state = {
		.id = config->id,
		.bundle = config->bundle ? config->bundle : "",
		.rootfs = "/",
		.created = "",
		.owner = "",
		.mode = "vm",
		.init.pid = FIRST_PID,
		.annotations = config->spec->annotations,
	};
	scope_text struct text json = { 0 };

	state_write_oci(&state, STATUS_CREATED, true, &json);
	return arena_strndup(&container->arena, json.str, json.len);
}

static int parse(struct agent *agent, const char *json, size_t len, struct err *err)
{
	struct container *container = &agent->container;
	struct agent_config *config = &container->config;

	if (container->made)
		return err_set(err, EEXIST, "the guest has its container already");
	container->made = true;
	if (agent_config_parse(json, len, &container->arena, config, err) < 0)
		return err_wrap(err, "configuration for the guest");
	if (!config->spec->process || config->spec->process->args.n == 0)
		return err_set(err, EINVAL, "process.args: no program to run");
	if (!config->filter)
		return 0;
	container->filter.flags = config->filter_flags;
	return agent_filter_parse(config->filter, &container->arena, &container->filter.program,
				  &container->filter.count, err);
}

static int spawn(struct agent *agent, struct rootfs_plan *rootfs_plan, uint32_t request,
		 struct err *err)
{
	struct container *container = &agent->container;
	const struct oci_spec *spec = container->config.spec;
	struct child child = {
		.ns_plan = &container->ns_plan,
		.rootfs_plan = rootfs_plan,
		.process = spec->process,
		.sysctl = &spec->linux->sysctl,
		.start_hooks = spec->hooks ? &spec->hooks->start_container : NULL,
		.hook_state = hook_state(container),
		.into = -1,
		.spawn = { .cgroup_fd = -1, .pidfd = -1 },
	};

	if (plan_process(container, spec->process, &container->arena, &child.plan, err) < 0 ||
	    cgroup_join_open(container->cgroup, NULL, &container->arena, &child.join, err) < 0)
		return -err->code;
	child.spawn.cgroup_fd = cgroup_join_fd(child.join);
	return job_spawn(agent, &(struct proto_header){ .id = PROTO_INIT, .request = request },
			 &child, NULL, err);
}

int container_create(struct agent *agent, const char *json, size_t len, uint32_t request,
		     struct err *err)
{
	struct container *container = &agent->container;
	const struct cgroup_host *host = NULL;
	const struct cgroup_plan *cgroup_plan = NULL;
	struct rootfs_plan *rootfs_plan = NULL;

	if (parse(agent, json, len, err) < 0)
		return -err->code;
	if (!agent->root && guest_adapt(&container->config, err) < 0)
		return -err->code;
	if (ns_plan_make(container->config.spec, &container->ns_plan, err) < 0 ||
	    make_cgroup(container, &host, &cgroup_plan, err) < 0 ||
	    plan_rootfs(agent, host, cgroup_plan, &rootfs_plan, err) < 0)
		return -err->code;
	watch_oom(agent);
	return spawn(agent, rootfs_plan, request, err);
}

// ---- more processes ----

// Into the cgroup that the init lives in: one that has moved into a group below (systemd, say) may have
// given its controllers to such groups, and then it takes no process itself.
static int join_init(const struct container *container, pid_t init, struct arena *arena,
		     struct oci_strings *cgroups, struct err *err)
{
	const char *sub = NULL;

	if (cgroups->n || !container->cgroup)
		return 0;
	if (cgroup_sub_of(container->cgroup, init, arena, &sub, err) < 0)
		return -err->code;
	if (!sub)
		return 0;
	cgroups->v = arena_new(arena, char *, 2);
	// A group's own name may have a colon, which would end a list of controllers.
	cgroups->v[cgroups->n++] = arena_printf(arena, "/%s", sub);
	return 0;
}

int container_exec(struct agent *agent, const struct proto_header *frame, const char *json,
		   struct err *err)
{
	struct container *container = &agent->container;
	struct arena arena = { 0 };
	struct agent_exec *exec = arena_new(&arena, struct agent_exec, 1);
	struct child child = {
		.ns_plan = &container->ns_plan,
		.spawn = { .cgroup_fd = -1, .pidfd = -1 },
	};
	pid_t init = 0;

	child.into = job_find_init(agent, &init, err);
	if (child.into < 0 || agent_exec_parse(json, frame->len, &arena, exec, err) < 0 ||
	    join_init(container, init, &arena, &exec->cgroups, err) < 0 ||
	    plan_process(container, exec->process, &arena, &child.plan, err) < 0 ||
	    cgroup_join_open(container->cgroup, &exec->cgroups, &arena, &child.join, err) < 0) {
		arena_free(&arena);
		return -err->code;
	}
	child.process = exec->process;
	child.spawn.cgroup_fd = cgroup_join_fd(child.join);
	return job_spawn(agent, frame, &child, &arena, err);
}

// ---- all of it ----

int container_signal(const struct agent *agent, int sig, struct err *err)
{
	const struct cgroup *cgroup = agent->container.cgroup;

	if (!cgroup)
		return err_set(err, ESRCH, "there is no container");
	return cgroup_kill(cgroup, sig, err);
}

int container_update(const struct agent *agent, const char *json, size_t len, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	const struct oci_resources *resources;

	if (!agent->container.cgroup)
		return err_set(err, ESRCH, "there is no container");
	if (spec_parse_resources(json, len, &arena, &resources, err) < 0)
		return -err->code;
	return cgroup_update(agent->container.cgroup, resources, err);
}

void container_remove(struct agent *agent)
{
	struct container *container = &agent->container;
	struct err err;

	if (!container->cgroup)
		return;
	if (cgroup_kill(container->cgroup, SIGKILL, &err) < 0 ||
	    cgroup_delete(container->cgroup, &err) < 0)
		log_warn("%s", err.msg);
}
