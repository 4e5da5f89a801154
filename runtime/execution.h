// execution: a process of `exec` on its way, and the two ways in which it comes to life.
//
//     exec_process   it is born in the container's namespaces (ns_spawn_into()), joins its cgroup, and is
//                    confined as the container's own process is
//     exec_vm        it is the guest's: what is born here stands for it. Engines know a process by a pid:
//                    they wait for it, signal it, and give it a terminal. This one ends as the guest's
//                    does, hands its signals and its terminal's size on, and takes it along when it is
//                    killed. The streams themselves are the VMM's to carry.
//
// The verb (runtime/verbs/exec.c) has what both have in common: the options, the terminal's way, and to
// relay, wait and tell the exit status.
#pragma once

#include "base/err.h"
#include "namespaces/namespaces.h"
#include "process/process.h"
#include "runtime/container.h"
#include "runtime/listener.h"
#include "runtime/runtime.h"
#include "runtime/terminal.h"

#include <stdbool.h>

struct execution {
	const struct runtime *rt;
	struct container container;
	const struct oci_process *spec;
	const struct oci_strings *cgroups; // `exec --cgroup`
	int preserve_fds;

	struct terminal_route terminal;
	int channel, child_channel; // process/channel.h; its end is told when the program runs
	struct ns_spawn child;	    // pid and pidfd, in moat

	// Each way's own.
	struct ns_plan ns_plan;
	struct process_plan *plan;
	struct process_filter filter;
	struct cgroup_join *join;
	struct listener listener;
	bool exposed; // somebody inside may look into the child
};

// In this order.
struct execution_ops {
	// Before anything is read or opened that a second start of moat would miss.
	int (*begin)(struct execution *e, struct err *err);

	// When e->spec is known: finds what is wrong with it.
	int (*plan)(struct execution *e, struct err *err);

	// What the child shall inherit.
	int (*sources)(struct execution *e, struct err *err);

	// As ns_spawn(): 1 in moat, 0 in the child.
	int (*bear)(struct execution *e, struct err *err);

	// In the child: tells on child_channel that it has settled, waits there for the word to go,
	// and becomes the program, or stands for it to its end. What fails is told there. Does not return.
	void (*become)(struct execution *e);

	// In moat, when the child lives: limits that only the outside can set on it. NULL: none.
	int (*limit)(struct execution *e, struct err *err);
};

extern const struct execution_ops exec_process, exec_vm;

// For `sources`: into the container's cgroup, or those below it that `subs` names.
int execution_open_cgroup(struct execution *e, const struct oci_strings *subs, struct err *err);

// For `become`: its session, and its terminal or the streams that it has, as descriptors 0 to 2.
int execution_take_streams(struct execution *e, struct err *err);
