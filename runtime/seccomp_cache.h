// seccomp_cache: where compiled seccomp filters are kept: ROOT/@seccomp, a name that no container
// can have.
#pragma once

#include "base/err.h"
#include "oci-spec/types.h"
#include "process/process.h"
#include "runtime/runtime.h"

// process_filter_load() through the cache, into rt->arena. `profile` NULL: no filter.
int seccomp_cache_load(const struct runtime *rt, const struct oci_seccomp *profile,
		       struct process_filter *filter, struct err *err);
