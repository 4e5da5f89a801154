/*
 * recvtty SOCKET [ROWS COLUMNS]: an engine's end of --console-socket. Takes the terminal, sets its
 * size if one is given, then copies its own stdin to the terminal and the terminal to its stdout,
 * until the last process of the container has closed it.
 */
#include "fdsock.h"

#include <err.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Returns the number of bytes copied: 0 or less at the end of `from`. */
static ssize_t copy(int from, int to)
{
	char buf[4096];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n > 0 && write(to, buf, n) != n)
		err(1, "write");
	return n;
}

int main(int argc, char **argv)
{
	char text[256];
	struct pollfd fds[2] = { { .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };

	if (argc != 2 && argc != 4)
		errx(2, "usage: recvtty SOCKET [ROWS COLUMNS]");
	fds[0].fd = fdsock_receive(fdsock_accept(argv[1]), text, sizeof(text));
	if (!isatty(fds[0].fd))
		errx(1, "not a terminal: %s", text);
	if (argc == 4) {
		struct winsize size = { .ws_row = atoi(argv[2]), .ws_col = atoi(argv[3]) };

		if (ioctl(fds[0].fd, TIOCSWINSZ, &size) < 0)
			err(1, "TIOCSWINSZ");
	}
	while (poll(fds, 2, -1) > 0) {
		if (fds[1].revents && copy(STDIN_FILENO, fds[0].fd) <= 0)
			fds[1].fd = -1;
		if (fds[0].revents && copy(fds[0].fd, STDOUT_FILENO) <= 0)
			break;
	}
	return 0;
}
