// split: what of a spec the host applies, and what the guest does.
//
// Pure: two specs out of one, both for the code of container mode. The host's has what is the host's:
// namespaces, cgroup, all hooks but startContainer, and of the mounts those that show something of
// the host (bind mounts, real file systems), with a tmpfs where one of these lies below a file
// system that the guest makes. The guest's has the rest, in the spec's order; its root holds
// what the host has mounted already.
//
// A mount of the host is therefore nothing to the guest; unless it lies below one of the guest's, or
// has flags that only the guest's kernel can enforce (nosuid, nodev, noexec, nosymfollow, times of
// access): then the guest binds it from that place of the root, as that was before the first mount
// (`own_sources` in rootfs/rootfs.h), to the same place. Bind mounts of the host's /proc, /sys,
// /sys/fs/cgroup, /dev/pts and /dev/mqueue are the guest's own file systems of these kinds.
//
// Limits on time, and what is promised of memory, stand in both cgroups. The container's own amounts of memory and
// processes are the guest's; the host's cgroup has room for the VM around them (vm-mode/size.h). What names the
// host's hardware (swap, cpuset, block devices, huge pages, RDMA, networks' classes) is the host's alone. User and
// network namespace are the host's alone, too: files appear with the container's ids, and the guest's network is the
// container's.
//
// docs/vm-mode.md, "How a spec is divided"; config.md, config-linux.md.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "oci-spec/types.h"

#include <stdbool.h>

// linux.cgroupsPath of the guest's part.
#define VM_SPLIT_CGROUP "/container"

// Both parts live in `arena` and point into `spec`. The host's keeps process, annotations and `vm`
// for whoever needs to look; only mounts, masks, devices, sysctls and seccomp are to be applied from
// it, and of those it has what is the host's. -ENOTSUP, naming the field: what can't reach a guest.
int vm_split(const struct oci_spec *spec, struct arena *arena, const struct oci_spec **host,
	     const struct oci_spec **guest, struct err *err);

// Whose is a file of cgroup v2 that a spec names (linux.resources.unified)?
struct vm_split_owner {
	bool guest, host;
};
struct vm_split_owner vm_split_file(const char *file);

// The guest's part of limits that come later (`update`). NULL gives NULL.
const struct oci_resources *vm_split_resources(const struct oci_resources *resources,
					       struct arena *arena);

// The guest's part of a process (`exec`): without what is the host's to apply (LSM labels, CPU
// lists).
const struct oci_process *vm_split_process(const struct oci_process *process, struct arena *arena);
