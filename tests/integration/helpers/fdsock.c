#include "fdsock.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int fdsock_accept(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int conn;

	/* Named only once it listens: tests wait for the name, then connect. */
	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s-", path) >=
	    (int)sizeof(addr.sun_path))
		errx(1, "socket path too long: %s", path);
	if (sock < 0 || bind(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(sock, 1) < 0 || rename(addr.sun_path, path) < 0)
		err(1, "listen at %s", path);
	conn = accept4(sock, NULL, NULL, SOCK_CLOEXEC);
	if (conn < 0)
		err(1, "accept at %s", path);
	return conn;
}

int fdsock_receive(int conn, char *text, size_t size)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = text, .iov_len = size - 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(conn, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *cmsg = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);
	int fd;

	if (n < 0)
		err(1, "recvmsg");
	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS || cmsg->cmsg_len != CMSG_LEN(sizeof(int)))
		errx(1, "a message without exactly one descriptor");
	text[n] = '\0';
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}
