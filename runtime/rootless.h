// rootless: moat without the host's root.
//
// An ordinary user has the rights to make a container only in a user namespace of its own. Where
// the spec has none it gets one, in which its root is the caller, followed by the ranges that
// /etc/subuid and /etc/subgid give to the caller (subuid(5)); newuidmap(1) maps those.
#pragma once

#include "base/arena.h"
#include "oci-spec/types.h"

#include <stdbool.h>

// True for an ordinary user, and for the root of a user namespace that isn't the host's.
bool rootless_detect(void);

// The spec as the caller may run it; as it is if it has a user namespace, or if the caller is some
// root. In `arena`; points into `spec`.
const struct oci_spec *rootless_extend(const struct oci_spec *spec, struct arena *arena);
