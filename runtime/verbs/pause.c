// pause, resume: freeze all processes of a container, and let them go on.

#include "runtime/container.h"

static int freeze(const struct runtime *rt, const char *id, bool frozen, struct err *err)
{
	scope_container struct container container = { .dirfd = -1 };
	enum container_status status;

	if (container_open(rt, id, CONTAINER_CHANGE, &container, err) < 0 ||
	    container_status(&container, &status, err) < 0)
		return -err->code;
	if (frozen ? status != STATUS_RUNNING && status != STATUS_CREATED : status != STATUS_PAUSED)
		return err_set(err, EINVAL, "container not %s: %s is %s",
			       frozen ? "running" : "paused", id, container_status_name(status));
	if (container_open_cgroup(&container, err) < 0)
		return -err->code;
	if (!container.cgroup)
		return err_set(err, ENOTSUP, "container %s has no cgroup, which pausing needs", id);
	return cgroup_freeze(container.cgroup, frozen, err);
}

static int run_pause(const struct runtime *rt, const void *settings, const struct option_rest *rest,
		     struct err *err)
{
	(void)settings;
	return freeze(rt, rest->argv[0], true, err);
}

static int run_resume(const struct runtime *rt, const void *settings,
		      const struct option_rest *rest, struct err *err)
{
	(void)settings;
	return freeze(rt, rest->argv[0], false, err);
}

const struct verb verb_pause = {
	.name = "pause",
	.usage = "ID",
	.summary = "freeze all processes of a container",
	.options = no_options,
	.min_args = 1,
	.max_args = 1,
	.run = run_pause,
};

const struct verb verb_resume = {
	.name = "resume",
	.usage = "ID",
	.summary = "let a paused container go on",
	.options = no_options,
	.min_args = 1,
	.max_args = 1,
	.run = run_resume,
};
