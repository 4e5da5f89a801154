#include "runtime/match.h"

#include "runtime/container.h"

#include <regex.h>

int match_ids(const struct runtime *rt, const char *pattern, bool regex, struct oci_strings *ids,
	      struct err *err)
{
	struct oci_strings all;
	regex_t compiled;

	if (!regex) {
		ids->v = arena_new(rt->arena, char *, 2);
		ids->v[0] = arena_strdup(rt->arena, pattern);
		ids->n = 1;
		return 0;
	}
	int ret = regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB);
	if (ret != 0) {
		char why[128];

		regerror(ret, &compiled, why, sizeof(why));
		return err_set(err, EINVAL, "pattern `%s`: %s", pattern, why);
	}
	ret = container_ids(rt, &all, err);
	*ids = (struct oci_strings){ .v = arena_new(rt->arena, char *, all.n + 1) };
	for (size_t i = 0; ret == 0 && i < all.n; i++)
		if (regexec(&compiled, all.v[i], 0, NULL, 0) == 0)
			ids->v[ids->n++] = all.v[i];
	regfree(&compiled);
	return ret;
}
