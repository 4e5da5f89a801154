// client: a verb's side of the control socket ROOT/ID/vm (vm-mode/control/control.h).
//
// Everything blocks, at most as long as vm_client_connect() was told; what comes is checked as the VMM checks what comes
// from the agent, because a guest may have broken out of its VMM and into nothing else.
#pragma once

#include "base/err.h"
#include "vm-mode/proto/proto.h"

#include <stddef.h>
#include <stdint.h>

// Its name in the container's directory.
#define CONTROL_SOCKET "vm"

// What is asked: the payload stays the caller's, and so do the descriptors.
struct vm_client_request {
	uint32_t type; // PROTO_START to PROTO_UPDATE, PROTO_WATCH
	uint32_t id;   // the process
	const void *payload;
	uint32_t len;
	// EXEC: one, the terminal, or three, standard input, output and error. Pipes and terminals that
	// are shared with others are best passed through hostfd_reopen() first.
	const int *fds;
	size_t nfds;
};

// An answer. `payload` is as the type says, in proto.h.
struct vm_client_answer {
	struct proto_header header;
	_Alignas(8) char payload[PROTO_TO_HOST_MAX];
};

// Connects to it in the container's directory. Returns the socket. No call waits longer than `timeout_ms` on it, this
// one included, which is then -ETIMEDOUT; 0: without end. -ENOENT, -ECONNREFUSED: no VMM (any more).
int vm_client_connect(int dirfd, unsigned int timeout_ms, struct err *err);

// Sends a request; for RESIZE, which has no answer, and for who waits for several.
int vm_client_send(int sock, const struct vm_client_request *request, struct err *err);

// The next answer. FAILED is its error, with the agent's code and words. -ECONNRESET: the VMM has
// gone.
int vm_client_receive(int sock, struct vm_client_answer *answer, struct err *err);

// Sends and waits for an answer of type `want`. For EXEC `want` is PROTO_STARTED; the process's id is
// in answer->header.id, and its end comes by vm_client_receive().
int vm_client_ask(int sock, const struct vm_client_request *request, uint32_t want,
		  struct vm_client_answer *answer, struct err *err);
