#include "process/plan.h"

#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME  UINT64_C(0x100000001b3)

// Length of the name and, in *hash, FNV-1a of it. Kubernetes hands over hundreds of variables:
// comparing numbers keeps the search for duplicates out of the profile without a table.
static size_t hash_name(const char *variable, uint64_t *hash)
{
	size_t len = 0;

	*hash = FNV_OFFSET;
	for (; variable[len] && variable[len] != '='; len++)
		*hash = (*hash ^ (unsigned char)variable[len]) * FNV_PRIME;
	return len;
}

int environ_parse(struct process_plan *plan, struct err *err)
{
	const struct oci_strings *env = &plan->process->env;
	uint64_t *hashes = arena_new(plan->arena, uint64_t, env->n);

	plan->envp = arena_new(plan->arena, char *, env->n + 2);
	for (size_t i = 0; i < env->n; i++) {
		char *variable = env->v[i];
		uint64_t hash;
		size_t len = hash_name(variable, &hash), at = 0;

		if (len == 0 || variable[len] != '=')
			return err_set(err, EINVAL, "process.env: invalid environment variable: %s",
				       variable);
		while (at < plan->env_count &&
		       (hashes[at] != hash || strncmp(plan->envp[at], variable, len + 1) != 0))
			at++;
		hashes[at] = hash;
		plan->envp[at] = variable;
		plan->env_count += at == plan->env_count;
	}
	return 0;
}

static size_t find(const struct process_plan *plan, const char *name)
{
	size_t len = strlen(name), at = 0;

	while (at < plan->env_count &&
	       !(str_starts(plan->envp[at], name) && plan->envp[at][len] == '='))
		at++;
	return at;
}

const char *environ_get(const struct process_plan *plan, const char *name)
{
	size_t at = find(plan, name);

	return at < plan->env_count ? plan->envp[at] + strlen(name) + 1 : NULL;
}

void environ_set_home(struct process_plan *plan, const char *home)
{
	size_t at = find(plan, "HOME");

	plan->env_count += at == plan->env_count;
	plan->envp[at] = arena_printf(plan->arena, "HOME=%s", home);
}
