#include "vm-mode/agent/stream.h"

#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "vm-mode/agent/agent.h"
#include "vm-mode/agent/job.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#define BUFFER_BYTES ((size_t)64 * 1024) // what a pipe holds
#define TERMINAL_BYTES \
	((size_t)16 * 1024) // more than a pty holds: 4 KiB to be read, 8 KiB on the way there

// One direction. What is read is there until it is written.
struct pump {
	bool open;
	bool ended; // nothing more comes, but the buffer may still be full
	size_t start, end;
	char data[BUFFER_BYTES + TERMINAL_BYTES];
};

struct stream {
	struct agent *agent;
	struct job *job; // NULL: nobody wants to know
	enum proto_stream_kind kind;
	uint32_t id;
	bool connected;
	struct loop_source socket, local;
	uint32_t socket_events, local_events; // that are watched
	struct pump in, out;		      // from and to the host
	uint64_t owed; // bytes to go to the host before the process has ended for it
};

static void stream_free(struct stream *stream)
{
	loop_unwatch(stream->agent->loop, &stream->socket);
	loop_unwatch(stream->agent->loop, &stream->local);
	replace_fd(&stream->socket.fd, -1);
	replace_fd(&stream->local.fd, -1);
	free(stream);
}

static void pay(struct stream *stream, uint64_t bytes)
{
	const bool owing = stream->owed > 0;

	stream->owed -= bytes < stream->owed ? bytes : stream->owed;
	if (owing && stream->owed == 0 && stream->job)
		job_check(stream->job);
}

// ---- one direction ----

static bool is_empty(const struct pump *pump)
{
	return pump->start == pump->end;
}

static bool wants_input(const struct pump *pump)
{
	return pump->open && !pump->ended && is_empty(pump);
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static void fill(struct pump *pump, int from)
{
	ssize_t n = read(from, pump->data, BUFFER_BYTES);

	if (n < 0 && would_block())
		return;
	// EIO: nobody has the terminal open any more.
	pump->ended = n <= 0;
	pump->start = 0;
	pump->end = n > 0 ? (size_t)n : 0;
}

// Reads all that a terminal holds: of what is on the way to its reader no ioctl(2) tells, but read(2) waits for
// that before it says that there is nothing. A writer in the background can't hold this up: there is an end to
// the room.
static void fill_up(struct pump *pump, int from)
{
	ssize_t n = 1;

	pump->end -= pump->start;
	memmove(pump->data, pump->data + pump->start, pump->end);
	pump->start = 0;
	while (n > 0 && pump->end < sizeof(pump->data)) {
		n = read(from, pump->data + pump->end, sizeof(pump->data) - pump->end);
		pump->end += n > 0 ? (size_t)n : 0;
	}
}

// Returns the bytes written, -1 when there is no reader.
static ssize_t drain(struct pump *pump, int to, bool is_socket)
{
	const char *data = pump->data + pump->start;
	const size_t len = pump->end - pump->start;
	ssize_t n = is_socket ? send(to, data, len, MSG_NOSIGNAL) : write(to, data, len);

	if (n < 0)
		return would_block() ? 0 : -1;
	pump->start += (size_t)n;
	return n;
}

// ---- both ----

static void close_in(struct stream *stream)
{
	stream->in.open = false;
	stream->in.start = stream->in.end = 0;
	// A terminal has no end of input of its own; what the program should see then is for the
	// host to send.
	if (stream->kind != PROTO_STDIN)
		return;
	loop_unwatch(stream->agent->loop, &stream->local);
	replace_fd(&stream->local.fd, -1);
}

static void close_out(struct stream *stream)
{
	stream->out.open = false;
	stream->out.start = stream->out.end = 0;
	shutdown(stream->socket.fd, SHUT_WR);
	if (stream->kind == PROTO_TERMINAL)
		close_in(stream);
	pay(stream, stream->owed);
}

static void run_in(struct stream *stream)
{
	struct pump *pump = &stream->in;

	if (wants_input(pump))
		fill(pump, stream->socket.fd);
	if (pump->open && !is_empty(pump) && drain(pump, stream->local.fd, false) < 0)
		close_in(stream);
	if (pump->open && pump->ended && is_empty(pump))
		close_in(stream);
}

static void run_out(struct stream *stream)
{
	struct pump *pump = &stream->out;
	ssize_t sent = 0;

	if (wants_input(pump))
		fill(pump, stream->local.fd);
	if (pump->open && !is_empty(pump))
		sent = drain(pump, stream->socket.fd, true);
	if (sent < 0 || (pump->open && pump->ended && is_empty(pump)))
		close_out(stream);
	else if (sent > 0)
		pay(stream, (uint64_t)sent);
}

static void watch(struct stream *stream, struct loop_source *source, uint32_t events)
{
	uint32_t *now = source == &stream->socket ? &stream->socket_events : &stream->local_events;
	struct err err;

	if (events == *now)
		return;
	*now = events;
	// Nothing wanted is nothing watched: a hang-up would be told over and over.
	if (!events || source->fd < 0)
		loop_unwatch(stream->agent->loop, source);
	else if (loop_watch(stream->agent->loop, source, events, &err) < 0)
		log_error("%s", err.msg);
}

// The stream may be over, and is gone then.
static void rearm(struct stream *stream)
{
	const struct pump *in = &stream->in, *out = &stream->out;

	if (stream->connected && !in->open && !out->open) {
		if (stream->job)
			job_lost_stream(stream->job, stream);
		stream_free(stream);
		return;
	}
	watch(stream, &stream->socket,
	      (wants_input(in) ? EPOLLIN : 0) |
		      (!stream->connected || !is_empty(out) ? EPOLLOUT : 0));
	watch(stream, &stream->local,
	      !stream->connected ? 0 :
				   (wants_input(out) ? EPOLLIN : 0) |
					   (in->open && !is_empty(in) ? EPOLLOUT : 0));
}

// The host knows whose it is by the first bytes.
static int introduce(struct stream *stream, struct err *err)
{
	const struct proto_stream head = { .id = stream->id, .kind = stream->kind };
	int code = 0;
	socklen_t len = sizeof(code);

	if (getsockopt(stream->socket.fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
		return err_sys(err, "stream of process %u", stream->id);
	if (code)
		return err_sysn(err, code, "connect a stream of process %u", stream->id);
	if (send(stream->socket.fd, &head, sizeof(head), MSG_NOSIGNAL) != (ssize_t)sizeof(head))
		return err_sys(err, "begin a stream of process %u", stream->id);
	return 0;
}

static void run(struct stream *stream)
{
	struct err err;

	if (!stream->connected) {
		stream->connected = true;
		if (introduce(stream, &err) < 0) {
			log_error("%s", err.msg);
			close_in(stream);
			close_out(stream);
		}
		pay(stream, sizeof(struct proto_stream));
	}
	if (stream->in.open)
		run_in(stream);
	if (stream->out.open)
		run_out(stream);
	rearm(stream);
}

static void socket_ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	run((struct stream *)((char *)source - offsetof(struct stream, socket)));
}

static void local_ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	run((struct stream *)((char *)source - offsetof(struct stream, local)));
}

int stream_open(struct agent *agent, struct job *job, enum proto_stream_kind kind, int local,
		struct stream **out, struct err *err)
{
	scope_fd int mine = local;
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream || fcntl(mine, F_SETFL, O_NONBLOCK) < 0) {
		free(stream);
		return err_sys(err, "stream of process %u", job_id(job));
	}
	stream->agent = agent;
	stream->job = job;
	stream->kind = kind;
	stream->id = job_id(job);
	stream->local = (struct loop_source){ .fd = take_fd(&mine), .ready = local_ready };
	stream->in.open = kind == PROTO_STDIN || kind == PROTO_TERMINAL;
	stream->out.open = kind != PROTO_STDIN;
	stream->socket = (struct loop_source){
		.fd = agent_connect(agent, PROTO_PORT_STREAM, false, err),
		.ready = socket_ready,
	};
	if (stream->socket.fd < 0) {
		stream_free(stream);
		return -err->code;
	}
	watch(stream, &stream->socket, EPOLLOUT);
	*out = stream;
	return 0;
}

bool stream_settle(struct stream *stream)
{
	struct pollfd local = { .fd = stream->local.fd, .events = POLLIN };
	int waiting = 0;

	if (stream->kind == PROTO_STDIN) {
		// Has it any other reader?
		local.events = POLLOUT;
		if (poll(&local, 1, 0) > 0 && local.revents & POLLERR) {
			close_in(stream);
			rearm(stream);
		}
		return true;
	}
	if (!stream->out.open)
		return true;
	if (stream->kind == PROTO_TERMINAL) {
		fill_up(&stream->out, stream->local.fd);
		rearm(stream);
	} else if (ioctl(stream->local.fd, FIONREAD, &waiting) < 0 || waiting < 0) {
		waiting = 0;
	}
	stream->owed = stream->out.end - stream->out.start + (uint64_t)waiting;
	// The host takes no streams of a process that it knows to have ended: what stays in the
	// background would write to nobody.
	if (!stream->connected)
		stream->owed += sizeof(struct proto_stream);
	return stream->owed == 0;
}

bool stream_owes(const struct stream *stream)
{
	return stream->owed > 0;
}

void stream_forget(struct stream *stream)
{
	stream->job = NULL;
}

void stream_resize(const struct stream *stream, struct proto_size size)
{
	const struct winsize window = { .ws_row = size.rows, .ws_col = size.cols };

	if (stream->kind == PROTO_TERMINAL && stream->local.fd >= 0)
		ioctl(stream->local.fd, TIOCSWINSZ, &window);
}

void stream_close(struct stream *stream)
{
	stream_free(stream);
}
