/*
 * fdsock: the receiving end of a Unix socket over which a runtime hands out a file descriptor
 * (a terminal, a pidfd, a seccomp listener). Errors end the program with a message: these are
 * test helpers.
 */
#pragma once

#include <stddef.h>

/* Bind a listening stream socket at `path`, and return the first connection to it. */
int fdsock_accept(const char *path);

/*
 * Receive one message with one descriptor. `text` takes at most `size` - 1 bytes of the message
 * and is terminated. Returns the descriptor, close-on-exec.
 */
int fdsock_receive(int conn, char *text, size_t size);
