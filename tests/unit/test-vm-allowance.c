// How long is waited for a guest that is on its way: by how much of the processor it uses.
#include "tests/unit/tap.h"
#include "vm-mode/control/allowance.h"

#define MS   60000
#define EACH (UINT64_C(1000) * MS / ALLOWANCE_LOOKS) // between two looks, in microseconds

// At which look it is over, if the guest uses one part of a processor in `part` up to look `until`, and then nothing.
static unsigned int over_at(uint64_t part, unsigned int until)
{
	struct allowance_look look = { .now_us = 7, .used_us = 12345678 };
	struct allowance allowance;
	unsigned int looks = 0;
	bool over = false;

	allowance_begin(&allowance, MS, look);
	while (!over && looks < 1000) {
		looks++;
		look.now_us += EACH;
		look.used_us += looks <= until ? EACH / part : 0;
		over = allowance_is_used(&allowance, look);
	}
	return looks;
}

static void test_stopped(void)
{
	struct allowance_look look = { 0 };
	struct allowance allowance;

	allowance_begin(&allowance, MS, look);
	look.now_us += 100 * EACH;
	ok(!allowance_is_used(&allowance, look), "looks that were missed don't count");
}

int main(void)
{
	is_int(over_at(1, 1000), ALLOWANCE_LOOKS);		      // a processor of its own
	is_int(over_at(2, 1000), 2 * ALLOWANCE_LOOKS);		      // half of one
	is_int(over_at(40, 1000), ALLOWANCE_MOST * ALLOWANCE_LOOKS);  // next to nothing
	is_int(over_at(100, 1000), ALLOWANCE_LOOKS);		      // idle
	is_int(over_at(2, 3), ALLOWANCE_LOOKS);			      // it hangs, asleep
	is_int(over_at(2, ALLOWANCE_LOOKS + 2), ALLOWANCE_LOOKS + 3); // so it does late
	test_stopped();
	return done();
}
