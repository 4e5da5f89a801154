// plan: what the files of this folder share: the decoded process object, and what process_prepare()
// found out.
#pragma once

#include "process/caps.h"
#include "process/process.h"

#include <sys/resource.h>

struct plan_limit {
	int resource; // RLIMIT_*
	const char *name;
	struct rlimit64 value;
};

struct process_plan {
	struct arena *arena;
	const struct oci_process *process;
	struct process_env env;
	struct cap_sets caps;
	struct plan_limit *limits;
	size_t limit_count;
	char **envp; // without duplicates, NULL-terminated, with room for one more
	size_t env_count;
	struct opt_u32 personality; // for personality(2)

	// From process_prepare():
	const char **programs; // what to try to execute, in this order; before: args[0] as it is
	size_t program_count;
	bool late_cwd; // root may not enter the working directory, perhaps the user may
	int attr_fd;   // O_PATH of our own /proc/PID/attr, for the LSM label; -1: none
};

// Reads process.rlimits into the plan. -EINVAL: an unknown limit, or one that stands twice.
int limits_parse(struct process_plan *plan, struct err *err);

// Makes plan->envp from process.env; of two values for one name the last counts, as it does with
// runc and as `exec --env` needs it. -EINVAL: no `=`, or no name.
int environ_parse(struct process_plan *plan, struct err *err);

// The value of an environment variable; NULL where there is none.
const char *environ_get(const struct process_plan *plan, const char *name);

// Gives the environment variable HOME the value `home`, in place of an empty one.
void environ_set_home(struct process_plan *plan, const char *home);

// Finds args[0] in the container, relative to its working directory and PATH, and fills
// plan->programs.
int program_find(struct process_plan *plan, struct err *err);

// The spec's AppArmor profile, and its SELinux label; NULL: none.
static inline const char *plan_apparmor(const struct process_plan *plan)
{
	const char *profile = plan->process->apparmor_profile;

	return profile && *profile ? profile : NULL;
}

static inline const char *plan_selinux(const struct process_plan *plan)
{
	const char *label = plan->process->selinux_label;

	return label && *label ? label : NULL;
}

// Opens plan->attr_fd where the program gets a label. -ENOTSUP: this host has not that security module.
int label_prepare(struct process_plan *plan, struct err *err);
