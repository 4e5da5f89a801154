// streams: a process's standard input, output and error, or its terminal, between a descriptor of the
// host and a vsock connection.
//
// Bytes are bytes. There is back-pressure both ways: input is read only while the guest gives credit,
// and output that the host doesn't take stays in the connection's buffer, so that the guest gets no
// credit. Ends are passed on each by itself: end of input is a SHUTDOWN_SEND to the guest; end of
// output closes the descriptor; a host that reads no more is a SHUTDOWN_RCV, by which the guest's
// program gets EPIPE.
//
// A stream is a part of its owner's structure, and may be initialised again after stream_is_over().
#pragma once

#include "base/err.h"
#include "vm-mode/control/hostfd.h"
#include "vm-mode/devices/vsock.h"
#include "vm-mode/loop.h"
#include "vm-mode/proto/proto.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What a process is given: its terminal, or three descriptors; -1: none.
struct stream_fds {
	int terminal;
	int in, out, err;
};

#define STREAM_FDS_NONE                                         \
	{                                                       \
		.terminal = -1, .in = -1, .out = -1, .err = -1, \
	}

struct stream {
	struct loop_source source; // first
	struct loop *loop;
	struct hostfd host;
	enum proto_stream_kind kind;
	struct vsock_conn *conn;
	bool reads, writes;	    // directions of the host's side that are still open
	bool null;		    // stream_init_null(), until the guest has connected
	bool held;		    // no input is read, until stream_release()
	bool wants_credit, blocked; // what each waits for
	void (*drained)(struct stream *stream);
	char *buffer; // of input that was read and not sent
	size_t buffer_start, buffer_len;
	size_t owed; // of output: what stream_await() waits for
};

// Takes `fd` over, also on failure. A terminal is set to raw mode: the guest has one of its own, which
// does the line's discipline. The caller may set `drained`.
int stream_init(struct stream *stream, struct loop *loop, enum proto_stream_kind kind, int fd,
		struct err *err);

// As /dev/null, for a process that is given no descriptor: an end of input, or output for nobody.
void stream_init_null(struct stream *stream, struct loop *loop, enum proto_stream_kind kind);

// The guest has connected: from here on the connection is the stream's. False if there is one already,
// or the stream is over.
bool stream_attach(struct stream *stream, struct vsock_conn *conn);

// Serves it, after stream_attach().
void stream_start(struct stream *stream);

// The process runs: from here on its input is read. Whoever gives it input need not find that a process
// took it which never ran.
void stream_release(struct stream *stream);

// The stream's function for data, for who has read the connection's first bytes himself.
size_t stream_data(struct vsock_conn *conn, const void *data, size_t len);

// The process has ended: what has come up to now is the rest of its output; what may still come is
// that of its children. stream->drained is called once it has been written, or never will be.
void stream_await(struct stream *stream);
bool stream_is_drained(const struct stream *stream);
bool stream_is_over(const struct stream *stream);

// Cuts it. Also of a stream that is over, or zero with host.fd -1.
void stream_close(struct stream *stream);
