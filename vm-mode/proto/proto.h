// proto: what the host and the agent say to each other.
//
// The agent connects, over vsock, to CID 2: to PROTO_PORT_CONTROL once, and to PROTO_PORT_STREAM for
// each stream of each process. The host never connects.
//
// The control connection carries frames: a header, then `len` bytes. Host to agent, a payload may be
// large and is JSON where that says so: the agent trusts the host. Agent to host, every frame is
// small, of a fixed layout, and checked by proto_check() before anything looks into it. A frame that
// fails the check ends the guest.
//
// A stream connection begins with a struct proto_stream; all else is the stream itself. The end of a
// direction is a shutdown of that direction.
//
// The same frames go between a verb of moat and the VMM over the Unix socket ROOT/ID/vm
// (SOCK_SEQPACKET, one frame a packet; the descriptors of a process's streams travel with
// PROTO_EXEC): see vm-mode/control/control.h.
//
// All numbers are little-endian, as both sides are. Everything is sent by one build of moat to
// another: PROTO_VERSION must be the same on both sides.
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTO_VERSION	   1
#define PROTO_PORT_CONTROL 1
#define PROTO_PORT_STREAM  2

#define PROTO_TO_AGENT_MAX ((uint32_t)16 * 1024 * 1024)
#define PROTO_TO_HOST_MAX  ((uint32_t)64 * 1024)

// The container's program; processes of `exec` have ids from 1 on, given by the host, not reused.
#define PROTO_INIT 0

enum proto_type {
	// host to agent
	PROTO_CONFIG =
		1, // JSON, struct agent_config (vm-mode/agent_config.h): answered by READY or FAILED
	PROTO_START,  // run the program: answered by STARTED or FAILED
	PROTO_EXEC,   // JSON, struct agent_exec: answered by STARTED or FAILED
	PROTO_SIGNAL, // proto_signal: to a process, or to all: answered by DONE or FAILED
	PROTO_RESIZE, // proto_size: of a process's terminal; not answered
	PROTO_PS,     // answered by PIDS
	PROTO_STATS,  // answered by FIGURES
	PROTO_UPDATE, // JSON, linux.resources: answered by DONE or FAILED
	PROTO_TABLE,  // proto_table: answered by PROCESSES (vm-mode/proto/figures.h)

	// a verb to the VMM itself
	PROTO_BALLOON, // proto_balloon: answered by BALLOONED (vm-mode/proto/figures.h)
	PROTO_WATCH,   // answered by DONE; from then on OOM comes, too

	// the VMM itself to the agent
	PROTO_CLOCK, // proto_clock: before CONFIG; not answered

	// agent to host
	PROTO_HELLO = 64, // proto_hello: the first frame
	PROTO_READY,	  // the container is created: it waits for START
	PROTO_STARTED,	  // the process runs
	PROTO_FAILED,	  // proto_failure: the request of this id
	PROTO_EXIT,	  // proto_exit: the process has ended, and its streams have been sent
	PROTO_DONE,
	PROTO_PIDS,	 // uint32_t[]: as the container sees them
	PROTO_FIGURES,	 // as cgroup_stats_pack() makes them (cgroups/cgroups.h)
	PROTO_OOM,	 // the guest's OOM killer has struck
	PROTO_PROCESSES, // proto_process and its command, again and again

	// the VMM to a verb
	PROTO_BALLOONED, // proto_ballooned
};

struct proto_header {
	uint32_t type;	  // enum proto_type
	uint32_t len;	  // of what follows
	uint32_t id;	  // the process that it is about
	uint32_t request; // given by who asks, repeated in the answer; 0 otherwise
};

// When the agent was up, and when it had made the guest ready and said HELLO.
enum proto_boot { PROTO_BOOT_AGENT, PROTO_BOOT_HELLO, PROTO_BOOT_COUNT };

struct proto_hello {
	uint32_t version;
	uint32_t reserved;
	uint64_t boot_us[PROTO_BOOT_COUNT]; // guest time, since its start
};

// The host's CLOCK_REALTIME. What the guest's kernel has read of it when it began to boot has fallen behind by the
// ticks that it has missed since.
struct proto_clock {
	int64_t seconds;
	int64_t nanoseconds;
};

struct proto_signal {
	uint32_t number;
	uint32_t all; // 1: every process of the container
};

struct proto_size {
	uint16_t rows, cols;
};

struct proto_failure {
	int32_t code;		   // errno
	char message[ERR_MSG_MAX]; // NUL-terminated; only as many bytes as it needs are sent
};

struct proto_exit {
	uint32_t status; // as a shell tells it: the code, or 128 + the signal
	uint32_t signal; // 0: it exited
};

enum proto_stream_kind { PROTO_STDIN, PROTO_STDOUT, PROTO_STDERR, PROTO_TERMINAL };

struct proto_stream {
	uint32_t id;   // of the process
	uint32_t kind; // enum proto_stream_kind
};

// May this byte stand in a message? It goes to terminals and logs: no commands of theirs.
bool proto_is_text(char c);

// The FAILED frame of an error: fills `failure`, and returns how many bytes of it are to be sent. What is
// no text in the message, as a program or a path may have put it there, becomes `?`.
uint32_t proto_failure_of(const struct err *err, struct proto_failure *failure);

// Is this a frame that an agent may send? `payload` has header->len bytes; with NULL only the header
// is checked (before the payload is read). -EPROTO, naming what is wrong. Pure.
int proto_check(const struct proto_header *header, const void *payload, struct err *err);
