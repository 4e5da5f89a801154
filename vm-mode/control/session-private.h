// session-private: what session.c (the talk) and session-process.c (processes and their streams)
// share.
#pragma once

#include "vm-mode/control/allowance.h"
#include "vm-mode/control/session.h"

#include <stdbool.h>

// A process: FREE --EXEC sent--> ASKED --STARTED--> RUNNING --EXIT--> DRAINING --output written--> DONE.
// After DONE its streams may go on: a process of the background holds them. The slot is used again when
// they are over.
enum process_state { PROCESS_FREE, PROCESS_ASKED, PROCESS_RUNNING, PROCESS_DRAINING, PROCESS_DONE };

struct process {
	struct session *session;
	enum process_state state;
	uint32_t id;
	struct stream streams[4]; // by enum proto_stream_kind
	bool kill_when_started;
	struct proto_exit exit;
	uint32_t tag;
	void (*answered)(void *user, const struct proto_header *header, const void *payload);
	void *user;
};

// A request that the agent has not answered yet.
struct pending {
	uint32_t number; // 0: free
	uint32_t type, id, tag;
	void (*answered)(void *user, const struct proto_header *header, const void *payload);
	void *user;
};

// A connection to PROTO_PORT_STREAM that hasn't said yet whose it is. An agent that bears several processes may open all
// their streams before it comes to name one.
#define NAMELESS_MAX (3 * SESSION_PROCESSES_MAX)
struct nameless {
	struct session *session;
	struct vsock_conn *conn; // NULL: free
	struct proto_stream name;
	size_t len;
};

struct session {
	struct loop *loop;
	struct vsock *vsock;
	const struct session_events *events;
	void *user;
	enum session_state state;
	struct err error;
	struct proto_hello hello;
	unsigned int ready_timeout_ms;
	char *agent_config; // until sent
	size_t agent_config_len;

	struct vsock_port control_port, stream_port;
	struct vsock_conn *control;
	struct allowance allowance;
	struct loop_source timer, winch;
	struct nameless nameless[NAMELESS_MAX];
	struct process processes[SESSION_PROCESSES_MAX]; // the first is the program
	struct pending pending[SESSION_REQUESTS_MAX];
	uint32_t last_request, last_id;

	// To the agent, not sent yet: out[out_start .. out_len].
	char *out;
	size_t out_start, out_len, out_cap;

	// From the agent: a frame as far as it has come.
	struct proto_header header;
	size_t in_len;
	_Alignas(8) char payload[PROTO_TO_HOST_MAX];
};

// ---- session.c ----
// Ends it with the error.
void session_fail(struct session *session, const struct err *err);
void session_change(struct session *session, enum session_state state);
// Queues a frame, and sends what can be sent.
int session_send(struct session *session, const struct proto_header *header, const void *payload,
		 struct err *err);

// ---- session-process.c ----
// Gives a free slot its id and streams (taken over, also on failure): NULL with the error.
struct process *process_create(struct session *session, uint32_t id,
			       const struct stream_fds *streams, struct err *err);
void process_close_fds(const struct stream_fds *streams);
// A process that has not ended, or NULL.
struct process *process_find(struct session *session, uint32_t id);
void process_started(struct process *process);
void process_exited(struct process *process, const struct proto_exit *end);
void process_kill(struct process *process);
// Cuts its streams and frees the slot.
void process_drop(struct process *process);
bool process_accept(struct vsock_port *port, struct vsock_conn *conn);
// Tells the agent the size of the host's terminal.
void process_send_size(struct process *process);
