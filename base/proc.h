// proc: processes, and who they are.
//
// A pid is reused; a pid with its start time is not. What moat remembers of a process is that pair,
// and what it does to a process it does through a pidfd that was opened first and checked against
// the pair after.
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_id {
	pid_t pid;	     // in moat's own pid namespace; 0: none
	uint64_t start_time; // clock ticks since boot, field 22 of /proc/PID/stat
};

// Who `pid` is now. -ESRCH when there is no such process. A zombie counts as existing.
int proc_identify(pid_t pid, struct proc_id *id, struct err *err);

// True while the process lives: it exists, its start time matches, and it is no zombie.
bool proc_alive(const struct proc_id *id);

// A pidfd for exactly this process. Returns the fd, or -ESRCH when it has gone.
int proc_pidfd(const struct proc_id *id, struct err *err);

// Waits for a child to end, across EINTR. Returns its exit status as a shell would tell it: the
// exit code, or 128 + the signal's number. -1 with errno when it can't be waited for.
int proc_wait(pid_t pid);

// Closes all descriptors from `first` on but those in `keep`, where -1 stands for none. -1 with
// errno.
int proc_close_fds(int first, const int *keep, size_t n);

// Gives this process default handling of all signals, and an empty mask, before it executes a
// program: signals that are ignored or blocked would stay so; handlers would not.
void proc_reset_signals(void);

// Lets the usual signals that end a program end this one, with status 128 + n. The first process of a
// pid namespace is deaf to signals that it has no handler for; but whoever kills a container which
// waits to be started means it. What is ignored stays so. execve(2) undoes it.
void proc_obey_signals(void);

// Takes all signals that somebody may send to this thread, but the `n` of `spared`: they are blocked, and
// read from the descriptor that is returned (signalfd(2), not blocking). Those by which the kernel
// ends a process for its own faults stay as they are.
int proc_take_signals(const int *spared, size_t n, struct err *err);
