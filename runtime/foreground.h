// foreground: moat between its caller and a container that runs in the foreground (`run`, `exec`
// without --detach).
//
// Three calls around the life of the process: begin, before it is born; wait, which forwards
// signals, relays the terminal if there is one, and reaps; end, which gives everything back. The
// process shares moat's standard streams unless it has a terminal of its own.
//
// Signals are blocked from begin to end and taken from a signalfd, so none is lost and none
// interrupts. The process is born with an empty mask (ns_spawn). All signals are forwarded but
// those that are moat's own business: SIGCHLD, SIGPIPE, SIGURG, SIGWINCH (the terminal's size
// follows instead), SIGTTIN and SIGTTOU (moat stops like any background job), and SIGKILL and
// SIGSTOP, which can't be.
#pragma once

#include "base/err.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

// Something else that the wait watches: `ready` is called when `fd` can be read; false: no more.
struct foreground_watch {
	int fd; // -1: nothing
	bool (*ready)(void *context, int fd);
	void *context;
};

struct foreground {
	bool active;
	int signal_fd;
	struct foreground_watch watch; // the caller's to set, between begin and wait
	sigset_t old_mask;
	bool raw;	      // the caller's terminal, standard input, is in raw mode
	struct termios saved; // its settings before that
};

// Before the process is born. With `subreaper` moat adopts, and reaps, what the container's
// processes leave behind.
int foreground_begin(struct foreground *fg, bool subreaper, struct err *err);

// Waits for the child `pid` (its pidfd `pidfd`) to end. With `master` (-1: none) moat's standard
// input and output are relayed to and from that terminal, in raw mode where standard input is a
// terminal itself; what is left in it when the process has ended is still written out. Returns the
// exit status as a shell would tell it (128 + n for signal n). The child is reaped; the descriptors
// stay the caller's.
int foreground_wait(struct foreground *fg, pid_t pid, int pidfd, int master, struct err *err);

// Gives the caller's terminal its settings back, and the signals; those that are pending are
// dropped. What must not be cut short by a signal, as removing the container, comes before.
// Harmless if begin failed or was never called ({0}).
void foreground_end(struct foreground *fg);

#define scope_foreground __attribute__((cleanup(foreground_end)))
