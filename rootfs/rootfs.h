// rootfs: what a container sees below `/`: mounts, devices, links, masks, and the way in.
//
// The plan is pure: the spec's mounts with their options decoded, the default devices and links, masked and read-only paths, in the order
// in which they are applied. The appliers run in the init, in its own mount namespace. Everything below the root is hostile: each target is opened with openat2 inside
// the root and used through its descriptor; what is mounted is attached to that descriptor (move_mount), so that nothing is resolved twice.
//
// config.md "Mounts", config-linux.md "Default Devices", "Devices", "Masked Paths", "Readonly Paths", "Rootfs Mount Propagation".
// Kernel documents: fsopen(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2), Documentation/filesystems/sharedsubtree.rst.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "oci-spec/types.h"

#include <stdbool.h>
#include <sys/types.h>

// One hierarchy for a mount of type `cgroup`: on v1 and hybrid hosts there is one directory (and mount) each below the destination.
struct rootfs_cgroup {
	const char *name;    // directory below the destination, as `memory`, `cpu,cpuacct`, `unified`
	const char *options; // as for mount(2): `memory`, `name=systemd`; NULL: it is v2
	const char *source;  // the container's cgroup, absolute on the host
};

// What the plan must know beside the spec.
struct rootfs_env {
	const char *rootfs; // absolute path of root.path
	bool userns;        // the init is in a user namespace of its own: device nodes can't be made, only bound
	bool new_cgroupns;  // it has a cgroup namespace of its own: cgroup file systems are mounted, otherwise bound
	bool new_netns;     // sysfs can be mounted only by the owner of the network namespace
	bool unified;       // the host is cgroup v2 alone
	bool no_pivot;      // --no-pivot: MS_MOVE and chroot
	LIST(struct rootfs_cgroup) cgroups; // in the order of the host; empty: cgroup mounts are refused
};

struct rootfs_plan;

// Unknown mount options go to the file system as data, as the spec says. -EINVAL for options that contradict each other; -ENOTSUP for what is not supported yet.
int rootfs_plan_make(const struct oci_spec *spec, const struct rootfs_env *env, struct arena *arena, struct rootfs_plan **plan,
		     struct err *err);
void rootfs_plan_print(const struct rootfs_plan *plan, struct text *out);

// In the parent, before the init is born: opens what only the parent may or should open (sources of bind mounts when a user namespace will take the rights away, idmapped
// mounts and the user namespaces behind them). The descriptors are inherited by the init, close-on-exec, and kept in the plan.
int rootfs_prepare(struct rootfs_plan *plan, struct err *err);

// In the init, in its new mount namespace: propagation of the old tree, the root, all mounts, devices and links. The old root is still `/` after it: createContainer hooks run next.
int rootfs_mount(struct rootfs_plan *plan, struct err *err);

// In the init: makes the root `/` (pivot_root, or MS_MOVE and chroot) and drops the old tree.
int rootfs_enter(struct rootfs_plan *plan, struct err *err);

// In the init, inside: /dev/console when `console_fd` (the container's terminal) isn't -1; read-only root, read-only and masked paths, propagation as linux.rootfsPropagation says.
int rootfs_seal(struct rootfs_plan *plan, int console_fd, struct err *err);

// The mount options that `moat features` lists ("Mount options" in features.md): `count` names, static.
const char *const *rootfs_mount_options(size_t *count);
