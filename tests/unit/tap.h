// tap: unit tests in the Test Anything Protocol.
//
//     int main(void)
//     {
//             ok(str_eq(a, b), "the names agree");
//             is_str(err.msg, "open /x: no such file or directory");
//             return done();
//     }
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

static inline bool tap_check(bool pass, const char *name, const char *file, int line)
{
	printf("%s %d - %s\n", pass ? "ok" : "not ok", ++tap_count, name);
	if (!pass) {
		printf("# failed at %s:%d\n", file, line);
		tap_failed++;
	}
	return pass;
}

static inline void tap_is_str(const char *got, const char *want, const char *expr, const char *file,
			      int line)
{
	if (!tap_check(got && strcmp(got, want) == 0, expr, file, line))
		printf("#  got: %s\n# want: %s\n", got ? got : "(null)", want);
}

static inline void tap_is_int(long long got, long long want, const char *expr, const char *file,
			      int line)
{
	if (!tap_check(got == want, expr, file, line))
		printf("#  got: %lld\n# want: %lld\n", got, want);
}

// The condition holds.
#define ok(cond, name) tap_check((cond), (name), __FILE__, __LINE__)
// Two strings, or two integers, are equal.
#define is_str(got, want) tap_is_str((got), (want), #got, __FILE__, __LINE__)
#define is_int(got, want) tap_is_int((got), (want), #got, __FILE__, __LINE__)
// A test that can't run here.
#define skip(name, reason) printf("ok %d - %s # SKIP %s\n", ++tap_count, (name), (reason))

// The plan; what main returns.
static inline int done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed ? 1 : 0;
}
