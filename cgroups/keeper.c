#include "cgroups/keeper.h"

#include "base/proc.h"

#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

// SIGTERM is left to whoever stops the scope from outside; a ^C that is meant for the container is
// not to end it before that is there.
static void __attribute__((noreturn)) keep(pid_t parent)
{
	sigset_t all;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(0);
	close_range(0, ~0U, 0);
	proc_reset_signals();
	sigfillset(&all);
	sigdelset(&all, SIGTERM);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (;;)
		pause();
}

pid_t keeper_start(struct err *err)
{
	const pid_t parent = getpid();
	pid_t keeper = fork();

	if (keeper < 0)
		return err_sys(err, "fork");
	if (keeper == 0)
		keep(parent);
	return keeper;
}

void keeper_end(pid_t *keeper)
{
	if (*keeper == 0)
		return;
	kill(*keeper, SIGKILL);
	proc_wait(*keeper);
	*keeper = 0;
}
