// state: a container's state as the runtime-spec gives it to hooks and to `moat state` (runtime.md,
// "State"), and what moat itself remembers of a container between two of its processes.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/proc.h"
#include "base/str.h"
#include "oci-spec/types.h"

enum container_status {
	STATUS_CREATING,
	STATUS_CREATED,
	STATUS_RUNNING,
	STATUS_PAUSED,
	STATUS_STOPPED
};

// `creating`, `created`, `running`, `paused`, `stopped`.
const char *container_status_name(enum container_status status);

// A stage of a VM's start: how long after the runtime was called it was reached.
struct state_stage {
	const char *name;
	uint64_t us;
};

// The record that lies in the container's directory as state.json.
struct container_state {
	const char *id;
	const char *bundle;	   // absolute
	const char *rootfs;	   // absolute
	const char *created;	   // RFC 3339, UTC
	const char *owner;	   // user name or number
	const char *mode;	   // `container` or `vm`
	uint64_t vm_memory_bytes;  // the RAM of the machine that a VM was made as; 0: no VM
	uint32_t vm_vcpus;	   // of that machine
	uint64_t vm_limit_bytes;   // its container's limit on memory, also after `update`; 0: none
	struct proc_id init;	   // pid 0 while creating
	const char *cgroup_driver; // `cgroupfs`, `systemd` or `disabled`
	struct oci_strings
		cgroup_paths;	   // as `controller:/absolute/directory`, what cgroup_load() takes
	const char *notify_socket; // of the service manager (sd_notify(3)); NULL: none
	const char *session_keyring; // that its processes join; NULL: that of their parents
	struct oci_pairs annotations;

	// Not in the record, but what the container itself has left (payload_recall()).
	LIST(struct state_stage) startup;
	const char *error; // why it ended, where that was not its program's end; NULL: none is known
};

// Adds the record as JSON to `out`.
void state_write(const struct container_state *state, struct text *out);

// Reads what state_write() wrote; strict as spec_parse().
int state_parse(const char *json, size_t len, struct arena *arena, struct container_state *state,
		struct err *err);

// Adds the state of runtime.md: ociVersion, id, status, pid (0 when stopped), bundle, annotations,
// and as runc and crun do also rootfs, created and owner; then, where there are any,
// `org.moat.startup`, an object of milliseconds, and `org.moat.error`. What hooks read on standard
// input (`compact`) and what `moat state` prints (indented by two spaces).
void state_write_oci(const struct container_state *state, enum container_status status,
		     bool compact, struct text *out);
