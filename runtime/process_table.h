// process_table: the processes of a guest as a table, as ps(1) prints those of a host.
//
// Pure: the rows come from the guest, checked (vm-mode/proto/figures.h). The columns are those of `ps -ef`, or
// those that `-o LIST` names.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct process_row {
	uint32_t pid, ppid, uid, tty; // tty: a device number; 0: none
	uint64_t age_ms, cpu_ms;
	const char *command; // one line
};

#define PROCESS_ROWS_MAX	   65536
#define PROCESS_COMMANDS_MAX_BYTES ((size_t)16 * 1024 * 1024)

// What a guest has told of its processes, answer by answer; all zero at first.
struct process_rows {
	struct text bytes; // struct process_row[n]
	size_t n;
	size_t command_bytes; // of all
	uint32_t last;	      // the greatest pid
};

void process_rows_free(struct process_rows *rows);
#define scope_process_rows __attribute__((cleanup(process_rows_free)))

// Takes a PROCESSES answer that proto_check_processes() has passed; the commands are copied into `arena`. 1: there
// are more to be asked for, those after `last`; 0: there was none, so these are all. -EPROTO: processes that were
// told of before; -E2BIG: more than PROCESS_ROWS_MAX, or than PROCESS_COMMANDS_MAX_BYTES of commands.
int process_rows_take(struct process_rows *rows, const char *answer, size_t len,
		      struct arena *arena, struct err *err);

// Adds a heading and a line for each row. `options` are ps's, NULL-terminated: -e, -A and -f are what it does
// anyway, -o (or `-o LIST` in one word) takes uid, user, pid, ppid, c, stime, tty, time, cmd and args, separated
// by commas. `now` is for the time of the start, in local time. -ENOTSUP: another option; -EINVAL: -o without
// a list.
int process_table(const struct process_row *rows, size_t n, char *const *options, time_t now,
		  struct text *out, struct err *err);
