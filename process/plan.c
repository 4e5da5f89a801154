#include "process/plan.h"

#include <sys/personality.h>

static int personality_parse(struct process_plan *plan, const struct oci_linux *linux,
			     struct err *err)
{
	const struct oci_personality *from = linux ? linux->personality : NULL;

	if (!from)
		return 0;
	if (from->flags.n > 0)
		return err_set(err, EINVAL, "linux.personality.flags: unknown flag %s",
			       from->flags.v[0]);
	plan->personality.set = true;
	if (str_eq(from->domain, "LINUX"))
		plan->personality.v = PER_LINUX;
	else if (str_eq(from->domain, "LINUX32"))
		plan->personality.v = PER_LINUX32;
	else
		return err_set(err, EINVAL, "linux.personality.domain: unknown domain %s",
			       from->domain);
	return 0;
}

static bool is_mapped(const struct oci_id_mappings *mappings, uint32_t id)
{
	for (size_t i = 0; i < mappings->n; i++) {
		if (id - mappings->v[i].container_id < mappings->v[i].size &&
		    id >= mappings->v[i].container_id)
			return true;
	}
	return mappings->n == 0; // none given: the namespace has its own, which we don't know
}

// What setuid(2) would say at the end, said at the beginning.
static int check_user(const struct oci_process *process, const struct oci_linux *linux,
		      struct err *err)
{
	const struct oci_user *user = &process->user;

	if (!linux)
		return 0;
	if (!is_mapped(&linux->uid_mappings, user->uid))
		return err_set(err, EINVAL, "process.user.uid: linux.uidMappings has no user %u",
			       user->uid);
	if (!is_mapped(&linux->gid_mappings, user->gid))
		return err_set(err, EINVAL, "process.user.gid: linux.gidMappings has no group %u",
			       user->gid);
	for (size_t i = 0; i < user->additional_gids.n; i++) {
		if (!is_mapped(&linux->gid_mappings, user->additional_gids.v[i]))
			return err_set(
				err, EINVAL,
				"process.user.additionalGids: linux.gidMappings has no group %u",
				user->additional_gids.v[i]);
	}
	return 0;
}

int process_plan_make(const struct oci_process *process, const struct oci_linux *linux,
		      const struct process_env *env, struct arena *arena,
		      struct process_plan **plan, struct err *err)
{
	struct process_plan *made = *plan = arena_new(arena, struct process_plan, 1);

	*made = (struct process_plan){
		.arena = arena,
		.process = process,
		.env = *env,
		.attr_fd = -1,
	};
	if (process->args.n == 0)
		return err_set(err, EINVAL, "process.args: no program to run");
	caps_parse(process->capabilities, env->caps, &made->caps);
	if (check_user(process, linux, err) < 0 || limits_parse(made, err) < 0 ||
	    environ_parse(made, err) < 0 || personality_parse(made, linux, err) < 0)
		return -err->code;
	made->programs = arena_new(arena, const char *, 1);
	made->programs[0] = process->args.v[0];
	made->program_count = 1;
	return 0;
}
