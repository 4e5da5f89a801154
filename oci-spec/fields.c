// config.md: everything that is not below `linux` or `vm`.
#include "oci-spec/fields.h"

static const struct words rlimit_words =
	WORDS(WORD("RLIMIT_AS"), WORD("RLIMIT_CORE"), WORD("RLIMIT_CPU"), WORD("RLIMIT_DATA"),
	      WORD("RLIMIT_FSIZE"), WORD("RLIMIT_LOCKS"), WORD("RLIMIT_MEMLOCK"),
	      WORD("RLIMIT_MSGQUEUE"), WORD("RLIMIT_NICE"), WORD("RLIMIT_NOFILE"),
	      WORD("RLIMIT_NPROC"), WORD("RLIMIT_RSS"), WORD("RLIMIT_RTPRIO"),
	      WORD("RLIMIT_RTTIME"), WORD("RLIMIT_SIGPENDING"), WORD("RLIMIT_STACK"));

static const struct words scheduler_policy_words =
	WORDS(WORD("SCHED_OTHER"), WORD("SCHED_FIFO"), WORD("SCHED_RR"), WORD("SCHED_BATCH"),
	      WORD("SCHED_ISO"), WORD("SCHED_IDLE"), WORD("SCHED_DEADLINE"));

static const struct words scheduler_flag_words = WORDS(
	WORD("SCHED_FLAG_RESET_ON_FORK"), WORD("SCHED_FLAG_RECLAIM"), WORD("SCHED_FLAG_DL_OVERRUN"),
	WORD("SCHED_FLAG_KEEP_POLICY"), WORD("SCHED_FLAG_KEEP_PARAMS"),
	WORD("SCHED_FLAG_UTIL_CLAMP_MIN"), WORD("SCHED_FLAG_UTIL_CLAMP_MAX"));

static const struct words io_class_words = WORDS(WORD("IOPRIO_CLASS_RT"), WORD("IOPRIO_CLASS_BE"),
						 WORD("IOPRIO_CLASS_IDLE"));

// The kernel's winsize has 16 bits.
static const struct field console_size_fields[] = {
	{ "height", VALUE(oci_console_size, height), RANGE(0, 65535), .flags = FIELD_REQUIRED },
	{ "width", VALUE(oci_console_size, width), RANGE(0, 65535), .flags = FIELD_REQUIRED },
};
static const struct object console_size_object = OBJECT_OF(oci_console_size, console_size_fields);

static const struct field user_fields[] = {
	{ "uid", VALUE(oci_user, uid), .flags = FIELD_WRITTEN },
	{ "gid", VALUE(oci_user, gid), .flags = FIELD_WRITTEN },
	{ "umask", VALUE(oci_user, umask), RANGE(0, 0777) },
	{ "additionalGids", NUMBERS(oci_user, additional_gids) },
};
static const struct object user_object = OBJECT_OF(oci_user, user_fields);

static const struct field capabilities_fields[] = {
	{ "bounding", VALUE(oci_capabilities, bounding) },
	{ "effective", VALUE(oci_capabilities, effective) },
	{ "inheritable", VALUE(oci_capabilities, inheritable) },
	{ "permitted", VALUE(oci_capabilities, permitted) },
	{ "ambient", VALUE(oci_capabilities, ambient) },
};
static const struct object capabilities_object = OBJECT_OF(oci_capabilities, capabilities_fields);

static const struct field rlimit_fields[] = {
	{ "type", VALUE(oci_rlimit, type), .words = &rlimit_words, .flags = FIELD_REQUIRED },
	{ "hard", VALUE(oci_rlimit, hard), .flags = FIELD_REQUIRED },
	{ "soft", VALUE(oci_rlimit, soft), .flags = FIELD_REQUIRED },
};
static const struct object rlimit_object = OBJECT_OF(oci_rlimit, rlimit_fields);

static const struct field scheduler_fields[] = {
	{ "policy", VALUE(oci_scheduler, policy), .words = &scheduler_policy_words,
	  .flags = FIELD_REQUIRED },
	{ "nice", VALUE(oci_scheduler, nice), RANGE(-20, 19) },
	{ "priority", VALUE(oci_scheduler, priority) },
	{ "flags", VALUE(oci_scheduler, flags), .words = &scheduler_flag_words },
	{ "runtime", VALUE(oci_scheduler, runtime) },
	{ "deadline", VALUE(oci_scheduler, deadline) },
	{ "period", VALUE(oci_scheduler, period) },
};
static const struct object scheduler_object = OBJECT_OF(oci_scheduler, scheduler_fields);

static const struct field io_priority_fields[] = {
	{ "class", VALUE(oci_io_priority, class), .words = &io_class_words,
	  .flags = FIELD_REQUIRED },
	{ "priority", VALUE(oci_io_priority, priority), RANGE(0, 7), .flags = FIELD_WRITTEN },
};
static const struct object io_priority_object = OBJECT_OF(oci_io_priority, io_priority_fields);

static const struct field exec_cpu_affinity_fields[] = {
	{ "initial", VALUE(oci_exec_cpu_affinity, initial) },
	{ "final", VALUE(oci_exec_cpu_affinity, final) },
};
static const struct object exec_cpu_affinity_object = OBJECT_OF(oci_exec_cpu_affinity,
								exec_cpu_affinity_fields);

// `user` and its ids are REQUIRED in config.md but not in the specification's own schema, and runc
// takes 0 for them.
static const struct field process_fields[] = {
	{ "terminal", VALUE(oci_process, terminal) },
	{ "consoleSize", POINTER(oci_process, console_size, console_size_object) },
	{ "user", OBJECT(oci_process, user, user_object) },
	{ "args", VALUE(oci_process, args) },
	{ "env", VALUE(oci_process, env) },
	{ "cwd", VALUE(oci_process, cwd), .flags = FIELD_REQUIRED | FIELD_ABSOLUTE },
	{ "capabilities", POINTER(oci_process, capabilities, capabilities_object) },
	{ "rlimits", OBJECTS(oci_process, rlimits, rlimit_object) },
	{ "noNewPrivileges", VALUE(oci_process, no_new_privileges) },
	{ "apparmorProfile", VALUE(oci_process, apparmor_profile) },
	{ "oomScoreAdj", VALUE(oci_process, oom_score_adj), RANGE(-1000, 1000) },
	{ "scheduler", POINTER(oci_process, scheduler, scheduler_object) },
	{ "selinuxLabel", VALUE(oci_process, selinux_label) },
	{ "ioPriority", POINTER(oci_process, io_priority, io_priority_object) },
	{ "execCPUAffinity", POINTER(oci_process, exec_cpu_affinity, exec_cpu_affinity_object) },
};
const struct object process_object = OBJECT_OF(oci_process, process_fields);

static const struct field root_fields[] = {
	{ "path", VALUE(oci_root, path), .flags = FIELD_REQUIRED },
	{ "readonly", VALUE(oci_root, readonly) },
};
static const struct object root_object = OBJECT_OF(oci_root, root_fields);

static const struct field id_mapping_fields[] = {
	{ "containerID", VALUE(oci_id_mapping, container_id), .flags = FIELD_REQUIRED },
	{ "hostID", VALUE(oci_id_mapping, host_id), .flags = FIELD_REQUIRED },
	{ "size", VALUE(oci_id_mapping, size), RANGE(1, UINT32_MAX), .flags = FIELD_REQUIRED },
};
const struct object id_mapping_object = OBJECT_OF(oci_id_mapping, id_mapping_fields);

static const struct field mount_fields[] = {
	{ "destination", VALUE(oci_mount, destination), .flags = FIELD_REQUIRED },
	{ "type", VALUE(oci_mount, type) },
	{ "source", VALUE(oci_mount, source) },
	{ "options", VALUE(oci_mount, options) },
	{ "uidMappings", OBJECTS(oci_mount, uid_mappings, id_mapping_object) },
	{ "gidMappings", OBJECTS(oci_mount, gid_mappings, id_mapping_object) },
};
static const struct object mount_object = OBJECT_OF(oci_mount, mount_fields);

static const struct field hook_fields[] = {
	{ "path", VALUE(oci_hook, path), .flags = FIELD_REQUIRED | FIELD_ABSOLUTE },
	{ "args", VALUE(oci_hook, args) },
	{ "env", VALUE(oci_hook, env) },
	{ "timeout", VALUE(oci_hook, timeout), RANGE(1, INT32_MAX) },
};
static const struct object hook_object = OBJECT_OF(oci_hook, hook_fields);

static const struct field hooks_fields[] = {
	{ "prestart", OBJECTS(oci_hooks, prestart, hook_object) },
	{ "createRuntime", OBJECTS(oci_hooks, create_runtime, hook_object) },
	{ "createContainer", OBJECTS(oci_hooks, create_container, hook_object) },
	{ "startContainer", OBJECTS(oci_hooks, start_container, hook_object) },
	{ "poststart", OBJECTS(oci_hooks, poststart, hook_object) },
	{ "poststop", OBJECTS(oci_hooks, poststop, hook_object) },
};
const struct object hooks_object = OBJECT_OF(oci_hooks, hooks_fields);

static const struct field spec_fields[] = {
	{ "ociVersion", VALUE(oci_spec, oci_version), .flags = FIELD_REQUIRED },
	{ "process", POINTER(oci_spec, process, process_object) },
	{ "root", POINTER(oci_spec, root, root_object) },
	{ "hostname", VALUE(oci_spec, hostname) },
	{ "domainname", VALUE(oci_spec, domainname) },
	{ "mounts", OBJECTS(oci_spec, mounts, mount_object) },
	{ "hooks", POINTER(oci_spec, hooks, hooks_object) },
	{ "annotations", VALUE(oci_spec, annotations) },
	{ "linux", POINTER(oci_spec, linux, linux_object), .flags = FIELD_PRESENT },
	{ "vm", POINTER(oci_spec, vm, vm_object) },
};
const struct object spec_object = OBJECT_OF(oci_spec, spec_fields);
