// unified: what only v2 asks for: controllers handed down, domains and threads, device programs.
// Private to cgroups/.
//
// Documentation/admin-guide/cgroup-v2.rst, "Organizing Processes and Threads" and "Device
// controller".
#pragma once

#include "base/err.h"
#include "cgroups/devices.h"
#include "cgroups/place.h"

// Where v2 is mounted, on a unified and on a hybrid host.
#define UNIFIED_ROOT "/sys/fs/cgroup"
#define HYBRID_ROOT  UNIFIED_ROOT "/unified"

// Gives the place the controllers of place->enable, by enabling them in every group above it; an
// error if one can't be had. Those of `wanted` besides are given where nothing is against it.
int unified_enable(const struct place *place, const char *wanted, struct err *err);

// Attaches the rules to the place as a program, in the stead of every one that is attached there. A
// `fresh` place has none yet.
int unified_attach_devices(const struct place *place, bool fresh, struct err *err);
