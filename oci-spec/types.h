// types: config.json of the OCI runtime-spec 1.3 (config.md, config-linux.md, config-vm.md) as C.
//
// Plain data: every structure here stands for the JSON object of the same name, and every member
// for the field of the same name. The parser (oci-spec/spec.h) fills it, and from then on it is
// const. What is pointed to belongs to the spec's arena.
//
// What may be absent: a pointer is NULL, a string is NULL (also when it stands there empty: Go
// can't tell the two apart), a list is empty (n is 0, v perhaps NULL), an `opt_*` number is not
// `set`. A field with a default given by the spec, or where absent and zero mean the same, is a
// plain value.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A list of T: n items at v.
#define LIST(T)           \
	struct {          \
		T *v;     \
		size_t n; \
	}

// Numbers and flags for which absent differs from zero.
struct opt_bool {
	bool set, v;
};
struct opt_u16 {
	bool set;
	uint16_t v;
};
struct opt_u32 {
	bool set;
	uint32_t v;
};
struct opt_u64 {
	bool set;
	uint64_t v;
};
struct opt_i32 {
	bool set;
	int32_t v;
};
struct opt_i64 {
	bool set;
	int64_t v;
};

// A list of strings. `v` also ends with a NULL behind the n strings, so that it can serve as argv
// or envp.
struct oci_strings {
	char **v;
	size_t n;
};

// One member of a JSON object with free keys and string values (annotations, sysctl, unified).
struct oci_pair {
	char *key, *value;
};
struct oci_pairs {
	struct oci_pair *v;
	size_t n;
};

// ---- process (config.md, "Process") ----

struct oci_user {
	uint32_t uid, gid;
	struct opt_u32 umask;
	LIST(uint32_t) additional_gids;
};

struct oci_capabilities {
	struct oci_strings bounding, effective, inheritable, permitted,
		ambient; // names as `CAP_CHOWN`
};

struct oci_rlimit {
	char *type; // as `RLIMIT_NOFILE`
	uint64_t hard, soft;
};

struct oci_console_size {
	uint32_t height, width; // characters
};

struct oci_scheduler {
	char *policy; // as `SCHED_OTHER`
	int32_t nice, priority;
	struct oci_strings flags;	    // as `SCHED_FLAG_RESET_ON_FORK`
	uint64_t runtime, deadline, period; // nanoseconds
};

struct oci_io_priority {
	char *class; // as `IOPRIO_CLASS_BE`
	int32_t priority;
};

struct oci_exec_cpu_affinity {
	char *initial, *final; // CPU lists
};

struct oci_process {
	bool terminal;
	struct oci_console_size *console_size;
	struct oci_user user;
	struct oci_strings args, env;
	char *cwd;
	struct oci_capabilities *capabilities;
	LIST(struct oci_rlimit) rlimits;
	bool no_new_privileges;
	char *apparmor_profile, *selinux_label;
	struct opt_i32 oom_score_adj;
	struct oci_scheduler *scheduler;
	struct oci_io_priority *io_priority;
	struct oci_exec_cpu_affinity *exec_cpu_affinity;
};

// ---- root, mounts, hooks (config.md) ----

struct oci_root {
	char *path;
	bool readonly;
};

struct oci_id_mapping {
	uint32_t container_id, host_id, size;
};
struct oci_id_mappings {
	struct oci_id_mapping *v;
	size_t n;
};

struct oci_mount {
	char *destination, *type, *source;
	struct oci_strings options;
	struct oci_id_mappings uid_mappings, gid_mappings;
};

struct oci_hook {
	char *path;
	struct oci_strings args, env; // args[0] is the program's own name, as for execve(2)
	struct opt_i32 timeout;	      // seconds, more than 0
};
struct oci_hook_list {
	struct oci_hook *v;
	size_t n;
};

struct oci_hooks {
	struct oci_hook_list prestart, create_runtime, create_container, start_container, poststart,
		poststop;
};

// ---- linux (config-linux.md) ----

enum oci_namespace_type {
	OCI_NS_PID,
	OCI_NS_NETWORK,
	OCI_NS_MOUNT,
	OCI_NS_IPC,
	OCI_NS_UTS,
	OCI_NS_USER,
	OCI_NS_CGROUP,
	OCI_NS_TIME,
	OCI_NS_COUNT,
};

struct oci_namespace {
	enum oci_namespace_type type;
	char *path; // NULL: a new one
};

struct oci_time_offset {
	int64_t secs;
	uint32_t nanosecs;
};

struct oci_time_offsets {
	struct oci_time_offset *monotonic, *boottime;
};

struct oci_device {
	char *path;
	char type;	      // 'c', 'b' or 'p'; the spec's `u` is read as 'c'
	int64_t major, minor; // both 0 for 'p'
	struct opt_u32 file_mode;
	struct opt_u32 uid, gid;
};

struct oci_net_device {
	char *host_name; // the key
	char *name;	 // its name in the container; NULL: the same
};

struct oci_device_rule {
	bool allow;
	char type;		     // 'a', 'c' or 'b'
	struct opt_i64 major, minor; // not set, or -1: all
	char *access;		     // some of `rwm`; NULL: all
};

struct oci_memory {
	struct opt_i64 limit, reservation, swap; // bytes; -1: no limit
	struct opt_i64 kernel, kernel_tcp;	 // bytes; cgroup v1 only
	struct opt_u64 swappiness;
	bool disable_oom_killer;
	struct opt_bool use_hierarchy;
	bool check_before_update;
};

struct oci_cpu {
	struct opt_u64 shares;
	struct opt_i64 quota;		 // microseconds in each period; -1: no limit
	struct opt_u64 burst, period;	 // microseconds
	struct opt_i64 realtime_runtime; // microseconds
	struct opt_u64 realtime_period;	 // microseconds
	char *cpus, *mems;		 // lists as `0-3,7`
	struct opt_i64 idle;
};

struct oci_pids {
	struct opt_i64 limit; // -1 or 0: no limit
};

struct oci_weight_device {
	int64_t major, minor;
	struct opt_u16 weight, leaf_weight;
};

struct oci_throttle_device {
	int64_t major, minor;
	uint64_t rate; // bytes or operations a second
};
struct oci_throttle_devices {
	struct oci_throttle_device *v;
	size_t n;
};

struct oci_block_io {
	struct opt_u16 weight, leaf_weight;
	LIST(struct oci_weight_device) weight_device;
	struct oci_throttle_devices throttle_read_bps_device, throttle_write_bps_device;
	struct oci_throttle_devices throttle_read_iops_device, throttle_write_iops_device;
};

struct oci_hugepage_limit {
	char *page_size; // as `2MB`
	uint64_t limit;	 // bytes
};

struct oci_interface_priority {
	char *name;
	uint32_t priority;
};

struct oci_network {
	struct opt_u32 class_id;
	LIST(struct oci_interface_priority) priorities;
};

struct oci_rdma {
	char *device; // the key
	struct opt_u32 hca_handles, hca_objects;
};

struct oci_resources {
	LIST(struct oci_device_rule) devices;
	struct oci_memory *memory;
	struct oci_cpu *cpu;
	struct oci_pids *pids;
	struct oci_block_io *block_io;
	LIST(struct oci_hugepage_limit) hugepage_limits;
	struct oci_network *network;
	LIST(struct oci_rdma) rdma;
	struct oci_pairs unified; // cgroup v2 file -> content
};

enum oci_seccomp_action {
	OCI_SECCOMP_KILL_THREAD, // also spelt SCMP_ACT_KILL
	OCI_SECCOMP_KILL_PROCESS,
	OCI_SECCOMP_TRAP,
	OCI_SECCOMP_ERRNO,
	OCI_SECCOMP_TRACE,
	OCI_SECCOMP_ALLOW,
	OCI_SECCOMP_LOG,
	OCI_SECCOMP_NOTIFY,
};

enum oci_seccomp_op {
	OCI_SECCOMP_NE,
	OCI_SECCOMP_LT,
	OCI_SECCOMP_LE,
	OCI_SECCOMP_EQ,
	OCI_SECCOMP_GE,
	OCI_SECCOMP_GT,
	OCI_SECCOMP_MASKED_EQ,
};

struct oci_seccomp_arg {
	uint32_t index; // 0 to 5
	uint64_t value, value_two;
	enum oci_seccomp_op op;
};

struct oci_seccomp_rule {
	struct oci_strings names;
	enum oci_seccomp_action action;
	struct opt_u32 errno_ret;
	LIST(struct oci_seccomp_arg) args;
};

struct oci_seccomp {
	enum oci_seccomp_action default_action;
	struct opt_u32 default_errno_ret;
	struct oci_strings architectures; // as `SCMP_ARCH_X86_64`
	struct oci_strings flags;	  // as `SECCOMP_FILTER_FLAG_LOG`
	char *listener_path, *listener_metadata;
	LIST(struct oci_seccomp_rule) syscalls;
};

struct oci_intel_rdt {
	char *clos_id, *l3_cache_schema, *mem_bw_schema;
	struct oci_strings schemata;
	bool enable_cmt, enable_mbm, enable_monitoring;
};

struct oci_memory_policy {
	char *mode;		  // as `MPOL_BIND`
	char *nodes;		  // list as `0-3`
	struct oci_strings flags; // as `MPOL_F_STATIC_NODES`
};

struct oci_personality {
	char *domain; // `LINUX` or `LINUX32`
	struct oci_strings flags;
};

struct oci_linux {
	LIST(struct oci_namespace) namespaces;
	struct oci_id_mappings uid_mappings, gid_mappings;
	struct oci_time_offsets *time_offsets;
	LIST(struct oci_device) devices;
	LIST(struct oci_net_device) net_devices;
	char *cgroups_path;
	struct oci_resources *resources;
	struct oci_pairs sysctl;
	struct oci_seccomp *seccomp;
	char *rootfs_propagation; // a propagation, perhaps with a leading `r`, as `rslave`
	struct oci_strings masked_paths, readonly_paths;
	char *mount_label;
	struct oci_personality *personality;
	struct oci_intel_rdt *intel_rdt;
	struct oci_memory_policy *memory_policy;
};

// ---- vm (config-vm.md) ----

struct oci_vm_hypervisor {
	char *path;
	struct oci_strings parameters;
};

struct oci_vm_kernel {
	char *path;
	struct oci_strings parameters;
	char *initrd;
};

struct oci_vm_image {
	char *path, *format;
};

struct oci_vm_iomem {
	uint64_t first_gfn, first_mfn, nr_mfns;
};

struct oci_vm_hw_config {
	char *device_tree;
	struct opt_u32 vcpus;
	struct opt_u64 memory; // bytes
	struct oci_strings dtdevs;
	LIST(struct oci_vm_iomem) iomems;
	LIST(uint32_t) irqs;
};

struct oci_vm {
	struct oci_vm_hypervisor *hypervisor;
	struct oci_vm_kernel *kernel;
	struct oci_vm_image *image;
	struct oci_vm_hw_config *hw_config;
};

// ---- the whole ----

struct oci_spec {
	char *oci_version;
	struct oci_process *process; // NULL is allowed until `start`
	struct oci_root *root;
	char *hostname, *domainname;
	LIST(struct oci_mount) mounts;
	struct oci_hooks *hooks;
	struct oci_pairs annotations;
	struct oci_linux *linux; // never NULL after parsing: an absent object is an empty one
	struct oci_vm *vm;
};
