// container: the record of a container, a directory ROOT/ID that holds
//
//     state.json     what moat remembers (oci-spec/state.h)
//     config.json    the bundle's configuration as it was at `create`
//     traced         there if CAP_SYS_PTRACE came into the pid namespace later (runtime/self.h)
//     vm.journal     what a VM leaves of itself (vm-mode/journal.h)
//     gate           the socket at which the init waits for `start` (runtime/gate.h)
//
// A directory without state.json is a creation that never came to own anything else: the record is
// written before the first cgroup is made, and the init's pid when the init waits for `start`.
// Whoever changes a container holds an exclusive flock(2) on its directory; whoever only looks does
// without, since state.json is replaced whole. Names that are no container ids, as `@seccomp`, are
// free for other things below ROOT.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "cgroups/cgroups.h"
#include "oci-spec/spec.h"
#include "oci-spec/state.h"
#include "runtime/runtime.h"

struct container {
	const struct runtime *rt;
	struct arena *arena;
	int dirfd;	 // ROOT/ID, locked if opened for a change
	bool has_record; // state.json was there
	struct container_state state;
	const struct oci_spec *spec; // NULL until container_load_spec()
	struct cgroup *cgroup;	     // NULL until container_open_cgroup()
};

enum container_access {
	CONTAINER_LOOK,
	CONTAINER_CHANGE,  // under the lock, which is waited for
	CONTAINER_SALVAGE, // a change that also takes a container whose record is missing or damaged
};

// An id is one or more of A-Z a-z 0-9 _ + - . and neither `.` nor `..`. -EINVAL
int container_check_id(const char *id, struct err *err);

// Opens the state directory, making it if it is missing. Returns an fd of the caller's.
int container_open_root(const struct runtime *rt, struct err *err);

// Makes and locks the directory of a new container. -EEXIST: the id is taken.
int container_new(const struct runtime *rt, const char *id, struct container *container,
		  struct err *err);

// Opens a container. -ENOENT: `container ID does not exist`. -EAGAIN: it has no record (yet). To
// salvage one without a good record, what can be told of it is told from its config.json: the
// cgroup. Then has_record is false.
int container_open(const struct runtime *rt, const char *id, enum container_access access,
		   struct container *container, struct err *err);

// Gives up the lock of a container that is new or opened for a change, so that other verbs may act
// on it, and takes it again. -ENOENT: it was deleted meanwhile.
void container_unlock(const struct container *container);
int container_relock(const struct container *container, struct err *err);

// Closes what is open. The container itself is left alone.
void container_close(struct container *container);
#define scope_container __attribute__((cleanup(container_close)))

// Writes state.json.
int container_save(struct container *container, struct err *err);

// Plans the cgroup of a new container, by the command line's driver, in rt->arena.
int container_plan_cgroup(const struct runtime *rt, const char *id, const struct oci_spec *spec,
			  const struct cgroup_host **host, const struct cgroup_plan **plan,
			  struct err *err);

// Loads config.json into container->spec.
int container_load_spec(struct container *container, struct err *err);

// Opens the container's cgroup into container->cgroup; it may be gone, or none (driver `disabled`),
// which is no error.
int container_open_cgroup(struct container *container, struct err *err);

// What the container is doing now: from the record, the init's process, the freezer and the gate.
int container_status(struct container *container, enum container_status *status, struct err *err);

// As container_status(), and an error unless the container is created or running: `container ID is
// not running`. What `exec` and its like need.
int container_require_running(struct container *container, struct err *err);

// Removes the directory and what is in it.
int container_remove(struct container *container, struct err *err);

// All ids below the state directory, sorted, in rt->arena.
int container_ids(const struct runtime *rt, struct oci_strings *ids, struct err *err);

// The state's JSON for hooks, in container->arena.
const char *container_hook_state(struct container *container, enum container_status status);
