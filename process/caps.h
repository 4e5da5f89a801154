// caps: the five capability sets of a process as bit masks: bit n is capability number n
// (capabilities(7)).
#pragma once

#include "oci-spec/types.h"

#include <stdint.h>

struct cap_sets {
	uint64_t bounding, effective, inheritable, permitted, ambient;
};

// Reads the names. What is unknown, isn't in `grantable`, or can't be because of another set
// (effective and ambient ones must be permitted, ambient ones also inheritable) is left out, with a
// warning. `spec` may be NULL: no capabilities at all.
void caps_parse(const struct oci_capabilities *spec, uint64_t grantable, struct cap_sets *sets);
