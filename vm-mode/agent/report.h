// report: what the guest can tell of itself.
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "vm-mode/proto/proto.h"

struct agent;

// Adds the container's processes as uint32_t[], with the pids that it sees itself; at most as many as
// fit into a frame.
int report_pids(const struct agent *agent, struct text *pids, struct err *err);

// Memory and processors are the whole guest's; processes and kills the container's.
int report_figures(const struct agent *agent, struct proto_figures *figures, struct err *err);
