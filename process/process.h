// process: from a process with all rights to the one that the spec describes.
//
// Confinement is compiled, then run. process_plan_make() turns the spec's process object into a
// plan; the plan is a flat list of system calls with all their arguments (capability sets,
// setgroups, umask, no_new_privs, seccomp, …, execve last), which can be printed and tested without
// root. process_enter() runs it.
//
// Who runs the list: not moat's own image. A container can make the kernel execute what
// /proc/self/exe links to (as an interpreter in a `#!` line, or as the program itself), and could
// then write to moat's binary on the host (CVE-2019-5736). So the last thing that moat's process
// does is to become the *launcher*: a program of a few hundred bytes without a C library
// (process/launcher.c), in a sealed memory file together with the list, which walks the list. From
// then on /proc/self/exe is that sealed file. It costs about 50 microseconds; executing moat a
// second time from a read-only mount would cost ten times that.
//
// What it doesn't do: namespaces, mounts, cgroups, the terminal, sysctls.
//
// The files. Spec to plan: plan.c, caps.c, environ.c, limits.c. What is looked up inside the
// container: prepare.c, program.c, label.c. Plan to list: steps.c. Running the list: enter.c, image.c (what
// the launcher is given), launcher.c, report.c. Seccomp: filter.c, filter-compile.c (libseccomp),
// filter-compact.c (what it gives, made small), filter-cache.c, digest.c. Beside it, with headers of
// their own: channel (how parent and process tell each other how it goes), console (its terminal),
// hooks.
//
// config.md "Process", config-linux.md "Seccomp"; credentials(7), capabilities(7), seccomp(2).
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "oci-spec/types.h"
#include "process/report.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// ---- seccomp ----

// A compiled seccomp filter: what seccomp(2) takes, and how.
struct process_filter {
	const void *program; // struct sock_filter[]
	uint16_t count;	     // instructions; 0: no filter
	uint32_t flags;	     // SECCOMP_FILTER_FLAG_*, for seccomp(2)
	bool notify;	     // the filter has a listener, whose descriptor goes to listenerPath
};

// Compiles the profile with libseccomp, or takes what an earlier call has left in the directory
// `cache_dirfd` (-1: none) under the digest of the profile. The cache belongs to the caller's user
// and is trusted as the state directory is; a damaged or foreign entry is replaced, and a cache
// that can't be written costs time, not success. The program lives in `arena`.
//
// Rules whose system call libseccomp doesn't know are left out, as are those that say what the
// default says anyway. As in runc, unless the default is to allow, log or trace, system calls with
// a number above the highest that the profile names return ENOSYS: they are newer than the profile,
// and the C library knows how to do without them. Without any flags in the profile,
// SECCOMP_FILTER_FLAG_SPEC_ALLOW is set; TSYNC means nothing to a process with one thread and is
// left out.
//
// What a profile must allow for the container to start: execve; capset when noNewPrivileges is
// false and CAP_SYS_ADMIN isn't among the effective capabilities; sendmsg when there is a listener;
// write and exit_group for an error to be told.
//
// -EINVAL: unknown architecture or flag; SCMP_ACT_NOTIFY without a listenerPath, as the default,
// for sendmsg, which hands the listener over, or for write, which tells an error.
int process_filter_load(const struct oci_seccomp *profile, int cache_dirfd, struct arena *arena,
			struct process_filter *filter, struct err *err);

// For `moat features`: static lists of `count` names as the spec spells them: the architectures
// that libseccomp knows, the flags that moat knows, and those of them that this kernel supports.
const char *const *process_filter_archs(size_t *count);
const char *const *process_filter_flags(size_t *count);
bool process_filter_flag_supported(const char *flag);

// ---- capabilities ----

// The capabilities that a process can be given: with `userns`, in a user namespace of its own, all
// that the kernel knows; otherwise those that the caller has. Bit n is capability number n.
uint64_t process_caps_grantable(bool userns);

// The name of a capability, as `CAP_CHOWN`; NULL beyond the last that moat knows.
const char *process_cap_name(unsigned int cap);

// ---- the plan ----

// What the plan must know beside the spec.
struct process_env {
	const char *keyring; // name of a new session keyring (`_ses.ID`); NULL: keep the caller's
	const struct process_filter *filter; // NULL or empty: none
	uint64_t caps;			     // from process_caps_grantable()
	unsigned int
		preserve_fds; // descriptors 3 .. 2+n stay open in the program; the caller checked that they are
	bool userns; // the process is in a user namespace that isn't the host's
};

struct process_plan;

// Pure. As the spec demands, capabilities that are unknown or can't be granted are left out with a
// warning. -EINVAL: an rlimit that is unknown or stands twice, an environment variable without `=`,
// an unknown personality, a user or group that the spec's own mappings lack. The plan lives in
// `arena` and refers to the spec and to what `env` points to. `linux` may be NULL.
int process_plan_make(const struct oci_process *process, const struct oci_linux *linux,
		      const struct process_env *env, struct arena *arena,
		      struct process_plan **plan, struct err *err);

// One line a system call, for --debug and golden files. Before process_prepare() it is the list as
// far as it is known.
void process_plan_print(const struct process_plan *plan, struct text *out);

// ---- running it, in this order ----

// In the parent, which has the host's rights: raises the hard resource limits of the process `pid`
// that have to be, and sets its oom_score_adj. Limits are lowered by the launcher, so this can come
// at any time before process_enter().
int process_limit(const struct process_plan *plan, pid_t pid, struct err *err);

// In the process, inside its root while that is still writable: makes the working directory where
// it is missing. For create only; `exec` into a directory that doesn't exist is an error, which
// process_prepare() gives.
int process_make_cwd(const struct process_plan *plan, struct err *err);

// In the process, inside its root, with its final standard input, output and error: all that can
// fail early and so is told to `create`: the session keyring, HOME from the container's /etc/passwd
// where env lacks it, the working directory (entered, and verified to be inside), the program
// (`executable file not found in $PATH`, `permission denied`), the owner of the terminal and the
// other standard streams, the file for the LSM label.
int process_prepare(struct process_plan *plan, struct err *err);

// In a process that will be no program, as VM mode's monitor, before it has threads, children or no_new_privs: it takes the
// AppArmor profile and the SELinux label that the plan has for the program, at once. `proc_fd` is the root of a procfs
// of its pid namespace that nobody can have replaced. -ENOTSUP: this host has not that security module; else in the
// launcher's words.
int process_take_label(const struct process_plan *plan, int proc_fd, struct err *err);

// Descriptors of the last stretch. None of them reaches the program; all are above 2 +
// preserve_fds.
struct process_channels {
	int report_fd; // pipe or socket to whoever waits for the program to start
	int notify_fd; // connected socket of the seccomp listenerPath, or -1
	const char *
		notify_msg; // the JSON that goes with the listener's descriptor; NULL with notify_fd -1
};

// In the process, last: becomes the launcher and then the program, with default signal handling.
// Every other descriptor is closed on the way. Returns only on failure. From the launcher on, an
// error goes as a struct process_report to the report_fd, whose end of file without a report means
// that the program runs (or was killed by its own seccomp filter).
int process_enter(struct process_plan *plan, const struct process_channels *channels,
		  struct err *err);

// Turns a report into an error, with the words that engines look for. Returns -err->code.
int process_report_err(const struct process_report *report, struct err *err);

// ---- beside it: another file of the container ----

// A launcher that only does execve(path, argv, envp), with nothing of moat's in sight: for a
// program of the container that moat's image must not execute itself (a hook that is
// `#!/proc/self/exe`). Returns a descriptor for execveat(2), the caller's; the launcher expects to
// have it as descriptor PROCESS_LAUNCHER_FD, which it closes. A program that can't be executed
// makes it say so on standard error and exit with status 1.
#define PROCESS_LAUNCHER_FD 3
int process_launcher_open(const char *path, char *const *argv, char *const *envp, struct err *err);
