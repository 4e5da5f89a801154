// payload: the one place where the two ways to isolate a container differ.
//
// A container of mode `container` is a process in namespaces; one of mode `vm` is to be a virtual
// machine monitor in them. All verbs and all steps of a creation go through this table; no other
// file asks which mode it is in.
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct creation;
struct container;

struct payload_ops {
	const char *mode; // as in state.json

	// In the parent, first: the payload's plan.
	int (*plan)(struct creation *c, struct err *err);

	// In the parent, when the init lives: limits that only the host's side can set on it.
	int (*limit)(struct creation *c, struct err *err);

	// In the init, when it has just entered its root: what needs that still writable.
	int (*arrive)(struct creation *c, struct err *err);

	// In the init, when its root is sealed: all that can fail before the start.
	int (*settle)(struct creation *c, struct err *err);

	// In the init, at the start: becomes the payload; `report_fd` closes when it has. Returns
	// only on failure.
	int (*enter)(struct creation *c, int report_fd, struct err *err);
};

extern const struct payload_ops payload_process;

// The mode that the operator wants: VM mode by --vm, by the name moat-vm, or by an annotation of
// the spec (run.oci.handler=vm or krun, org.moat.vm=true). Nothing inside the bundle's root file
// system has a say. -ENOTSUP: VM mode, which this build doesn't have.
struct oci_spec;
int payload_choose(bool vm, const struct oci_spec *spec, const struct payload_ops **ops,
		   struct err *err);
