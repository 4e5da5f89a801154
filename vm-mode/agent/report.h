// report: what the agent can tell of the container.
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "vm-mode/proto/proto.h"

struct agent;

// Adds the container's processes as uint32_t[], with the pids that it sees itself; at most as many as
// fit into a frame.
int report_pids(const struct agent *agent, struct text *pids, struct err *err);

// Adds those with a greater pid than `after`, as PROTO_PROCESSES has them.
int report_processes(const struct agent *agent, uint32_t after, struct text *processes,
		     struct err *err);

// Adds what cgroup_stats() tells of the container's cgroup, packed. -E2BIG: too much for a frame.
int report_figures(const struct agent *agent, struct text *figures, struct err *err);
