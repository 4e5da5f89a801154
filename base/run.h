// run: a helper program, run to its end.
//
// For the few programs that moat needs or is told to run: hooks, newuidmap. The program gets its
// arguments and environment as given, standard input from a descriptor, and no descriptor beyond 0,
// 1 and 2; default signal handlers and an empty mask; and a process group of its own, so that a
// timeout ends what it started too. What it prints is kept, bounded. What it leaves in the
// background is not waited for.
#pragma once

#include "base/err.h"

#define RUN_OUTPUT_MAX 1024

struct run {
	const char *path; // not searched for
	int exec_fd; // -1, or an executable to run in place of `path`; it has itself as descriptor 3
	char *const *argv, *const *envp;
	int stdin_fd;		     // -1: /dev/null
	int timeout_s;		     // 0: none
	char output[RUN_OUTPUT_MAX]; // out: the end of its standard output and error, without the last newline
};

// Returns 0 when the program has exited with status 0. Else the error is the reason alone, for the
// caller to wrap: `exit status 3: OUTPUT`, `killed by signal 9 (Killed): OUTPUT`, `still running
// after 5 seconds, killed: OUTPUT` (-ETIMEDOUT), or why it could not be started.
int run_program(struct run *run, struct err *err);
