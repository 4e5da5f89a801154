// delete: removes a container that has stopped, or with --force any.

#include "base/log.h"
#include "runtime/lifecycle.h"
#include "runtime/match.h"

struct settings {
	bool force, regex;
};

#define AT(member) offsetof(struct settings, member)
static const struct option_row options[] = {
	{ "force", 'f', OPTION_FLAG, AT(force), NULL,
	  "kill it first if it runs; one that doesn't exist is no error" },
	{ "regex", 'r', OPTION_FLAG, AT(regex), NULL,
	  "the arguments are regular expressions for ids" },
	{ 0 },
};
#undef AT

// Every container gets its chance: an error of one doesn't keep the others.
static int run(const struct runtime *rt, const void *untyped, const struct option_rest *rest,
	       struct err *err)
{
	const struct settings *settings = untyped;
	bool failed = false;

	for (int i = 0; i < rest->argc; i++) {
		struct oci_strings ids;

		if (match_ids(rt, rest->argv[i], settings->regex, &ids, err) < 0)
			return -err->code;
		for (size_t k = 0; k < ids.n; k++) {
			if (failed)
				log_error("%s", err->msg);
			failed = lifecycle_delete(rt, ids.v[k], settings->force, err) < 0;
		}
	}
	return failed ? -err->code : 0;
}

const struct verb verb_delete = {
	.name = "delete",
	.usage = "ID...",
	.summary = "remove containers",
	.options = options,
	.settings_size = sizeof(struct settings),
	.min_args = 1,
	.max_args = -1,
	.run = run,
};
