#include "process/steps.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// At most so many steps are not about one capability or one program; 16 of them are limits.
#define OTHER_STEPS 40

#define ACCEPT(code) (UINT64_C(1) << (code))

#define ARG(...)	       ((struct step_arg){ __VA_ARGS__ })
#define NUMBER(value)	       ARG(.kind = STEP_NUMBER, .number = (uint64_t)(value))
#define SHOWN(value, str)      ARG(.kind = STEP_NUMBER, .number = (uint64_t)(value), .text = (str))
#define NAMED(value)	       SHOWN(value, #value)
#define CAP(cap)	       SHOWN(cap, process_cap_name(cap))
#define BYTES(data, size, str) ARG(.kind = STEP_BYTES, .bytes = { (data), (size) }, .text = (str))
#define STRING(str)	       BYTES(str, strlen(str) + 1, NULL)
#define STRINGS(list, str)     ARG(.kind = STEP_STRINGS, .strings = (list), .text = (str))
#define RESULT		       ARG(.kind = STEP_RESULT)

// Adds a step: ADD(list, "umask 0022", umask, NUMBER(022)).
#define ADD(list, what, syscall_name, ...)                   \
	add((list), (struct step){ .name = (what),           \
				   .call = #syscall_name,    \
				   .nr = SYS_##syscall_name, \
				   .args = { __VA_ARGS__ } })

static struct step *add(struct steps *steps, struct step step)
{
	steps->v[steps->n] = step;
	return &steps->v[steps->n++];
}

static void add_cloexec(struct steps *steps, int fd)
{
	if (fd >= 0)
		ADD(steps, "close-on-exec", fcntl, NUMBER(fd), NAMED(F_SETFD), NAMED(FD_CLOEXEC));
}

// What must not be seen: by processes that share our pid namespace, what we are; by the program,
// our descriptors.
static void add_privacy(const struct process_plan *plan, const struct process_channels *channels,
			struct steps *steps)
{
	ADD(steps, "not dumpable", prctl, NAMED(PR_SET_DUMPABLE), NUMBER(0));
	if (channels) {
		add_cloexec(steps, channels->report_fd);
		add_cloexec(steps, channels->notify_fd);
	}
	add_cloexec(steps, plan->attr_fd);
}

// The label takes effect at the next execve. So it can't be set earlier than here, in the process
// that makes it.
static void add_label(const struct process_plan *plan, struct steps *steps, const char *name,
		      const char *file, const char *value)
{
	ADD(steps, name, openat, NUMBER(plan->attr_fd), STRING(file), NAMED(O_WRONLY | O_CLOEXEC),
	    NUMBER(0));
	ADD(steps, name, write, RESULT, BYTES(value, strlen(value), NULL), NUMBER(strlen(value)));
}

static void add_labels(const struct process_plan *plan, struct steps *steps)
{
	const char *profile = plan_apparmor(plan), *label = plan_selinux(plan);

	if (profile)
		add_label(plan, steps, arena_printf(plan->arena, "AppArmor profile %s", profile),
			  "apparmor/exec", arena_printf(plan->arena, "exec %s", profile));
	if (label)
		add_label(plan, steps, arena_printf(plan->arena, "SELinux label %s", label), "exec",
			  label);
}

// After all that takes a descriptor, before the change of user: RLIMIT_NPROC counts from there.
static void add_limits(const struct process_plan *plan, struct steps *steps)
{
	for (size_t i = 0; i < plan->limit_count; i++) {
		const struct plan_limit *limit = &plan->limits[i];

		ADD(steps, arena_printf(plan->arena, "set %s", limit->name), prlimit64, NUMBER(0),
		    SHOWN(limit->resource, limit->name),
		    BYTES(&limit->value, sizeof(limit->value),
			  arena_printf(plan->arena, "{%llu, %llu}",
				       (unsigned long long)limit->value.rlim_cur,
				       (unsigned long long)limit->value.rlim_max)),
		    NUMBER(0));
	}
}

static void add_capset(const struct process_plan *plan, struct steps *steps, const char *name,
		       const struct cap_sets *sets)
{
	struct {
		struct __user_cap_header_struct head;
		struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	} *arg = arena_alloc(plan->arena, sizeof(*arg));

	arg->head.version = _LINUX_CAPABILITY_VERSION_3;
	for (unsigned int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		arg->data[i].effective = (uint32_t)(sets->effective >> 32 * i);
		arg->data[i].permitted = (uint32_t)(sets->permitted >> 32 * i);
		arg->data[i].inheritable = (uint32_t)(sets->inheritable >> 32 * i);
	}
	ADD(steps, name, capset, BYTES(&arg->head, sizeof(arg->head), "{version 3}"),
	    BYTES(arg->data, sizeof(arg->data),
		  arena_printf(plan->arena, "{effective %#llx, permitted %#llx, inheritable %#llx}",
			       (unsigned long long)sets->effective,
			       (unsigned long long)sets->permitted,
			       (unsigned long long)sets->inheritable)));
}

// Keeping capabilities across setuid first: every step from here to the last capset needs some.
static void add_bounding(const struct process_plan *plan, struct steps *steps)
{
	ADD(steps, "keep capabilities", prctl, NAMED(PR_SET_KEEPCAPS), NUMBER(1));
	for (unsigned int cap = 0; cap < 64; cap++) {
		if (plan->env.caps & ~plan->caps.bounding & UINT64_C(1) << cap)
			ADD(steps, "drop from the bounding set", prctl, NAMED(PR_CAPBSET_DROP),
			    CAP(cap));
	}
	ADD(steps, "clear ambient capabilities", prctl, NAMED(PR_CAP_AMBIENT),
	    NAMED(PR_CAP_AMBIENT_CLEAR_ALL));
}

static void add_ambient(const struct process_plan *plan, struct steps *steps)
{
	for (unsigned int cap = 0; cap < 64; cap++) {
		if (plan->caps.ambient & UINT64_C(1) << cap)
			ADD(steps, "raise ambient capabilities", prctl, NAMED(PR_CAP_AMBIENT),
			    NAMED(PR_CAP_AMBIENT_RAISE), CAP(cap));
	}
}

static void add_user(const struct process_plan *plan, struct steps *steps)
{
	const struct oci_user *user = &plan->process->user;
	uint32_t mask = user->umask.set ? user->umask.v : 022;
	const char *octal = arena_printf(plan->arena, "%04o", mask);
	scope_text struct text gids = { 0 };

	text_str(&gids, "[");
	for (size_t i = 0; i < user->additional_gids.n; i++)
		text_printf(&gids, "%s%u", i ? ", " : "", user->additional_gids.v[i]);
	text_str(&gids, "]");

	struct step *step = ADD(steps, "setgroups", setgroups, NUMBER(user->additional_gids.n),
				BYTES(user->additional_gids.v,
				      user->additional_gids.n * sizeof(uint32_t),
				      arena_strdup(plan->arena, gids.str)));
	// Where /proc/PID/setgroups says deny there is no way to clear the list; without the rights
	// to make a user namespace's full map, that is the usual state of things.
	if (plan->env.userns && user->additional_gids.n == 0)
		step->accept = ACCEPT(EPERM);
	ADD(steps, arena_printf(plan->arena, "setgid %u", user->gid), setresgid, NUMBER(user->gid),
	    NUMBER(user->gid), NUMBER(user->gid));
	ADD(steps, arena_printf(plan->arena, "setuid %u", user->uid), setresuid, NUMBER(user->uid),
	    NUMBER(user->uid), NUMBER(user->uid));
	ADD(steps, "umask", umask, SHOWN(mask, octal));
}

// Without magic links there is no way to a directory outside (CVE-2024-21626).
static void add_cwd(const struct process_plan *plan, struct steps *steps)
{
	static const struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_MAGICLINKS,
	};
	const char *name = arena_printf(plan->arena, "chdir %s", plan->process->cwd);

	ADD(steps, name, openat2, NAMED(AT_FDCWD), STRING(plan->process->cwd),
	    BYTES(&how, sizeof(how), "{O_PATH | O_DIRECTORY | O_CLOEXEC, RESOLVE_NO_MAGICLINKS}"),
	    NUMBER(sizeof(how)));
	ADD(steps, name, fchdir, RESULT);
}

static void add_seccomp(const struct process_plan *plan, const struct process_channels *channels,
			struct steps *steps)
{
	const struct process_filter *filter = plan->env.filter;
	const char *msg = channels && channels->notify_msg ? channels->notify_msg : "";

	ADD(steps, "seccomp", seccomp, NAMED(SECCOMP_SET_MODE_FILTER), NUMBER(filter->flags),
	    ARG(.kind = STEP_FILTER, .filter = filter));
	if (filter->notify)
		ADD(steps, "send the seccomp listener", sendmsg,
		    NUMBER(channels ? channels->notify_fd : -1),
		    ARG(.kind = STEP_LISTENER, .bytes = { msg, strlen(msg) }), NAMED(MSG_NOSIGNAL));
}

// The filter comes as late as possible, so that the profile need not allow what we do. But without
// no_new_privs it takes CAP_SYS_ADMIN to set one: then, unless the program keeps that capability,
// one capset is left for after it.
static void add_confinement(const struct process_plan *plan,
			    const struct process_channels *channels, struct steps *steps)
{
	const bool filter = plan->env.filter && plan->env.filter->count > 0;
	const uint64_t admin = UINT64_C(1) << CAP_SYS_ADMIN;
	const bool early = filter && !plan->process->no_new_privileges &&
			   !(plan->caps.effective & admin);

	if (early) {
		struct cap_sets sets = plan->caps;

		sets.effective |= admin;
		sets.permitted |= admin;
		add_capset(plan, steps, "capabilities, and CAP_SYS_ADMIN for seccomp", &sets);
		add_ambient(plan, steps);
		add_seccomp(plan, channels, steps);
	}
	add_capset(plan, steps, "capabilities", &plan->caps);
	if (!early)
		add_ambient(plan, steps);
	if (plan->process->no_new_privileges)
		ADD(steps, "no_new_privs", prctl, NAMED(PR_SET_NO_NEW_PRIVS), NUMBER(1), NUMBER(0),
		    NUMBER(0), NUMBER(0));
	if (filter && !early)
		add_seccomp(plan, channels, steps);
}

static void add_exec(const struct process_plan *plan, struct steps *steps, const char *program,
		     uint64_t accept)
{
	const char *env = arena_printf(plan->arena, "[%zu variables]", plan->env_count);

	ADD(steps, arena_printf(plan->arena, "exec %s", program), execve, STRING(program),
	    STRINGS(plan->process->args.v, NULL), STRINGS(plan->envp, env))
		->accept = accept;
}

// When no candidate can be executed, the error is the first one's: it is the one that was found. So
// it is tried again, last.
static void add_program(const struct process_plan *plan, struct steps *steps)
{
	if (plan->program_count > 1) {
		for (size_t i = 0; i < plan->program_count; i++)
			add_exec(plan, steps, plan->programs[i],
				 ACCEPT(ENOENT) | ACCEPT(ENOTDIR) | ACCEPT(EACCES));
	}
	add_exec(plan, steps, plan->programs[0], 0);
}

struct steps steps_make(const struct process_plan *plan, const struct process_channels *channels)
{
	const size_t caps = (size_t)__builtin_popcountll(plan->env.caps) +
			    (size_t)__builtin_popcountll(plan->caps.ambient);
	struct steps steps = {
		.v = arena_new(plan->arena, struct step, OTHER_STEPS + caps + plan->program_count),
	};

	add_privacy(plan, channels, &steps);
	if (plan->personality.set)
		ADD(&steps, "personality", personality, NUMBER(plan->personality.v));
	add_labels(plan, &steps);
	add_limits(plan, &steps);
	add_bounding(plan, &steps);
	add_user(plan, &steps);
	if (plan->late_cwd)
		add_cwd(plan, &steps);
	add_confinement(plan, channels, &steps);
	add_program(plan, &steps);
	return steps;
}

struct steps steps_make_program(const char *path, char *const *argv, char *const *envp,
				struct step list[STEPS_PROGRAM_MAX])
{
	static const char failure[] = "it can't be executed\n";
	struct steps steps = { .v = list };

	// Only the first time: what is `#!/proc/self/exe` would come back here for ever.
	ADD(&steps, "close itself", close, NUMBER(PROCESS_LAUNCHER_FD));
	ADD(&steps, "exec", execve, STRING(path), STRINGS(argv, NULL), STRINGS(envp, NULL))->accept =
		UINT64_MAX;
	ADD(&steps, "say why", write, NUMBER(STDERR_FILENO),
	    BYTES(failure, sizeof(failure) - 1, NULL), NUMBER(sizeof(failure) - 1));
	return steps;
}

static void print_arg(const struct step_arg *arg, struct text *out)
{
	if (arg->text) {
		text_str(out, arg->text);
		return;
	}
	switch (arg->kind) {
	case STEP_NUMBER:
		text_printf(out, "%lld", (long long)arg->number);
		break;
	case STEP_BYTES:
	case STEP_LISTENER:
		text_json(out, arg->bytes.data);
		break;
	case STEP_STRINGS:
		text_str(out, "[");
		for (char *const *str = arg->strings; *str; str++) {
			text_str(out, str == arg->strings ? "" : ", ");
			text_json(out, *str);
		}
		text_str(out, "]");
		break;
	case STEP_FILTER:
		text_printf(out, "[%u instructions]", arg->filter->count);
		break;
	case STEP_RESULT:
		text_str(out, "result");
		break;
	case STEP_END:
		break;
	}
}

void process_plan_print(const struct process_plan *plan, struct text *out)
{
	struct steps steps = steps_make(plan, NULL);

	for (size_t i = 0; i < steps.n; i++) {
		const struct step *step = &steps.v[i];

		text_printf(out, "%s: %s(", step->name, step->call);
		for (size_t j = 0; j < ARRAY_SIZE(step->args) && step->args[j].kind != STEP_END;
		     j++) {
			text_str(out, j ? ", " : "");
			print_arg(&step->args[j], out);
		}
		text_str(out, ")\n");
	}
}
