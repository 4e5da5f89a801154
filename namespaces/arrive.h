// arrive: joining namespaces, by the child itself (ns_arrive()) or by the stage before it is born.
#pragma once

#include "base/err.h"
#include "namespaces/namespaces.h"

#include <stdint.h>

// Joins, one by one, what is pending among `flags`, as far as the rights go: those that need others
// stay pending, which isn't an error yet, but leaves one in *err.
int ns_join_each(const struct ns_plan *plan, struct ns_spawn *spawn, uint64_t flags,
		 struct err *err);

// Joins all that is pending at once, from spawn->target, and is hidden from those who live there.
int ns_join_target(struct ns_spawn *spawn, struct err *err);
