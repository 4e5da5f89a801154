// listener: the agent that answers for a seccomp profile with SCMP_ACT_NOTIFY: the way to it, and
// what it is told.
//
// The listener's descriptor itself is sent by the launcher (process/process.h), right after it has
// loaded the filter.
//
// config-linux.md "Seccomp" (listenerPath, listenerMetadata) and "The Container Process State".
#pragma once

#include "base/err.h"
#include "oci-spec/state.h"
#include "oci-spec/types.h"

#include <sys/types.h>

struct listener {
	int fd;	    // connected to listenerPath; -1: nothing in the profile notifies
	int procfd; // moat's own /proc, which tells a process its pid as moat sees it; -1: not needed
	pid_t pid;	     // that pid, if known without; 0: procfd tells it
	const char *message; // NULL until listener_describe()
};

#define LISTENER_NONE                  \
	{                              \
		.fd = -1, .procfd = -1 \
	}

// Before the process is born, if the filter notifies (else the spec has listenerPath ignored):
// connects.
int listener_open(struct listener *listener, const struct oci_seccomp *seccomp, struct err *err);

// In the process: composes the message about itself, in `arena`. `state` is the container's; its
// init's pid is taken as it is, or, if 0, is the caller's.
int listener_describe(struct listener *listener, const struct oci_seccomp *seccomp,
		      const struct container_state *state, struct arena *arena, struct err *err);

void listener_close(struct listener *listener);
