// control: the VMM's server for moat's verbs, at the socket ROOT/ID/vm.
//
// A client asks with START, EXEC, SIGNAL, RESIZE, PS, TABLE, STATS, UPDATE or WATCH, as often as it likes, and gets
// the agent's answers with the `request` number that it gave; what can't be asked is answered FAILED
// by the VMM itself; RESIZE is not answered. BALLOON never goes to the agent: the VMM answers it. The answer to EXEC is STARTED, with the process's id, then
// EXIT when it has ended and its output has been written; a client that goes away before has its
// process killed. After WATCH it also gets an OOM each time that one comes. The packets are those of vm-mode/control/packet.h.
//
// At most CONTROL_CLIENTS_MAX are served at once; more wait in the socket's backlog. Who sends what is
// no such packet, or doesn't read its answers, is dropped: moat itself does neither.
#pragma once

#include "base/err.h"
#include "vm-mode/control/session.h"
#include "vm-mode/loop.h"
#include "vm-mode/proto/figures.h"

#include <sys/types.h>

#define CONTROL_CLIENTS_MAX 64
#define CONTROL_ASKED_MAX   4 // by one client and not answered yet; EXEC counts until its STARTED

struct control;

struct control_config {
	struct loop *loop;
	struct session *session;
	int listen_fd; // SOCK_SEQPACKET, listening; taken over
	uid_t owner;   // who may connect, beside 0: a uid in the VMM's own user namespace

	// BALLOON: sets the target, in bytes, unless it is PROTO_BALLOON_KEEP, and tells how things
	// are. NULL: there is none.
	void (*balloon)(void *user, uint64_t target, struct proto_ballooned *answer);
	void *user;
};

int control_create(const struct control_config *config, struct control **control, struct err *err);

// The guest's OOM killer has struck: for all that watch.
void control_tell_oom(struct control *control);

// Before the session goes.
void control_free(struct control *control);
