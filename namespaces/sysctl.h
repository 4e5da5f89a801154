// sysctl: linux.sysctl, the kernel parameters that belong to a namespace.
//
// A parameter of the host must not be changed by a container, so only keys are taken whose
// namespace the container has of its own. They are written through a procfs that moat has mounted
// itself: a name below the container's /proc could lead anywhere (CVE-2025-52881).
//
// config-linux.md "Sysctl"; sysctl(8) for the two ways to write a key; ipc_namespaces(7),
// network_namespaces(7).
#pragma once

#include "base/err.h"
#include "namespaces/namespaces.h"
#include "oci-spec/types.h"

// Every key is one of ipc (kernel.msg*, kernel.sem*, kernel.shm*, fs.mqueue.*), net (net.*) or uts
// (kernel.domainname), and the plan has that namespace, new or by a path other than that of moat's
// own (which is looked at, so this isn't pure). -EINVAL, naming the key.
int sysctl_check(const struct ns_plan *plan, const struct oci_pairs *sysctl, struct err *err);

// In the init: writes all values, in order. `procfd` is the root directory of a procfs, mounted by
// moat, detached.
int sysctl_apply(const struct oci_pairs *sysctl, int procfd, struct err *err);
