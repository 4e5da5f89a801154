// channel: how two processes of moat that build or start a container tell each other how it goes.
//
// A sequenced-packet socket; each message is either `ok`, a whole error, or the report of the
// launcher (process/process.h), which speaks the same socket as the last one that holds it. The end
// of the stream without a message means, according to where one is, that the other side died or
// that it became the container's program.
#pragma once

#include "base/err.h"

// A pair of connected ends, close-on-exec.
int channel_pair(int ends[2], struct err *err);

// Both are silent about failure: a peer that is gone is found out by who waits for it.
void channel_ok(int fd);
void channel_fail(int fd, const struct err *err);

// Waits for a message: 1 for `ok`, 0 at the end of the stream, negative errno with the peer's error
// in *err.
int channel_wait(int fd, struct err *err);
