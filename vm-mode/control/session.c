#include "vm-mode/control/session.h"

#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "vm-mode/control/session-private.h"
#include "vm-mode/proto/figures.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

// What may be asked, and what the answer is.
static const struct rule {
	uint32_t type, answer;	  // answer 0: none
	uint32_t min, max;	  // bytes of the payload
	enum session_state since; // from which state on
} rules[] = {
	{ PROTO_CLOCK, 0, sizeof(struct proto_clock), sizeof(struct proto_clock),
	  SESSION_GREETING },
	{ PROTO_CONFIG, PROTO_READY, 1, PROTO_TO_AGENT_MAX, SESSION_GREETING },
	{ PROTO_START, PROTO_STARTED, 0, 0, SESSION_CREATED },
	{ PROTO_EXEC, PROTO_STARTED, 1, PROTO_TO_AGENT_MAX, SESSION_CREATED },
	{ PROTO_SIGNAL, PROTO_DONE, sizeof(struct proto_signal), sizeof(struct proto_signal),
	  SESSION_CREATED },
	{ PROTO_RESIZE, 0, sizeof(struct proto_size), sizeof(struct proto_size), SESSION_CREATED },
	{ PROTO_PS, PROTO_PIDS, 0, 0, SESSION_CREATED },
	{ PROTO_TABLE, PROTO_PROCESSES, sizeof(struct proto_table), sizeof(struct proto_table),
	  SESSION_CREATED },
	{ PROTO_STATS, PROTO_FIGURES, 0, 0, SESSION_CREATED },
	{ PROTO_UPDATE, PROTO_DONE, 1, PROTO_TO_AGENT_MAX, SESSION_CREATED },
};

static const struct rule *find_rule(uint32_t type)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].type == type)
			return &rules[i];
	return NULL;
}

static bool is_over(const struct session *session)
{
	return session->state >= SESSION_ENDED;
}

// ---- its end ----

static void answer(const struct pending *pending, const struct proto_header *header,
		   const void *payload)
{
	struct proto_header told = *header;

	told.request = pending->tag;
	if (pending->answered)
		pending->answered(pending->user, &told, payload);
}

static void answer_failed(const struct pending *pending, const struct err *err)
{
	struct proto_failure failure;
	const struct proto_header header = {
		.type = PROTO_FAILED,
		.len = proto_failure_of(err, &failure),
		.id = pending->id,
	};

	answer(pending, &header, &failure);
}

// Everybody who still waits is told.
static void answer_all(struct session *session, const struct err *err)
{
	for (size_t i = 0; i < SESSION_REQUESTS_MAX; i++) {
		struct pending pending = session->pending[i];

		session->pending[i].number = 0;
		if (pending.number)
			answer_failed(&pending, err);
	}
}

// Processes that end with the program, as all of a pid namespace do; or with the guest. One that had ended before, but
// whose output is not all out, counts as killed, too: what is left of it is lost.
static void end_processes(struct session *session, const struct err *err)
{
	const struct proto_exit killed = { .status = 128 + SIGKILL, .signal = SIGKILL };

	for (size_t i = 0; i < SESSION_PROCESSES_MAX; i++) {
		struct process *process = &session->processes[i];
		const struct pending asker = { .id = process->id,
					       .tag = process->tag,
					       .answered = process->answered,
					       .user = process->user };
		const struct proto_header header = { .type = PROTO_EXIT,
						     .len = sizeof(killed),
						     .id = process->id };

		if (process->id == PROTO_INIT || process->state < PROCESS_RUNNING ||
		    process->state == PROCESS_DONE)
			continue;
		process->answered = NULL;
		if (session->state == SESSION_ENDED)
			answer(&asker, &header, &killed);
		else
			answer_failed(&asker, err);
		process->state = PROCESS_DONE;
	}
}

static void drop_control(struct session *session)
{
	struct vsock_conn *conn = take_ptr(&session->control);

	if (conn)
		vsock_conn_close(conn);
	session->out_len = session->out_start = 0;
}

static void disarm(struct session *session, struct loop_source *source)
{
	if (source->fd < 0)
		return;
	loop_unwatch(session->loop, source);
	replace_fd(&source->fd, -1);
}

void session_change(struct session *session, enum session_state state)
{
	struct err err;

	session->state = state;
	if (is_over(session)) {
		disarm(session, &session->timer);
		disarm(session, &session->winch);
		if (state == SESSION_FAILED) {
			err = session->error;
			drop_control(session);
		} else {
			err_set(&err, ESRCH, "the container has ended");
		}
		answer_all(session, &err);
		end_processes(session, &err);
	}
	if (session->events && session->events->changed)
		session->events->changed(session->user, state);
}

void session_fail(struct session *session, const struct err *err)
{
	if (is_over(session))
		return;
	session->error = *err;
	session_change(session, SESSION_FAILED);
}

// What the guest says goes to terminals and logs: text, and no more than that, without an empty line at
// its end.
static void tidy(char *text)
{
	char *to = text;

	for (const char *c = text; *c; c++)
		if (c[0] != '\r' || c[1] != '\n')
			*to++ = proto_is_text(*c) ? *c : ' ';
	while (to > text && to[-1] == '\n')
		to--;
	*to = '\0';
}

// For ends that the agent itself gives no reason of: the console may.
static void fail_with_console(struct session *session, const char *why)
{
	char tail[1536] = "";
	struct err err;

	// After the program's exit the guest may go; its output is here.
	if (is_over(session) || session->processes[0].state == PROCESS_DRAINING)
		return;
	if (session->events && session->events->console_tail)
		session->events->console_tail(session->user, tail, sizeof(tail));
	err_set(&err, EPROTO, "guest: %s%s%s", why, *tail ? "; its console ends with:\n" : "",
		tail);
	tidy(err.msg);
	session_fail(session, &err);
}

// ---- to the agent ----

static void flush_out(struct session *session)
{
	while (session->control && session->out_start < session->out_len) {
		ssize_t n = vsock_conn_send(session->control, session->out + session->out_start,
					    session->out_len - session->out_start);

		if (n <= 0)
			break;
		session->out_start += (size_t)n;
	}
	if (session->out_start >= session->out_len) {
		// A configuration may have been large; the rest of its life is small.
		free(take_ptr(&session->out));
		session->out_start = session->out_len = session->out_cap = 0;
	}
}

// Room for `len` more bytes at the end of what waits.
static int reserve(struct session *session, size_t len, struct err *err)
{
	const size_t waits = session->out_len - session->out_start;

	if (waits + len > SESSION_UNSENT_MAX)
		return err_set(err, EBUSY, "the guest's agent doesn't listen");
	if (session->out_len + len <= session->out_cap)
		return 0;
	char *larger = malloc(waits + len);
	if (!larger)
		return err_sysn(err, ENOMEM, "message to the guest's agent");
	if (waits)
		memcpy(larger, session->out + session->out_start, waits);
	free(session->out);
	session->out = larger;
	session->out_start = 0;
	session->out_len = waits;
	session->out_cap = waits + len;
	return 0;
}

int session_send(struct session *session, const struct proto_header *header, const void *payload,
		 struct err *err)
{
	if (!session->control)
		return err_set(err, EPIPE, "there is no connection with the guest's agent");
	if (reserve(session, sizeof(*header) + header->len, err) < 0)
		return -err->code;
	memcpy(session->out + session->out_len, header, sizeof(*header));
	if (header->len)
		memcpy(session->out + session->out_len + sizeof(*header), payload, header->len);
	session->out_len += sizeof(*header) + header->len;
	flush_out(session);
	return 0;
}

// Also: no number that an open request has, after 2^32 of them.
static struct pending *new_pending(struct session *session)
{
	struct pending *free_one = NULL;
	bool taken = true;

	while (taken) {
		if (++session->last_request == 0)
			session->last_request = 1;
		taken = false;
		for (size_t i = 0; i < SESSION_REQUESTS_MAX; i++) {
			struct pending *pending = &session->pending[i];

			taken |= pending->number == session->last_request;
			if (!pending->number)
				free_one = pending;
		}
	}
	return free_one;
}

static int check_request(struct session *session, const struct session_request *request,
			 const struct rule *rule, struct err *err)
{
	if (!rule || request->len < rule->min || request->len > rule->max)
		return err_set(err, EINVAL, "a request of type %u with %u bytes is none",
			       request->type, request->len);
	if (session->state < rule->since || is_over(session) ||
	    (request->type == PROTO_START && session->state != SESSION_CREATED))
		return err_set(err, EBUSY, "the container is %s",
			       is_over(session)			 ? "not running any more" :
			       session->state == SESSION_RUNNING ? "running already" :
								   "not running yet");
	if ((request->type == PROTO_SIGNAL || request->type == PROTO_RESIZE) &&
	    !process_find(session, request->id))
		return err_set(err, ESRCH, "there is no process %u in the guest", request->id);
	if (request->type == PROTO_EXEC && session->last_id == UINT32_MAX)
		return err_set(err, EBUSY, "all ids of processes have been used");
	return 0;
}

// Remembers and sends; the process, if it is about one of its own.
static int ask(struct session *session, const struct session_request *request,
	       const struct rule *rule, uint32_t id, struct err *err)
{
	struct pending *pending = rule->answer ? new_pending(session) : NULL;

	if (rule->answer && !pending)
		return err_set(err, EBUSY, "too much is asked of the guest's agent at once");
	if (pending)
		*pending = (struct pending){
			.number = session->last_request,
			.type = request->type,
			.id = id,
			.tag = request->tag,
			.answered = request->answered,
			.user = request->user,
		};
	const struct proto_header header = { .type = request->type,
					     .len = request->len,
					     .id = id,
					     .request = pending ? pending->number : 0 };
	int ret = session_send(session, &header, request->payload, err);
	if (ret < 0 && pending)
		pending->number = 0;
	return ret;
}

int session_ask(struct session *session, const struct session_request *request, struct err *err)
{
	const struct rule *rule = find_rule(request->type);
	struct process *process = NULL;

	int ret = check_request(session, request, rule, err);
	if (ret < 0) {
		if (request->streams)
			process_close_fds(request->streams);
		return ret;
	}
	if (request->type == PROTO_EXEC) {
		process = process_create(session, session->last_id + 1, request->streams, err);
		if (!process)
			return -err->code;
		session->last_id++;
		process->tag = request->tag;
		process->answered = request->answered;
		process->user = request->user;
	}
	ret = ask(session, request, rule, process ? process->id : request->id, err);
	if (ret < 0 && process)
		process_drop(process);
	if (ret == 0 && request->type == PROTO_START)
		session_change(session, SESSION_STARTING);
	return ret;
}

void session_forget(struct session *session, const void *user)
{
	for (size_t i = 0; i < SESSION_REQUESTS_MAX; i++)
		if (session->pending[i].number && session->pending[i].user == user)
			session->pending[i].answered = NULL;
	for (size_t i = 0; i < SESSION_PROCESSES_MAX; i++) {
		struct process *process = &session->processes[i];

		if (process->state == PROCESS_FREE || process->user != user || !user)
			continue;
		process->answered = NULL;
		process->user = NULL;
		if (process->state == PROCESS_ASKED)
			process->kill_when_started = true;
		else if (process->state == PROCESS_RUNNING)
			process_kill(process);
	}
}

// ---- from the agent ----

static void wrong_frame(struct session *session, const char *why)
{
	struct err err;

	err_set(&err, EPROTO, "guest: the agent has sent %s (type %u, process %u, request %u)", why,
		session->header.type, session->header.id, session->header.request);
	session_fail(session, &err);
}

static uint64_t time_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct allowance_look look(void)
{
	return (struct allowance_look){ .now_us = time_us(CLOCK_MONOTONIC),
					.used_us = time_us(CLOCK_PROCESS_CPUTIME_ID) };
}

// From now on; 0: as long as it likes.
static void set_allowance(struct session *session, unsigned int ms)
{
	const unsigned int each = ms / ALLOWANCE_LOOKS;
	const struct timespec interval = { .tv_sec = each / 1000,
					   .tv_nsec = each % 1000 * 1000000L };
	const struct itimerspec when = { .it_value = interval, .it_interval = interval };

	allowance_begin(&session->allowance, ms, look());
	timerfd_settime(session->timer.fd, 0, &when, NULL);
}

static void handle_hello(struct session *session)
{
	struct timespec now = { 0 };

	clock_gettime(CLOCK_REALTIME, &now);
	const struct proto_clock clock = { .seconds = now.tv_sec, .nanoseconds = now.tv_nsec };
	const struct session_request set_clock = { .type = PROTO_CLOCK,
						   .payload = &clock,
						   .len = sizeof(clock) };
	const struct session_request config = { .type = PROTO_CONFIG,
						.payload = session->agent_config,
						.len = (uint32_t)session->agent_config_len };
	struct err err;

	memcpy(&session->hello, session->payload, sizeof(session->hello));
	if (session_ask(session, &set_clock, &err) < 0 || session_ask(session, &config, &err) < 0) {
		session_fail(session, &err);
		return;
	}
	free(take_ptr(&session->agent_config));
	set_allowance(session, session->ready_timeout_ms);
	session_change(session, SESSION_CREATING);
}

// The agent couldn't do what the container can't be without.
static void fail_as_told(struct session *session, const struct proto_failure *failure)
{
	struct err err;

	err_set(&err, failure->code, "%s", failure->message);
	session_fail(session, &err);
}

// The answer's own effect, once its asker has been told.
static void apply_answer(struct session *session, const struct pending *pending)
{
	const bool failed = session->header.type == PROTO_FAILED;

	switch (pending->type) {
	case PROTO_CONFIG:
		if (failed) {
			fail_as_told(session, (const void *)session->payload);
			break;
		}
		set_allowance(session, 0);
		session_change(session, SESSION_CREATED);
		break;
	case PROTO_START:
		if (failed) {
			fail_as_told(session, (const void *)session->payload);
			break;
		}
		process_started(&session->processes[0]);
		session_change(session, SESSION_RUNNING);
		break;
	case PROTO_EXEC: {
		struct process *process = process_find(session, pending->id);

		if (process && failed)
			process_drop(process);
		else if (process)
			process_started(process);
		break;
	}
	default:
		break;
	}
}

static void handle_answer(struct session *session)
{
	const struct proto_header *header = &session->header;
	struct pending *found = NULL;

	for (size_t i = 0; i < SESSION_REQUESTS_MAX && header->request; i++)
		if (session->pending[i].number == header->request)
			found = &session->pending[i];
	if (!found) {
		wrong_frame(session, "an answer to nothing");
		return;
	}
	if (found->id != header->id ||
	    (header->type != PROTO_FAILED && header->type != find_rule(found->type)->answer)) {
		wrong_frame(session, "an answer to something else");
		return;
	}
	const struct pending pending = *found;
	found->number = 0;
	answer(&pending, header, session->payload);
	// Who was told may have ended it all.
	if (!is_over(session))
		apply_answer(session, &pending);
}

// The program may also be killed before it was started.
static void handle_exit(struct session *session)
{
	struct process *process = process_find(session, session->header.id);
	const bool early = process && process->id == PROTO_INIT &&
			   session->state >= SESSION_CREATED;

	if (!process || (process->state != PROCESS_RUNNING && !early)) {
		wrong_frame(session, "the exit of a process that doesn't run");
		return;
	}
	process_exited(process, (const void *)session->payload);
}

static void handle_frame(struct session *session)
{
	const uint32_t type = session->header.type;
	struct err err;

	if (proto_check(&session->header, session->payload, &err) < 0) {
		err_wrap(&err, "guest");
		session_fail(session, &err);
	} else if ((type == PROTO_HELLO) != (session->state == SESSION_GREETING)) {
		wrong_frame(session, "a frame at a wrong time");
	} else if (type == PROTO_HELLO) {
		handle_hello(session);
	} else if (type == PROTO_EXIT) {
		handle_exit(session);
	} else if (type == PROTO_OOM) {
		if (session->events && session->events->oom)
			session->events->oom(session->user);
	} else {
		handle_answer(session);
	}
}

// Adds to the frame up to `want` bytes in all; true when it has them.
static bool fill(struct session *session, size_t want, const char **data, size_t *len)
{
	const size_t head = sizeof(session->header);

	if (session->in_len < want) {
		size_t now = want - session->in_len < *len ? want - session->in_len : *len;
		char *at = session->in_len < head ? (char *)&session->header + session->in_len :
						    session->payload + (session->in_len - head);

		memcpy(at, *data, now);
		session->in_len += now;
		*data += now;
		*len -= now;
	}
	return session->in_len == want;
}

static size_t control_data(struct vsock_conn *conn, const void *bytes, size_t len)
{
	struct session *session = conn->user;
	const char *data = bytes;
	size_t left = len;
	struct err err;

	while (!is_over(session)) {
		if (session->in_len < sizeof(session->header)) {
			if (!fill(session, sizeof(session->header), &data, &left))
				break;
			if (proto_check(&session->header, NULL, &err) < 0) {
				err_wrap(&err, "guest");
				session_fail(session, &err);
				break;
			}
			// proto_check() holds it too; the buffer is ours.
			if (session->header.len > sizeof(session->payload)) {
				wrong_frame(session, "a frame that is too long");
				break;
			}
		}
		if (!fill(session, sizeof(session->header) + session->header.len, &data, &left))
			break;
		session->in_len = 0;
		handle_frame(session);
	}
	return len;
}

static void control_space(struct vsock_conn *conn)
{
	flush_out(conn->user);
}

static void control_shutdown(struct vsock_conn *conn, uint32_t flag)
{
	(void)flag;
	fail_with_console(conn->user, "the agent has ended");
}

static void control_closed(struct vsock_conn *conn, bool cut)
{
	struct session *session = conn->user;

	(void)cut;
	session->control = NULL;
	fail_with_console(session, "the agent has ended");
}

static bool control_connect(struct vsock_port *port, struct vsock_conn *conn)
{
	static const struct vsock_conn_ops ops = { .data = control_data,
						   .shutdown = control_shutdown,
						   .space = control_space,
						   .closed = control_closed };
	struct session *session =
		(struct session *)((char *)port - offsetof(struct session, control_port));

	if (session->state != SESSION_BOOTING)
		return false;
	conn->ops = &ops;
	conn->user = session;
	session->control = conn;
	session_change(session, SESSION_GREETING);
	return true;
}

// ---- timer and signal ----

static void on_timer(struct loop_source *source, uint32_t events)
{
	struct session *session =
		(struct session *)((char *)source - offsetof(struct session, timer));
	uint64_t times;

	(void)events;
	if (read(source->fd, &times, sizeof(times)) < 0 ||
	    !allowance_is_used(&session->allowance, look()))
		return;
	fail_with_console(session, session->state == SESSION_BOOTING ?
					   "it does not boot" :
				   session->state == SESSION_GREETING ?
					   "the agent does not greet" :
					   "the agent takes too long to make the container");
}

static void on_winch(struct loop_source *source, uint32_t events)
{
	struct session *session =
		(struct session *)((char *)source - offsetof(struct session, winch));
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) == sizeof(info))
		process_send_size(&session->processes[0]);
}

static int arm_timer(struct session *session, unsigned int ms, struct err *err)
{
	session->timer.ready = on_timer;
	session->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (session->timer.fd < 0)
		return err_sys(err, "timer");
	set_allowance(session, ms);
	return loop_watch(session->loop, &session->timer, EPOLLIN, err);
}

static int arm_winch(struct session *session, struct err *err)
{
	sigset_t winch;

	sigemptyset(&winch);
	sigaddset(&winch, SIGWINCH);
	pthread_sigmask(SIG_BLOCK, &winch, NULL);
	session->winch.ready = on_winch;
	session->winch.fd = signalfd(-1, &winch, SFD_NONBLOCK | SFD_CLOEXEC);
	if (session->winch.fd < 0)
		return err_sys(err, "signalfd");
	return loop_watch(session->loop, &session->winch, EPOLLIN, err);
}

// ---- its life ----

static int prepare(struct session *session, const struct session_config *config, struct err *err)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };

	if (!process_create(session, PROTO_INIT, &config->streams, err))
		return -err->code;
	session->agent_config = malloc(config->agent_config_len);
	if (!session->agent_config)
		return err_sysn(err, ENOMEM, "session");
	memcpy(session->agent_config, config->agent_config, config->agent_config_len);
	session->agent_config_len = config->agent_config_len;
	sigaction(SIGPIPE, &ignore, NULL);
	int ret = arm_timer(session, config->hello_timeout_ms, err);
	if (ret == 0 && config->streams.terminal >= 0)
		ret = arm_winch(session, err);
	return ret;
}

int session_create(const struct session_config *config, struct session **session, struct err *err)
{
	struct session *made = calloc(1, sizeof(*made));

	if (!made) {
		process_close_fds(&config->streams);
		return err_sysn(err, ENOMEM, "session");
	}
	made->loop = config->loop;
	made->vsock = config->vsock;
	made->events = config->events;
	made->user = config->user;
	made->ready_timeout_ms = config->ready_timeout_ms;
	made->timer.fd = made->winch.fd = -1;
	if (prepare(made, config, err) < 0) {
		session_free(made);
		return -err->code;
	}
	made->control_port = (struct vsock_port){ .port = PROTO_PORT_CONTROL,
						  .connect = control_connect };
	made->stream_port = (struct vsock_port){ .port = PROTO_PORT_STREAM,
						 .connect = process_accept };
	vsock_listen(made->vsock, &made->control_port);
	vsock_listen(made->vsock, &made->stream_port);
	*session = made;
	return 0;
}

void session_free(struct session *session)
{
	if (!session)
		return;
	session->state = SESSION_ENDED;
	if (session->control_port.connect) {
		vsock_unlisten(session->vsock, &session->control_port);
		vsock_unlisten(session->vsock, &session->stream_port);
	}
	drop_control(session);
	disarm(session, &session->timer);
	disarm(session, &session->winch);
	for (size_t i = 0; i < NAMELESS_MAX; i++)
		if (session->nameless[i].conn)
			vsock_conn_close(session->nameless[i].conn);
	for (size_t i = 0; i < SESSION_PROCESSES_MAX; i++)
		if (session->processes[i].state != PROCESS_FREE)
			process_drop(&session->processes[i]);
	free(session->agent_config);
	free(session->out);
	free(session);
}

void session_lost(struct session *session, const char *why)
{
	fail_with_console(session, why);
}

enum session_state session_state(const struct session *session)
{
	return session->state;
}

const struct err *session_error(const struct session *session)
{
	return &session->error;
}

const struct proto_exit *session_exit(const struct session *session)
{
	return &session->processes[0].exit;
}

const struct proto_hello *session_hello(const struct session *session)
{
	return &session->hello;
}
