// resources: linux.resources as writes to the files of v1 and v2. Private to cgroups/.
//
// Pure. A controller may sit in a hierarchy of either kind (on a hybrid host both occur at once),
// so each is looked up by itself and written in the way of the hierarchy where it was found.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "cgroups/place.h"
#include "oci-spec/types.h"

// Adds the writes for everything that `resources` sets to the `places`, and the device rules where
// `devices` is true. -ENOTSUP: no place has a controller that is needed. As for other runtimes a 0
// means "not set" for those limits that can't be 0.
int resources_plan(const struct oci_resources *resources, bool devices, struct places *places,
		   struct arena *arena, struct err *err);

// cpu.weight (1 to 10000) for cpu.shares (2 to 262144), on the curve that meets both minimums,
// defaults and maximums, as runc and crun have it.
unsigned int resources_cpu_weight(uint64_t shares);
