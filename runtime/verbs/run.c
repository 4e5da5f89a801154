// run: create and start in one; in the foreground also wait and delete.

#include "base/log.h"
#include "base/scope.h"
#include "runtime/activation.h"
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

static int start(struct creation *c, int *notify, struct err *err)
{
	if (create_container(c, err) < 0)
		return -err->code;
	if (lifecycle_start(&c->container, c->channel, notify, err) < 0) {
		creation_undo(c);
		return -err->code;
	}
	return 0;
}

// Unless somebody else has deleted it.
static void destroy(struct container *container)
{
	struct err err;
	int ret = container_relock(container, &err);

	if (ret == 0)
		ret = lifecycle_destroy(container, &err);
	if (ret < 0 && ret != -ENOENT)
		log_warn("%s", err.msg);
}

static int run_in_background(struct creation *c, struct err *err)
{
	scope_fd int notify = -1;

	if (start(c, &notify, err) < 0)
		return -err->code;
	int ret = activation_relay(&c->container, notify, err);
	if (ret < 0)
		destroy(&c->container);
	return ret;
}

static bool pass_readiness(void *context, int sock)
{
	struct err err;
	int ret = activation_take(context, sock, &err);

	if (ret < 0)
		log_warn("%s", err.msg);
	return ret == 0;
}

static int run_in_foreground(struct creation *c, struct err *err)
{
	scope_foreground struct foreground fg = { 0 };
	scope_fd int notify = -1;

	if (foreground_begin(&fg, !c->settings->no_subreaper, err) < 0 ||
	    start(c, &notify, err) < 0)
		return -err->code;
	fg.watch = (struct foreground_watch){ notify, pass_readiness, &c->container };
	int status = foreground_wait(&fg, c->init.pid, c->init.pidfd, c->master, err);
	if (!c->settings->keep)
		destroy(&c->container);
	return status;
}

static int run(const struct runtime *rt, const void *settings, const struct option_rest *rest,
	       struct err *err)
{
	struct creation creation;

	creation_init(&creation, rt, settings, rest->argv[0]);
	int ret = creation.settings->detach ? run_in_background(&creation, err) :
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
