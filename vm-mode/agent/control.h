// control: the connection over which the host tells the agent what to do, and hears of it.
//
// Frames are read piece by piece as they come, and sent whole. What to do about each type is one
// table. See vm-mode/proto/proto.h.
#pragma once

#include "base/err.h"
#include "vm-mode/loop.h"
#include "vm-mode/proto/proto.h"

#include <stddef.h>

struct agent;

struct control {
	struct loop_source source;
	// The frame that is being read.
	struct proto_header header;
	char *payload;
	size_t got; // of header and payload together
};

// Connects, and says HELLO.
int control_open(struct agent *agent, struct err *err);

// A frame: `frame` has all but the length, which is that of `payload`. When the host has gone, the
// loop stops.
void control_send(struct agent *agent, struct proto_header frame, const void *payload, size_t len);

// FAILED, with the error.
void control_fail(struct agent *agent, uint32_t id, uint32_t request, const struct err *err);
