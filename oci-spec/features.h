// features: what moat can do, as the document of features.md and features-linux.md.
//
// What follows from the tables that config.json is read by is filled in here: the versions, the
// hooks, the namespaces, seccomp's words. What only the appliers know (mount options, capabilities,
// cgroup managers, ...) the caller adds. Every structure stands for the JSON object of its name;
// a list that is empty, or a pointer that is NULL, is left out, which means "unknown".
#pragma once

#include "base/arena.h"
#include "base/str.h"
#include "oci-spec/types.h"

struct features_enabled {
	bool enabled;
};

struct features_cgroup {
	bool v1, v2, systemd, systemd_user, rdma;
};

struct features_seccomp {
	bool enabled;
	struct oci_strings actions, operators, archs;
	struct oci_strings known_flags, supported_flags; // in config.json; on this kernel too
};

struct features_intel_rdt {
	bool enabled, schemata, monitoring;
};

struct features_memory_policy {
	struct oci_strings modes, flags;
};

struct features_mount_extensions {
	struct features_enabled idmap;
};

struct features_linux {
	struct oci_strings namespaces, capabilities;
	struct features_cgroup cgroup;
	struct features_seccomp seccomp;
	struct features_enabled apparmor, selinux;
	struct features_intel_rdt intel_rdt;
	struct features_memory_policy *memory_policy;
	struct features_mount_extensions mount_extensions;
	struct features_enabled net_devices;
};

struct features {
	const char *oci_version_min, *oci_version_max;
	struct oci_strings hooks, mount_options;
	struct features_linux linux;
	struct oci_pairs annotations;
	struct oci_strings potentially_unsafe_config_annotations;
};

// What the tables know; everything else is false, empty or NULL. Lists live in `arena`.
void features_init(struct features *features, struct arena *arena);

// Adds the document, indented by four spaces as runc's, to `out`.
void features_write(const struct features *features, struct text *out);
