// kill: sends a signal to a container's init, or to all its processes.

#include "base/log.h"
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

// `TERM`, `SIGTERM`, `15`, `RTMIN+3` or `RTMAX-2`, in any case of letters.
static int parse_signal(const char *word, struct err *err)
{
	const char *name = strncasecmp(word, "SIG", 3) == 0 ? word + 3 : word;
	int number;

	if (str_to_int(word, &number) == 0 && number > 0 && number < NSIG)
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

static int kill_one(const struct runtime *rt, const char *id, int sig, bool all, struct err *err)
{
	scope_container struct container container = { .dirfd = -1 };

	if (container_open(rt, id, CONTAINER_LOOK, &container, err) < 0)
		return -err->code;
	return lifecycle_signal(&container, sig, all, err);
}

static int run(const struct runtime *rt, const void *untyped, const struct option_rest *rest,
	       struct err *err)
{
	const struct settings *settings = untyped;
	struct oci_strings ids;
	int sig = rest->argc > 1 ? parse_signal(rest->argv[1], err) : SIGTERM;

	if (sig < 0 || match_ids(rt, rest->argv[0], settings->regex, &ids, err) < 0)
		return -err->code;
	bool failed = false;
	for (size_t i = 0; i < ids.n; i++) {
		if (failed)
			log_error("%s", err->msg);
		failed = kill_one(rt, ids.v[i], sig, settings->all, err) < 0;
	}
	return failed ? -err->code : 0;
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
