// process: from a process with all rights to the one that the spec describes.
//
// Confinement is compiled, then run. process_plan_make() turns the spec's process object into a flat list of system calls with all their arguments (umask,
// setgroups, capability sets, no_new_privs, seccomp, …, execve last): it can be printed and tested without root. process_enter() runs it.
//
// Who runs the list: not moat's own image. A container can make the kernel execute what /proc/self/exe links to (as an interpreter in a `#!` line, or as the
// program itself), and could then write to moat's binary on the host (CVE-2019-5736). So the last thing that moat's process does is to become the *launcher*: a program of a few hundred bytes
// without a C library (process/launcher.c), in a sealed memory file together with the list, which walks the list. From then on /proc/self/exe is that sealed
// file. It costs about 50 microseconds; executing moat a second time from a read-only mount would cost ten times that.
//
// config.md "Process", config-linux.md "Seccomp"; credentials(7), capabilities(7), seccomp(2).
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "oci-spec/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A compiled seccomp filter: what seccomp(2) takes, and how.
struct seccomp_filter {
	void *program; // struct sock_filter[]
	size_t count;  // instructions; 0: no filter
	uint32_t flags; // SECCOMP_FILTER_FLAG_*
	bool notify;   // the filter has a listener, whose descriptor goes to listenerPath
};

// Compiles the profile with libseccomp, or takes what an earlier call has left in the directory `cache_dirfd` (-1: none) under the digest of the profile. The cache belongs to root and
// is trusted as the state directory is; a damaged or foreign entry is replaced. The program lives in `arena`.
// -EINVAL: unknown architecture or flag; a system call that libseccomp doesn't know is skipped, as the spec's users expect.
int seccomp_load(const struct oci_seccomp *profile, int cache_dirfd, struct arena *arena, struct seccomp_filter *filter, struct err *err);

// What the plan must know beside the spec.
struct process_env {
	const char *keyring; // name of a new session keyring (`_ses.ID`); NULL: keep the caller's
	const struct seccomp_filter *filter; // NULL or empty: none
	int notify_fd; // connected socket of the seccomp listenerPath, or -1
	const char *notify_msg; // the JSON that goes with the listener's descriptor
	int preserve_fds; // descriptors 3 .. 2+n stay open in the program
	bool userns; // the process is in a user namespace of its own
};

struct process_plan;

// Pure. Names of capabilities that this kernel doesn't know are skipped with a warning, as engines newer than the host expect; an unknown rlimit is -EINVAL.
// The plan lives in `arena` and refers to the spec.
int process_plan_make(const struct oci_process *process, const struct oci_linux *linux, const struct process_env *env, struct arena *arena,
		      struct process_plan **plan, struct err *err);

// One line a system call, for --debug and golden files.
void process_plan_print(const struct process_plan *plan, struct text *out);

// In the parent, which has the host's rights: resource limits and oom_score_adj of the process `pid`.
int process_limit(const struct process_plan *plan, pid_t pid, struct err *err);

// In the process, inside its root: all that can fail early and so is told to `create`: the session keyring, HOME from the container's /etc/passwd where env lacks it,
// the working directory (made if missing, verified to be inside), the program (`executable file not found in $PATH`, `permission denied`), the terminal's owner.
int process_prepare(struct process_plan *plan, struct err *err);

// In the process, last: becomes the launcher and then the program. Returns only on failure. From the launcher on, an error goes as a struct process_report to `report_fd` (made close-on-exec in time),
// whose end of file without a report means that the program runs.
int process_enter(struct process_plan *plan, int report_fd, struct err *err);

// What the launcher says when a step of the list fails.
struct process_report {
	int32_t code; // positive errno
	char step[252]; // as `setgroups` or `exec /bin/sh`
};

// Turns a report into an error, with the words that engines look for. Returns -err->code.
int process_report_err(const struct process_report *report, struct err *err);
