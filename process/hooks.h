// hooks: runs the programs that the spec's `hooks` object names.
//
// One list at a time, in order, in the namespaces of whoever calls: which list is run when, and
// where, is the life cycle's business. A hook gets the container's state as JSON on standard input,
// exactly its own args and env, and no descriptor beyond 0, 1 and 2. It leads a process group of
// its own, so that a timeout ends what it started too. What it prints is kept, bounded, for the
// error (or the debug log).
//
// config.md "POSIX-platform Hooks"; runtime.md "Lifecycle".
#pragma once

#include "base/err.h"
#include "oci-spec/types.h"

#include <stddef.h>

// Runs all hooks of `list`, each when the one before has succeeded. `kind` is the list's name in
// config.json, for errors as `hook createRuntime[1] /bin/x: exit status 3: what it printed`.
// `state` is the JSON of the state, `len` bytes. Returns 0, or the failure of the first hook that
// fails; -ETIMEDOUT when it took longer than its timeout.
int hooks_run(const char *kind, const struct oci_hook_list *list, const char *state, size_t len,
	      struct err *err);

// The same in a process inside the container's root (startContainer): the hooks are the container's
// files, and what executes them is no image of moat's (process_launcher_open()).
int hooks_run_inside(const char *kind, const struct oci_hook_list *list, const char *state,
		     size_t len, struct err *err);

// The same for hooks whose failure must not stop what goes on (poststop): each failure is logged as
// a warning, and the next hook runs.
void hooks_run_all(const char *kind, const struct oci_hook_list *list, const char *state,
		   size_t len);
