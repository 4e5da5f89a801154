// gate: the listening socket `gate` in a container's directory, at which the init waits for `moat
// start`.
#pragma once

#include "base/err.h"

// gate_open() makes the socket without a name, so that the init can inherit it; gate_publish() gives
// it its name.
int gate_open(struct err *err);
int gate_publish(int fd, int dirfd, struct err *err);

// In the init: waits for `start`. Returns the connection, which is a channel (process/channel.h).
int gate_wait(int fd, struct err *err);

// In `start`: connects. Returns the connection; the init goes on when it gets `ok` on it.
int gate_knock(int dirfd, struct err *err);
