// process_table: the processes of a guest as a table, as ps(1) prints those of a host.
//
// Pure: the rows come from the guest, checked (vm-mode/proto/figures.h). The columns are those of `ps -ef`, or
// those that `-o LIST` names.
#pragma once

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

// Adds a heading and a line for each row. `options` are ps's, NULL-terminated: -e, -A and -f are what it does
// anyway, -o (or `-o LIST` in one word) takes uid, user, pid, ppid, c, stime, tty, time, cmd and args, separated
// by commas. `now` is for the time of the start, in local time. -ENOTSUP: another option; -EINVAL: -o without
// a list.
int process_table(const struct process_row *rows, size_t n, char *const *options, time_t now,
		  struct text *out, struct err *err);
