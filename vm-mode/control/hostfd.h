// hostfd: reading and writing without blocking, on descriptors that others share.
//
// The streams of a process came from an engine or a shell. O_NONBLOCK belongs to the open file
// description, which they have too, so it is never set on what came. Instead, by what it is:
//
//   socket                     MSG_DONTWAIT
//   FIFO or pipe, terminal     opened anew by /proc/self/fd with O_NONBLOCK; where that can't be
//                              (no /proc, no permission), RWF_NOWAIT (pipes, since Linux 6.5), else
//                              poll(2) and then no more than surely fits: PIPE_BUF, or a byte
//   file, block device, /dev/null, ...   as they are: always ready, epoll(7) takes none of them
//
// The last resort of the second row can block where another process writes into the same pipe between
// the two calls; so who can (the machine before it leaves the host's root, the client of an exec) opens
// anew first: hostfd_reopen().
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum hostfd_way { HOSTFD_PLAIN, HOSTFD_SOCKET, HOSTFD_NOWAIT, HOSTFD_POLLED };

struct hostfd {
	int fd; // -1: none
	enum hostfd_way way;
	bool always_ready; // can't be watched, and needs not be
	size_t write_max;  // HOSTFD_POLLED: bytes after a poll
};

#define HOSTFD_NONE       \
	{                 \
		.fd = -1, \
	}

// A non-blocking descriptor of our own for what `fd` is, which stays the caller's. Close-on-exec.
// -1 where there is none to be had or none is needed (files, sockets).
int hostfd_reopen(int fd);

// Takes `fd` over, also on failure.
int hostfd_open(struct hostfd *host, int fd, struct err *err);
void hostfd_close(struct hostfd *host);

// As read(2) and write(2), never blocking: -EAGAIN. A terminal that hung up reads as its end, 0.
// Writing to a pipe without readers is -EPIPE: the process must ignore SIGPIPE.
ssize_t hostfd_read(struct hostfd *host, void *data, size_t len);
ssize_t hostfd_write(struct hostfd *host, const void *data, size_t len);
