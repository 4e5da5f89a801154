// container: the one container of the guest: made from the configuration that the host sends, and
// what can be done with all of it.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "cgroups/cgroups.h"
#include "namespaces/namespaces.h"
#include "process/process.h"
#include "vm-mode/agent_config.h"
#include "vm-mode/loop.h"
#include "vm-mode/proto/proto.h"

struct agent;

struct container {
	struct arena arena; // holds all of it
	bool made;
	struct agent_config config;
	struct process_filter filter;
	struct ns_plan ns_plan;
	struct cgroup *cgroup;	// NULL: none
	struct cgroup_oom *oom; // NULL: nobody watches
	struct loop_source oom_source;
};

// Makes it, of PROTO_CONFIG's JSON: the first process is then on its way, and the answer comes when it
// waits for START.
int container_create(struct agent *agent, const char *json, size_t len, uint32_t request,
		     struct err *err);

// Another process in it, of PROTO_EXEC's JSON. The answer comes when it runs.
int container_exec(struct agent *agent, const struct proto_header *frame, const char *json,
		   struct err *err);

// To all processes.
int container_signal(const struct agent *agent, int sig, struct err *err);

// linux.resources, as JSON.
int container_update(const struct agent *agent, const char *json, size_t len, struct err *err);

// Tells the host if the out-of-memory killer has struck since it was told last.
void container_tell_oom(struct agent *agent);

// For an agent that isn't a guest's: leaves no cgroup behind.
void container_remove(struct agent *agent);
