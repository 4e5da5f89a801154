#include "oci-spec/features.h"

#include "oci-spec/fields.h"
#include "oci-spec/spec.h"

// A flag that is false says so; left out it would mean "unknown".
#define FLAG(T, member) VALUE(T, member), .flags = FIELD_WRITTEN

static const struct field enabled_fields[] = {
	{ "enabled", FLAG(features_enabled, enabled) },
};
static const struct object enabled_object = OBJECT_OF(features_enabled, enabled_fields);

static const struct field cgroup_fields[] = {
	{ "v1", FLAG(features_cgroup, v1) },
	{ "v2", FLAG(features_cgroup, v2) },
	{ "systemd", FLAG(features_cgroup, systemd) },
	{ "systemdUser", FLAG(features_cgroup, systemd_user) },
	{ "rdma", FLAG(features_cgroup, rdma) },
};
static const struct object cgroup_object = OBJECT_OF(features_cgroup, cgroup_fields);

static const struct field seccomp_fields[] = {
	{ "enabled", FLAG(features_seccomp, enabled) },
	{ "actions", VALUE(features_seccomp, actions) },
	{ "operators", VALUE(features_seccomp, operators) },
	{ "archs", VALUE(features_seccomp, archs) },
	{ "knownFlags", VALUE(features_seccomp, known_flags) },
	{ "supportedFlags", VALUE(features_seccomp, supported_flags) },
};
static const struct object features_seccomp_object = OBJECT_OF(features_seccomp, seccomp_fields);

static const struct field intel_rdt_fields[] = {
	{ "enabled", FLAG(features_intel_rdt, enabled) },
	{ "schemata", FLAG(features_intel_rdt, schemata) },
	{ "monitoring", FLAG(features_intel_rdt, monitoring) },
};
static const struct object intel_rdt_object = OBJECT_OF(features_intel_rdt, intel_rdt_fields);

static const struct field memory_policy_fields[] = {
	{ "modes", VALUE(features_memory_policy, modes) },
	{ "flags", VALUE(features_memory_policy, flags) },
};
static const struct object memory_policy_object = OBJECT_OF(features_memory_policy,
							    memory_policy_fields);

static const struct field mount_extensions_fields[] = {
	{ "idmap", OBJECT(features_mount_extensions, idmap, enabled_object) },
};
static const struct object mount_extensions_object = OBJECT_OF(features_mount_extensions,
							       mount_extensions_fields);

static const struct field linux_fields[] = {
	{ "namespaces", VALUE(features_linux, namespaces) },
	{ "capabilities", VALUE(features_linux, capabilities) },
	{ "cgroup", OBJECT(features_linux, cgroup, cgroup_object) },
	{ "seccomp", OBJECT(features_linux, seccomp, features_seccomp_object) },
	{ "apparmor", OBJECT(features_linux, apparmor, enabled_object) },
	{ "selinux", OBJECT(features_linux, selinux, enabled_object) },
	{ "intelRdt", OBJECT(features_linux, intel_rdt, intel_rdt_object) },
	{ "memoryPolicy", POINTER(features_linux, memory_policy, memory_policy_object) },
	{ "mountExtensions", OBJECT(features_linux, mount_extensions, mount_extensions_object) },
	{ "netDevices", OBJECT(features_linux, net_devices, enabled_object) },
};
static const struct object features_linux_object = OBJECT_OF(features_linux, linux_fields);

static const struct field features_fields[] = {
	{ "ociVersionMin", VALUE(features, oci_version_min) },
	{ "ociVersionMax", VALUE(features, oci_version_max) },
	{ "hooks", VALUE(features, hooks) },
	{ "mountOptions", VALUE(features, mount_options) },
	{ "linux", OBJECT(features, linux, features_linux_object) },
	{ "annotations", VALUE(features, annotations) },
	{ "potentiallyUnsafeConfigAnnotations",
	  VALUE(features, potentially_unsafe_config_annotations) },
};
static const struct object features_object = OBJECT_OF(features, features_fields);

static struct oci_strings list_words(const struct words *words, struct arena *arena)
{
	struct oci_strings list = { .v = arena_new(arena, char *, words->n + 1), .n = words->n };

	for (size_t i = 0; i < words->n; i++)
		list.v[i] = (char *)words->v[i].name;
	return list;
}

static struct oci_strings list_fields(const struct object *object, struct arena *arena)
{
	struct oci_strings list = { .v = arena_new(arena, char *, object->count + 1),
				    .n = object->count };

	for (size_t i = 0; i < object->count; i++)
		list.v[i] = (char *)object->fields[i].name;
	return list;
}

void features_init(struct features *features, struct arena *arena)
{
	*features = (struct features){
		.oci_version_min = "1.0.0",
		.oci_version_max = SPEC_VERSION,
		.hooks = list_fields(&hooks_object, arena),
		.linux.namespaces = list_words(&namespace_words, arena),
		.linux.seccomp.actions = list_words(&seccomp_action_words, arena),
		.linux.seccomp.operators = list_words(&seccomp_op_words, arena),
		.linux.seccomp.archs = list_words(&seccomp_arch_words, arena),
		.linux.seccomp.known_flags = list_words(&seccomp_flag_words, arena),
	};
}

void features_write(const struct features *features, struct text *out)
{
	struct json_writer writer = { .out = out, .indent = "    " };

	bind_write(&features_object, features, &writer, NULL);
}
