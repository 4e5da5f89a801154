#include "runtime/pidfile.h"

#include "base/io.h"
#include "base/scope.h"
#include "process/console.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

int pidfile_write(const char *path, pid_t pid, struct err *err)
{
	char text[16], parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int len = snprintf(text, sizeof(text), "%d", pid);

	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) + 1 : 1,
		 slash ? path : ".");
	scope_fd int dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, "pid file %s", path);
	if (io_replace_file(dir, slash ? slash + 1 : path, 0644, text, (size_t)len, err) < 0)
		return err_wrap(err, "pid file %s", path);
	return 0;
}

int pidfd_send(const char *path, int pidfd, struct err *err)
{
	scope_fd int sock = console_connect(path, err);

	if (sock < 0)
		return sock;
	if (io_send_fds(sock, "pidfd", strlen("pidfd"), &pidfd, 1) < 0)
		return err_sys(err, "send the pidfd to %s", path);
	return 0;
}

int preserved_fds_check(int count, struct err *err)
{
	for (int i = 0; i < count; i++) {
		const int fd = 3 + i;
		const int flags = fcntl(fd, F_GETFD);

		// What moat was given can't be close-on-exec; what it has opened itself is.
		if (flags < 0 || flags & FD_CLOEXEC)
			return err_set(err, EBADF, "--preserve-fds %d: descriptor %d is not open",
				       count, fd);
	}
	return 0;
}
