/*
 * recvpidfd SOCKET: an engine's end of --pidfd-socket. Prints the pid that the received pidfd
 * stands for, then waits for the end of that process and prints "exited".
 */
#include "fdsock.h"

#include <err.h>
#include <poll.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	char text[256], path[64], line[256];
	struct pollfd pidfd = { .events = POLLIN };
	FILE *info;
	int pid = 0;

	if (argc != 2)
		errx(2, "usage: recvpidfd SOCKET");
	pidfd.fd = fdsock_receive(fdsock_accept(argv[1]), text, sizeof(text));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd.fd);
	info = fopen(path, "re");
	if (!info)
		err(1, "open %s", path);
	while (fgets(line, sizeof(line), info))
		if (sscanf(line, "Pid:\t%d", &pid) == 1)
			break;
	fclose(info);
	printf("%d\n", pid);
	fflush(stdout);
	if (poll(&pidfd, 1, -1) != 1)
		err(1, "poll");
	puts("exited");
	return 0;
}
