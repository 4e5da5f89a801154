// exec: another process in a running container.
//
// How it comes to life is the payload's business (runtime/execution.h); moat stays outside, to relay,
// wait and tell its exit status.

#include "base/io.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"
#include "oci-spec/spec.h"
#include "process/channel.h"
#include "runtime/execution.h"
#include "runtime/foreground.h"
#include "runtime/payload.h"
#include "runtime/pidfile.h"

#include <fcntl.h>

struct settings {
	const char *console_socket, *pidfd_socket, *pid_file, *process, *cwd, *user, *process_label,
		*apparmor;
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

struct run {
	struct execution e;
	const struct execution_ops *ops;
	const struct settings *settings;
	int master; // the terminal's other end, -1: none
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
static int process_of_options(struct execution *e, const struct settings *settings,
			      const struct option_rest *rest, struct err *err)
{
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
static int process_of_file(struct execution *e, const char *path, struct err *err)
{
	const struct oci_process *own = e->container.spec->process;
	struct oci_process *process = arena_new(e->rt->arena, struct oci_process, 1);
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

static int require_state(struct execution *e, bool ignore_paused, struct err *err)
{
	const char *id = e->container.state.id;
	enum container_status status;

	if (container_status(&e->container, &status, err) < 0)
		return -err->code;
	if (status == STATUS_STOPPED)
		return err_set(err, EINVAL, "cannot exec in a stopped container: %s", id);
	if (status == STATUS_CREATING)
		return err_set(err, EINVAL, "cannot exec in a container that is not made yet: %s",
			       id);
	if (status == STATUS_PAUSED && !ignore_paused)
		return err_set(
			err, EINVAL,
			"cannot exec in a paused container: %s (--ignore-paused waits until it is resumed)",
			id);
	return 0;
}

static int open_streams(struct execution *e, const struct settings *settings, struct err *err)
{
	int ends[2];

	if (preserved_fds_check(e->preserve_fds, err) < 0 ||
	    terminal_route_open(&e->terminal, e->spec->terminal, !settings->detach,
				settings->console_socket, err) < 0 ||
	    channel_pair(ends, err) < 0)
		return -err->code;
	e->channel = ends[0];
	e->child_channel = ends[1];
	return 0;
}

// Until the child has become its program. It gets its word to go before it asks for it, so that it
// needn't sleep for that; but where moat has a terminal to make ready, only then.
static int supervise(struct run *r, struct err *err)
{
	struct execution *e = &r->e;
	const struct settings *settings = r->settings;
	const bool relays = e->terminal.from >= 0;

	if ((r->ops->limit && r->ops->limit(e, err) < 0) ||
	    (settings->pidfd_socket && pidfd_send(settings->pidfd_socket, e->child.pidfd, err) < 0))
		return -err->code;
	if (!relays)
		channel_ok(e->channel);
	int ret = channel_wait(e->channel, err);
	if (ret == 0)
		return err_set(err, EPIPE, "the process has ended unexpectedly");
	if (ret < 0 || terminal_route_receive(&e->terminal, &r->master, err) < 0)
		return -err->code;
	if (relays)
		channel_ok(e->channel);
	ret = channel_wait(e->channel, err);
	if (ret < 0)
		return ret;
	return settings->pid_file ? pidfile_write(settings->pid_file, e->child.pid, err) : 0;
}

static int spawn(struct run *r, struct err *err)
{
	struct execution *e = &r->e;
	int ret = r->ops->bear(e, err);

	if (ret < 0)
		return ret;
	if (ret == 0) {
		r->ops->become(e);
		abort();
	}
	replace_fd(&e->child_channel, -1);
	replace_fd(&e->terminal.to, -1);
	listener_close(&e->listener);
	ret = supervise(r, err);
	if (ret < 0) {
		sys_pidfd_send_signal(e->child.pidfd, SIGKILL);
		proc_wait(e->child.pid);
	}
	return ret;
}

static int execute(struct run *r, struct err *err)
{
	scope_foreground struct foreground fg = { 0 };

	if (!r->settings->detach && foreground_begin(&fg, false, err) < 0)
		return -err->code;
	if (spawn(r, err) < 0)
		return -err->code;
	if (r->settings->detach)
		return 0;
	return foreground_wait(&fg, r->e.child.pid, r->e.child.pidfd, r->master, err);
}

static void close_run(struct run *r)
{
	struct execution *e = &r->e;

	terminal_route_close(&e->terminal);
	listener_close(&e->listener);
	replace_fd(&e->channel, -1);
	replace_fd(&e->child_channel, -1);
	replace_fd(&r->master, -1);
	replace_fd(&e->child.pidfd, -1);
	if (e->join)
		cgroup_join_close(e->join);
	container_close(&e->container);
}

static int run(const struct runtime *rt, const void *untyped, const struct option_rest *rest,
	       struct err *err)
{
	const struct settings *settings = untyped;
	__attribute__((cleanup(close_run))) struct run r = {
		.e = { .rt = rt,
		       .container = { .dirfd = -1 },
		       .cgroups = &settings->cgroups,
		       .preserve_fds = settings->preserve_fds,
		       .terminal = TERMINAL_ROUTE_NONE,
		       .listener = LISTENER_NONE,
		       .channel = -1,
		       .child_channel = -1,
		       .child = { .cgroup_fd = -1, .pidfd = -1 } },
		.settings = settings,
		.master = -1,
	};
	struct execution *e = &r.e;

	if (container_open(rt, rest->argv[0], CONTAINER_LOOK, &e->container, err) < 0 ||
	    require_state(e, settings->ignore_paused, err) < 0 ||
	    container_load_spec(&e->container, err) < 0)
		return -err->code;
	r.ops = payload_verbs_of(&e->container)->exec;
	if (r.ops->begin(e, err) < 0)
		return -err->code;
	int ret = settings->process ? process_of_file(e, settings->process, err) :
				      process_of_options(e, settings, rest, err);
	if (ret < 0 || spec_validate_process(e->spec, err) < 0 || r.ops->plan(e, err) < 0 ||
	    open_streams(e, settings, err) < 0 || r.ops->sources(e, err) < 0)
		return -err->code;
	return execute(&r, err);
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
