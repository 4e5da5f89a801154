// fault: lets a test choose a step of a creation and make it fail, or kill the runtime there.
// Compiled in only by --enable-test-hooks; otherwise every call is nothing.
//
//     MOAT_FAIL_STEP=NAME   the step NAME fails instead of running
//     MOAT_KILL_STEP=NAME   the process that is about to run the step NAME kills itself
//     MOAT_LIST_STEPS=1     prints the steps' names, one a line, and ends the program
#pragma once

#include "base/err.h"

#include <stdbool.h>

#ifdef MOAT_TEST_HOOKS
// Is the list of steps asked for?
bool fault_lists_steps(void);

// To be called before each step: fails if that step is to fail.
int fault_at(const char *step, struct err *err);
#else
static inline bool fault_lists_steps(void)
{
	return false;
}

static inline int fault_at(const char *step, struct err *err)
{
	(void)step;
	(void)err;
	return 0;
}
#endif
