/*
 * subreaper COMMAND...: run COMMAND, be the parent of all its orphans and reap them at once, as a
 * host's pid 1 should (some take seconds, and until then a pid namespace can't end). Exits as
 * COMMAND did.
 */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	pid_t command, pid;
	int status;

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
	/* A terminal's Ctrl-C reaches COMMAND too; its end is what to wait for. */
	signal(SIGINT, SIG_IGN);
	do
		pid = wait(&status);
	while (pid != command && (pid > 0 || errno == EINTR));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
