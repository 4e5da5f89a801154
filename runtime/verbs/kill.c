// kill: sends a signal to a container's init, or to all its processes.

#include "base/str.h"
#include "runtime/lifecycle.h"
#include "runtime/match.h"

#include <signal.h>

struct settings {
	bool all, regex;
};

#define AT(member) offsetof(struct settings, member)
static const struct option_row options[] = {
	{ "all", 'a', OPTION_FLAG, AT(all), NULL, "signal all processes of the container" },
	{ "regex", 'r', OPTION_FLAG, AT(regex), NULL, "ID is a regular expression for ids" },
	{ 0 },
};
#undef AT

// 0 asks whether there is a process, as for kill(2). `TERM`, `SIGTERM`, `15`, `RTMIN+3` or
// `RTMAX-2`, in any case of letters.
static int parse_signal(const char *word, struct err *err)
{
	const char *name = strncasecmp(word, "SIG", 3) == 0 ? word + 3 : word;
	int number;

	if (str_to_int(word, &number) == 0 && number >= 0 && number < NSIG)
		return number;
	for (number = 1; number < NSIG; number++) {
		const char *abbreviation = sigabbrev_np(number);
		if (abbreviation && strcasecmp(name, abbreviation) == 0)
			return number;
	}
	if (strncasecmp(name, "RTMIN", 5) == 0 && (name[5] == '+' || !name[5]) &&
	    str_to_int(name[5] ? name + 6 : "0", &number) == 0 && number >= 0 &&
	    number <= SIGRTMAX - SIGRTMIN)
		return SIGRTMIN + number;
	if (strncasecmp(name, "RTMAX", 5) == 0 && (name[5] == '-' || !name[5]) &&
	    str_to_int(name[5] ? name + 6 : "0", &number) == 0 && number >= 0 &&
	    number <= SIGRTMAX - SIGRTMIN)
		return SIGRTMAX - number;
	return err_set(err, EINVAL, "unknown signal `%s`", word);
}

struct order {
	int sig;
	bool all;
};

static int kill_one(const struct runtime *rt, const char *id, const void *untyped, struct err *err)
{
	const struct order *order = untyped;
	scope_container struct container container = { .dirfd = -1 };

	if (container_open(rt, id, CONTAINER_LOOK, &container, err) < 0)
		return -err->code;
	return lifecycle_signal(&container, order->sig, order->all, err);
}

static int run(const struct runtime *rt, const void *untyped, const struct option_rest *rest,
	       struct err *err)
{
	const struct settings *settings = untyped;
	struct order order = { .sig = SIGTERM, .all = settings->all };
	struct oci_strings ids = { 0 };

	if (rest->argc > 1 && (order.sig = parse_signal(rest->argv[1], err)) < 0)
		return order.sig;
	if (match_ids(rt, rest->argv[0], settings->regex, &ids, err) < 0)
		return -err->code;
	return match_each(rt, &ids, kill_one, &order, err);
}

const struct verb verb_kill = {
	.name = "kill",
	.usage = "ID [SIGNAL]",
	.summary = "send a signal (default: TERM) to a container",
	.options = options,
	.settings_size = sizeof(struct settings),
	.min_args = 1,
	.max_args = 2,
	.run = run,
};
