#include "vm-mode/control/allowance.h"

// This part of a processor, or less, an idle guest uses as well.
#define IDLE_PART 50

void allowance_begin(struct allowance *allowance, unsigned int ms, struct allowance_look look)
{
	*allowance = (struct allowance){ .ms = ms, .used_us = look.used_us, .last = look };
}

bool allowance_is_used(struct allowance *allowance, struct allowance_look look)
{
	const uint64_t used_us = look.used_us - allowance->last.used_us;
	const bool is_busy = used_us >= (look.now_us - allowance->last.now_us) / IDLE_PART;

	allowance->last = look;
	if (++allowance->looks < ALLOWANCE_LOOKS)
		return false;
	return !is_busy || allowance->looks >= ALLOWANCE_LOOKS * ALLOWANCE_MOST ||
	       look.used_us - allowance->used_us >= (uint64_t)allowance->ms * 1000;
}
