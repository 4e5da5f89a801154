// child: the way of a new process to its program: the steps of runtime/create.c's init, and of
// `exec`.
#pragma once

#include "base/err.h"
#include "cgroups/cgroups.h"
#include "namespaces/namespaces.h"
#include "process/process.h"
#include "rootfs/rootfs.h"

#include <stdbool.h>

// What it is born with. The container's own process has a root to make; the others don't.
struct child {
	const struct ns_plan *ns_plan;
	struct rootfs_plan *rootfs_plan; // NULL: born into a container that is there
	struct process_plan *plan;
	const struct oci_process *process;
	const struct oci_pairs *sysctl;
	const struct oci_hook_list *start_hooks;
	const char *hook_state;	  // JSON, with the pid that it will have
	struct cgroup_join *join; // NULL: none
	int into;		  // pidfd of the process whose namespaces it gets; -1: new ones

	struct ns_spawn spawn;
	int stdio[3];	// become 0, 1 and 2; -1 with a terminal
	int console_to; // where the terminal's master goes; -1: none
	int channel;	// `ok` when it has settled, waits for `ok`, then as process_enter() has it
};

void child_run(struct child *child) __attribute__((noreturn));
