#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "vm-mode/control/session-private.h"

#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

// ---- which stream a connection is ----

static struct process *find_holder(struct session *session, const struct proto_stream *name)
{
	for (size_t i = 0; i < SESSION_PROCESSES_MAX; i++) {
		struct process *process = &session->processes[i];

		if (process->state != PROCESS_FREE && process->id == name->id)
			return process;
	}
	return NULL;
}

// The name is whole: the connection becomes the process's stream. A wrong one is refused, no more:
// it harms only the guest's own process.
static bool give(struct nameless *nameless)
{
	struct vsock_conn *conn = take_ptr(&nameless->conn);
	const struct proto_stream name = nameless->name;
	struct process *process = find_holder(nameless->session, &name);

	if (process && name.kind <= PROTO_TERMINAL &&
	    stream_attach(&process->streams[name.kind], conn))
		return true;
	log_debug("vm: the agent opens a stream %u of process %u, which has none", name.kind,
		  name.id);
	vsock_conn_close(conn);
	return false;
}

static size_t nameless_data(struct vsock_conn *conn, const void *data, size_t len)
{
	struct nameless *nameless = conn->user;
	size_t now = sizeof(nameless->name) - nameless->len;

	if (now > len)
		now = len;
	memcpy((char *)&nameless->name + nameless->len, data, now);
	nameless->len += now;
	if (nameless->len < sizeof(nameless->name))
		return now;
	if (!give(nameless))
		return len;
	if (now < len)
		now += stream_data(conn, (const char *)data + now, len - now);
	stream_start(conn->user);
	return now;
}

static void nameless_closed(struct vsock_conn *conn, bool cut)
{
	struct nameless *nameless = conn->user;

	(void)cut;
	nameless->conn = NULL;
}

bool process_accept(struct vsock_port *port, struct vsock_conn *conn)
{
	static const struct vsock_conn_ops ops = { .data = nameless_data,
						   .closed = nameless_closed };
	struct session *session =
		(struct session *)((char *)port - offsetof(struct session, stream_port));

	if (session->state < SESSION_CREATING || session->state >= SESSION_ENDED)
		return false;
	for (size_t i = 0; i < NAMELESS_MAX; i++) {
		struct nameless *nameless = &session->nameless[i];

		if (nameless->conn)
			continue;
		*nameless = (struct nameless){ .session = session, .conn = conn };
		conn->ops = &ops;
		conn->user = nameless;
		return true;
	}
	return false;
}

// ---- processes ----

static bool is_over(const struct process *process)
{
	for (size_t i = 0; i < ARRAY_SIZE(process->streams); i++)
		if (!stream_is_over(&process->streams[i]))
			return false;
	return true;
}

static struct process *find_slot(struct session *session)
{
	for (size_t i = 0; i < SESSION_PROCESSES_MAX; i++) {
		struct process *process = &session->processes[i];

		if (process->state == PROCESS_FREE ||
		    (process->state == PROCESS_DONE && process->id != PROTO_INIT &&
		     is_over(process)))
			return process;
	}
	return NULL;
}

static void answer(struct process *process, uint32_t type, const void *payload, uint32_t len)
{
	const struct proto_header header = {
		.type = type, .len = len, .id = process->id, .request = process->tag
	};

	if (process->answered)
		process->answered(process->user, &header, payload);
}

// The program has ended and the host has all that it wrote.
static void finish(struct process *process)
{
	process->state = PROCESS_DONE;
	if (process->id == PROTO_INIT)
		session_change(process->session, SESSION_ENDED);
	else
		answer(process, PROTO_EXIT, &process->exit, sizeof(process->exit));
	process->answered = NULL;
	process->user = NULL;
	stream_close(&process->streams[PROTO_TERMINAL]);
}

static void check_drained(struct process *process)
{
	if (process->state != PROCESS_DRAINING)
		return;
	for (size_t i = PROTO_STDOUT; i <= PROTO_TERMINAL; i++)
		if (!stream_is_drained(&process->streams[i]))
			return;
	finish(process);
}

static void on_drained(struct stream *stream)
{
	// The streams are in an array in the process, by their kind.
	struct stream *first = stream - stream->kind;

	check_drained((struct process *)((char *)first - offsetof(struct process, streams)));
}

void process_close_fds(const struct stream_fds *streams)
{
	const int fds[] = { streams->terminal, streams->in, streams->out, streams->err };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

// Takes all of the descriptors over.
static int init_streams(struct process *process, const struct stream_fds *streams, struct err *err)
{
	const int fds[] = { [PROTO_STDIN] = streams->in,
			    [PROTO_STDOUT] = streams->out,
			    [PROTO_STDERR] = streams->err,
			    [PROTO_TERMINAL] = streams->terminal };
	int ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		struct stream *stream = &process->streams[i];
		const enum proto_stream_kind kind = (enum proto_stream_kind)i;
		struct err why;

		stream->host.fd = -1;
		if (fds[i] < 0 && kind != PROTO_TERMINAL && streams->terminal < 0)
			stream_init_null(stream, process->session->loop, kind);
		else if (fds[i] >= 0 &&
			 stream_init(stream, process->session->loop, kind, fds[i], &why) < 0)
			ret = err_set(err, why.code, "%s", why.msg);
		stream->drained = on_drained;
	}
	return ret;
}

struct process *process_create(struct session *session, uint32_t id,
			       const struct stream_fds *streams, struct err *err)
{
	const struct stream_fds none = STREAM_FDS_NONE;
	struct process *process = find_slot(session);

	if (!streams)
		streams = &none;
	if (!process) {
		process_close_fds(streams);
		err_set(err, EBUSY, "there are too many processes");
		return NULL;
	}
	*process = (struct process){ .session = session, .id = id };
	if (init_streams(process, streams, err) < 0) {
		process_drop(process);
		return NULL;
	}
	process->state = PROCESS_ASKED;
	return process;
}

struct process *process_find(struct session *session, uint32_t id)
{
	struct process *process = find_holder(session, &(struct proto_stream){ .id = id });

	return process && process->state < PROCESS_DRAINING ? process : NULL;
}

void process_started(struct process *process)
{
	process->state = PROCESS_RUNNING;
	for (size_t i = 0; i < ARRAY_SIZE(process->streams); i++)
		stream_release(&process->streams[i]);
	process_send_size(process);
	if (process->kill_when_started)
		process_kill(process);
}

void process_exited(struct process *process, const struct proto_exit *end)
{
	process->exit = *end;
	process->state = PROCESS_DRAINING;
	stream_close(&process->streams[PROTO_STDIN]);
	for (size_t i = PROTO_STDOUT; i <= PROTO_TERMINAL; i++)
		if (!process->streams[i].conn) // the agent has never opened it
			stream_close(&process->streams[i]);
		else
			stream_await(&process->streams[i]);
	check_drained(process);
}

void process_kill(struct process *process)
{
	const struct proto_signal payload = { .number = SIGKILL };
	const struct session_request request = {
		.type = PROTO_SIGNAL,
		.id = process->id,
		.payload = &payload,
		.len = sizeof(payload),
	};
	struct err err;

	if (session_ask(process->session, &request, &err) < 0)
		log_warn("vm: kill process %u: %s", process->id, err.msg);
}

void process_drop(struct process *process)
{
	for (size_t i = 0; i < ARRAY_SIZE(process->streams); i++)
		stream_close(&process->streams[i]);
	process->state = PROCESS_FREE;
}

void process_send_size(struct process *process)
{
	const int fd = process->streams[PROTO_TERMINAL].host.fd;
	const struct proto_header header = { .type = PROTO_RESIZE,
					     .len = sizeof(struct proto_size),
					     .id = process->id };
	struct winsize window;
	struct err err;

	if (fd < 0 || process->state != PROCESS_RUNNING || ioctl(fd, TIOCGWINSZ, &window) < 0)
		return;
	const struct proto_size size = { .rows = window.ws_row, .cols = window.ws_col };
	if (session_send(process->session, &header, &size, &err) < 0)
		log_warn("vm: %s", err.msg);
}
