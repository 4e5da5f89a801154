#include "runtime/match.h"

#include "base/log.h"
#include "runtime/container.h"

#include <regex.h>

// Room for `more` ids behind those that there are.
static void reserve(struct oci_strings *ids, size_t more, struct arena *arena)
{
	char **grown = arena_new(arena, char *, ids->n + more + 1);

	if (ids->n)
		memcpy(grown, ids->v, ids->n * sizeof(*grown));
	ids->v = grown;
}

int match_ids(const struct runtime *rt, const char *pattern, bool regex, struct oci_strings *ids,
	      struct err *err)
{
	struct oci_strings all;
	regex_t compiled;

	if (!regex) {
		reserve(ids, 1, rt->arena);
		ids->v[ids->n++] = arena_strdup(rt->arena, pattern);
		return 0;
	}
	int ret = regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB);
	if (ret != 0) {
		char why[128];

		regerror(ret, &compiled, why, sizeof(why));
		return err_set(err, EINVAL, "pattern `%s`: %s", pattern, why);
	}
	ret = container_ids(rt, &all, err);
	reserve(ids, all.n, rt->arena);
	for (size_t i = 0; ret == 0 && i < all.n; i++)
		if (regexec(&compiled, all.v[i], 0, NULL, 0) == 0)
			ids->v[ids->n++] = all.v[i];
	regfree(&compiled);
	return ret;
}

int match_each(const struct runtime *rt, const struct oci_strings *ids,
	       int (*act)(const struct runtime *rt, const char *id, const void *arg,
			  struct err *err),
	       const void *arg, struct err *err)
{
	bool failed = false;

	for (size_t i = 0; i < ids->n; i++) {
		struct err failure = { 0 };

		if (act(rt, ids->v[i], arg, &failure) == 0)
			continue;
		if (failed)
			log_error("%s", err->msg);
		*err = failure;
		failed = true;
	}
	return failed ? -err->code : 0;
}
