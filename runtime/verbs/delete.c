// delete: removes a container that has stopped, or with --force any.

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

static int delete_one(const struct runtime *rt, const char *id, const void *settings,
		      struct err *err)
{
	return lifecycle_delete(rt, id, ((const struct settings *)settings)->force, err);
}

static int run(const struct runtime *rt, const void *untyped, const struct option_rest *rest,
	       struct err *err)
{
	const struct settings *settings = untyped;
	struct oci_strings ids = { 0 };

	for (int i = 0; i < rest->argc; i++)
		if (match_ids(rt, rest->argv[i], settings->regex, &ids, err) < 0)
			return -err->code;
	return match_each(rt, &ids, delete_one, settings, err);
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
