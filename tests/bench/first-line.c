/*
 * first-line WORD COMMAND...: how long a command takes to say something, and to end.
 *
 * Prints, separated by blanks: milliseconds from before the fork to the first line of its output that
 * begins with WORD, milliseconds to its end, its peak memory in KiB, and the rest of that line. Its
 * standard error is this program's. Fails when the command ends without the line.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	char *line = NULL, rest[128] = "";
	double line_ms = -1;
	size_t size = 0;
	int ends[2];

	if (argc < 3)
		errx(2, "usage: first-line WORD COMMAND...");
	if (pipe2(ends, O_CLOEXEC) < 0)
		err(1, "pipe");
	double start_ms = now_ms();
	pid_t child = fork();
	if (child < 0)
		err(1, "fork");
	if (child == 0) {
		dup2(ends[1], 1);
		execvp(argv[2], argv + 2);
		err(127, "%s", argv[2]);
	}
	close(ends[1]);
	FILE *output = fdopen(ends[0], "r");
	if (!output)
		err(1, "fdopen");
	while (getline(&line, &size, output) > 0) {
		size_t length = strlen(argv[1]);

		if (line_ms < 0 && strncmp(line, argv[1], length) == 0) {
			line_ms = now_ms() - start_ms;
			snprintf(rest, sizeof(rest), "%.*s", (int)strcspn(line + length, "\r\n"),
				 line + length);
		} else if (line_ms < 0) {
			fputs(line, stderr);
		}
	}
	struct rusage usage;
	int status;
	wait4(child, &status, 0, &usage);
	if (line_ms < 0)
		errx(1, "%s said no line that begins with \"%s\"", argv[2], argv[1]);
	printf("%.1f %.1f %ld%s\n", line_ms, now_ms() - start_ms, usage.ru_maxrss, rest);
	return 0;
}
