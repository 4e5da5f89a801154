// state: what a container is doing, as the runtime-spec's JSON.

#include "base/str.h"
#include "runtime/container.h"
#include "runtime/payload.h"

#include <stdio.h>

static int run(const struct runtime *rt, const void *settings, const struct option_rest *rest,
	       struct err *err)
{
	scope_container struct container container = { .dirfd = -1 };
	scope_text struct text json = { 0 };
	enum container_status status;

	(void)settings;
	if (container_open(rt, rest->argv[0], CONTAINER_LOOK, &container, err) < 0 ||
	    container_status(&container, &status, err) < 0)
		return -err->code;
	payload_recall(&container);
	state_write_oci(&container.state, status, false, &json);
	puts(json.str);
	return 0;
}

const struct verb verb_state = {
	.name = "state",
	.usage = "ID",
	.summary = "print the state of a container",
	.options = no_options,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
