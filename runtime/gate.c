#include "runtime/gate.h"

#include "base/io.h"
#include "base/scope.h"

#include <sys/socket.h>

int gate_open(struct err *err)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	return fd < 0 ? err_sys(err, "socket for the gate") : fd;
}

int gate_publish(int fd, int dirfd, struct err *err)
{
	struct sockaddr_un addr = io_socket_address(dirfd, "gate");

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
	struct sockaddr_un addr = io_socket_address(dirfd, "gate");
	scope_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "connect to the container's init");
	return take_fd(&fd);
}
