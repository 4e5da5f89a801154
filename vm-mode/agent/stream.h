// stream: a process's standard stream, or its terminal, carried over a connection to the host.
//
// The local side is this side's end of a pipe, or the terminal's master. What one side has is read
// into a buffer only when the buffer is empty, and so the pace is that of who is slower. The end of
// one side is the end of the other: a shutdown of the connection closes standard input when what
// came before has been written, and the last writer's end shuts the connection down. A reader that
// has gone on the host gives the process a broken pipe.
//
// A process's end is told to the host only when what it had written has been sent; but what it
// leaves in the background may go on with its streams for as long as it likes, as under any other
// runtime. So at its end each stream counts what is owed (stream_settle()).
#pragma once

#include "base/err.h"
#include "vm-mode/loop.h"
#include "vm-mode/proto/proto.h"

#include <stdbool.h>
#include <stdint.h>

struct agent;
struct job;
struct stream;

// Connects, and carries what comes. `local` is the stream's from now on, also on failure. `job` is
// told (job_check()) when nothing is owed any more, until stream_settle() or stream_forget().
int stream_open(struct agent *agent, struct job *job, enum proto_stream_kind kind, int local,
		struct stream **out, struct err *err);

// The process has ended: true if all that it has written is with the host already; else the job
// will be told.
bool stream_settle(struct stream *stream);

// Since then: is something still to be sent?
bool stream_owes(const struct stream *stream);

// The job goes: the stream carries on by itself and goes when both sides have ended.
void stream_forget(struct stream *stream);

// The terminal.
void stream_resize(const struct stream *stream, struct proto_size size);

// For a job that never came to run.
void stream_close(struct stream *stream);
