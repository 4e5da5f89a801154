// config-linux.md, except for what a container may use (fields-resources.c) and may call
// (fields-seccomp.c).
#include "oci-spec/fields.h"

const struct words namespace_words =
	WORDS(WORD_FOR(OCI_NS_CGROUP, "cgroup"), WORD_FOR(OCI_NS_IPC, "ipc"),
	      WORD_FOR(OCI_NS_MOUNT, "mount"), WORD_FOR(OCI_NS_NETWORK, "network"),
	      WORD_FOR(OCI_NS_PID, "pid"), WORD_FOR(OCI_NS_TIME, "time"),
	      WORD_FOR(OCI_NS_USER, "user"), WORD_FOR(OCI_NS_UTS, "uts"));

static const struct words device_words = WORDS(WORD_FOR('c', "c"), WORD_FOR('c', "u"),
					       WORD_FOR('b', "b"), WORD_FOR('p', "p"));

// The four that config-linux.md names, and their recursive forms, which runc and crun take.
static const struct words propagation_words =
	WORDS(WORD("shared"), WORD("slave"), WORD("private"), WORD("unbindable"), WORD("rshared"),
	      WORD("rslave"), WORD("rprivate"), WORD("runbindable"));

static const struct words personality_words = WORDS(WORD("LINUX"), WORD("LINUX32"));

const struct words memory_policy_mode_words =
	WORDS(WORD("MPOL_DEFAULT"), WORD("MPOL_BIND"), WORD("MPOL_INTERLEAVE"),
	      WORD("MPOL_WEIGHTED_INTERLEAVE"), WORD("MPOL_PREFERRED"), WORD("MPOL_PREFERRED_MANY"),
	      WORD("MPOL_LOCAL"));

const struct words memory_policy_flag_words = WORDS(
	WORD("MPOL_F_NUMA_BALANCING"), WORD("MPOL_F_RELATIVE_NODES"), WORD("MPOL_F_STATIC_NODES"));

static const struct field namespace_fields[] = {
	{ "type", ENUM(oci_namespace, type, namespace_words), .flags = FIELD_REQUIRED },
	{ "path", VALUE(oci_namespace, path), .flags = FIELD_ABSOLUTE },
};
static const struct object namespace_object = OBJECT_OF(oci_namespace, namespace_fields);

static const struct field time_offset_fields[] = {
	{ "secs", VALUE(oci_time_offset, secs) },
	{ "nanosecs", VALUE(oci_time_offset, nanosecs), RANGE(0, 999999999) },
};
static const struct object time_offset_object = OBJECT_OF(oci_time_offset, time_offset_fields);

// A map from clocks to offsets; these two are the clocks that a time namespace has.
static const struct field time_offsets_fields[] = {
	{ "boottime", POINTER(oci_time_offsets, boottime, time_offset_object) },
	{ "monotonic", POINTER(oci_time_offsets, monotonic, time_offset_object) },
};
static const struct object time_offsets_object = {
	FIELDS(time_offsets_fields),
	.size = sizeof(struct oci_time_offsets),
	.closed = true,
};

static const struct field device_fields[] = {
	{ "path", VALUE(oci_device, path), .flags = FIELD_REQUIRED | FIELD_ABSOLUTE },
	{ "type", CHAR(oci_device, type, device_words), .flags = FIELD_REQUIRED },
	{ "major", VALUE(oci_device, major), MAJOR_RANGE(0), .flags = FIELD_WRITTEN },
	{ "minor", VALUE(oci_device, minor), MINOR_RANGE(0), .flags = FIELD_WRITTEN },
	// Some engines leave the bits of the type in.
	{ "fileMode", VALUE(oci_device, file_mode), RANGE(0, 0177777) },
	{ "uid", VALUE(oci_device, uid) },
	{ "gid", VALUE(oci_device, gid) },
};
static const struct object device_object = OBJECT_OF(oci_device, device_fields);

static const struct field net_device_fields[] = {
	{ "name", VALUE(oci_net_device, name) },
};
static const struct object net_device_object = {
	FIELDS(net_device_fields),
	.size = sizeof(struct oci_net_device),
	.key = offsetof(struct oci_net_device, host_name),
};

static const struct field intel_rdt_fields[] = {
	{ "closID", VALUE(oci_intel_rdt, clos_id) },
	{ "schemata", VALUE(oci_intel_rdt, schemata) },
	{ "l3CacheSchema", VALUE(oci_intel_rdt, l3_cache_schema) },
	{ "memBwSchema", VALUE(oci_intel_rdt, mem_bw_schema) },
	{ "enableCMT", VALUE(oci_intel_rdt, enable_cmt) },
	{ "enableMBM", VALUE(oci_intel_rdt, enable_mbm) },
	{ "enableMonitoring", VALUE(oci_intel_rdt, enable_monitoring) },
};
static const struct object intel_rdt_object = OBJECT_OF(oci_intel_rdt, intel_rdt_fields);

static const struct field memory_policy_fields[] = {
	{ "mode", VALUE(oci_memory_policy, mode), .words = &memory_policy_mode_words,
	  .flags = FIELD_REQUIRED },
	{ "nodes", VALUE(oci_memory_policy, nodes) },
	{ "flags", VALUE(oci_memory_policy, flags), .words = &memory_policy_flag_words },
};
static const struct object memory_policy_object = OBJECT_OF(oci_memory_policy,
							    memory_policy_fields);

static const struct field personality_fields[] = {
	{ "domain", VALUE(oci_personality, domain), .words = &personality_words,
	  .flags = FIELD_REQUIRED },
	{ "flags", VALUE(oci_personality, flags) },
};
static const struct object personality_object = OBJECT_OF(oci_personality, personality_fields);

static const struct field linux_fields[] = {
	{ "uidMappings", OBJECTS(oci_linux, uid_mappings, id_mapping_object) },
	{ "gidMappings", OBJECTS(oci_linux, gid_mappings, id_mapping_object) },
	{ "sysctl", VALUE(oci_linux, sysctl) },
	{ "resources", POINTER(oci_linux, resources, resources_object) },
	{ "cgroupsPath", VALUE(oci_linux, cgroups_path) },
	{ "namespaces", OBJECTS(oci_linux, namespaces, namespace_object) },
	{ "devices", OBJECTS(oci_linux, devices, device_object) },
	{ "netDevices", MAP(oci_linux, net_devices, net_device_object) },
	{ "seccomp", POINTER(oci_linux, seccomp, seccomp_object) },
	{ "rootfsPropagation", VALUE(oci_linux, rootfs_propagation), .words = &propagation_words },
	{ "maskedPaths", VALUE(oci_linux, masked_paths), .flags = FIELD_ABSOLUTE },
	{ "readonlyPaths", VALUE(oci_linux, readonly_paths), .flags = FIELD_ABSOLUTE },
	{ "mountLabel", VALUE(oci_linux, mount_label) },
	{ "intelRdt", POINTER(oci_linux, intel_rdt, intel_rdt_object) },
	{ "memoryPolicy", POINTER(oci_linux, memory_policy, memory_policy_object) },
	{ "personality", POINTER(oci_linux, personality, personality_object) },
	{ "timeOffsets", POINTER(oci_linux, time_offsets, time_offsets_object) },
};
const struct object linux_object = OBJECT_OF(oci_linux, linux_fields);
