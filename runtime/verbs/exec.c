// exec: another process in a running container.
//
// The process is born in the container's namespaces (ns_spawn_into), joins its cgroup, and is
// confined like the container's own; moat stays outside, to relay, wait and tell its exit status.

#include "base/io.h"
#include "base/log.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"
#include "namespaces/namespaces.h"
#include "oci-spec/spec.h"
#include "process/channel.h"
#include "process/process.h"
#include "runtime/container.h"
#include "runtime/exec_vm.h"
#include "runtime/foreground.h"
#include "runtime/listener.h"
#include "runtime/payload.h"
#include "runtime/pidfile.h"
#include "runtime/seccomp_cache.h"
#include "runtime/self.h"
#include "runtime/terminal.h"

#include <fcntl.h>

struct settings {
	const char *console_socket, *pidfd_socket, *pid_file, *process, *cwd, *user, *process_label,
		*apparmor, *cgroup;
	struct oci_strings env, additional_gids, caps, cgroups;
	bool tty, detach, no_new_privs, ignore_paused;
	int preserve_fds;
};

#define AT(member) offsetof(struct settings, member)
static const struct option_row options[] = {
	{ "console-socket", 0, OPTION_STRING, AT(console_socket), "PATH",
	  "Unix socket that receives the terminal" },
	{ "pidfd-socket", 0, OPTION_STRING, AT(pidfd_socket), "PATH",
	  "Unix socket that receives a pidfd of the process" },
	{ "pid-file", 0, OPTION_STRING, AT(pid_file), "FILE",
	  "where to write the pid of the process" },
	{ "process", 'p', OPTION_STRING, AT(process), "FILE",
	  "the process as the JSON of the spec" },
	{ "cwd", 0, OPTION_STRING, AT(cwd), "DIR", "working directory in the container" },
	{ "env", 'e', OPTION_LIST, AT(env), "NAME=VALUE",
	  "add to the environment; may be repeated" },
	{ "tty", 't', OPTION_FLAG, AT(tty), NULL, "give it a terminal" },
	{ "user", 'u', OPTION_STRING, AT(user), "UID[:GID]", "user and group, as numbers" },
	{ "additional-gids", 'g', OPTION_LIST, AT(additional_gids), "GID",
	  "add a group; may be repeated" },
	{ "detach", 'd', OPTION_FLAG, AT(detach), NULL, "leave it running in the background" },
	{ "process-label", 0, OPTION_STRING, AT(process_label), "LABEL", "SELinux label" },
	{ "apparmor", 0, OPTION_STRING, AT(apparmor), "PROFILE", "AppArmor profile" },
	{ "no-new-privs", 0, OPTION_FLAG, AT(no_new_privs), NULL, "set no_new_privs" },
	{ "cap", 'c', OPTION_LIST, AT(caps), "CAP_NAME", "add a capability; may be repeated" },
	{ "preserve-fds", 0, OPTION_INT, AT(preserve_fds), "N", "pass descriptors 3 to 2+N on" },
	{ "cgroup", 0, OPTION_LIST, AT(cgroups), "[CTRL:]PATH", "a cgroup below the container's" },
	{ "ignore-paused", 0, OPTION_FLAG, AT(ignore_paused), NULL,
	  "also in a paused container: it runs when that is resumed" },
	{ 0 },
};
#undef AT

struct execution {
	const struct runtime *rt;
	const struct settings *settings;
	struct container container;
	const struct payload_verbs *payload;
	const struct oci_process *spec;
	struct ns_plan ns_plan;
	struct process_plan *plan;
	struct process_filter filter;
	struct cgroup_join *join;
	struct terminal_route terminal;
	struct listener listener;
	bool exposed; // somebody inside may look into the child
	int channel, child_channel, master;
	struct ns_spawn child;
};

// ---- what is to run ----

// UID, or UID:GID: both numbers, nothing else.
static int parse_user(const char *text, struct arena *arena, struct oci_user *user, struct err *err)
{
	const char *colon = strchr(text, ':');
	const char *uid = colon ? arena_strndup(arena, text, (size_t)(colon - text)) : text;

	if (str_to_u32(uid, &user->uid) < 0 || (colon && str_to_u32(colon + 1, &user->gid) < 0) ||
	    user->uid == UINT32_MAX || user->gid == UINT32_MAX)
		return err_set(err, EINVAL, "option --user: `%s` is not UID or UID:GID, in numbers",
			       text);
	return 0;
}

static int parse_groups(const struct oci_strings *texts, struct oci_user *user, struct arena *arena,
			struct err *err)
{
	uint32_t *groups = arena_new(arena, uint32_t, user->additional_gids.n + texts->n);

	if (texts->n == 0)
		return 0;
	if (user->additional_gids.n)
		memcpy(groups, user->additional_gids.v, user->additional_gids.n * sizeof(*groups));
	user->additional_gids.v = groups;
	for (size_t i = 0; i < texts->n; i++)
		if (str_to_u32(texts->v[i], &groups[user->additional_gids.n++]) < 0)
			return err_set(err, EINVAL,
				       "option --additional-gids: `%s` is not a number",
				       texts->v[i]);
	return 0;
}

// `first` and then `more`.
static struct oci_strings join_strings(const struct oci_strings *first,
				       const struct oci_strings *more, struct arena *arena)
{
	struct oci_strings all = { .v = arena_new(arena, char *, first->n + more->n + 1) };

	for (size_t i = 0; i < first->n; i++)
		all.v[all.n++] = first->v[i];
	for (size_t i = 0; i < more->n; i++)
		all.v[all.n++] = more->v[i];
	return all;
}

static struct oci_capabilities *add_caps(const struct oci_capabilities *old,
					 const struct oci_strings *more, struct arena *arena)
{
	struct oci_capabilities *caps = arena_new(arena, struct oci_capabilities, 1);
	struct oci_strings *const sets[] = { &caps->bounding, &caps->effective, &caps->permitted,
					     &caps->inheritable, &caps->ambient };

	if (old)
		*caps = *old;
	// Like runc: in the inheritable and ambient sets only where the container has such sets at
	// all.
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		if (i < 3 || sets[i]->n)
			*sets[i] = join_strings(sets[i], more, arena);
	return caps;
}

// The container's own process, changed by the options.
static int process_of_options(struct execution *e, const struct option_rest *rest, struct err *err)
{
	const struct settings *settings = e->settings;
	struct arena *arena = e->rt->arena;
	struct oci_process *process = arena_new(arena, struct oci_process, 1);

	if (rest->argc < 2)
		return err_set(err, EINVAL, "exec: expected a command after the id, or --process");
	if (settings->cwd && !path_is_abs(settings->cwd))
		return err_set(err, EINVAL, "--cwd: not an absolute path: %s", settings->cwd);
	*process = *e->container.spec->process;
	process->terminal = settings->tty;
	process->args = (struct oci_strings){ .v = rest->argv + 1, .n = (size_t)rest->argc - 1 };
	process->env = join_strings(&process->env, &settings->env, arena);
	if (settings->cwd)
		process->cwd = arena_strdup(arena, settings->cwd);
	if (settings->no_new_privs)
		process->no_new_privileges = true;
	if (settings->process_label)
		process->selinux_label = arena_strdup(arena, settings->process_label);
	if (settings->apparmor)
		process->apparmor_profile = arena_strdup(arena, settings->apparmor);
	if (settings->caps.n)
		process->capabilities = add_caps(process->capabilities, &settings->caps, arena);
	if ((settings->user && parse_user(settings->user, arena, &process->user, err) < 0) ||
	    parse_groups(&settings->additional_gids, &process->user, arena, err) < 0)
		return -err->code;
	e->spec = process;
	return 0;
}

// What the file leaves open is as the container's own process has it, as in runc.
static int process_of_file(struct execution *e, struct err *err)
{
	const struct oci_process *own = e->container.spec->process;
	struct oci_process *process = arena_new(e->rt->arena, struct oci_process, 1);
	const char *path = e->settings->process;
	scope_free char *json = NULL;
	size_t len;

	if (io_read_file(AT_FDCWD, path, SPEC_MAX_BYTES, &json, &len, err) < 0)
		return -err->code;
	if (spec_parse_process(json, len, e->rt->arena, &e->spec, err) < 0)
		return err_wrap(err, "%s", path);
	*process = *e->spec;
	if (!process->capabilities)
		process->capabilities = own->capabilities;
	if (!process->apparmor_profile || !*process->apparmor_profile)
		process->apparmor_profile = own->apparmor_profile;
	if (!process->selinux_label || !*process->selinux_label)
		process->selinux_label = own->selinux_label;
	e->spec = process;
	return 0;
}

// ---- making it run ----

static int require_state(struct execution *e, struct err *err)
{
	const char *id = e->container.state.id;
	enum container_status status;

	if (container_status(&e->container, &status, err) < 0)
		return -err->code;
	if (status == STATUS_STOPPED || status == STATUS_CREATING)
		return err_set(err, EINVAL, "cannot exec in a stopped container: %s is %s", id,
			       container_status_name(status));
	if (status == STATUS_PAUSED && !e->settings->ignore_paused)
		return err_set(
			err, EINVAL,
			"cannot exec in a paused container: %s (--ignore-paused waits until it is resumed)",
			id);
	return 0;
}

static int make_plans(struct execution *e, struct err *err)
{
	const struct oci_spec *spec = e->container.spec;

	if (spec_validate_process(e->spec, err) < 0)
		return -err->code;
	// The guest makes its own; here it is made to find what is wrong.
	if (e->payload->exec)
		return process_plan_make(
			e->spec, spec->linux,
			&(struct process_env){ .caps = process_caps_grantable(true) }, e->rt->arena,
			&e->plan, err);
	if (ns_plan_make(spec, &e->ns_plan, err) < 0 ||
	    seccomp_cache_load(e->rt, spec->linux->seccomp, &e->filter, err) < 0)
		return -err->code;
	const bool userns = ns_has(&e->ns_plan, CLONE_NEWUSER);
	struct process_env env = {
		.keyring = e->container.state.session_keyring,
		.filter = &e->filter,
		.caps = process_caps_grantable(userns),
		.preserve_fds = (unsigned int)e->settings->preserve_fds,
		.userns = userns || e->rt->rootless,
	};
	return process_plan_make(e->spec, spec->linux, &env, e->rt->arena, &e->plan, err);
}

static int open_streams(struct execution *e, struct err *err)
{
	int ends[2];

	if (preserved_fds_check(e->settings->preserve_fds, err) < 0 ||
	    terminal_route_open(&e->terminal, e->spec->terminal, !e->settings->detach,
				e->settings->console_socket, err) < 0 ||
	    (e->filter.notify &&
	     listener_open(&e->listener, e->container.spec->linux->seccomp, err) < 0) ||
	    channel_pair(ends, err) < 0)
		return -err->code;
	e->channel = ends[0];
	e->child_channel = ends[1];
	return 0;
}

static int open_cgroup(struct execution *e, const struct oci_strings *subs, struct err *err)
{
	if (container_open_cgroup(&e->container, err) < 0)
		return -err->code;
	if (!e->container.cgroup)
		return 0;
	if (cgroup_join_open(e->container.cgroup, subs, e->rt->arena, &e->join, err) < 0)
		return -err->code;
	e->child.cgroup_fd = cgroup_join_fd(e->join);
	return 0;
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
	if (proc_close_fds(3 + e->settings->preserve_fds, keep, ARRAY_SIZE(keep)) < 0)
		return err_sys(err, "close descriptors");
	e->join = NULL;
	e->channel = e->terminal.from = e->listener.procfd = e->container.dirfd = -1;
	for (char **var = environ; *var; var++)
		explicit_bzero(*var, strlen(*var));
	return 0;
}

// The child's way to its program. What it says on the channel, moat tells its user.
static void __attribute__((noreturn)) become_process(struct execution *e)
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
	if (ret == 0 && e->spec->terminal)
		ret = terminal_route_send(&e->terminal, e->spec->console_size, false, &err);
	else if (ret == 0)
		setsid();
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

// The child's way where it only stands for a process.
static void __attribute__((noreturn)) become_stand_in(struct execution *e)
{
	struct exec_vm exec = {
		.container = &e->container,
		.process = e->spec,
		.cgroups = &e->settings->cgroups,
		.channel = e->child_channel,
	};
	struct err err = { 0 };
	int ret = 0;

	replace_fd(&e->channel, -1);
	replace_fd(&e->terminal.from, -1);
	if (e->join)
		ret = cgroup_join(e->join, &err);
	if (ret == 0 && e->spec->terminal)
		ret = terminal_route_send(&e->terminal, e->spec->console_size, false, &err);
	else if (ret == 0)
		setsid();
	if (ret == 0) {
		channel_ok(e->child_channel);
		if (channel_wait(e->child_channel, &err) != 1)
			_exit(1);
		ret = e->payload->exec(&exec, &err);
	}
	if (ret < 0)
		channel_fail(e->child_channel, &err);
	_exit(ret < 0 ? 1 : ret);
}

static int spawn_stand_in(struct execution *e, struct err *err)
{
	struct clone_args args = { .flags = CLONE_PIDFD,
				   .pidfd = (uint64_t)(uintptr_t)&e->child.pidfd,
				   .exit_signal = SIGCHLD };
	const pid_t pid = sys_clone3(&args);

	if (pid < 0)
		return err_sys(err, "clone");
	e->child.pid = pid;
	return pid > 0;
}

// Until the child has become its program. It gets its word to go before it asks for it, so that it
// needn't sleep for that; but where moat has a terminal to make ready, only then.
static int supervise(struct execution *e, struct err *err)
{
	const struct settings *settings = e->settings;
	const bool relays = e->terminal.from >= 0;

	if ((!e->payload->exec && process_limit(e->plan, e->child.pid, err) < 0) ||
	    (settings->pidfd_socket && pidfd_send(settings->pidfd_socket, e->child.pidfd, err) < 0))
		return -err->code;
	if (!relays)
		channel_ok(e->channel);
	int ret = channel_wait(e->channel, err);
	if (ret == 0)
		return err_set(err, EPIPE, "the process has ended unexpectedly");
	if (ret < 0 || terminal_route_receive(&e->terminal, &e->master, err) < 0)
		return -err->code;
	if (relays)
		channel_ok(e->channel);
	ret = channel_wait(e->channel, err);
	if (ret < 0)
		return ret;
	return settings->pid_file ? pidfile_write(settings->pid_file, e->child.pid, err) : 0;
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
	return open_cgroup(e, &subs, err);
}

// As ns_spawn_into().
static int bear(struct execution *e, int init, struct err *err)
{
	e->child.leave = e->exposed ? leave_host : NULL;
	e->child.leave_context = e;
	int ret = ns_spawn_into(&e->ns_plan, init, &e->child, err);
	// A v2 group that has given its controllers to groups below takes no process any more: the
	// init (systemd, say) has moved into one of those.
	if (ret == -EBUSY && e->settings->cgroups.n == 0 && join_init(e, err) == 0)
		ret = ns_spawn_into(&e->ns_plan, init, &e->child, err);
	return ret;
}

static int spawn(struct execution *e, struct err *err)
{
	scope_fd int init = proc_pidfd(&e->container.state.init, err);

	if (init < 0)
		return init;
	int ret = e->payload->exec ? spawn_stand_in(e, err) : bear(e, init, err);
	if (ret < 0)
		return ret;
	if (ret == 0 && e->payload->exec)
		become_stand_in(e);
	if (ret == 0)
		become_process(e);
	replace_fd(&e->child_channel, -1);
	replace_fd(&e->terminal.to, -1);
	listener_close(&e->listener);
	ret = supervise(e, err);
	if (ret < 0) {
		sys_pidfd_send_signal(e->child.pidfd, SIGKILL);
		proc_wait(e->child.pid);
	}
	return ret;
}

static int execute(struct execution *e, struct err *err)
{
	scope_foreground struct foreground fg = { 0 };

	if (!e->settings->detach && foreground_begin(&fg, false, err) < 0)
		return -err->code;
	if (spawn(e, err) < 0)
		return -err->code;
	if (e->settings->detach)
		return 0;
	return foreground_wait(&fg, e->child.pid, e->child.pidfd, e->master, err);
}

static void close_execution(struct execution *e)
{
	terminal_route_close(&e->terminal);
	listener_close(&e->listener);
	replace_fd(&e->channel, -1);
	replace_fd(&e->child_channel, -1);
	replace_fd(&e->master, -1);
	replace_fd(&e->child.pidfd, -1);
	if (e->join)
		cgroup_join_close(e->join);
	container_close(&e->container);
}

// The container's spec doesn't tell of all who may trace, see self_note_tracer().
static int protect_self(struct execution *e, struct err *err)
{
	const int dirfd = e->container.dirfd;

	if (e->payload->exec)
		return 0;
	e->exposed = self_is_exposed(e->container.spec, true) ||
		     faccessat(dirfd, "traced", F_OK, 0) == 0;
	return !e->exposed ? 0 : self_protect(e->rt->argv, err);
}

static int note_tracer(struct execution *e, struct err *err)
{
	if (e->payload->exec || !self_may_be_traced_by(e->spec) ||
	    ns_has(&e->ns_plan, CLONE_NEWUSER))
		return 0;
	return self_note_tracer(e->rt, e->container.state.init.pid, err);
}

static int run(const struct runtime *rt, const void *settings, const struct option_rest *rest,
	       struct err *err)
{
	__attribute__((cleanup(close_execution))) struct execution e = {
		.rt = rt,
		.settings = settings,
		.container = { .dirfd = -1 },
		.terminal = TERMINAL_ROUTE_NONE,
		.listener = LISTENER_NONE,
		.channel = -1,
		.child_channel = -1,
		.master = -1,
		.child = { .cgroup_fd = -1, .pidfd = -1 },
	};

	if (container_open(rt, rest->argv[0], CONTAINER_LOOK, &e.container, err) < 0 ||
	    require_state(&e, err) < 0 || container_load_spec(&e.container, err) < 0)
		return -err->code;
	e.payload = payload_verbs_of(&e.container);
	if (e.payload->exec && e.settings->preserve_fds > 0)
		return err_set(err, ENOTSUP, "descriptors can't be passed on into a VM");
	if (protect_self(&e, err) < 0)
		return -err->code;
	int ret = e.settings->process ? process_of_file(&e, err) :
					process_of_options(&e, rest, err);
	if (ret < 0 || make_plans(&e, err) < 0 || note_tracer(&e, err) < 0 ||
	    open_streams(&e, err) < 0 ||
	    open_cgroup(&e, e.payload->exec ? NULL : &e.settings->cgroups, err) < 0)
		return -err->code;
	return execute(&e, err);
}

const struct verb verb_exec = {
	.name = "exec",
	.usage = "ID [COMMAND [ARGUMENT...]]",
	.summary = "run another process in a container",
	.options = options,
	.settings_size = sizeof(struct settings),
	.passes_rest = true,
	.min_args = 1,
	.max_args = -1,
	.failure_status = 255,
	.run = run,
};
