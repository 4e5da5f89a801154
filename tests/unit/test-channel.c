// The channel between the two sides of a creation.
#include "process/channel.h"
#include "tests/unit/tap.h"

#include <unistd.h>

// The other side fails and ends before it has read our `ok`: its error must not be lost.
static void test_last_words(void)
{
	struct err err = { 0 }, theirs = { 0 };
	int ends[2];

	is_int(channel_pair(ends, &err), 0);
	channel_ok(ends[0]);
	err_set(&theirs, EINVAL, "their last words");
	channel_fail(ends[1], &theirs);
	close(ends[1]);
	is_int(channel_wait(ends[0], &err), -EINVAL);
	is_str(err.msg, "their last words");
	is_int(channel_wait(ends[0], &err), 0);
	close(ends[0]);
}

int main(void)
{
	test_last_words();
	return done();
}
