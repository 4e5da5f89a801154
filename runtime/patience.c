#include "runtime/patience.h"

struct patience patience_begin(uint64_t idle_ms, uint64_t end_ms, uint64_t distance,
			       uint64_t now_ms)
{
	return (struct patience){ .idle_ms = idle_ms,
				  .end_ms = end_ms,
				  .nearest = distance,
				  .begun_ms = now_ms,
				  .renewed_ms = now_ms };
}

bool patience_goes_on(struct patience *patience, uint64_t distance, uint64_t now_ms)
{
	if (distance < patience->nearest) {
		patience->nearest = distance;
		patience->renewed_ms = now_ms;
	}
	return distance > 0 && now_ms - patience->renewed_ms < patience->idle_ms &&
	       now_ms - patience->begun_ms < patience->end_ms;
}
