#include "runtime/create.h"

#include "base/io.h"
#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"
#include "namespaces/sysctl.h"
#include "process/channel.h"
#include "process/hooks.h"
#include "runtime/activation.h"
#include "runtime/fault.h"
#include "runtime/gate.h"
#include "runtime/init.h"
#include "runtime/lifecycle.h"
#include "runtime/pidfile.h"
#include "runtime/rootless.h"
#include "runtime/self.h"

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

// ---- the parent's steps ----

static int step_config(struct creation *c, struct err *err)
{
	const char *bundle = c->settings->bundle ? c->settings->bundle : ".";
	const char *path = c->settings->config;
	char resolved[PATH_MAX];

	if (container_check_id(c->id, err) < 0)
		return -err->code;
	if (!realpath(bundle, resolved))
		return err_sys(err, "bundle %s", bundle);
	c->bundle = arena_strdup(c->arena, resolved);
	if (!path)
		path = arena_printf(c->arena, "%s/config.json", c->bundle);
	if (io_read_file(AT_FDCWD, path, SPEC_MAX_BYTES, &c->config, &c->config_len, err) < 0)
		return -err->code;
	if (spec_parse(c->config, c->config_len, c->arena, &c->spec, err) < 0 ||
	    spec_validate(c->spec, err) < 0)
		return err_wrap(err, "%s", path);
	if (!c->spec->process)
		return err_set(err, EINVAL, "%s: process: missing", path);
	if (conf_load(c->rt->rootless, c->arena, &c->conf, err) < 0)
		return -err->code;
	c->payload = payload_choose(c->rt->vm || c->settings->vm, c->spec, c->conf, err);
	if (!c->payload)
		return err_wrap(err, "%s", path);
	if (c->payload->divide(c, err) < 0)
		return -err->code;
	c->spec = rootless_extend(c->spec, c->arena);
	if (self_is_exposed(c->spec, false) && self_protect(c->rt->argv, err) < 0)
		return -err->code;
	const char *dir = arena_printf(c->arena, "%s/%s", c->rt->root, c->id);
	c->spec = activation_extend(c->spec, dir, c->arena, &c->preserve_fds);
	if (__builtin_add_overflow(c->preserve_fds, c->settings->preserve_fds, &c->preserve_fds))
		return err_set(err, EBADF, "--preserve-fds %d: so many are not open",
			       c->settings->preserve_fds);
	return preserved_fds_check(c->preserve_fds, err);
}

static bool has_cgroup(const struct creation *c)
{
	return c->rt->cgroup_driver != CGROUP_DISABLED;
}

// What a cgroup mount of the container shows in one hierarchy of the host: its own cgroup, or,
// where it has none or an ordinary user may not make one, the one that it stays in.
static struct rootfs_cgroup shown_cgroup(const struct creation *c,
					 const struct cgroup_hierarchy *hierarchy)
{
	const char *own = arena_printf(c->arena, "%s%s", hierarchy->mount_point, hierarchy->own);

	return (struct rootfs_cgroup){
		.name = hierarchy->name,
		.source = has_cgroup(c) ? cgroup_plan_path_in(c->cgroup_plan, hierarchy) : own,
		.or_source = has_cgroup(c) && c->rt->rootless ? own : NULL,
	};
}

static void describe_cgroups(const struct creation *c, struct rootfs_env *env)
{
	size_t n = c->cgroup_host->hierarchies.n;
	struct rootfs_cgroup *cgroups = arena_new(c->arena, struct rootfs_cgroup, n);

	for (size_t i = 0; i < n; i++) {
		const struct cgroup_hierarchy *hierarchy = &c->cgroup_host->hierarchies.v[i];
		const struct rootfs_cgroup shown = shown_cgroup(c, hierarchy);

		if (shown.source)
			cgroups[env->cgroup_count++] = shown;
	}
	env->cgroups = cgroups;
}

static int plan_rootfs(struct creation *c, struct err *err)
{
	struct rootfs_env env = {
		.bundle = c->bundle,
		.rootfs = c->container.state.rootfs,
		.userns = ns_has(&c->ns_plan, CLONE_NEWUSER) || c->rt->rootless,
		.new_cgroupns = c->ns_plan.create & CLONE_NEWCGROUP,
		.new_netns = c->ns_plan.create & CLONE_NEWNET,
		.unified = c->cgroup_host->layout == CGROUP_UNIFIED,
		.no_pivot = c->settings->no_pivot,
		.for_guest = c->guest != NULL,
	};

	describe_cgroups(c, &env);
	return rootfs_plan_make(c->spec, &env, c->arena, &c->rootfs_plan, err);
}

static int plan_cgroup(struct creation *c, struct err *err)
{
	if (container_plan_cgroup(c->rt, c->id, c->spec, &c->cgroup_host, &c->cgroup_plan, err) < 0)
		return -err->code;
	cgroup_plan_paths(c->cgroup_plan, c->arena, &c->container.state.cgroup_paths);
	return 0;
}

static void log_plans(const struct creation *c)
{
	scope_text struct text plans = { 0 };
	char *save = NULL;

	if (!log_enabled(LOG_DEBUG))
		return;
	ns_plan_print(&c->ns_plan, &plans);
	cgroup_plan_print(c->cgroup_plan, &plans);
	rootfs_plan_print(c->rootfs_plan, &plans);
	process_plan_print(c->process_plan, &plans);
	for (char *line = strtok_r(plans.str, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		log_debug("plan: %s", line);
}

static const char *now(struct arena *arena)
{
	scope_text struct text time = { 0 };

	text_now(&time);
	return arena_strdup(arena, time.str);
}

static const char *owner_name(struct arena *arena)
{
	// The common case without the C library's machinery for user databases.
	const struct passwd *entry = geteuid() == 0 ? NULL : getpwuid(geteuid());

	if (entry)
		return arena_strdup(arena, entry->pw_name);
	return geteuid() == 0 ? "root" : arena_printf(arena, "#%u", geteuid());
}

static int step_plan(struct creation *c, struct err *err)
{
	const char *root = c->spec->root->path;

	c->container.state = (struct container_state){
		.id = c->id,
		.bundle = c->bundle,
		.rootfs = path_is_abs(root) ? root :
					      arena_printf(c->arena, "%s/%s", c->bundle, root),
		.created = now(c->arena),
		.owner = owner_name(c->arena),
		.mode = c->payload->mode,
		.notify_socket = activation_notify_socket(),
		.session_keyring = c->settings->no_new_keyring ?
					   NULL :
					   arena_printf(c->arena, "_ses.%s", c->id),
		.cgroup_driver = cgroup_driver_name(c->rt->cgroup_driver),
		.annotations = c->spec->annotations,
	};
	if (ns_plan_make(c->spec, &c->ns_plan, err) < 0 ||
	    sysctl_check(&c->ns_plan, &c->spec->linux->sysctl, err) < 0 ||
	    plan_cgroup(c, err) < 0 || plan_rootfs(c, err) < 0 || c->payload->plan(c, err) < 0)
		return -err->code;
	log_plans(c);
	return 0;
}

static int step_record(struct creation *c, struct err *err)
{
	const struct container_state state = c->container.state;

	if (container_new(c->rt, c->id, &c->container, err) < 0)
		return -err->code;
	c->container.state = state;
	c->container.spec = c->spec;
	if (io_replace_file(c->container.dirfd, "config.json", 0600, c->config, c->config_len,
			    err) < 0 ||
	    container_save(&c->container, err) < 0 || activation_prepare(&c->container, err) < 0) {
		struct err ignored;

		container_remove(&c->container, &ignored);
		return -err->code;
	}
	return 0;
}

static void undo_record(struct creation *c)
{
	struct err err;

	lifecycle_poststop(&c->container);
	if (container_remove(&c->container, &err) < 0)
		log_warn("%s", err.msg);
}

static int step_streams(struct creation *c, struct err *err)
{
	int ends[2];

	if (terminal_route_open(&c->terminal, c->spec->process->terminal,
				!c->gated && !c->settings->detach, c->settings->console_socket,
				err) < 0)
		return -err->code;
	if (c->filter.notify && listener_open(&c->listener, c->spec->linux->seccomp, err) < 0)
		return -err->code;
	if (c->gated && (c->gate = gate_open(err)) < 0)
		return c->gate;
	if (channel_pair(ends, err) < 0)
		return -err->code;
	c->channel = ends[0];
	c->init_channel = ends[1];
	return 0;
}

static int step_cgroup(struct creation *c, struct err *err)
{
	if (cgroup_create(c->cgroup_plan, &c->container.cgroup, err) < 0)
		return -err->code;
	// Without the groups that had to be left out.
	cgroup_save(c->container.cgroup, c->arena, &c->container.state.cgroup_paths);
	return 0;
}

static void undo_cgroup(struct creation *c)
{
	struct err err;

	cgroup_settle(c->container.cgroup);
	// Also where the one fails: an empty group can be removed when there is no descriptor left
	// to list it with.
	if (cgroup_kill(c->container.cgroup, SIGKILL, &err) < 0)
		log_warn("%s", err.msg);
	if (cgroup_delete(c->container.cgroup, &err) < 0)
		log_warn("%s", err.msg);
	// `delete` never does that: which parents were there before is known here alone, and empty
	// groups of others are not to go. A runtime that is killed so leaves those that it made.
	cgroup_unmake(c->container.cgroup);
}

static int step_sources(struct creation *c, struct err *err)
{
	if (c->payload->sources && c->payload->sources(c, err) < 0)
		return -err->code;
	return rootfs_prepare(c->rootfs_plan, err);
}

// What was opened for the init to inherit. Its end of the channel above all: while the parent holds
// that too, it would never see the init end.
static void release_inheritance(struct creation *c)
{
	replace_fd(&c->init_channel, -1);
	replace_fd(&c->terminal.to, -1);
	listener_close(&c->listener);
	if (c->join)
		cgroup_join_close(c->join);
	rootfs_release(c->rootfs_plan);
	if (c->payload->release)
		c->payload->release(c);
}

static int step_spawn(struct creation *c, struct err *err)
{
	if (c->container.cgroup) {
		if (cgroup_join_open(c->container.cgroup, NULL, c->arena, &c->join, err) < 0)
			return -err->code;
		c->init.cgroup_fd = cgroup_join_fd(c->join);
	}
	int ret = ns_spawn(&c->ns_plan, &c->init, err);
	if (ret == 0)
		c->side = SIDE_INIT;
	else
		release_inheritance(c);
	return ret;
}

// With its pid namespace everything in it ends; what it left elsewhere is the cgroup's to kill.
static void undo_spawn(struct creation *c)
{
	sys_pidfd_send_signal(c->init.pidfd, SIGKILL);
	proc_wait(c->init.pid);
}

static int step_runtime_hooks(struct creation *c, struct err *err)
{
	const struct oci_hooks *hooks = c->spec->hooks;
	const struct container_state kept = c->container.state;

	c->container.state.init.pid = c->init.pid;
	const char *state = container_hook_state(&c->container, STATUS_CREATING);
	c->container.state = kept;
	if (hooks_run("prestart", &hooks->prestart, state, strlen(state), err) < 0 ||
	    hooks_run("createRuntime", &hooks->create_runtime, state, strlen(state), err) < 0)
		return -err->code;
	return 0;
}

static int step_limit(struct creation *c, struct err *err)
{
	return c->payload->limit(c, err);
}

static int step_publish(struct creation *c, struct err *err)
{
	if (c->container.cgroup)
		cgroup_settle(c->container.cgroup);
	if (terminal_route_receive(&c->terminal, &c->master, err) < 0)
		return -err->code;
	if (c->settings->pidfd_socket &&
	    pidfd_send(c->settings->pidfd_socket, c->init.pidfd, err) < 0)
		return -err->code;
	if (c->gated && gate_publish(c->gate, c->container.dirfd, err) < 0)
		return -err->code;
	// Here the init still waits for its start.
	if (c->ns_plan.join & CLONE_NEWPID && !ns_has(&c->ns_plan, CLONE_NEWUSER) &&
	    self_may_be_traced_by(c->spec->process) &&
	    self_note_tracer(c->rt, c->init.pid, err) < 0)
		return -err->code;
	if (proc_identify(c->init.pid, &c->container.state.init, err) < 0 ||
	    container_save(&c->container, err) < 0)
		return -err->code;
	if (c->settings->pid_file)
		return pidfile_write(c->settings->pid_file, c->init.pid, err);
	return 0;
}

static void undo_publish(struct creation *c)
{
	if (c->settings->pid_file)
		unlink(c->settings->pid_file);
}

// ---- the table ----

static bool has_runtime_hooks(const struct creation *c)
{
	return c->spec->hooks && (c->spec->hooks->prestart.n || c->spec->hooks->create_runtime.n);
}

static bool has_container_hooks(const struct creation *c)
{
	return c->spec->hooks && c->spec->hooks->create_container.n;
}

static bool has_sysctl(const struct creation *c)
{
	return c->spec->linux->sysctl.n;
}

struct step {
	const char *name;
	enum side side;
	int (*run)(struct creation *c, struct err *err);
	void (*undo)(struct creation *c);	  // of the parent's steps; NULL: nothing to undo
	bool (*needed)(const struct creation *c); // NULL: always
};

static const struct step steps[] = {
	{ "config", SIDE_PARENT, step_config, NULL, NULL },
	{ "plan", SIDE_PARENT, step_plan, NULL, NULL },
	{ "streams", SIDE_PARENT, step_streams, NULL, NULL },
	{ "record", SIDE_PARENT, step_record, undo_record, NULL },
	{ "cgroup", SIDE_PARENT, step_cgroup, undo_cgroup, has_cgroup },
	{ "sources", SIDE_PARENT, step_sources, NULL, NULL },
	{ "spawn", SIDE_PARENT, step_spawn, undo_spawn, NULL },
	{ "limit", SIDE_PARENT, step_limit, NULL, NULL },
	{ "join", SIDE_INIT, init_join, NULL, has_cgroup },
	{ "namespaces", SIDE_INIT, init_namespaces, NULL, NULL },
	{ "mounts", SIDE_INIT, init_mounts, NULL, NULL },
	{ "mounted", SIDE_BOTH, NULL, NULL, has_runtime_hooks },
	{ "runtime-hooks", SIDE_PARENT, step_runtime_hooks, NULL, has_runtime_hooks },
	{ "hooked", SIDE_BOTH, NULL, NULL, has_runtime_hooks },
	{ "container-hooks", SIDE_INIT, init_hooks, NULL, has_container_hooks },
	{ "enter", SIDE_INIT, init_enter, NULL, NULL },
	{ "terminal", SIDE_INIT, init_terminal, NULL, NULL },
	{ "sysctl", SIDE_INIT, init_sysctl, NULL, has_sysctl },
	{ "seal", SIDE_INIT, init_seal, NULL, NULL },
	{ "settle", SIDE_INIT, init_settle, NULL, NULL },
	{ "settled", SIDE_BOTH, NULL, NULL, NULL },
	{ "publish", SIDE_PARENT, step_publish, undo_publish, NULL },
	{ "published", SIDE_BOTH, NULL, NULL, NULL },
};

static void __attribute__((noreturn)) list_steps(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		puts(steps[i].name);
	exit(EXIT_SUCCESS);
}

static void undo_steps(struct creation *c, size_t end)
{
	// It opens directories, for which what a VM has opened may have left no descriptor.
	if (c->payload && c->payload->release)
		c->payload->release(c);
	for (size_t i = end; i-- > 0;) {
		const struct step *step = &steps[i];

		if (step->side == SIDE_PARENT && step->undo && (!step->needed || step->needed(c)))
			step->undo(c);
	}
}

// Why the init is gone without a word. It stays to be waited for.
static int tell_fate(const struct creation *c, struct err *err)
{
	const struct oci_resources *resources = c->spec->linux->resources;
	const bool limited = resources && resources->memory && resources->memory->limit.v > 0;
	siginfo_t end = { 0 };

	waitid(P_PIDFD, (id_t)c->init.pidfd, &end, WEXITED | WNOWAIT);
	if (end.si_code == CLD_EXITED)
		return err_set(err, EPIPE, "the container's init has ended with status %d",
			       end.si_status);
	return err_set(err, EPIPE, "the container's init was killed by signal %d%s", end.si_status,
		       end.si_status == SIGKILL && limited ? " (is its memory limit too low?)" :
							     "");
}

static int meet(struct creation *c, struct err *err)
{
	channel_ok(c->channel);
	int ret = channel_wait(c->channel, err);
	if (ret == 0 && c->side == SIDE_INIT)
		return err_set(err, EPIPE, "the runtime has ended");
	if (ret == 0)
		return tell_fate(c, err);
	return ret < 0 ? ret : 0;
}

// The init gets the parent's end of everything but what it needs closed at once: a parent that dies
// must be noticed, and the lock on the container is the parent's.
static void become_init(struct creation *c)
{
	replace_fd(&c->channel, take_fd(&c->init_channel));
	replace_fd(&c->terminal.from, -1);
	replace_fd(&c->container.dirfd, -1);
}

static bool is_mine(const struct creation *c, const struct step *step)
{
	return (step->side == c->side || step->side == SIDE_BOTH) &&
	       (!step->needed || step->needed(c));
}

static int take_step(struct creation *c, const struct step *step, struct err *err)
{
	if (fault_at(step->name, err) < 0)
		return err_wrap(err, "%s", step->name);
	// What the other side says has failed, it has named itself.
	if (step->side == SIDE_BOTH)
		return meet(c, err);
	int ret = step->run(c, err);
	return ret < 0 ? err_wrap(err, "%s", step->name) : ret;
}

int create_container(struct creation *c, struct err *err)
{
	if (fault_lists_steps())
		list_steps();
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		const enum side before = c->side;

		if (!is_mine(c, &steps[i]))
			continue;
		int ret = take_step(c, &steps[i], err);
		if (before != c->side)
			become_init(c);
		if (ret >= 0)
			continue;
		if (c->side == SIDE_INIT) {
			channel_fail(c->channel, err);
			_exit(1);
		}
		undo_steps(c, i);
		return -err->code;
	}
	if (c->side == SIDE_INIT)
		init_start(c);
	return 0;
}

void creation_undo(struct creation *c)
{
	undo_steps(c, ARRAY_SIZE(steps));
}

void creation_init(struct creation *c, const struct runtime *rt,
		   const struct create_settings *settings, const char *id)
{
	*c = (struct creation){
		.rt = rt,
		.settings = settings,
		.id = id,
		.arena = rt->arena,
		.container = { .dirfd = -1 },
		.terminal = TERMINAL_ROUTE_NONE,
		.listener = LISTENER_NONE,
		.channel = -1,
		.init_channel = -1,
		.gate = -1,
		.master = -1,
		.init = { .cgroup_fd = -1, .pidfd = -1 },
	};
	clock_gettime(CLOCK_MONOTONIC, &c->called);
}

void creation_close(struct creation *c)
{
	int *const fds[] = { &c->channel, &c->init_channel, &c->gate, &c->master, &c->init.pidfd };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		replace_fd(fds[i], -1);
	free(c->config);
	c->config = NULL;
	if (c->payload && c->payload->release)
		c->payload->release(c);
	terminal_route_close(&c->terminal);
	listener_close(&c->listener);
	container_close(&c->container);
}
