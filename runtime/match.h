// match: the containers that a verb's arguments name, by id or, with --regex, by a pattern; and
// doing something to each.
#pragma once

#include "base/err.h"
#include "oci-spec/types.h"
#include "runtime/runtime.h"

// Adds to *ids, in rt->arena. With `regex`, `pattern` is a POSIX extended regular expression, and
// what is added all ids that it matches (maybe none); otherwise the one id `pattern`, which need
// not exist.
int match_ids(const struct runtime *rt, const char *pattern, bool regex, struct oci_strings *ids,
	      struct err *err);

// Calls `act` for each id. One that fails doesn't keep the others from their turn: its error is
// logged, but for the last, which is returned.
int match_each(const struct runtime *rt, const struct oci_strings *ids,
	       int (*act)(const struct runtime *rt, const char *id, const void *arg,
			  struct err *err),
	       const void *arg, struct err *err);
