// manager: what moat asks of systemd's manager, over D-Bus. Private to cgroups/.
//
// Each call opens a connection of its own and closes it again. The manager has a socket of its own,
// which takes the same calls without a bus daemon in between; where that can't be had, the bus is
// asked. All waiting is bounded. -ENOTSUP: systemd isn't running, or moat was built without it.
//
// org.freedesktop.systemd1(5).
#pragma once

#include "cgroups/unit.h"

#include <sys/types.h>

// Starts the unit, around the process `pid` if it is a scope, and waits until it has been started.
// A unit of that name that has failed is cleared away; one that is there is -EEXIST.
int manager_start_unit(const struct unit *unit, pid_t pid, struct err *err);

// Stops the unit and waits until it has gone. One that isn't there is no error.
int manager_stop_unit(const struct unit *unit, struct err *err);

// Changes properties of the unit until it is stopped. When this returns, systemd has done what it
// does to the cgroup.
int manager_change_unit(const struct unit *unit, const struct unit_properties *properties,
			struct err *err);

// The cgroup of the user's manager itself, in `arena`.
int manager_group(struct arena *arena, const char **group, struct err *err);
