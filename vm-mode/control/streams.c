#include "vm-mode/control/streams.h"

#include "base/log.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <termios.h>

#define BUFFER_SIZE ((size_t)16 * 1024)
#define BATCH	    16 // buffers that are read before others have their turn

// What to be woken by. Output alone is always watched for errors: a pipe whose last reader goes is
// told of at once. Input isn't, while nothing can be done about it: a hang-up would wake for ever.
static void watch(struct stream *stream)
{
	uint32_t events = 0;
	struct err err;

	if (stream->host.fd < 0 || stream->host.always_ready)
		return;
	if (stream->conn && stream->reads && !stream->held && !stream->wants_credit)
		events |= EPOLLIN;
	if (stream->blocked)
		events |= EPOLLOUT;
	if (!events && (stream->kind == PROTO_STDIN || stream->kind == PROTO_TERMINAL))
		loop_unwatch(stream->loop, &stream->source);
	else if (loop_watch(stream->loop, &stream->source, events, &err) < 0)
		log_warn("stream: %s", err.msg);
}

// Closes the descriptor when both directions of it are over.
static void settle(struct stream *stream)
{
	if (stream->reads || stream->writes) {
		watch(stream);
		return;
	}
	if (stream->host.fd >= 0)
		loop_unwatch(stream->loop, &stream->source);
	hostfd_close(&stream->host);
	free(stream->buffer);
	stream->buffer = NULL;
	stream->buffer_len = 0;
	stream->blocked = stream->wants_credit = false;
}

// A terminal that hangs up does so both ways.
static void end_input(struct stream *stream)
{
	uint32_t flags = VIRTIO_VSOCK_SHUTDOWN_SEND;

	stream->reads = false;
	if (stream->kind == PROTO_TERMINAL) {
		stream->writes = stream->blocked = false;
		flags |= VIRTIO_VSOCK_SHUTDOWN_RCV;
	}
	if (stream->conn)
		vsock_conn_shutdown(stream->conn, flags);
	settle(stream);
}

// The host takes no more.
static void end_output(struct stream *stream)
{
	stream->writes = false;
	stream->blocked = false;
	if (stream->conn)
		vsock_conn_shutdown(stream->conn, VIRTIO_VSOCK_SHUTDOWN_RCV);
	settle(stream);
}

static void tell_drained(struct stream *stream)
{
	if (stream->drained && stream_is_drained(stream))
		stream->drained(stream);
}

// ---- host to guest ----

// Sends what was read; false while some is left, or the connection is gone.
static bool send_buffer(struct stream *stream)
{
	while (stream->buffer_len > 0 && stream->conn) {
		ssize_t n = vsock_conn_send(stream->conn, stream->buffer + stream->buffer_start,
					    stream->buffer_len);

		if (n < 0) { // the guest reads no more
			end_input(stream);
			return false;
		}
		// A connection that is gone has taken the buffer with it.
		if (!stream->reads)
			return false;
		stream->buffer_start += (size_t)n;
		stream->buffer_len -= (size_t)n;
		if (stream->buffer_len > 0) {
			stream->wants_credit = true;
			return false;
		}
	}
	return stream->conn != NULL;
}

static void read_input(struct stream *stream)
{
	stream->wants_credit = false;
	// A file is always ready, and no one would call again: it is read until credit is short.
	for (int i = 0; (i < BATCH || stream->host.always_ready) && stream->reads; i++) {
		if (!send_buffer(stream))
			break;
		ssize_t n = hostfd_read(&stream->host, stream->buffer, BUFFER_SIZE);
		if (n == -EAGAIN)
			break;
		if (n <= 0) {
			end_input(stream);
			return;
		}
		stream->buffer_start = 0;
		stream->buffer_len = (size_t)n;
	}
	// What the last turn has read.
	if (stream->reads)
		send_buffer(stream);
	watch(stream);
}

static void on_space(struct vsock_conn *conn)
{
	struct stream *stream = conn->user;

	if (!stream->held)
		read_input(stream);
}

// ---- guest to host ----

size_t stream_data(struct vsock_conn *conn, const void *data, size_t len)
{
	struct stream *stream = conn->user;
	size_t done = 0;

	while (done < len && stream->writes) {
		ssize_t n = hostfd_write(&stream->host, (const char *)data + done, len - done);

		if (n == -EAGAIN) {
			stream->blocked = true;
			watch(stream);
			return done;
		}
		if (n < 0) {
			end_output(stream);
			break;
		}
		done += (size_t)n;
		stream->owed -= (size_t)n < stream->owed ? (size_t)n : stream->owed;
	}
	return len; // of a direction that is over, what comes is for no one
}

static void on_shutdown(struct vsock_conn *conn, uint32_t flag)
{
	struct stream *stream = conn->user;

	// That it reads no more comes at once, while what a terminal has shown may still be on its way. Its end is
	// that of both ways.
	if (flag == VIRTIO_VSOCK_SHUTDOWN_SEND)
		stream->writes = false;
	if (flag == VIRTIO_VSOCK_SHUTDOWN_RCV || stream->kind == PROTO_TERMINAL)
		stream->reads = false;
	settle(stream);
	if (stream->kind == PROTO_TERMINAL && flag == VIRTIO_VSOCK_SHUTDOWN_SEND) {
		stream->conn = NULL;
		vsock_conn_close(conn);
		tell_drained(stream);
	}
}

static void on_closed(struct vsock_conn *conn, bool cut)
{
	struct stream *stream = conn->user;

	(void)cut;
	stream->conn = NULL;
	stream->reads = stream->writes = false;
	settle(stream);
	tell_drained(stream);
}

static void on_ready(struct loop_source *source, uint32_t events)
{
	struct stream *stream = (struct stream *)source;
	const uint32_t broken = events & (EPOLLERR | EPOLLHUP);

	if (broken && stream->writes && !stream->reads) {
		end_output(stream);
		tell_drained(stream);
		return;
	}
	if (stream->blocked && (broken || events & EPOLLOUT)) {
		stream->blocked = false;
		if (stream->conn)
			vsock_conn_resume(stream->conn);
		watch(stream);
		tell_drained(stream);
	}
	if (stream->reads && !stream->held && stream->conn && (broken || events & EPOLLIN))
		read_input(stream);
}

// ---- its life ----

static void make_raw(int fd)
{
	struct termios settings;

	if (tcgetattr(fd, &settings) < 0)
		return; // no terminal, or one that has hung up already
	cfmakeraw(&settings);
	tcsetattr(fd, TCSANOW, &settings);
}

int stream_init(struct stream *stream, struct loop *loop, enum proto_stream_kind kind, int fd,
		struct err *err)
{
	*stream = (struct stream){ .loop = loop, .kind = kind };
	stream->reads = kind == PROTO_STDIN || kind == PROTO_TERMINAL;
	stream->writes = kind != PROTO_STDIN;
	stream->held = stream->reads;
	if (hostfd_open(&stream->host, fd, err) < 0) {
		stream->reads = stream->writes = false;
		return -err->code;
	}
	if (stream->reads) {
		stream->buffer = malloc(BUFFER_SIZE);
		if (!stream->buffer) {
			stream_close(stream);
			return err_sysn(err, ENOMEM, "stream");
		}
	}
	stream->source = (struct loop_source){ .fd = stream->host.fd, .ready = on_ready };
	if (kind == PROTO_TERMINAL)
		make_raw(stream->host.fd);
	return 0;
}

void stream_init_null(struct stream *stream, struct loop *loop, enum proto_stream_kind kind)
{
	*stream = (struct stream){ .loop = loop,
				   .kind = kind,
				   .null = true,
				   .host = HOSTFD_NONE,
				   .source = { .fd = -1 } };
}

bool stream_attach(struct stream *stream, struct vsock_conn *conn)
{
	static const struct vsock_conn_ops ops = {
		.data = stream_data,
		.shutdown = on_shutdown,
		.space = on_space,
		.closed = on_closed,
	};

	if (stream->conn || (!stream->null && stream_is_over(stream)))
		return false;
	stream->null = false;
	stream->conn = conn;
	conn->ops = &ops;
	conn->user = stream;
	return true;
}

void stream_start(struct stream *stream)
{
	if (stream->reads && !stream->held)
		read_input(stream);
	else if (!stream->reads && stream->kind == PROTO_STDIN && stream->conn)
		end_input(stream);
	else
		watch(stream);
}

void stream_release(struct stream *stream)
{
	stream->held = false;
	if (stream->reads && stream->conn)
		read_input(stream);
}

void stream_await(struct stream *stream)
{
	stream->owed = stream->conn ? vsock_conn_buffered(stream->conn) : 0;
}

bool stream_is_drained(const struct stream *stream)
{
	return !stream->conn || !stream->writes || stream->owed == 0;
}

bool stream_is_over(const struct stream *stream)
{
	return !stream->conn && !stream->reads && !stream->writes;
}

void stream_close(struct stream *stream)
{
	struct vsock_conn *conn = stream->conn;

	stream->conn = NULL;
	stream->reads = stream->writes = stream->null = false;
	settle(stream);
	if (conn)
		vsock_conn_close(conn);
}
