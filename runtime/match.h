// match: the containers that a verb's arguments name: by id, or with --regex by a pattern.
#pragma once

#include "base/err.h"
#include "oci-spec/types.h"
#include "runtime/runtime.h"

// With `regex`, `pattern` is a POSIX extended regular expression, and the result all ids that it matches (maybe none); otherwise the one id
// `pattern`, which need not exist. In rt->arena.
int match_ids(const struct runtime *rt, const char *pattern, bool regex, struct oci_strings *ids,
	      struct err *err);
