// The configuration that `moat spec` writes: what `runc spec` writes, at our version of the
// specification and with a cgroup namespace.
#include "oci-spec/spec.h"

// Nobody writes through a spec's strings; they are `char *` because argv is.
#define STR(text) ((char *)(text))
#define STRS(...)                                                                   \
	{                                                                           \
		.v = (char **)(const char *[]){ __VA_ARGS__, NULL },                \
		.n = sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(const char *) \
	}
#define LIST_OF(array)                               \
	{                                            \
		.v = (array), .n = ARRAY_SIZE(array) \
	}

#define MOUNT(to, of, from, ...)                                                          \
	{                                                                                 \
		.destination = STR(to), .type = STR(of), .source = STR(from), __VA_ARGS__ \
	}
#define OPTIONS(...) .options = STRS(__VA_ARGS__)

#define CAPABILITIES STRS("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")

static struct oci_capabilities capabilities = {
	.bounding = CAPABILITIES,
	.effective = CAPABILITIES,
	.permitted = CAPABILITIES,
};

static struct oci_rlimit rlimits[] = {
	{ .type = STR("RLIMIT_NOFILE"), .hard = 1024, .soft = 1024 },
};

static const struct oci_process process = {
	.terminal = true,
	.args = STRS("sh"),
	.env = STRS("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		    "TERM=xterm"),
	.cwd = STR("/"),
	.capabilities = &capabilities,
	.rlimits = LIST_OF(rlimits),
	.no_new_privileges = true,
};

static struct oci_root root = { .path = STR("rootfs"), .readonly = true };

#define PROC MOUNT("/proc", "proc", "proc")
#define DEV \
	MOUNT("/dev", "tmpfs", "tmpfs", OPTIONS("nosuid", "strictatime", "mode=755", "size=65536k"))
#define DEV_PTS(...)                          \
	MOUNT("/dev/pts", "devpts", "devpts", \
	      OPTIONS("nosuid", "noexec", "newinstance", "ptmxmode=0666", __VA_ARGS__))
#define DEV_SHM                           \
	MOUNT("/dev/shm", "tmpfs", "shm", \
	      OPTIONS("nosuid", "noexec", "nodev", "mode=1777", "size=65536k"))
#define DEV_MQUEUE MOUNT("/dev/mqueue", "mqueue", "mqueue", OPTIONS("nosuid", "noexec", "nodev"))
#define CGROUP                                      \
	MOUNT("/sys/fs/cgroup", "cgroup", "cgroup", \
	      OPTIONS("nosuid", "noexec", "nodev", "relatime", "ro"))

static struct oci_mount mounts[] = {
	PROC,
	DEV,
	DEV_PTS("mode=0620", "gid=5"),
	DEV_SHM,
	DEV_MQUEUE,
	MOUNT("/sys", "sysfs", "sysfs", OPTIONS("nosuid", "noexec", "nodev", "ro")),
	CGROUP,
};

// Without privileges: group 5 has no mapping, and sysfs can't be mounted without a network
// namespace of one's own.
static struct oci_mount rootless_mounts[] = {
	PROC,
	DEV,
	DEV_PTS("mode=0620"),
	DEV_SHM,
	DEV_MQUEUE,
	MOUNT("/sys", "none", "/sys", OPTIONS("rbind", "nosuid", "noexec", "nodev", "ro")),
	CGROUP,
};

static struct oci_device_rule device_rules[] = {
	{ .allow = false, .type = 'a', .access = STR("rwm") },
};

static struct oci_resources resources = { .devices = LIST_OF(device_rules) };

static struct oci_namespace namespaces[] = {
	{ .type = OCI_NS_PID }, { .type = OCI_NS_NETWORK }, { .type = OCI_NS_IPC },
	{ .type = OCI_NS_UTS }, { .type = OCI_NS_MOUNT },   { .type = OCI_NS_CGROUP },
};

static struct oci_namespace rootless_namespaces[] = {
	{ .type = OCI_NS_PID },	  { .type = OCI_NS_IPC },    { .type = OCI_NS_UTS },
	{ .type = OCI_NS_MOUNT }, { .type = OCI_NS_CGROUP }, { .type = OCI_NS_USER },
};

#define MASKED                                                                                 \
	STRS("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", \
	     "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware",    \
	     "/proc/scsi")
#define READONLY STRS("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

static const struct oci_linux privileged_linux = {
	.resources = &resources,
	.namespaces = LIST_OF(namespaces),
	.masked_paths = MASKED,
	.readonly_paths = READONLY,
};

static const struct oci_linux rootless_linux = {
	.namespaces = LIST_OF(rootless_namespaces),
	.masked_paths = MASKED,
	.readonly_paths = READONLY,
};

// Maps root in the container to `id`.
static void map_root(struct oci_id_mappings *mappings, uint32_t id, struct arena *arena)
{
	mappings->v = arena_new(arena, struct oci_id_mapping, 1);
	mappings->v[0] = (struct oci_id_mapping){ .host_id = id, .size = 1 };
	mappings->n = 1;
}

const struct oci_spec *spec_default(bool rootless, uint32_t uid, uint32_t gid, struct arena *arena)
{
	struct oci_spec *spec = arena_new(arena, struct oci_spec, 1);

	spec->oci_version = STR(SPEC_VERSION);
	spec->process = arena_new(arena, struct oci_process, 1);
	*spec->process = process;
	spec->root = &root;
	spec->hostname = STR("moat");
	spec->linux = arena_new(arena, struct oci_linux, 1);
	if (!rootless) {
		spec->mounts.v = mounts;
		spec->mounts.n = ARRAY_SIZE(mounts);
		*spec->linux = privileged_linux;
		return spec;
	}
	spec->mounts.v = rootless_mounts;
	spec->mounts.n = ARRAY_SIZE(rootless_mounts);
	*spec->linux = rootless_linux;
	map_root(&spec->linux->uid_mappings, uid, arena);
	map_root(&spec->linux->gid_mappings, gid, arena);
	return spec;
}
