// copyup: `tmpcopyup`, the content of a directory of the image in the tmpfs that covers it.
// Internal to rootfs/.
//
// The directory is hostile: everything in it is opened by descriptor, without following links, and
// a tree that changes meanwhile or is deeper than COPY_UP_DEPTH ends in an error. How much fits is
// the tmpfs's own limit.
#pragma once

#include "base/err.h"

#define COPY_UP_DEPTH 100

// Copies what is in the directory `from` to the directory `to`: directories, files, links and named
// pipes with mode, owner and times. Devices and sockets are left out: the container must not get
// nodes that the spec doesn't give it. Both descriptors may be O_PATH.
int copy_up(int from, int to, struct err *err);
