#include "runtime/gate.h"

#include "base/scope.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

// A Unix address is at most 108 bytes long: the directory is named by its descriptor.
static struct sockaddr_un gate_address(int dirfd)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/gate", dirfd);
	return addr;
}

int gate_open(struct err *err)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	return fd < 0 ? err_sys(err, "socket for the gate") : fd;
}

int gate_publish(int fd, int dirfd, struct err *err)
{
	struct sockaddr_un addr = gate_address(dirfd);

	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0)
		return err_sys(err, "publish the gate");
	return 0;
}

int gate_wait(int fd, struct err *err)
{
	int conn;

	do
		conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	while (conn < 0 && (errno == EINTR || errno == ECONNABORTED));
	return conn < 0 ? err_sys(err, "wait at the gate") : conn;
}

int gate_knock(int dirfd, struct err *err)
{
	struct sockaddr_un addr = gate_address(dirfd);
	scope_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "connect to the container's init");
	return take_fd(&fd);
}
