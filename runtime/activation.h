// activation: what the environment of moat itself asks of a container: systemd's two protocols
// between a service manager and a service.
//
//     LISTEN_FDS      open sockets, from descriptor 3 on, go to the container's process
//                     (sd_listen_fds(3))
//     NOTIFY_SOCKET   the container's process may say that it is ready (sd_notify(3)): it gets a
//                     socket of its own at /run/notify/notify.sock, and `start` passes its READY=1
//                     on
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "oci-spec/types.h"
#include "runtime/container.h"

// Adds to a spec what the environment asks for: variables for the process, the mount of the
// socket's directory. `dir` is the container's directory. Returns `spec` itself when there is
// nothing to add, else a copy in `arena`. *listen_fds is the number of sockets to pass on.
const struct oci_spec *activation_extend(const struct oci_spec *spec, const char *dir,
					 struct arena *arena, int *listen_fds);

// Where NOTIFY_SOCKET points to; NULL: it is not set. `create` records it, since `start` may be
// called without it.
const char *activation_notify_socket(void);

// Makes the socket's directory in a new container's, if its record has a notify_socket.
int activation_prepare(const struct container *container, struct err *err);

// Before the process is started: the socket that it may write to, in *sock; -1 if there is none.
int activation_listen(const struct container *container, int *sock, struct err *err);

// When there is something to read from that socket: 1 when it was that the process is ready, and
// whoever listens at the recorded notify_socket has been told; 0 when it was something else.
int activation_take(const struct container *container, int sock, struct err *err);

// When it was started: waits until activation_take() returns 1, or the process ends without a word.
// `sock` -1: does nothing.
int activation_relay(const struct container *container, int sock, struct err *err);
