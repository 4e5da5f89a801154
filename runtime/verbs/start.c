// start: lets the program of a created container run.

#include "base/scope.h"
#include "runtime/activation.h"
#include "runtime/gate.h"
#include "runtime/lifecycle.h"
#include "runtime/payload.h"

// One that never came to its start may have told why.
static int refuse(struct container *container, enum container_status status, struct err *err)
{
	const char *why = NULL;

	if (status == STATUS_STOPPED) {
		payload_recall(container);
		why = container->state.error;
	}
	return err_set(err, EINVAL, "cannot start container %s: it is %s, not created%s%s",
		       container->state.id, container_status_name(status), why ? ": " : "",
		       why ? why : "");
}

static int run(const struct runtime *rt, const void *settings, const struct option_rest *rest,
	       struct err *err)
{
	scope_container struct container container = { .dirfd = -1 };
	enum container_status status;

	(void)settings;
	if (container_open(rt, rest->argv[0], CONTAINER_CHANGE, &container, err) < 0 ||
	    container_status(&container, &status, err) < 0)
		return -err->code;
	if (status != STATUS_CREATED)
		return refuse(&container, status, err);
	scope_fd int notify = -1;
	scope_fd int conn = gate_knock(container.dirfd, err);
	if (conn < 0)
		return conn;
	int ret = lifecycle_start(&container, conn, &notify, err);
	return ret < 0 ? ret : activation_relay(&container, notify, err);
}

const struct verb verb_start = {
	.name = "start",
	.usage = "ID",
	.summary = "start the program of a created container",
	.options = no_options,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
