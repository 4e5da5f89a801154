// idmap: the id mappings of a user namespace, written from outside or looked at from inside.
//
// user_namespaces(7), "User and group ID mappings"; newuidmap(1).
#pragma once

#include "base/err.h"
#include "namespaces/namespaces.h"

#include <sys/types.h>

// In the parent, while the process `pid` in the new user namespace waits: writes its gid_map and
// uid_map. What moat has no right to write itself, newgidmap and newuidmap write; a mapping of the
// user's own id alone needs neither (setgroups(2) is given up for it).
int idmap_write(const struct ns_plan *plan, pid_t pid, struct err *err);

// In a process that has joined a user namespace, `proc` being its /proc/self: -EINVAL if the plan
// has mappings and the namespace has others.
int idmap_expect(const struct ns_plan *plan, int proc, struct err *err);

// In the process, when the mappings are there: becomes user and group 0, or the first ones mapped
// where 0 isn't, and leaves all supplementary groups if it may.
int idmap_become_root(const struct ns_plan *plan, struct err *err);
