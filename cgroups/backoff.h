// backoff: waiting for the kernel where it offers nothing to wait on. Private to cgroups/.
//
//     struct backoff backoff = backoff_until(2000);
//     while (!done())
//             if (!backoff_wait(&backoff))
//                     return timed out;
//
// Sleeps 50 microseconds, then each time twice as long, up to 20 milliseconds.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct backoff {
	uint64_t deadline_ns, next_ns;
};

struct backoff backoff_until(unsigned int timeout_ms);

// False, without sleeping, when the time is over.
bool backoff_wait(struct backoff *backoff);
