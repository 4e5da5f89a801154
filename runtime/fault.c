#include "runtime/fault.h"

#ifdef MOAT_TEST_HOOKS

#include "base/str.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static bool chosen(const char *variable, const char *step)
{
	const char *name = getenv(variable);

	return name && str_eq(name, step);
}

bool fault_lists_steps(void)
{
	return getenv("MOAT_LIST_STEPS") != NULL;
}

int fault_at(const char *step, struct err *err)
{
	if (chosen("MOAT_KILL_STEP", step)) {
		raise(SIGKILL);
		// The first process of a pid namespace doesn't hear its own signal.
		_exit(128 + SIGKILL);
	}
	if (chosen("MOAT_FAIL_STEP", step))
		return err_set(err, EIO, "made to fail by MOAT_FAIL_STEP");
	return 0;
}

#else
// ISO C wants a translation unit to declare something.
extern int fault_is_not_compiled_in;
#endif
