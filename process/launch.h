// launch: the list of system calls, as the launcher finds it in its own memory. Written by image.c,
// walked by launcher.c; both are built together, so that there is no version to check. Addresses
// are those of the launcher's process.
#pragma once

#include "process/report.h"

#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "an int is stored into the low half of an argument");

struct launch_call {
	int64_t nr;
	uint64_t args[6];
	const char *name; // of the step, for the report
	int *save; // where the result goes (it may be an argument of a later call); NULL: nowhere
	uint64_t accept; // bit n: errno n is no failure
};

// What lies at the start of the launcher's data segment. The calls' data follow.
struct launch_list {
	struct process_report report; // filled when a call fails
	int32_t report_fd;
	uint32_t count;
	struct launch_call calls[];
};
