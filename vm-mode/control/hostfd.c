#include "vm-mode/control/hostfd.h"

#include "base/scope.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

// /dev/null and its like have no poll(2) of their own, so that they always are ready; a terminal
// never is for errors alone.
static bool is_pollable(int fd, const struct stat *st)
{
	return S_ISFIFO(st->st_mode) || S_ISSOCK(st->st_mode) ||
	       (S_ISCHR(st->st_mode) && isatty(fd));
}

int hostfd_reopen(int fd)
{
	char path[32];
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fstat(fd, &st) < 0 || !is_pollable(fd, &st) || S_ISSOCK(st.st_mode))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int hostfd_open(struct hostfd *host, int fd, struct err *err)
{
	scope_fd int taken = fd;
	struct stat st;

	*host = (struct hostfd)HOSTFD_NONE;
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "stream");
	host->always_ready = !is_pollable(fd, &st);
	if (S_ISSOCK(st.st_mode)) {
		host->way = HOSTFD_SOCKET;
	} else if (!host->always_ready) {
		int own = hostfd_reopen(fd);

		if (own >= 0)
			replace_fd(&taken, own);
		else if (!(flags & O_NONBLOCK))
			host->way = HOSTFD_NOWAIT;
		host->write_max = S_ISFIFO(st.st_mode) ? PIPE_BUF : 1;
	}
	host->fd = take_fd(&taken);
	return 0;
}

void hostfd_close(struct hostfd *host)
{
	replace_fd(&host->fd, -1);
}

static bool is_ready(int fd, short events)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	return poll(&poll_fd, 1, 0) > 0;
}

// One call of the way; -1 with errno. RWF_NOWAIT at -1 means the file's own offset.
static ssize_t read_once(struct hostfd *host, void *data, size_t len)
{
	struct iovec iov = { .iov_base = data, .iov_len = len };

	switch (host->way) {
	case HOSTFD_SOCKET:
		return recv(host->fd, data, len, MSG_DONTWAIT);
	case HOSTFD_NOWAIT:
		return preadv2(host->fd, &iov, 1, -1, RWF_NOWAIT);
	case HOSTFD_POLLED:
		if (is_ready(host->fd, POLLIN))
			break;
		errno = EAGAIN;
		return -1;
	case HOSTFD_PLAIN:
		break;
	}
	return read(host->fd, data, len);
}

static ssize_t write_once(struct hostfd *host, const void *data, size_t len)
{
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };

	switch (host->way) {
	case HOSTFD_SOCKET:
		return send(host->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	case HOSTFD_NOWAIT:
		return pwritev2(host->fd, &iov, 1, -1, RWF_NOWAIT);
	case HOSTFD_POLLED:
		if (is_ready(host->fd, POLLOUT))
			return write(host->fd, data, len < host->write_max ? len : host->write_max);
		errno = EAGAIN;
		return -1;
	case HOSTFD_PLAIN:
		break;
	}
	return write(host->fd, data, len);
}

// Whether to try again: after a signal, or another way where this kernel can't do RWF_NOWAIT there.
static bool try_again(struct hostfd *host)
{
	if (host->way == HOSTFD_NOWAIT && errno == EOPNOTSUPP) {
		host->way = HOSTFD_POLLED;
		return true;
	}
	return errno == EINTR;
}

ssize_t hostfd_read(struct hostfd *host, void *data, size_t len)
{
	ssize_t n;

	do
		n = read_once(host, data, len);
	while (n < 0 && try_again(host));
	if (n < 0 && errno == EIO && isatty(host->fd))
		return 0;
	return n < 0 ? -errno : n;
}

ssize_t hostfd_write(struct hostfd *host, const void *data, size_t len)
{
	ssize_t n;

	do
		n = write_once(host, data, len);
	while (n < 0 && try_again(host));
	return n < 0 ? -errno : n;
}
