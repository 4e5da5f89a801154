// report: what the launcher says when a step of its list fails. Apart, because the launcher has no
// C library.
#pragma once

#include <stdint.h>

struct process_report {
	int32_t code;	// positive errno
	char step[252]; // as `setgroups` or `exec /bin/sh`; NUL-terminated
};
