// io: whole files, whole writes, and messages with descriptors.
//
// A file is named by (dirfd, path) as in openat(2): AT_FDCWD for an ordinary path.
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <sys/types.h>
#include <sys/un.h>

// Writes all of it, across short writes and EINTR. Returns 0, or -1 with errno.
int io_write_all(int fd, const void *data, size_t len);

// Reads until `len` bytes or the end of file. Returns the bytes read, or -1 with errno.
ssize_t io_read_all(int fd, void *data, size_t len);

// Reads a whole file, NUL-terminated, into *data (free() it); its length, without the NUL, in *len
// if `len` isn't NULL. More than `limit` bytes is -EFBIG. The error names `path`.
int io_read_file(int dirfd, const char *path, size_t limit, char **data, size_t *len,
		 struct err *err);

// As io_read_file(), from an open descriptor; the error names `name`.
int io_read_fd(int fd, const char *name, size_t limit, char **data, size_t *len, struct err *err);

// Writes `len` bytes with one write(2) to a file that exists, as the kernel's control files want
// it. The error names `path`.
int io_write_file(int dirfd, const char *path, const void *data, size_t len, struct err *err);

// io_write_file() of a string, without its NUL.
int io_write_str(int dirfd, const char *path, const char *str, struct err *err);

// Makes the file `name` in `dirfd` hold exactly these bytes, all or nothing: a temporary file, then
// rename(2). There is no fsync: what moat keeps this way describes live processes and is worth
// nothing after a crash of the kernel.
int io_replace_file(int dirfd, const char *name, mode_t mode, const void *data, size_t len,
		    struct err *err);

// The address of the socket `name` in a directory that the caller has open. The directory is named by its
// descriptor, since an address is at most 108 bytes long.
struct sockaddr_un io_socket_address(int dirfd, const char *name);

// Sends one message over a Unix socket with `nfds` descriptors attached (at most 4). Returns 0, or
// -1 with errno.
int io_send_fds(int sock, const void *data, size_t len, const int *fds, size_t nfds);

// Receives one message of at most `len` bytes and up to `nfds` descriptors (close-on-exec; unused
// slots become -1). Descriptors beyond those asked for are closed by the kernel. Returns the
// message's length (0 at the end of the stream), or -1 with errno.
ssize_t io_recv_fds(int sock, void *data, size_t len, int *fds, size_t nfds);
