/*
 * subreaper COMMAND...: run COMMAND, be the parent of all its orphans and reap them at once, as a
 * host's pid 1 should (some take seconds, and until then a pid namespace can't end). Exits as
 * COMMAND did. When it is told to end it ends all that descends from it: what hangs must not stay.
 */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Set by SIGTERM, SIGHUP and SIGINT. */
static volatile sig_atomic_t ending;

static void end(int signal)
{
	(void)signal;
	ending = 1;
}

/* Kill the children; theirs become ours and are killed in turn. */
static void kill_children(void)
{
	char path[64];
	FILE *children;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	children = fopen(path, "re");
	while (children && fscanf(children, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	if (children)
		fclose(children);
}

int main(int argc, char **argv)
{
	struct sigaction on_end = { .sa_handler = end };
	pid_t command, pid;
	int status, exit_status = 128 + SIGTERM;

	if (argc < 2)
		errx(2, "usage: subreaper COMMAND...");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		err(1, "PR_SET_CHILD_SUBREAPER");
	command = fork();
	if (command < 0)
		err(1, "fork");
	if (command == 0) {
		execvp(argv[1], argv + 1);
		err(127, "%s", argv[1]);
	}
	sigaction(SIGTERM, &on_end, NULL);
	sigaction(SIGHUP, &on_end, NULL);
	sigaction(SIGINT, &on_end, NULL);
	do {
		pid = wait(&status);
		if (pid == command)
			exit_status = WIFEXITED(status) ? WEXITSTATUS(status) :
							  128 + WTERMSIG(status);
		if (ending)
			kill_children();
	} while (ending ? pid > 0 || errno == EINTR : pid != command);
	return exit_status;
}
