#include "cgroups/backoff.h"

#include <time.h>

#define FIRST_NS   50000
#define LONGEST_NS 20000000
#define NS_IN_MS   1000000
#define NS_IN_S	   1000000000

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_IN_S + (uint64_t)now.tv_nsec;
}

struct backoff backoff_until(unsigned int timeout_ms)
{
	return (struct backoff){
		.deadline_ns = now_ns() + (uint64_t)timeout_ms * NS_IN_MS,
		.next_ns = FIRST_NS,
	};
}

bool backoff_wait(struct backoff *backoff)
{
	if (now_ns() >= backoff->deadline_ns)
		return false;

	const struct timespec pause = { .tv_nsec = (long)backoff->next_ns };
	nanosleep(&pause, NULL);
	if (backoff->next_ns < LONGEST_NS)
		backoff->next_ns *= 2;
	return true;
}
