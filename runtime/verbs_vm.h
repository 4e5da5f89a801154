// verbs_vm: what verbs ask of the VMM of a container in VM mode: struct payload_verbs (runtime/payload.h).
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "oci-spec/types.h"
#include "runtime/container.h"

#include <sys/types.h>

// -ESRCH: `container not running`, as without a VM.
int verbs_vm_signal(const struct container *container, int sig, bool all, struct err *err);

// The VM itself stays as large as it was made: limits on memory and pids change in the guest alone.
int verbs_vm_update(const struct container *container, const struct oci_resources *resources,
		    const struct oci_resources **host, struct err *err);

int verbs_vm_pids(const struct container *container, struct arena *arena, pid_t **pids, size_t *n,
		  struct err *err);

// It hears of nothing while the VM is paused, and of what happened then afterwards.
int verbs_vm_watch_oom(const struct container *container, struct err *err);
int verbs_vm_hear_oom(int fd, struct err *err);

// From its journal (vm-mode/journal.h).
void verbs_vm_recall(struct container *container);
