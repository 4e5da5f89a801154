#include "vm-mode/agent/control.h"

#include "base/io.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "vm-mode/agent/agent.h"
#include "vm-mode/agent/guest.h"
#include "vm-mode/agent/job.h"
#include "vm-mode/agent/report.h"
#include "vm-mode/proto/figures.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

void control_send(struct agent *agent, struct proto_header frame, const void *payload, size_t len)
{
	scope_text struct text bytes = { 0 };

	frame.len = (uint32_t)len;
	text_add(&bytes, (const char *)&frame, sizeof(frame));
	if (len)
		text_add(&bytes, payload, len);
	if (io_write_all(agent->control.source.fd, bytes.str, bytes.len) < 0) {
		log_error("send to the host: %s", err_text(errno));
		loop_stop(agent->loop);
	}
}

void control_fail(struct agent *agent, uint32_t id, uint32_t request, const struct err *err)
{
	struct proto_failure failure;
	const uint32_t len = proto_failure_of(err, &failure);

	log_debug("failed: %s", err->msg);
	control_send(agent, (struct proto_header){ PROTO_FAILED, 0, id, request }, &failure, len);
}

// ---- what the host asks ----

struct request {
	struct agent *agent;
	const struct proto_header *header;
	const char *payload;
};

static int do_clock(const struct request *r, struct err *err)
{
	struct proto_clock clock;

	(void)err;
	memcpy(&clock, r->payload, sizeof(clock));
	// Under the unit test's agent it would be the host's.
	if (!r->agent->root)
		guest_set_clock(&clock);
	return 0;
}

static int do_config(const struct request *r, struct err *err)
{
	return container_create(r->agent, r->payload, r->header->len, r->header->request, err);
}

static int do_start(const struct request *r, struct err *err)
{
	return job_start(r->agent, r->header->request, err);
}

static int do_exec(const struct request *r, struct err *err)
{
	return container_exec(r->agent, r->header, r->payload, err);
}

static int done(const struct request *r)
{
	control_send(r->agent,
		     (struct proto_header){ PROTO_DONE, 0, r->header->id, r->header->request },
		     NULL, 0);
	return 0;
}

static int do_signal(const struct request *r, struct err *err)
{
	struct proto_signal signal;

	memcpy(&signal, r->payload, sizeof(signal));
	if (signal.all ? container_signal(r->agent, (int)signal.number, err) < 0 :
			 job_signal(r->agent, r->header->id, (int)signal.number, err) < 0)
		return -err->code;
	return done(r);
}

static int do_resize(const struct request *r, struct err *err)
{
	struct proto_size size;

	(void)err;
	memcpy(&size, r->payload, sizeof(size));
	job_resize(r->agent, r->header->id, size);
	return 0;
}

static int do_ps(const struct request *r, struct err *err)
{
	scope_text struct text pids = { 0 };

	if (report_pids(r->agent, &pids, err) < 0)
		return -err->code;
	control_send(r->agent,
		     (struct proto_header){ PROTO_PIDS, 0, r->header->id, r->header->request },
		     pids.str, pids.len);
	return 0;
}

static int do_table(const struct request *r, struct err *err)
{
	scope_text struct text processes = { 0 };
	struct proto_table table;

	memcpy(&table, r->payload, sizeof(table));
	if (report_processes(r->agent, table.after, &processes, err) < 0)
		return -err->code;
	control_send(r->agent,
		     (struct proto_header){ PROTO_PROCESSES, 0, r->header->id, r->header->request },
		     processes.str, processes.len);
	return 0;
}

static int do_stats(const struct request *r, struct err *err)
{
	scope_text struct text figures = { 0 };

	if (report_figures(r->agent, &figures, err) < 0)
		return -err->code;
	control_send(r->agent,
		     (struct proto_header){ PROTO_FIGURES, 0, r->header->id, r->header->request },
		     figures.str, figures.len);
	return 0;
}

static int do_update(const struct request *r, struct err *err)
{
	if (container_update(r->agent, r->payload, r->header->len, err) < 0)
		return -err->code;
	return done(r);
}

static const struct {
	enum proto_type type;
	uint32_t min_len;
	int (*run)(const struct request *r, struct err *err);
} requests[] = {
	{ PROTO_CLOCK, sizeof(struct proto_clock), do_clock },
	{ PROTO_CONFIG, 1, do_config },
	{ PROTO_START, 0, do_start },
	{ PROTO_EXEC, 1, do_exec },
	{ PROTO_SIGNAL, sizeof(struct proto_signal), do_signal },
	{ PROTO_RESIZE, sizeof(struct proto_size), do_resize },
	{ PROTO_PS, 0, do_ps },
	{ PROTO_TABLE, sizeof(struct proto_table), do_table },
	{ PROTO_STATS, 0, do_stats },
	{ PROTO_UPDATE, 1, do_update },
};

static void answer(struct agent *agent, const struct proto_header *header, const char *payload)
{
	const struct request request = { agent, header, payload };
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		if (requests[i].type != header->type)
			continue;
		if (header->len < requests[i].min_len)
			err_set(&err, EPROTO, "request %u: only %u bytes", header->type,
				header->len);
		else
			requests[i].run(&request, &err);
		break;
	}
	if (err.code)
		control_fail(agent, header->id, header->request, &err);
}

// ---- reading ----

// Reads on, as far as there is something: 1 when the frame is whole.
static int read_frame(struct control *control, struct err *err)
{
	for (;;) {
		const size_t head = sizeof(control->header);
		const bool in_head = control->got < head;
		const size_t end = in_head ? head : head + control->header.len;
		char *to = in_head ? (char *)&control->header + control->got :
				     control->payload + (control->got - head);

		if (!in_head && control->got == end)
			return 1;
		ssize_t n = recv(control->source.fd, to, end - control->got, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n < 0)
			return err_sys(err, "read from the host");
		if (n == 0)
			return err_set(err, EPIPE, "the host has closed the connection");
		control->got += (size_t)n;
		if (control->got != head || !in_head)
			continue;
		if (control->header.len > PROTO_TO_AGENT_MAX)
			return err_set(err, EPROTO, "a frame of %u bytes", control->header.len);
		// One more, so that a text can be ended.
		control->payload = calloc(1, (size_t)control->header.len + 1);
		if (!control->payload)
			return err_sysn(err, ENOMEM, "a frame of %u bytes", control->header.len);
	}
}

static void control_ready(struct loop_source *source, uint32_t events)
{
	struct control *control = (struct control *)source;
	struct agent *agent = (struct agent *)((char *)control - offsetof(struct agent, control));
	struct err err = { 0 };
	int ret;

	(void)events;
	while ((ret = read_frame(control, &err)) == 1) {
		const struct proto_header header = control->header;
		scope_free char *payload = take_ptr(&control->payload);

		control->got = 0;
		answer(agent, &header, payload);
	}
	if (ret == 0)
		return;
	log_debug("%s", err.msg);
	loop_stop(agent->loop);
}

int control_open(struct agent *agent, struct err *err)
{
	struct control *control = &agent->control;
	struct proto_hello hello = { .version = PROTO_VERSION };

	control->source = (struct loop_source){
		.fd = agent_connect(agent, PROTO_PORT_CONTROL, true, err),
		.ready = control_ready,
	};
	if (control->source.fd < 0 || loop_watch(agent->loop, &control->source, EPOLLIN, err) < 0)
		return -err->code;
	agent->boot_us[PROTO_BOOT_HELLO] = agent_now_us();
	memcpy(hello.boot_us, agent->boot_us, sizeof(hello.boot_us));
	control_send(agent, (struct proto_header){ .type = PROTO_HELLO }, &hello, sizeof(hello));
	return 0;
}
