// allowance: how long is waited for a guest that is on its way. Pure.
//
// A guest whose time is over may still be on its way, where it gets little of a busy host or its limit is low. As long
// as it uses what it gets, it has the same time again as processor time, but ALLOWANCE_MOST times the time at most. One
// that hangs and sleeps has the time, and no more.
//
// It is looked at ALLOWANCE_LOOKS times in that time, evenly, and so on after it. What was stopped meanwhile has missed
// looks, and they don't count.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ALLOWANCE_LOOKS 6
#define ALLOWANCE_MOST	10

// At a look: the time, and how much processor time the guest and its VMM have used, in microseconds since any moment.
struct allowance_look {
	uint64_t now_us, used_us;
};

struct allowance {
	unsigned int ms, looks;
	uint64_t used_us; // at the start
	struct allowance_look last;
};

// From now on, `ms` milliseconds.
void allowance_begin(struct allowance *allowance, unsigned int ms, struct allowance_look look);

// To be called once at each look. True: it has taken too long.
bool allowance_is_used(struct allowance *allowance, struct allowance_look look);
