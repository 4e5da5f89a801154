// self: moat's own binary, out of reach of those who can look into its process.
//
// A process that moat puts into a pid namespace where others live already (`exec`, or a pid
// namespace that is joined) can be seen by them until it becomes the launcher (process/process.h).
// It isn't dumpable, but CAP_SYS_PTRACE looks through that: /proc/PID/exe then opens moat's binary,
// to be written to once no moat runs any more (CVE-2019-5736). So for such containers moat executes
// itself once more, from a read-only mount of its binary that is attached nowhere: nothing can be
// written through it, whoever opens it. (What else such a process would show, the host's root and
// descriptors, `exec` leaves behind before it goes in: see `leave` in namespaces/namespaces.h.) It costs more than half a millisecond where programs
// start slowly, which is why it isn't done for all.
#pragma once

#include "base/err.h"
#include "oci-spec/types.h"
#include "runtime/runtime.h"

#include <stdbool.h>

// Does a process get CAP_SYS_PTRACE?
bool self_may_be_traced_by(const struct oci_process *process);

// Puts a file `traced` into the directory of each container whose init is in the pid namespace of
// the process `pid`: one has come there that may trace, which those containers' specs don't tell.
int self_note_tracer(const struct runtime *rt, pid_t pid, struct err *err);

// Can somebody in the pid namespace that `spec` gives or joins look into a process of moat's there?
// `exec`: one is born there when the container's own processes run.
bool self_is_exposed(const struct oci_spec *spec, bool exec);

// Executes moat again with the same arguments from a read-only mount. Returns 0 when it runs from
// one already; negative errno when that can't be had.
int self_protect(char *const argv[], struct err *err);
