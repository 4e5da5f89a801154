// cgroups: a container's control groups, on whatever layout the host has.
//
// One interface over three layouts, found by what is mounted: unified (v2 alone), legacy (v1
// hierarchies) and hybrid (v1 hierarchies plus a v2 one that holds the rest of the controllers, or
// none). The plan is pure: which directory in each hierarchy, which {file, value} writes, which
// device rules. The appliers make, fill, join, watch and remove.
//
// Knows nothing of containers but their spec: who is to join, and when, is the caller's business.
// Every directory is named by its absolute path on the host, so all of this is to be called where
// the host's /sys/fs/cgroup is still in view, and no descriptor is kept between two calls.
//
// With the driver CGROUP_DISABLED there is a cgroup without any directory: every function works and
// does nothing, and finds no process. But a plan with limits is refused, since nothing would keep
// them.
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
	const char *name;    // its directory below /sys/fs/cgroup, as `memory`, `cpu,cpuacct` or
			     // `systemd`; `unified` or, on the unified layout, `` for v2
	const char *options; // v1: mount options that name it, as `cpu,cpuacct` or
			     // `name=systemd`; NULL for v2
	const char *controllers; // v2: those it can give, separated by blanks; v1: `options`
	const char *mount_point; // absolute, on the host
	const char *own; // moat's own cgroup in it, relative to mount_point, as `/` or `/a/b`
	bool v2;
};

struct cgroup_host {
	enum cgroup_layout layout;
	LIST(struct cgroup_hierarchy) hierarchies;
};

// What is mounted here, in `arena`. A v1 hierarchy that is mounted nowhere is not listed. Where
// /sys/fs/cgroup is laid out as everywhere, /proc/self/mountinfo isn't read.
int cgroup_host_detect(struct arena *arena, const struct cgroup_host **host, struct err *err);

// `cgroupfs`, `systemd` or `disabled`; and the other way, which is false for any other name.
const char *cgroup_driver_name(enum cgroup_driver driver);
bool cgroup_driver_parse(const char *name, enum cgroup_driver *driver);

// True if moat was built with the systemd driver.
bool cgroup_systemd_supported(void);

// Which of systemd's managers is asked, and where its groups are.
struct cgroup_systemd {
	bool user;	   // the user's own, not the system's
	const char *group; // that all of its units lie in; NULL: the root
};

// What the systemd driver must know before it can plan, in `arena`. The user's manager is meant for
// the rootless, and for a root that isn't the one systemd runs as. -ENOTSUP: systemd isn't running,
// or moat was built without it.
int cgroup_systemd_find(bool rootless, struct arena *arena, struct cgroup_systemd *systemd,
			struct err *err);

struct cgroup_options {
	enum cgroup_driver driver;
	const char *id; // the container's; names the cgroup when linux.cgroupsPath is absent
	bool rootless;	// a hierarchy that this user may not write is left out, unless a limit
			// needs it or linux.cgroupsPath names the cgroup
	struct cgroup_systemd systemd;	     // for the systemd driver
	const struct oci_pairs *annotations; // the same: `org.systemd.property.NAME`; NULL: none
};

struct cgroup_plan;

// From linux.cgroupsPath (config-linux.md, "Cgroups Path") and linux.resources.
//
// An absolute path counts from each hierarchy's mount point; a relative one, or the id where there
// is none, from moat's own cgroup (on the unified layout from its parent, because there a group
// with processes can't give controllers to its children). With the systemd driver it is
// `slice:prefix:name`, and the cgroup is that of the unit prefix-name.scope. -ENOTSUP: a limit needs a controller that
// the host lacks; the error names both. -EINVAL: a path with `..`, or a value that no kernel takes,
// or an annotation that is no property.
// The plan points into `host` and `linux`.
int cgroup_plan_make(const struct cgroup_host *host, const struct oci_linux *linux,
		     const struct cgroup_options *options, struct arena *arena,
		     const struct cgroup_plan **plan, struct err *err);

// One line an operation, for --debug and golden files.
void cgroup_plan_print(const struct cgroup_plan *plan, struct text *out);

// The container's cgroup in one hierarchy of the host, as an absolute directory: what a cgroup
// mount of the container shows. NULL if it has none there.
const char *cgroup_plan_path_in(const struct cgroup_plan *plan,
				const struct cgroup_hierarchy *hierarchy);

// The paths a plan will have, for the record that is written before cgroup_create(): as
// cgroup_save() would give them.
void cgroup_plan_paths(const struct cgroup_plan *plan, struct arena *arena,
		       struct oci_strings *paths);

// A container's cgroup in all hierarchies. Freed, not deleted, by cgroup_close().
struct cgroup;
void cgroup_close(struct cgroup **cgroup);
#define scope_cgroup __attribute__((cleanup(cgroup_close)))

// Makes the directories and writes all limits. On failure what was made is removed again. A cgroup
// that is there already is used if it is empty of processes, as engines make it beforehand; else
// -EEXIST (-EBUSY where frozen). Outlives the plan.
//
// With the systemd driver the unit is started, which makes the directories; systemd would end it as
// soon as nobody is in it, so a child of the caller's is (cgroups/keeper.h).
int cgroup_create(const struct cgroup_plan *plan, struct cgroup **cgroup, struct err *err);

// To be called when a process has joined that is to stay: the child of the systemd driver goes.
void cgroup_settle(struct cgroup *cgroup);

// The paths to remember (`controllers:/absolute/directory`, with no controllers for v2), in
// `arena`; and the cgroup that such paths stand for. A directory that has gone since is not an
// error. -EINVAL: not such a path.
void cgroup_save(const struct cgroup *cgroup, struct arena *arena, struct oci_strings *paths);
int cgroup_load(const struct oci_strings *paths, enum cgroup_driver driver, struct cgroup **cgroup,
		struct err *err);

// Joining. A process joins by itself, right after it was born and single-threaded: the kernel moves
// a thread that writes "0" to a v1 `tasks` file without cgroup_threadgroup_rwsem, while any write
// to cgroup.procs takes it and so waits for an RCU grace period, 2 to 15 ms on an idle host; and
// clone3(CLONE_INTO_CGROUP) joins a v2 group for nothing.
//
// cgroup_join_open(), in the parent, before the clone. A caller that doesn't belong to the user's
// manager is taken in there, if the cgroup is of that manager. `subs` name cgroups below (`exec --cgroup`,
// which may be given several times): `path`, or `controller,…:path` for v1; NULL or empty: itself.
// One that leads outside, or names a controller that the cgroup hasn't in a v1 hierarchy, is
// -EINVAL, one that isn't there -ENOENT. cgroup_join_close() in parent
// and child.
struct cgroup_join;
int cgroup_join_open(const struct cgroup *cgroup, const struct oci_strings *subs,
		     struct arena *arena, struct cgroup_join **join, struct err *err);
void cgroup_join_close(struct cgroup_join *join);

// A v2 directory for clone_args.cgroup, or -1: on the unified layout it is all of the join, on the
// hybrid one a part.
int cgroup_join_fd(const struct cgroup_join *join);

// From now on cgroup_join() joins v2 too, by the slow write, and cgroup_join_fd() is -1. A kernel
// that guards cgroup.kill against forks (6.14 does, and fixes of older ones) compares the groups'
// kill counts wrongly and sends SIGKILL to whoever is cloned into a group whose count isn't that of
// the cloner's own: who finds a child so killed before its first step tries again this way.
// cgroup_join_open() does it by itself for a group that was there before moat.
int cgroup_join_by_write(struct cgroup_join *join, struct err *err);

// In the child: joins what it wasn't cloned into. The child is to be cloned into cgroup_join_fd()
// and to have one thread. The right to join is that of whoever called cgroup_join_open().
int cgroup_join(const struct cgroup_join *join, struct err *err);

// The sub for cgroup_join_open() in which `pid`, a process of the container, lives in the v2
// hierarchy: to be tried when cloning into the cgroup itself is -EBUSY, because the container's own
// init (systemd, say) has given controllers to groups below and moved into one. NULL: it lives in
// the cgroup itself, or there is no v2 one. A pid outside the cgroup is -EINVAL.
int cgroup_sub_of(const struct cgroup *cgroup, pid_t pid, struct arena *arena, const char **sub,
		  struct err *err);

// Changes the limits given, leaves the others. With memory.checkBeforeUpdate a limit below the
// present use is refused (-EBUSY) before anything changes; when the kernel refuses one, what was
// changed before it is changed back. A list of device rules replaces the one before; an empty one
// leaves it. With the systemd driver the unit's properties change too.
int cgroup_update(struct cgroup *cgroup, const struct oci_resources *resources, struct err *err);

// Takes back what the last cgroup_update() has changed, which must have succeeded, but for v2's device rules, which
// have no old value; for who has more to change than the cgroup, and failed there. What can't be undone is warned of.
void cgroup_update_undo(struct cgroup *cgroup);

// Freezes (or thaws) all processes, and waits (bounded: -ETIMEDOUT, and thawed again) until the
// kernel says that it is done. -ENOTSUP where there is no freezer.
int cgroup_freeze(const struct cgroup *cgroup, bool frozen, struct err *err);

// 1 frozen, or on the way to it; 0 not (also where there is no freezer); negative errno.
int cgroup_frozen(const struct cgroup *cgroup, struct err *err);

// All processes in it and below it, ascending, in `arena`.
int cgroup_pids(const struct cgroup *cgroup, struct arena *arena, pid_t **pids, size_t *count,
		struct err *err);

// Sends `sig` to all of them: for SIGKILL by cgroup.kill where there is, else frozen first, so that
// no fork slips through. A frozen cgroup stays frozen, but for SIGKILL on v1, which thaws it, since
// there the frozen don't die. No process is no error.
int cgroup_kill(const struct cgroup *cgroup, int sig, struct err *err);

// Removes it and everything below it; waits (bounded: -EBUSY) for processes that are ending. What
// has gone already is no error. The parents of the cgroup stay. With the systemd driver the unit is
// stopped first.
int cgroup_delete(struct cgroup *cgroup, struct err *err);

// After cgroup_delete(), where a creation has failed: removes those parents too that
// cgroup_create() made for this cgroup, as far as they are empty.
void cgroup_unmake(const struct cgroup *cgroup);

struct cgroup_blkio_entry {
	uint64_t major, minor, value;
	const char *op; // `Read`, `Write`, `Sync`, `Async`, `Discard`, `Total`; NULL: none
};
struct cgroup_memory_usage {
	uint64_t usage_bytes, max_usage_bytes, limit_bytes, failcnt;
};
struct cgroup_memory_field {
	const char *name;
	uint64_t value;
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

// What `events` tells. The units are the kernel's v1 ones: nanoseconds, bytes. A limit of
// UINT64_MAX is none.
struct cgroup_stats {
	uint64_t cpu_total_ns, cpu_kernel_ns, cpu_user_ns;
	LIST(uint64_t) cpu_percpu_ns;
	uint64_t cpu_periods, cpu_throttled_periods, cpu_throttled_ns;
	struct cgroup_memory_usage memory;
	struct cgroup_memory_usage swap; // memory and swap together, as v1 counts
	struct cgroup_memory_usage kernel, kernel_tcp;
	uint64_t memory_cache_bytes;
	LIST(struct cgroup_memory_field) memory_raw; // memory.stat
	uint64_t pids_current, pids_limit;	     // limit 0: none
	LIST(struct cgroup_blkio_entry) io_service_bytes, io_serviced;
	LIST(struct cgroup_hugetlb_usage) hugetlb;
	struct cgroup_psi_pair cpu_psi, memory_psi, io_psi;
};

// Reads the figures of every controller that is there; lists live in `arena`. A file that this
// kernel hasn't got leaves its figures zero.
int cgroup_stats(const struct cgroup *cgroup, struct arena *arena, struct cgroup_stats *stats,
		 struct err *err);

// The figures as bytes, for another moat (of the same build) to read: adds them to `out`, and reads
// them into `arena`, from whoever has sent them: a name in them is one that may stand in JSON. -EPROTO: that
// isn't what was written.
void cgroup_stats_pack(const struct cgroup_stats *stats, struct text *out);
int cgroup_stats_unpack(const char *bytes, size_t len, struct arena *arena,
			struct cgroup_stats *stats, struct err *err);

// Watches for the out-of-memory killer. The descriptor becomes readable (POLLIN) when something has
// happened; cgroup_oom_read() then tells what: 1 it has struck, 0 it has not, -ENODEV the cgroup
// has gone or holds no process any more. -ENOTSUP where there is no memory controller.
struct cgroup_oom;
int cgroup_oom_open(const struct cgroup *cgroup, struct arena *arena, struct cgroup_oom **oom,
		    struct err *err);
int cgroup_oom_fd(const struct cgroup_oom *oom);
int cgroup_oom_read(struct cgroup_oom *oom, struct err *err);
void cgroup_oom_close(struct cgroup_oom *oom);
