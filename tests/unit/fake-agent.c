#include "tests/unit/fake-agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void on_changed(void *user, enum session_state state)
{
	struct agent *agent = user;

	agent->states[agent->changes++ % 16] = state;
}

static void on_oom(void *user)
{
	((struct agent *)user)->ooms++;
}

static void console_tail(void *user, char *text, size_t size)
{
	(void)user;
	snprintf(text, size, "Kernel panic\r- not syncing\r\n");
}

void agent_init(struct agent *agent, const struct stream_fds *streams)
{
	static const struct session_events events = { .changed = on_changed,
						      .oom = on_oom,
						      .console_tail = console_tail };
	struct err err;

	memset(agent, 0, sizeof(*agent));
	if (loop_create(&agent->loop, &err) < 0)
		abort();
	guest_init(&agent->guest, agent->loop);
	const struct session_config config = {
		.loop = agent->loop,
		.vsock = agent->guest.vsock,
		.agent_config = "{\"a\":1}",
		.agent_config_len = 7,
		.streams = streams ? *streams : (struct stream_fds)STREAM_FDS_NONE,
		.hello_timeout_ms = 50,
		.ready_timeout_ms = 50,
		.events = &events,
		.user = agent,
	};
	if (session_create(&config, &agent->session, &err) < 0)
		abort();
}

void agent_free(struct agent *agent)
{
	session_free(agent->session);
	guest_free(&agent->guest);
	loop_free(agent->loop);
}

void agent_pump(struct agent *agent)
{
	struct err err;

	for (int i = 0; i < 4; i++) {
		loop_once(agent->loop, 0, &err);
		guest_poll(&agent->guest);
	}
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void agent_pump_ms(struct agent *agent, int ms)
{
	struct err err;

	for (int64_t end = now_ms() + ms; now_ms() < end;) {
		loop_once(agent->loop, 5, &err);
		guest_poll(&agent->guest);
	}
}

void agent_send(struct agent *agent, const struct proto_header *header, const void *payload)
{
	guest_write(&agent->guest, agent->control, header, sizeof(*header));
	if (header->len)
		guest_write(&agent->guest, agent->control, payload, header->len);
	guest_poll(&agent->guest);
}

void agent_answer(struct agent *agent, uint32_t type, const void *payload, uint32_t len)
{
	const struct proto_header header = {
		.type = type, .len = len, .id = agent->header.id, .request = agent->header.request
	};

	agent_send(agent, &header, payload);
}

void agent_fail(struct agent *agent, int code, const char *message)
{
	struct proto_failure failure = { .code = code };
	size_t len = strlen(message) + 1;

	memcpy(failure.message, message, len);
	agent_answer(agent, PROTO_FAILED, &failure,
		     (uint32_t)(offsetof(struct proto_failure, message) + len));
}

void agent_exit(struct agent *agent, uint32_t id, uint32_t status)
{
	const struct proto_exit end = { .status = status };
	const struct proto_header header = { .type = PROTO_EXIT, .len = sizeof(end), .id = id };

	agent_send(agent, &header, &end);
}

bool agent_next(struct agent *agent)
{
	struct guest_conn *conn = agent->control;
	struct proto_header header;

	if (!conn || conn->len < sizeof(header))
		return false;
	memcpy(&header, conn->data, sizeof(header));
	if (conn->len < sizeof(header) + header.len || header.len > sizeof(agent->payload))
		return false;
	guest_read(&agent->guest, conn, &agent->header, sizeof(header));
	guest_read(&agent->guest, conn, agent->payload, header.len);
	return true;
}

bool agent_gets(struct agent *agent, uint32_t type)
{
	return agent_next(agent) && agent->header.type == type;
}

void agent_connect(struct agent *agent)
{
	agent->control = guest_connect(&agent->guest, PROTO_PORT_CONTROL);
}

void agent_hello(struct agent *agent)
{
	const struct proto_hello hello = { .version = PROTO_VERSION, .boot_us = { 1000 } };
	const struct proto_header header = { .type = PROTO_HELLO, .len = sizeof(hello) };

	agent_connect(agent);
	agent_send(agent, &header, &hello);
	agent_next(agent);
	memcpy(&agent->clock, agent->payload, sizeof(agent->clock));
	agent_next(agent);
}

void agent_ready(struct agent *agent)
{
	agent_hello(agent);
	agent_answer(agent, PROTO_READY, NULL, 0);
}

void agent_start(struct agent *agent)
{
	const struct session_request start = { .type = PROTO_START };
	struct err err;

	if (session_ask(agent->session, &start, &err) < 0)
		abort();
	guest_poll(&agent->guest);
	agent_next(agent);
	agent_answer(agent, PROTO_STARTED, NULL, 0);
}

void agent_run(struct agent *agent)
{
	agent_ready(agent);
	agent_start(agent);
}

struct guest_conn *agent_stream(struct agent *agent, uint32_t id, enum proto_stream_kind kind)
{
	const struct proto_stream name = { .id = id, .kind = kind };
	struct guest_conn *conn = guest_connect(&agent->guest, PROTO_PORT_STREAM);

	guest_write(&agent->guest, conn, &name, sizeof(name));
	return conn;
}

void fill_pattern(char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i * 7 + i / 251 + i / 65521 * 3);
}
