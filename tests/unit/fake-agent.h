// fake-agent: the agent of a guest, played by a test over a real socket device (vsock-guest.h).
#pragma once

#include "tests/unit/vsock-guest.h"
#include "vm-mode/control/session.h"
#include "vm-mode/proto/proto.h"

struct agent {
	struct guest guest;
	struct loop *loop;
	struct session *session;
	struct guest_conn *control;
	// The last frame that agent_next() has got.
	struct proto_header header;
	char payload[70000];
	struct proto_clock clock; // what the first frame has said
	// What the session has told.
	enum session_state states[16];
	unsigned int changes, ooms;
};

// A machine around a session: loop, device, session with these streams.
void agent_init(struct agent *agent, const struct stream_fds *streams);
void agent_free(struct agent *agent);

// Lets the host's side work, and the guest's driver.
void agent_pump(struct agent *agent);
// The same until `ms` milliseconds have gone by.
void agent_pump_ms(struct agent *agent, int ms);

void agent_send(struct agent *agent, const struct proto_header *header, const void *payload);
void agent_answer(struct agent *agent, uint32_t type, const void *payload, uint32_t len);
void agent_fail(struct agent *agent, int code, const char *message);
void agent_exit(struct agent *agent, uint32_t id, uint32_t status);

// The next frame from the host, in agent->header and payload; false: none.
bool agent_next(struct agent *agent);
// Whether the next one is of this type.
bool agent_gets(struct agent *agent, uint32_t type);

// The steps of a life, each with what comes before: connected, HELLO and CONFIG, READY, START and STARTED.
void agent_connect(struct agent *agent);
void agent_hello(struct agent *agent);
void agent_ready(struct agent *agent);
void agent_run(struct agent *agent);
// The last of them alone.
void agent_start(struct agent *agent);

struct guest_conn *agent_stream(struct agent *agent, uint32_t id, enum proto_stream_kind kind);

// Bytes in which a lost, doubled or swapped one shows.
void fill_pattern(char *data, size_t len);
