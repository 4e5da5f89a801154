// patience: how long to wait for somebody who may be slow, and may lie about getting on.
//
// Pure: times are given. Only coming nearer to the end than ever before is progress, so that going to and fro is
// none, and there is an end to all patience.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct patience {
	uint64_t idle_ms;    // without progress
	uint64_t end_ms;     // in all
	uint64_t nearest;    // what was left to do, at best
	uint64_t begun_ms;   // by the caller's clock
	uint64_t renewed_ms; // at the last progress
};

// Begins to wait at `now_ms`, with `distance` left to do.
struct patience patience_begin(uint64_t idle_ms, uint64_t end_ms, uint64_t distance,
			       uint64_t now_ms);

// Now `distance` is left: shall be waited further? False where it is 0, too.
bool patience_goes_on(struct patience *patience, uint64_t distance, uint64_t now_ms);
