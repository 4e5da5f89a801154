// pidfile: telling engines who a new process is: --pid-file and --pidfd-socket.
#pragma once

#include "base/err.h"

#include <sys/types.h>

// Replaces the file whole, since engines wait for it to appear and read it at once.
int pidfile_write(const char *path, pid_t pid, struct err *err);

// Connects to the Unix socket and sends the pidfd.
int pidfd_send(const char *path, int pidfd, struct err *err);

// Descriptors 3 to 2+count came from moat's caller, for --preserve-fds: a number that is free would
// be given to something of moat's own, or has been (the log). -EBADF
int preserved_fds_check(int count, struct err *err);
