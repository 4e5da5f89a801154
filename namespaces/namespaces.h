// namespaces: which ones a process gets, new or joined, and the order in which that works.
//
// The plan is pure: from linux.namespaces, the id mappings and the time offsets it derives what
// clone3(2) creates, what is joined by setns(2), and whether a stage in between is needed: a
// process that joins a pid or user namespace, or prepares a time namespace, for its child to be
// born in. Order is the whole matter here: what is joined is joined while the joiner still has the
// rights for it, and what is created must belong to the new user namespace.
//
// Two are apart. The root of a cgroup namespace is the cgroup that one is in when making it, so the
// caller says when (ns_unshare_cgroup). And a network namespace takes the kernel longer to make
// than all the others together (0.3 of 0.4 ms): the init makes it (ns_setup), while its parent goes
// on.
//
// plan.c derives; spawn.c is the birth of a container's init and into.c that of exec's process,
// both by way of birth.{h,c}; arrive.c and setup.c are what these do inside; idmap.{h,c} has the id
// mappings and sysctl.{h,c} the kernel parameters that belong to namespaces.
//
// config-linux.md "Namespaces", "User namespace mappings", "Offset for Time Namespace";
// namespaces(7), user_namespaces(7), time_namespaces(7).
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "oci-spec/types.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// Refers to the spec, and lives no longer.
struct ns_plan {
	uint64_t create;		 // CLONE_NEW* of the new ones
	uint64_t join;			 // CLONE_NEW* of those that have a path
	const char *paths[OCI_NS_COUNT]; // NULL: new, or moat's own
	const struct oci_id_mappings *uid_mappings, *gid_mappings;
	const struct oci_time_offsets *time_offsets; // NULL: none
	const char *hostname, *domainname;	     // NULL: left as they are
	bool stage;				     // needs the process in between
};

// Pure: touches no namespace and opens nothing. -EINVAL, naming the field in config.json, when a
// namespace is listed twice, id mappings are missing or stand without a user namespace, mapped
// ranges wrap or overlap, or the time offsets, hostname or domainname lack the namespace that they
// are for.
int ns_plan_make(const struct oci_spec *spec, struct ns_plan *plan, struct err *err);

// One line a step, in the order of ns_spawn() and ns_setup().
void ns_plan_print(const struct ns_plan *plan, struct text *out);

// The CLONE_NEW* bit of a type; its name in /proc/PID/ns; its name in config.json.
uint64_t ns_type_flag(enum oci_namespace_type type);
const char *ns_type_file(enum oci_namespace_type type);
const char *ns_type_name(enum oci_namespace_type type);

// Does the container have a namespace of this type that its spec asks for, new or joined?
static inline bool ns_has(const struct ns_plan *plan, uint64_t flag)
{
	return ((plan->create | plan->join) & flag) != 0;
}

// Is the namespace of this type that the path stands for moat's own? False if that can't be seen.
bool ns_is_own(enum oci_namespace_type type, const char *path);

struct ns_spawn {
	int cgroup_fd; // in: for CLONE_INTO_CGROUP, or -1
	// in, for ns_spawn_into() alone: NULL; or what a process in between does, still outside, before
	// it joins all namespaces and bears the child there. It closes what the child shall not hold,
	// but not `stage_fd`, and joins cgroups (`cgroup_fd` it is born into).
	int (*leave)(void *context, struct err *err);
	void *leave_context;
	int stage_fd;
	// out, in the caller alone:
	pid_t pid; // in moat's pid namespace; a child of the caller, also when a stage was needed;
		   // after a stage the child knows it too
	int pidfd; // close-on-exec; the caller's to close
	// in the child, what ns_arrive() finds still to be done:
	uint64_t pending;      // CLONE_NEW* to join
	int fds[OCI_NS_COUNT]; // one by one, by these (-1: none); or
	int target;	       // all at once, by this pidfd (-1: no)
	bool userns;	       // it is in a user namespace other than moat's, or will be
};

// As fork: returns 1 in the caller, with spawn->pid and ->pidfd; 0 in the child, which then calls
// ns_arrive() with the same `spawn`. Its signal mask is empty and handlers are reset; what was
// ignored stays so. The child is in all created namespaces but the cgroup and the network one, and
// the mappings of a new user namespace are written. What can fail in it is left to ns_arrive(), so
// that the caller needs not wait for it.
// Negative errno, in the caller alone, when anything on the way fails; no process is left then.
int ns_spawn(const struct ns_plan *plan, struct ns_spawn *spawn, struct err *err);

// For exec: as ns_spawn(), but the child goes into the namespaces of the process that `pidfd`
// stands for, which must stay open in it. `plan` is the container's: it tells which types to join;
// those that are moat's own anyway do no harm. -ESRCH when the process has ended.
// From its birth the child is in sight of who lives in the pid namespace, and not dumpable. Where
// they may trace it all the same (CAP_SYS_PTRACE, without a user namespace of their own), they must
// not find it in moat's root, or with descriptors of the host's: that is what `leave` is for.
int ns_spawn_into(const struct ns_plan *plan, int pidfd, struct ns_spawn *spawn, struct err *err);

// In the child: joins what is pending; then it is user and group 0 of its user namespace if that
// isn't moat's own (or, where 0 isn't mapped, the first mapped id), without supplementary groups
// where that is allowed. Closes what was opened for it.
// A process that joins a pid or user namespace isn't dumpable (PR_SET_DUMPABLE), lest those who
// live there trace it; execve(2) ends that.
// The names and the network of ns_setup() come after it. -ESRCH as for ns_spawn_into().
int ns_arrive(const struct ns_plan *plan, struct ns_spawn *spawn, struct err *err);

// In the init, before anything else looks at the network or at sysfs: makes the network namespace,
// if the plan has a new one, and brings up the loopback interface in it; hostname, domainname.
int ns_setup(const struct ns_plan *plan, struct err *err);

// In the init, when it is in its cgroup: makes the new cgroup namespace, if the plan has one.
int ns_unshare_cgroup(const struct ns_plan *plan, struct err *err);

// Brings up the loopback interface of the network namespace that the caller is in. netdevice(7).
int ns_raise_loopback(struct err *err);
