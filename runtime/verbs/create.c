// create: makes a container, whose program then waits for `start`.

#include "runtime/create.h"

#define AT(member) offsetof(struct create_settings, member)
static const struct option_row options[] = {
	CREATE_OPTION_ROWS(AT),
	{ 0 },
};
#undef AT

static int run(const struct runtime *rt, const void *settings, const struct option_rest *rest,
	       struct err *err)
{
	struct creation creation;

	creation_init(&creation, rt, settings, rest->argv[0]);
	creation.gated = true;
	int ret = create_container(&creation, err);
	creation_close(&creation);
	return ret;
}

const struct verb verb_create = {
	.name = "create",
	.usage = "ID",
	.summary = "make a container out of a bundle",
	.options = options,
	.settings_size = sizeof(struct create_settings),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
