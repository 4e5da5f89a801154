#include "base/io.h"

#include "base/scope.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FDS 4

int io_write_all(int fd, const void *data, size_t len)
{
	const char *next = data;

	while (len > 0) {
		ssize_t n = write(fd, next, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		next += n;
		len -= (size_t)n;
	}
	return 0;
}

ssize_t io_read_all(int fd, void *data, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, (char *)data + got, len - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

// The kernel's own files say that they are empty, and a pipe has no size: the size is only a first
// guess.
static size_t first_guess(int fd, size_t limit)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_size > 0 && (uintmax_t)st.st_size < limit)
		return (size_t)st.st_size + 1;
	return limit < 4095 ? limit + 1 : 4096;
}

int io_read_fd(int fd, const char *name, size_t limit, char **data, size_t *len, struct err *err)
{
	scope_free char *buf = NULL;
	size_t got = 0, cap = first_guess(fd, limit);

	for (;;) {
		char *more = realloc(buf, cap + 1);

		if (!more)
			return err_set(err, ENOMEM, "read %s: out of memory", name);
		buf = more;
		ssize_t n = io_read_all(fd, buf + got, cap - got);
		if (n < 0)
			return err_sys(err, "read %s", name);
		got += (size_t)n;
		if (got > limit)
			return err_set(err, EFBIG, "read %s: longer than %zu bytes", name, limit);
		if (got < cap)
			break;
		cap *= 2;
	}
	buf[got] = '\0';
	if (len)
		*len = got;
	*data = take_ptr(&buf);
	return 0;
}

int io_read_file(int dirfd, const char *path, size_t limit, char **data, size_t *len,
		 struct err *err)
{
	scope_fd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "open %s", path);
	return io_read_fd(fd, path, limit, data, len, err);
}

int io_write_file(int dirfd, const char *path, const void *data, size_t len, struct err *err)
{
	scope_fd int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "open %s", path);
	ssize_t n = write(fd, data, len);
	if (n < 0)
		return err_sys(err, "write %s", path);
	if ((size_t)n != len)
		return err_set(err, EIO, "write %s: only %zd of %zu bytes taken", path, n, len);
	return 0;
}

int io_write_str(int dirfd, const char *path, const char *str, struct err *err)
{
	return io_write_file(dirfd, path, str, strlen(str), err);
}

int io_replace_file(int dirfd, const char *name, mode_t mode, const void *data, size_t len,
		    struct err *err)
{
	char tmp[256];

	snprintf(tmp, sizeof(tmp), ".%s.%d", name, getpid());
	scope_fd int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
				 mode);
	if (fd < 0)
		return err_sys(err, "create %s", tmp);
	if (io_write_all(fd, data, len) < 0)
		err_sys(err, "write %s", tmp);
	else if (renameat(dirfd, tmp, dirfd, name) < 0)
		err_sys(err, "rename %s to %s", tmp, name);
	else
		return 0;
	unlinkat(dirfd, tmp, 0);
	return -err->code;
}

struct sockaddr_un io_socket_address(int dirfd, const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", dirfd, name);
	return addr;
}

int io_send_fds(int sock, const void *data, size_t len, const int *fds, size_t nfds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds > MAX_FDS) {
		errno = EINVAL;
		return -1;
	}
	if (nfds > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(head), fds, nfds * sizeof(int));
	}
	ssize_t n;
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0 && (size_t)n != len) {
		errno = EMSGSIZE;
		return -1;
	}
	return n < 0 ? -1 : 0;
}

ssize_t io_recv_fds(int sock, void *data, size_t len, int *fds, size_t nfds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds > MAX_FDS) {
		errno = EINVAL;
		return -1;
	}
	for (size_t i = 0; i < nfds; i++)
		fds[i] = -1;
	if (nfds > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_LEN(nfds * sizeof(int));
	}
	ssize_t n;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	for (struct cmsghdr *head = CMSG_FIRSTHDR(&msg); head; head = CMSG_NXTHDR(&msg, head)) {
		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		size_t bytes = head->cmsg_len - CMSG_LEN(0);
		memcpy(fds, CMSG_DATA(head),
		       bytes < nfds * sizeof(int) ? bytes : nfds * sizeof(int));
	}
	return n;
}
