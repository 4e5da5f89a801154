// How long somebody is waited for.
#include "runtime/patience.h"
#include "tests/unit/tap.h"

#define IDLE_MS 10
#define END_MS	100

static struct patience begin(uint64_t distance)
{
	return patience_begin(IDLE_MS, END_MS, distance, 1000);
}

static void test_idle(void)
{
	struct patience patience = begin(50);

	ok(patience_goes_on(&patience, 50, 1009), "a while");
	ok(!patience_goes_on(&patience, 50, 1010), "not for who does nothing");
	ok(patience_goes_on(&patience, 49, 1010), "progress renews it");
	ok(patience_goes_on(&patience, 49, 1019), "for as long again");
	ok(!patience_goes_on(&patience, 49, 1020), "and no longer");
	ok(!patience_goes_on(&patience, 0, 1011), "not when all is done");
}

static void test_to_and_fro(void)
{
	struct patience patience = begin(50);
	uint64_t now = 1000;

	while (now < 2000 && patience_goes_on(&patience, now % 2 ? 60 : 49, now))
		now++;
	is_int((long long)now, 1010);
}

static void test_end_of_all(void)
{
	struct patience patience = begin(UINT64_MAX);
	uint64_t now = 1000;

	while (now < 2000 && patience_goes_on(&patience, UINT64_MAX - now, now))
		now++;
	is_int((long long)now, 1100);
}

int main(void)
{
	test_idle();
	test_to_and_fro();
	test_end_of_all();
	return done();
}
