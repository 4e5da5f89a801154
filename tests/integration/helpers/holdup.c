/*
 * holdup TID: stops this one thread, says "held", and lets it go on when it is killed itself: a
 * thread that gets no processor for a while.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "usage: holdup TID");
	const pid_t tid = atoi(argv[1]);

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0 ||
	    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0)
		err(1, "thread %d", tid);
	if (waitpid(tid, NULL, __WALL) != tid)
		err(1, "wait for thread %d", tid);
	puts("held");
	fflush(stdout);
	pause();
	return 0;
}
