/* notifyd SOCKET: a service manager at $NOTIFY_SOCKET. Prints each datagram that it gets. */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char text[4096];
	ssize_t n;
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (argc != 2 || strlen(argv[1]) >= sizeof(addr.sun_path))
		errx(2, "usage: notifyd SOCKET");
	strcpy(addr.sun_path, argv[1]);
	if (sock < 0 || bind(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		err(1, "bind %s", argv[1]);
	while ((n = recv(sock, text, sizeof(text), 0)) >= 0) {
		printf("%.*s\n", (int)n, text);
		fflush(stdout);
	}
	err(1, "recv");
}
