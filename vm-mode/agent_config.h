// agent_config: the JSON that goes to the agent: written on the host, read in the guest.
//
// The spec's own parts are in it as the spec's own JSON, by oci-spec's tables; a seccomp filter goes
// as the finished program, so that the agent needs no compiler for it. The agent trusts the host:
// what is read here was checked there, but it is read by the same strict reader.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "oci-spec/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What PROTO_CONFIG carries. NULL and 0 stand for absence.
struct agent_config {
	const char *id, *bundle;     // for the state that startContainer hooks get
	const struct oci_spec *spec; // the guest's part (vm-mode/split.h)
	const char *filter;	     // struct sock_filter[], as base64; NULL: no filter
	uint32_t filter_flags;	     // SECCOMP_FILTER_FLAG_*
	const char *keyring;	     // session keyring; NULL: the agent's
	bool dax;		     // the shared root has a DAX window
	bool debug;		     // the agent logs what it does
};

// What PROTO_EXEC carries. Filter and keyring are the container's.
struct agent_exec {
	const struct oci_process *process; // the guest's part
	struct oci_strings cgroups;	   // `exec --cgroup`: as cgroup_join_open() takes them
};

// Adds the JSON to `out`, on one line.
void agent_config_write(const struct agent_config *config, struct text *out);
void agent_exec_write(const struct agent_exec *exec, struct text *out);

// The JSON of PROTO_UPDATE, linux.resources: read by spec_parse_resources().
void agent_resources_write(const struct oci_resources *resources, struct text *out);

// What is read lives in `arena`. -EINVAL.
int agent_config_parse(const char *json, size_t len, struct arena *arena,
		       struct agent_config *config, struct err *err);
int agent_exec_parse(const char *json, size_t len, struct arena *arena, struct agent_exec *exec,
		     struct err *err);

// A filter's program of `count` instructions (struct sock_filter[]) as text, and back, in `arena`.
// -EINVAL: no such text, or no whole instructions.
const char *agent_filter_text(const void *program, size_t count, struct arena *arena);
int agent_filter_parse(const char *text, struct arena *arena, const void **program, uint16_t *count,
		       struct err *err);
