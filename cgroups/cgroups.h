// cgroups: a container's control groups, on whatever layout the host has.
//
// One interface over three layouts, found by what is mounted: unified (v2 alone), legacy (v1 hierarchies) and hybrid (v1
// hierarchies plus a v2 one that holds the rest of the controllers, or none). The plan is pure: which directory in each
// hierarchy, which {file, value} writes, which device rules. The appliers make, fill, join, watch and remove.
//
// Knows nothing of containers but their spec: who is to be attached, and when, is the caller's business.
//
// Kernel documents: Documentation/admin-guide/cgroup-v1/*, Documentation/admin-guide/cgroup-v2.rst.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "oci-spec/types.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum cgroup_driver { CGROUP_CGROUPFS, CGROUP_SYSTEMD, CGROUP_DISABLED };
enum cgroup_layout { CGROUP_LEGACY, CGROUP_HYBRID, CGROUP_UNIFIED };

// One mounted hierarchy of the host.
struct cgroup_hierarchy {
	const char *name;        // directory name below /sys/fs/cgroup, as `memory`, `cpu,cpuacct` or `systemd`; `unified` or "" for v2
	const char *options;     // mount options that name it: `memory`, `cpu,cpuacct`, `name=systemd`; NULL for v2
	const char *mount_point; // absolute, on the host
	const char *own;         // moat's own cgroup in it, relative to mount_point, as `/` or `/user.slice`
	bool v2;
};

struct cgroup_host {
	enum cgroup_layout layout;
	LIST(struct cgroup_hierarchy) hierarchies;
};

// What is mounted here, in `arena`.
int cgroup_host_detect(struct arena *arena, const struct cgroup_host **host, struct err *err);

// `cgroupfs`, `systemd` or `disabled`.
const char *cgroup_driver_name(enum cgroup_driver driver);

struct cgroup_options {
	enum cgroup_driver driver;
	const char *id; // the container's; names the cgroup when linux.cgroupsPath is absent
	bool rootless; // a hierarchy that this user may not write is left out, unless a limit needs it
};

struct cgroup_plan;

// From linux.cgroupsPath (config-linux.md, "Cgroups Path") and linux.resources. A controller that a limit needs and the host lacks is
// an error that names both; a path with `..` or, for the systemd driver, of another form than `slice:prefix:name`, is -EINVAL.
int cgroup_plan_make(const struct cgroup_host *host, const struct oci_linux *linux, const struct cgroup_options *options,
		     struct arena *arena, const struct cgroup_plan **plan, struct err *err);

// One line an operation, for --debug and golden files.
void cgroup_plan_print(const struct cgroup_plan *plan, struct text *out);

// The container's cgroup in one hierarchy of the host, as an absolute directory: what a cgroup mount of the container shows.
// NULL if it has none there.
const char *cgroup_plan_path_in(const struct cgroup_plan *plan, const struct cgroup_hierarchy *hierarchy);

// A container's cgroup in all hierarchies: open directories. Freed, not deleted, by cgroup_close().
struct cgroup;
void cgroup_close(struct cgroup **cgroup);
#define scope_cgroup __attribute__((cleanup(cgroup_close)))

// Makes the directories and writes all limits. On failure what was made is removed again. A cgroup that is there already is used if it is empty of
// processes, as engines make it beforehand; else -EEXIST (-EBUSY where frozen).
int cgroup_create(const struct cgroup_plan *plan, struct cgroup **cgroup, struct err *err);

// The paths to remember (`controller:/absolute/directory`), in `arena`; and the cgroup that such paths stand for. A directory
// that has gone since is not an error.
void cgroup_save(const struct cgroup *cgroup, struct arena *arena, struct oci_strings *paths);
int cgroup_load(const struct oci_strings *paths, enum cgroup_driver driver, struct cgroup **cgroup, struct err *err);

// Joining. A process joins by itself, right after it was born and single-threaded: the kernel moves a thread that writes "0" to a
// v1 `tasks` file without cgroup_threadgroup_rwsem, while any write to cgroup.procs takes it and so waits for an RCU grace
// period, 2 to 15 ms on an idle host; and clone3(CLONE_INTO_CGROUP) joins a v2 group for nothing.
//
// cgroup_join_open(), in the parent, before the clone: opens what the child writes to (the permission to join is the
// opener's, so it works for a child in a user namespace too). `sub` names a cgroup below (`exec --cgroup`): `path`, or
// `controller:path` for v1; NULL: itself. A `sub` that leads outside is -EINVAL.
// cgroup_join(), in the child: joins every hierarchy in which cgroup_join_fd() didn't do it already.
struct cgroup_join;
int cgroup_join_open(const struct cgroup *cgroup, const char *sub, struct arena *arena, struct cgroup_join **join, struct err *err);
void cgroup_join_close(struct cgroup_join *join);
int cgroup_join(const struct cgroup_join *join, struct err *err);

// A v2 directory for clone_args.cgroup, or -1: on the unified layout it is all of the join, on the hybrid one a part.
int cgroup_join_fd(const struct cgroup_join *join);

// The paths a plan will have, for the record that is written before cgroup_create(): as cgroup_save() would give them.
void cgroup_plan_paths(const struct cgroup_plan *plan, struct arena *arena, struct oci_strings *paths);

// Changes the limits given, leaves the others. With memory.checkBeforeUpdate a limit below the present use is refused before anything changes.
int cgroup_update(struct cgroup *cgroup, const struct oci_resources *resources, struct err *err);

// Freezes (or thaws) all processes, and waits until the kernel says that it is done. 
int cgroup_freeze(const struct cgroup *cgroup, bool frozen, struct err *err);

// 1 frozen, 0 not (also where there is no freezer); negative errno.
int cgroup_frozen(const struct cgroup *cgroup, struct err *err);

// All processes in it and below it, ascending.
int cgroup_pids(const struct cgroup *cgroup, struct arena *arena, pid_t **pids, size_t *count, struct err *err);

// Sends `sig` to all of them: for SIGKILL by cgroup.kill where there is, else frozen first, so that no fork slips through.
int cgroup_kill(const struct cgroup *cgroup, int sig, struct err *err);

// Removes it and everything below it; waits (bounded) for processes that are ending. What has gone already is no error.
int cgroup_delete(struct cgroup *cgroup, struct err *err);

struct cgroup_blkio_entry {
	uint64_t major, minor, value;
	const char *op; // `Read`, `Write`, `Sync`, `Async`, `Discard`, `Total`; NULL: none
};
struct cgroup_memory_usage {
	uint64_t usage_bytes, max_usage_bytes, limit_bytes, failcnt;
};
struct cgroup_hugetlb_usage {
	const char *page_size;
	uint64_t usage_bytes, max_bytes, failcnt;
};
struct cgroup_psi {
	double avg10, avg60, avg300;
	uint64_t total_us;
};
struct cgroup_psi_pair {
	bool present;
	struct cgroup_psi some, full;
};

// What `events` tells. The units are the kernel's v1 ones: nanoseconds, bytes.
struct cgroup_stats {
	uint64_t cpu_total_ns, cpu_kernel_ns, cpu_user_ns;
	LIST(uint64_t) cpu_percpu_ns;
	uint64_t cpu_periods, cpu_throttled_periods, cpu_throttled_ns;
	struct cgroup_memory_usage memory, swap, kernel, kernel_tcp;
	uint64_t memory_cache_bytes;
	LIST(struct { const char *name; uint64_t value; }) memory_raw; // memory.stat
	uint64_t pids_current, pids_limit; // limit 0: none
	LIST(struct cgroup_blkio_entry) io_service_bytes, io_serviced;
	LIST(struct cgroup_hugetlb_usage) hugetlb;
	struct cgroup_psi_pair cpu_psi, memory_psi, io_psi;
};

// Reads the figures of every controller that is there; lists live in `arena`.
int cgroup_stats(const struct cgroup *cgroup, struct arena *arena, struct cgroup_stats *stats, struct err *err);

// A descriptor that becomes readable (POLLIN) when the out-of-memory killer has struck in the cgroup; reading 8 bytes re-arms it. -1 with err where the
// host has none.
int cgroup_oom_fd(const struct cgroup *cgroup, struct err *err);
