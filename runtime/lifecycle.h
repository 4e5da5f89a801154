// lifecycle: what happens to a container between `create` and its end, for the verbs that have it
// in common.
#pragma once

#include "base/err.h"
#include "runtime/container.h"

// Lets the init of a created container go: `conn` is the channel to it (gate_knock(), or
// creation->channel). Returns when the program runs and the poststart hooks have run; if it fails,
// the init has ended, else the container is unlocked: it may run for long.
// *notify is the socket for activation_take() or activation_relay(), the caller's; -1: none.
// runtime.md "Lifecycle" 6 to 9.
int lifecycle_start(struct container *container, int conn, int *notify, struct err *err);

// Kills whatever runs in a container, waits for its init to be gone, removes its cgroup, runs the
// poststop hooks and removes the record. Works on any half-made container, and again on a
// half-deleted one. The container must have been opened for a change. runtime.md "Lifecycle" 11 to
// 13.
int lifecycle_destroy(struct container *container, struct err *err);

// The poststop hooks of a container of which nothing but the record is left: also of one whose
// creation failed, since hooks may have run that these undo. What fails is a warning.
void lifecycle_poststop(struct container *container);

// `moat delete`: finds out whether it may be destroyed, then does that. `force`: also when it runs;
// one that doesn't exist is no error.
int lifecycle_delete(const struct runtime *rt, const char *id, bool force, struct err *err);

// Sends a signal to the init, or to all processes. -ESRCH: `container not running`.
int lifecycle_signal(struct container *container, int sig, bool all, struct err *err);
