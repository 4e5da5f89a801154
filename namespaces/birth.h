// birth: a child whose making has steps on several sides, any of which may fail.
//
// What ns_spawn() and ns_spawn_into() have in common. The sides are the parent and, where needed, a
// stage: a process between parent and child that goes where the child is to be born, gives birth to
// it as a child of the parent (CLONE_PARENT), and ends. They talk over a socket pair, one message a
// packet. A birth without any steps is a bare clone3(2).
#pragma once

#include "base/err.h"
#include "namespaces/namespaces.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ns_birth {
	uint64_t flags; // CLONE_NEW* for the child's clone3(2)
	// The steps, in this order; NULL: nothing to do there. `context` is, in the stage and from
	// there on in the child, a copy of the parent's.
	int (*in_stage)(void *context, struct err *err);	       // NULL: no stage
	int (*in_parent)(void *context, pid_t child, struct err *err); // the child waits for it
	bool stage_in_cgroup; // the stage is born into the cgroup, and the child by way of it
	void *context;
};

// err_sys() for a namespace that could not be made, with the likely reason.
int ns_make_err(struct err *err, const char *step);

// As ns_spawn(): 1 in the parent when all steps have succeeded, 0 in the child, negative errno in
// the parent alone. Should the parent die meanwhile, the child ends too.
int ns_birth_give(const struct ns_birth *birth, struct ns_spawn *spawn, struct err *err);
