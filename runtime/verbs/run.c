// run: create and start in one; in the foreground also wait and delete.

#include "base/log.h"
#include "runtime/create.h"
#include "runtime/foreground.h"
#include "runtime/lifecycle.h"

#define AT(member) offsetof(struct create_settings, member)
static const struct option_row options[] = {
	CREATE_OPTION_ROWS(AT),
	{ "detach", 'd', OPTION_FLAG, AT(detach), NULL,
	  "leave the container running in the background" },
	{ "keep", 0, OPTION_FLAG, AT(keep), NULL, "don't delete the container when it has ended" },
	{ 0 },
};
#undef AT

static int start(struct creation *c, struct err *err)
{
	if (create_container(c, err) < 0)
		return -err->code;
	if (lifecycle_start(&c->container, c->channel, err) < 0) {
		creation_undo(c);
		return -err->code;
	}
	return 0;
}

static int run_in_foreground(struct creation *c, struct err *err)
{
	scope_foreground struct foreground fg = { 0 };
	struct err destroy_err;

	if (foreground_begin(&fg, !c->settings->no_subreaper, err) < 0 || start(c, err) < 0)
		return -err->code;
	int status = foreground_wait(&fg, c->init.pid, c->init.pidfd, c->master, err);
	if (!c->settings->keep && lifecycle_destroy(&c->container, &destroy_err) < 0)
		log_warn("%s", destroy_err.msg);
	return status;
}

static int run(const struct runtime *rt, const void *settings, const struct option_rest *rest,
	       struct err *err)
{
	struct creation creation;

	creation_init(&creation, rt, settings, rest->argv[0]);
	int ret = creation.settings->detach ? start(&creation, err) :
					      run_in_foreground(&creation, err);
	creation_close(&creation);
	return ret;
}

const struct verb verb_run = {
	.name = "run",
	.usage = "ID",
	.summary = "make a container and start its program",
	.options = options,
	.settings_size = sizeof(struct create_settings),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
