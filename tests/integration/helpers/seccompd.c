/*
 * seccompd SOCKET ERRNO: a seccomp agent at linux.seccomp.listenerPath. Prints the container
 * process state that comes with the listener, then answers every notification with ERRNO, until
 * the last process that has the filter ends.
 */
#include "fdsock.h"

#include <err.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
	static char state[65536];
	struct pollfd listener = { .events = POLLIN };

	if (argc != 3)
		errx(2, "usage: seccompd SOCKET ERRNO");
	listener.fd = fdsock_receive(fdsock_accept(argv[1]), state, sizeof(state));
	puts(state);
	fflush(stdout);
	while (poll(&listener, 1, -1) == 1 && !(listener.revents & POLLHUP)) {
		/* The kernel wants the request zeroed. */
		struct seccomp_notif request = { 0 };
		struct seccomp_notif_resp response = { .error = -atoi(argv[2]) };

		if (ioctl(listener.fd, SECCOMP_IOCTL_NOTIF_RECV, &request) < 0) {
			if (errno == ENOENT || errno == EINTR)
				continue;
			err(1, "SECCOMP_IOCTL_NOTIF_RECV");
		}
		response.id = request.id;
		if (ioctl(listener.fd, SECCOMP_IOCTL_NOTIF_SEND, &response) < 0 && errno != ENOENT)
			err(1, "SECCOMP_IOCTL_NOTIF_SEND");
	}
	return 0;
}
