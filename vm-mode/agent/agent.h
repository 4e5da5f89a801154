// agent: the first process of the guest, and the only one of moat's there.
//
// It makes the guest ready (guest.h), tells the host so, and then does what the host asks over the
// control connection (control.h): makes the container, starts it, runs more processes in it
// (container.h, job.h), signals them, and carries their streams (stream.h). One event loop, one
// thread, which never waits: not for a process that is on its way to its program, nor for a stream
// that nobody reads. What it waits for is the host's answer when it connects, and room for the few
// bytes of a frame.
//
// The steps of container mode are done by container mode's own code, on a part of the same spec
// (vm-mode/split.h).
#pragma once

#include "vm-mode/agent/container.h"
#include "vm-mode/agent/control.h"
#include "vm-mode/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct job;

struct agent {
	// With these it is no guest's: another program's child on a host, for tests.
	const char *connect; // stands for vsock: Unix sockets PREFIX.PORT; NULL: vsock
	const char *root;    // directory with the shared root; NULL: the guest mounts it

	struct loop *loop;
	struct loop_source signals;
	struct control control;
	struct container container;
	struct job *jobs;
	uint64_t boot_us[PROTO_BOOT_COUNT]; // for HELLO
};

// The guest's time, microseconds since its start.
uint64_t agent_now_us(void);

// Connects to a port of the host's. With `wait` false the connection may still be in the making.
int agent_connect(const struct agent *agent, unsigned int port, bool wait, struct err *err);
