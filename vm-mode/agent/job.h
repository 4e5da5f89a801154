// job: a process that the host wants, from its birth to its EXIT.
//
// The agent doesn't wait for it: what the process says on its channel (process/channel.h) while it
// becomes its program, and its end, come as events. In this order: the process has settled (the
// container's own then waits for START: READY), it has become its program (STARTED), it has ended
// and what it wrote is with the host (EXIT). An error before STARTED is FAILED, and then there is no
// EXIT.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "vm-mode/agent/child.h"
#include "vm-mode/proto/proto.h"

#include <stdint.h>
#include <sys/types.h>

struct agent;
struct job;
struct stream;

// Bears the process. `arena` holds what `child` points to, and is the job's from now on, also on
// failure; NULL: nothing of the job's own. The answer to the request comes later.
int job_spawn(struct agent *agent, const struct proto_header *frame, struct child *child,
	      struct arena *arena, struct err *err);

// The container's program may run. -EINVAL: it isn't there, or runs already.
int job_start(struct agent *agent, uint32_t request, struct err *err);

// The container's own process, and a descriptor of it, which is the job's. -ESRCH: it has ended.
int job_find_init(const struct agent *agent, pid_t *pid, struct err *err);

// -ESRCH: no such process.
int job_signal(const struct agent *agent, uint32_t id, int sig, struct err *err);

void job_resize(const struct agent *agent, uint32_t id, struct proto_size size);

// Children have ended: jobs, and orphans that the agent has inherited.
void job_reap(struct agent *agent);

// ---- for its streams ----

uint32_t job_id(const struct job *job);

// A stream owes nothing any more.
void job_check(struct job *job);

// A stream is over.
void job_lost_stream(struct job *job, const struct stream *stream);
