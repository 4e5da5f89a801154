// verbs_vm: what verbs ask of the VMM of a container in VM mode: struct payload_verbs (runtime/payload.h).
//
// A VMM that is paused answers when it goes on, which may be never: all that waits for an answer is refused then.
// Otherwise it has a minute, after which it is -ETIMEDOUT.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "oci-spec/types.h"
#include "runtime/container.h"
#include "runtime/process_table.h"

#include <sys/types.h>

struct vm_client_answer;
struct vm_client_request;

// -ESRCH: `container not running`, as without a VM.
int verbs_vm_signal(const struct container *container, int sig, bool all, struct err *err);

// runtime/update_vm.c. -EINVAL: a limit on memory for which the machine was made too small. (More processor time
// than its vCPUs can use is only warned of: that limit is kept, and harms nobody. A limit on memory that the
// container could not reach would end it below what it was promised.)
int verbs_vm_update(struct container *container, const struct oci_resources *resources,
		    struct err *err);

int verbs_vm_pids(const struct container *container, struct arena *arena, pid_t **pids, size_t *n,
		  struct err *err);

// It hears of nothing while the VM is paused, and of what happened then afterwards.
int verbs_vm_watch_oom(const struct container *container, struct err *err);
int verbs_vm_hear_oom(int fd, struct err *err);

// From its journal (vm-mode/journal.h).
void verbs_vm_recall(struct container *container);

int verbs_vm_processes(const struct container *container, struct arena *arena,
		       struct process_row **rows, size_t *n, struct err *err);
int verbs_vm_stats(const struct container *container, struct arena *arena,
		   struct cgroup_stats *stats, struct err *err);

// ---- what they share ----

// -EBUSY: it is paused.
int verbs_vm_require_unpaused(const struct container *container, struct err *err);

// Connects, asks for an answer of type `want`, and closes. -EBUSY: it is paused; -ETIMEDOUT: it doesn't answer.
int verbs_vm_ask(const struct container *container, const struct vm_client_request *request,
		 uint32_t want, struct vm_client_answer *answer, struct err *err);
