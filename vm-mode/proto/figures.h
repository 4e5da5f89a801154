// figures: what `ps` and `update` ask: the guest's processes, and what its balloon holds.
//
// Part of vm-mode/proto/proto.h, under the same rules.
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

// ---- TABLE, PROCESSES ----

#define PROTO_COMMAND_MAX 4096

// The answer has the container's processes with a greater pid, ascending, as many as fit; none at the end.
struct proto_table {
	uint32_t after;
};

// Behind it `command_len` bytes of text on one line, without a NUL.
struct proto_process {
	uint32_t pid, ppid; // as the container sees them; ppid 0: it is outside
	uint32_t uid;	    // effective
	uint32_t tty;	    // device number, as in /proc/PID/stat; 0: none
	uint64_t age_ms, cpu_ms;
	uint32_t command_len, reserved;
};

// Adds one to the answer; what is no text in `command`, or too long, is made to fit.
void proto_process_add(struct text *answer, const struct proto_process *process,
		       const char *command, size_t len);

// Reads one off the head of an answer, unaligned: the number of bytes it takes, `*command` (not NUL-terminated)
// pointing into them; 0: there is no whole one.
size_t proto_process_read(const char *answer, size_t len, struct proto_process *process,
			  const char **command);

// Are these whole processes with text for commands, in order? -EPROTO. Pure.
int proto_check_processes(const char *answer, size_t len, struct err *err);

// ---- BALLOON, BALLOONED ----

#define PROTO_BALLOON_KEEP UINT64_MAX

struct proto_balloon {
	uint64_t target_bytes; // what the guest is to give away; PROTO_BALLOON_KEEP: as before
};

struct proto_ballooned {
	uint64_t target_bytes;
	uint64_t given_bytes; // by the guest's own account
	uint32_t driver;      // 1: the guest has one
	uint32_t reserved;
};
