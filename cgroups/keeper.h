// keeper: a process that does nothing but be in a scope. Private to cgroups/.
//
// systemd starts a scope around processes that are there, and ends it when the last has gone; but
// the container's init is to be born in the scope's cgroup. Until then the keeper holds it open. It
// has no descriptor, and goes with the process that has started it, whatever ends that.
#pragma once

#include "base/err.h"

#include <sys/types.h>

// Returns the pid, a child of the caller's, or negative errno.
pid_t keeper_start(struct err *err);

// Ends *keeper and waits for it; 0: there is none. Leaves 0.
void keeper_end(pid_t *keeper);
