// rootfs: what a container sees below `/`: mounts, devices, links, masks, and the way in.
//
// The plan is pure: the spec's mounts with their options decoded, the devices and links, masked and
// read-only paths, in the order in which they are applied. The appliers run in the init, in its own
// mount namespace, in the order of this header. What a plan needs from the spec it points to, so
// the spec must live as long.
//
// Everything below the root is hostile: each target is opened once, with openat2(2) inside the
// root, and used through its descriptor; what is mounted is made detached (fsmount(2),
// open_tree(2)), dressed, and attached to that descriptor (move_mount(2)). No name is resolved
// twice. Needs Linux 5.12.
//
// Does not: relabel files, write sysctls, open the container's terminal, or run hooks.
//
// config.md "Mounts", config-linux.md "Default Devices", "Devices", "Masked Paths", "Readonly
// Paths", "Rootfs Mount Propagation". Kernel: fsopen(2), fsmount(2), open_tree(2), move_mount(2),
// mount_setattr(2), Documentation/filesystems/sharedsubtree.rst.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "oci-spec/types.h"

#include <stdbool.h>
#include <sys/types.h>

// One hierarchy for a mount of type `cgroup`: on v1 and hybrid hosts each has a directory (and a
// mount) below the destination.
struct rootfs_cgroup {
	const char *name;   // directory below the destination: `memory`, `cpu,cpuacct`, `unified`
	const char *source; // the container's cgroup in it, absolute on the host
	const char *or_source; // shown where there is no such: an ordinary user may not make one in
			       // every hierarchy; NULL: that is an error
};

// What the plan must know beside the spec.
struct rootfs_env {
	const char *bundle; // absolute; relative sources of bind mounts start here
	const char *rootfs; // absolute path of root.path
	// The init is in a user namespace other than the host's first one: it can't make device
	// nodes.
	bool userns;
	bool new_cgroupns; // it has a cgroup namespace of its own: cgroup2 is mounted, not bound
	bool new_netns;	   // sysfs can be mounted only by the owner of the network namespace
	bool unified;	   // the host is cgroup v2 alone
	bool no_pivot;	   // --no-pivot: MS_MOVE and chroot
	// The root is another kernel's, which has a /dev and a /proc of its own: here are no devices and links,
	// and anything may stand in for its procfs.
	bool for_guest;
	// Bind mounts show something of the root itself, as it is before anything is mounted in it:
	// their sources are resolved inside.
	bool own_sources;
	const struct rootfs_cgroup *cgroups; // in the host's order; none: cgroup mounts are refused
	size_t cgroup_count;
};

struct rootfs_plan;

// Decides everything that can be decided without looking at the system. Unknown mount options go to
// the file system as data, as the spec says; of options that contradict each other the last one
// wins. -EINVAL: a mount over `/`, over /proc by something that isn't procfs or inside /proc where
// only lxcfs-like files may be, an idmap without mappings, a bad propagation, no mount namespace.
int rootfs_plan_make(const struct oci_spec *spec, const struct rootfs_env *env, struct arena *arena,
		     struct rootfs_plan **plan, struct err *err);

// One line an operation, in order, for --debug and golden files.
void rootfs_plan_print(const struct rootfs_plan *plan, struct text *out);

// In the parent, before the init is born: opens what the init won't have the rights for: the root
// and the sources of bind mounts when it gets a user namespace, idmapped mounts and the user
// namespaces behind them. The plan owns the descriptors (close-on-exec); the init inherits them.
int rootfs_prepare(struct rootfs_plan *plan, struct err *err);

// Closes every descriptor that the plan owns. For the parent, once the init is born or has failed
// to be; the init may leave it to execve(2).
void rootfs_release(struct rootfs_plan *plan);

// In the init, in its new mount namespace: the propagation of the old tree, the root, all mounts,
// devices and links. The old root is still `/` afterwards and the new one lies at env.rootfs:
// createContainer hooks run now.
int rootfs_mount(struct rootfs_plan *plan, struct err *err);

// In the init, after rootfs_mount(): the root of a real procfs of the init's pid namespace, which
// nothing in the container can have replaced, for moat's own writes (sysctls, /proc/self/attr). To
// stay in it, open with RESOLVE_NO_XDEV, and before rootfs_seal(). Returns an O_PATH descriptor
// that the plan owns.
int rootfs_procfs(struct rootfs_plan *plan, struct err *err);

// In the init: makes the root `/` (pivot_root(2), or MS_MOVE and chroot), drops the old tree, and
// goes to the new `/`.
int rootfs_enter(struct rootfs_plan *plan, struct err *err);

// In the init, inside, when all writes below the root are done: /dev/console from the container's
// terminal (`console_fd`: the slave's descriptor, not owned; -1: none), read-only and masked paths,
// linux.rootfsPropagation, read-only root.
int rootfs_seal(struct rootfs_plan *plan, int console_fd, struct err *err);

// The mount options that `moat features` lists ("Mount options" in features.md): sorted, static,
// `count` of them.
const char *const *rootfs_mount_options(size_t *count);
