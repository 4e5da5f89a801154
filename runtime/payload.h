// payload: the one place where the two ways to isolate a container differ.
//
// A container of mode `container` is a process in namespaces; one of mode `vm` is a virtual machine
// monitor in them, and the program a process in its guest. All verbs and all steps of a creation go
// through this table; no other file asks which mode it is in.
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct arena;
struct cgroup_stats;
struct conf;
struct creation;
struct container;
struct execution_ops;
struct oci_resources;
struct oci_spec;
struct process_row;

// Of a creation, in the order in which they are called; NULL: nothing to do. They refer to what is the
// payload's own by creation->guest.
struct payload_ops {
	const char *mode;  // as in state.json
	bool own_terminal; // its terminal is not one of the container's devpts, nor at /dev/console

	// In the parent, first of all: refuses what its mode can't do, and makes c->spec the part of the spec that
	// the host applies.
	int (*divide)(struct creation *c, struct err *err);

	// In the parent: the payload's plan.
	int (*plan)(struct creation *c, struct err *err);

	// In the parent, when record and cgroup are there: what the init shall inherit.
	int (*sources)(struct creation *c, struct err *err);

	// In the parent, when the init has inherited them, or there will be none: gives them up. Also
	// where there are none, and twice.
	void (*release)(struct creation *c);

	// In the parent, when the init lives: limits that only the host's side can set on it.
	int (*limit)(struct creation *c, struct err *err);

	// In the init, when it has just entered its root: what needs that still writable.
	int (*arrive)(struct creation *c, struct err *err);

	// In the init, when its root is sealed: all that can fail before the start.
	int (*settle)(struct creation *c, struct err *err);

	// In the init, while it waits to be started: returns when `fd` is readable.
	int (*wait)(struct creation *c, int fd, struct err *err);

	// In the init, at the start: becomes the payload; `report_fd` closes when it has. Returns
	// only on failure.
	int (*enter)(struct creation *c, int report_fd, struct err *err);
};

// Of a container that is there.
struct payload_verbs {
	const struct execution_ops *exec; // runtime/execution.h

	// Sends a signal to the program, or to all processes. NULL: they are the host's.
	int (*signal)(const struct container *container, int sig, bool all, struct err *err);

	// Changes limits: all of those given, or none. NULL: they are the cgroup's.
	int (*update)(struct container *container, const struct oci_resources *resources,
		      struct err *err);

	// The processes, by the pids that the container itself knows, ascending, in `arena`. NULL:
	// those of the cgroup.
	int (*pids)(const struct container *container, struct arena *arena, pid_t **pids, size_t *n,
		    struct err *err);

	// The same processes, for a table (runtime/process_table.h).
	int (*processes)(const struct container *container, struct arena *arena,
			 struct process_row **rows, size_t *n, struct err *err);

	// Opens a descriptor that is readable when the guest's OOM killer has struck, and by which
	// `hear_oom` then says 1, or 0: that was something else; -ECONNRESET: the guest has gone. NULL:
	// the container's cgroup tells all of it.
	int (*watch_oom)(const struct container *container, struct err *err);
	int (*hear_oom)(int fd, struct err *err);

	// Adds to container->state what the container itself has left, in its arena. NULL: nothing.
	void (*recall)(struct container *container);

	// What cgroup_stats() would tell. NULL: the cgroup's figures are the container's. 1: there are
	// none, since it is paused.
	int (*stats)(const struct container *container, struct arena *arena,
		     struct cgroup_stats *stats, struct err *err);
};

extern const struct payload_ops payload_process, payload_vm;

// What a container has left of its start and its end, for those who tell of it, into container->state.
void payload_recall(struct container *container);

// By the mode in a container's record.
const struct payload_verbs *payload_verbs_of(const struct container *container);

// The mode that the operator wants. Who is heard first decides: `vm` (--vm, the name moat-vm); an annotation
// of the spec (run.oci.handler=vm or krun, org.moat.vm=true or false; VM mode where two disagree); the spec's `vm`
// object; moat.conf. Nothing inside the bundle's root file system has a say. NULL, with *err filled: -EINVAL, an
// org.moat.vm that is neither.
const struct payload_ops *payload_choose(bool vm, const struct oci_spec *spec,
					 const struct conf *conf, struct err *err);
