// plan: the data that the planner writes and the appliers run. Internal to rootfs/.
//
// Everything above a "state" line is decided by rootfs_plan_make() and printable; what is below it
// are the descriptors that appear while the plan is applied.
#pragma once

#include "rootfs/options.h"
#include "rootfs/rootfs.h"

enum mount_kind {
	MOUNT_BIND,
	MOUNT_FS,
	MOUNT_REMOUNT,
	MOUNT_SYMLINK, // of a cgroup v1 controller to the directory that it shares
};

struct mount_op {
	enum mount_kind kind;
	const char *target; // clean and absolute, in the container
	const char *source; // BIND: absolute on the host; FS: its source; SYMLINK: what it says
	const char *fstype;
	const char *label;     // SELinux context; NULL: none
	const char *or_source; // BIND: where `source` isn't there; NULL: an error
	const char *fallback;  // FS: source of a bind where the kernel refuses us; NULL: none
	struct mount_options options;
	bool late_readonly; // becomes read-only when all that lies in it is made
	const struct oci_id_mappings *uid_mappings, *gid_mappings; // of the idmap
	const char *userns_path; // of the idmap, instead of mappings; NULL: none

	// state
	int source_fd; // detached mount that the parent made, or -1
	int userns_fd; // behind the idmap, or -1
	int fd;	       // the attached mount, where it is needed later, or -1
};

struct device_op {
	const char *path;
	mode_t mode; // with the type
	dev_t dev;
	uid_t uid;
	gid_t gid;
	bool bind; // the host's node is bound, as none can be made
};

struct rootfs_plan {
	const char *rootfs;
	unsigned int old_propagation;	// MS_*: what the host's tree becomes in our namespace
	unsigned int final_propagation; // MS_* of the root in the end; 0: as it is
	bool readonly, no_pivot;
	bool for_guest;	  // struct rootfs_env
	bool own_sources; // of bind mounts: below the root, as it was before
	bool userns;	  // the parent opens the sources, for the init may lack the rights
	struct mount_op *mounts;
	size_t mount_count;
	bool setup_dev; // make devices and links: /dev is the container's own
	struct device_op *devices;
	size_t device_count;
	struct oci_strings masked, readonly_paths;
	const char *label; // linux.mountLabel

	// state
	int source_root_fd;	// with own_sources: the root without the plan's mounts, or -1
	int root_fd;		// the root's mount: detached, then at rootfs, then at /
	int proc_fd;		// a procfs of the container's pid namespace, or -1
	uint64_t proc_mount_id; // of what is mounted on /proc; 0: nothing yet
};

// The container's own /dev, which must be a directory and no link to one (CVE-2026-41579).
#define DEV_DIR "/dev"
