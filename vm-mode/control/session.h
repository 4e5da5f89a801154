// session: the host's side of the talk with the agent, from its first word to the program's exit.
//
// It listens at the guest's two ports, knows the processes of the container and what was asked of
// the agent, and gives each process its streams. All that the agent says is checked before it is
// used; one frame that is wrong, or comes when it must not, ends the session with a definite error,
// and the machine then ends the guest. It runs in the loop's thread and never blocks. What it keeps
// is bounded: SESSION_REQUESTS_MAX open requests, SESSION_PROCESSES_MAX processes, and what waits to
// be sent.
//
//     BOOTING --connection--> GREETING --HELLO--> CREATING --READY--> CREATED
//     CREATED --START--> STARTING --STARTED--> RUNNING --EXIT, output written--> ENDED
//     any but ENDED --> FAILED
//
// The frames are those of vm-mode/proto/proto.h.
#pragma once

#include "base/err.h"
#include "vm-mode/control/streams.h"
#include "vm-mode/devices/vsock.h"
#include "vm-mode/loop.h"
#include "vm-mode/proto/proto.h"

#include <stddef.h>
#include <stdint.h>

#define SESSION_REQUESTS_MAX  256
#define SESSION_PROCESSES_MAX 64
#define SESSION_UNSENT_MAX    ((size_t)2 * PROTO_TO_AGENT_MAX)

enum session_state {
	SESSION_BOOTING,
	SESSION_GREETING,
	SESSION_CREATING,
	SESSION_CREATED,
	SESSION_STARTING,
	SESSION_RUNNING,
	SESSION_ENDED,
	SESSION_FAILED,
};

struct session;

// What the machine is told; each may be NULL. None may free the session.
struct session_events {
	void (*changed)(void *user, enum session_state state);
	void (*oom)(void *user);
	// Writes the end of the guest's console into `text`, NUL-terminated.
	void (*console_tail)(void *user, char *text, size_t size);
};

struct session_config {
	struct loop *loop;
	struct vsock *vsock;
	const char *agent_config; // PROTO_CONFIG's payload; not needed after session_create()
	size_t agent_config_len;
	struct stream_fds streams; // the program's; taken over, also on failure
	// How long a guest may take (vm-mode/control/allowance.h), from session_create() on and from HELLO on; 0: as it likes.
	unsigned int hello_timeout_ms, ready_timeout_ms;
	const struct session_events *events;
	void *user;
};

// Also ignores SIGPIPE, and, with a terminal, blocks SIGWINCH in this thread and those it will make:
// the signal comes by a signalfd.
int session_create(const struct session_config *config, struct session **session, struct err *err);

// Cuts all connections; nobody is answered. Before the device goes.
void session_free(struct session *session);

enum session_state session_state(const struct session *session);

// Why it has FAILED.
const struct err *session_error(const struct session *session);

// The program's, once ENDED.
const struct proto_exit *session_exit(const struct session *session);

// What the agent said at first, from CREATING on: among it, times of the boot.
const struct proto_hello *session_hello(const struct session *session);

// The guest itself has ended, or is about to be: the session FAILS with this reason and the console's
// end, unless it has ended already, or will once output that has come is written.
void session_lost(struct session *session, const char *why);

// Something asked of the agent.
struct session_request {
	uint32_t type; // PROTO_START to PROTO_UPDATE
	uint32_t id;   // the process; PROTO_EXEC gets its own
	const void *payload;
	uint32_t len;
	uint32_t tag; // of the asker's: `request` in the answers that he gets
	// Gets the answer, FAILED also where the session itself fails; for EXEC first STARTED or
	// FAILED, then EXIT. NULL: nobody wants to know.
	void (*answered)(void *user, const struct proto_header *header, const void *payload);
	void *user;
	const struct stream_fds
		*streams; // EXEC: taken over, also on failure. NULL: none, as /dev/null
};

// -EINVAL: a payload that doesn't fit the type; -EBUSY: not in this state, or too much under way;
// -ESRCH: no such process. On failure nobody is answered.
int session_ask(struct session *session, const struct session_request *request, struct err *err);

// Who asked has gone: he gets no more answers, and what he executed and still runs is killed.
void session_forget(struct session *session, const void *user);
