// The session with the agent: whole lives, and an agent that lies.
#include "tests/unit/fake-agent.h"
#include "tests/unit/tap.h"
#include "vm-mode/proto/figures.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static struct agent agent;

// An asker that notes its answers.
static struct asker {
	unsigned int answers;
	struct proto_header header;
	char payload[4096];
} asker;

static void answered(void *user, const struct proto_header *header, const void *payload)
{
	struct asker *who = user;

	who->answers++;
	who->header = *header;
	if (header->len && header->len <= sizeof(who->payload))
		memcpy(who->payload, payload, header->len);
}

static int ask_with(uint32_t type, uint32_t id, const void *payload, uint32_t len,
		    const struct stream_fds *streams)
{
	const struct session_request request = {
		.type = type,
		.id = id,
		.payload = payload,
		.len = len,
		.streams = streams,
		.tag = 1000 + type,
		.answered = answered,
		.user = &asker,
	};
	int ret = session_ask(agent.session, &request, &agent.guest.err);

	guest_poll(&agent.guest);
	return ret;
}

static int ask(uint32_t type, uint32_t id, const void *payload, uint32_t len)
{
	return ask_with(type, id, payload, len, NULL);
}

static void begin(void (*until)(struct agent *agent))
{
	memset(&asker, 0, sizeof(asker));
	agent_init(&agent, NULL);
	if (until)
		until(&agent);
}

static void end(void)
{
	agent_free(&agent);
}

static void test_life(void)
{
	begin(NULL);
	is_int(session_state(agent.session), SESSION_BOOTING);
	agent_connect(&agent);
	is_int(session_state(agent.session), SESSION_GREETING);
	end();

	begin(agent_hello);
	is_int(session_state(agent.session), SESSION_CREATING);
	is_int(session_hello(agent.session)->boot_us[0], 1000);
	const time_t now = time(NULL);
	ok(agent.clock.seconds <= now && agent.clock.seconds > now - 60,
	   "the agent hears the time");
	is_int(agent.header.type, PROTO_CONFIG);
	ok(agent.header.len == 7 && memcmp(agent.payload, "{\"a\":1}", 7) == 0,
	   "the agent gets the configuration");
	agent_answer(&agent, PROTO_READY, NULL, 0);
	is_int(session_state(agent.session), SESSION_CREATED);
	agent_pump_ms(&agent, 70); // a created container may wait
	is_int(ask(PROTO_EXEC, 0, "{}", 2), 0);
	ok(agent_gets(&agent, PROTO_EXEC), "exec into a container that waits");
	agent_answer(&agent, PROTO_STARTED, NULL, 0);
	is_int(ask(PROTO_START, 0, NULL, 0), 0);
	is_int(session_state(agent.session), SESSION_STARTING);
	is_int(ask(PROTO_START, 0, NULL, 0), -EBUSY);
	ok(agent_gets(&agent, PROTO_START), "the agent is told to start");
	agent_answer(&agent, PROTO_STARTED, NULL, 0);
	is_int(session_state(agent.session), SESSION_RUNNING);
	ok(asker.answers == 2 && asker.header.type == PROTO_STARTED &&
		   asker.header.request == 1000 + PROTO_START,
	   "and who asked gets the answer, with his number");
	agent_exit(&agent, 0, 7);
	is_int(session_state(agent.session), SESSION_ENDED);
	is_int(session_exit(agent.session)->status, 7);
	is_int(ask(PROTO_PS, 0, NULL, 0), -EBUSY);
	guest_op(&agent.guest, agent.control, VIRTIO_VSOCK_OP_SHUTDOWN, 3);
	is_int(session_state(agent.session), SESSION_ENDED);
	is_int(agent.changes, 6);
	end();
}

static void test_questions(void)
{
	const struct proto_signal signal_all = { .number = SIGTERM, .all = 1 };
	const struct proto_size size = { 24, 80 };
	const uint32_t pids[] = { 1, 2, 77 };
	const struct proto_table table = { .after = 7 };
	const char figures[] = "figures";

	begin(agent_run);
	is_int(ask(PROTO_SIGNAL, 0, &signal_all, sizeof(signal_all)), 0);
	ok(agent_gets(&agent, PROTO_SIGNAL), "a signal");
	ok(memcmp(agent.payload, &signal_all, sizeof(signal_all)) == 0, "as it was asked");
	agent_answer(&agent, PROTO_DONE, NULL, 0);
	is_int(asker.header.type, PROTO_DONE);
	is_int(ask(PROTO_PS, 0, NULL, 0), 0);
	agent_next(&agent);
	agent_answer(&agent, PROTO_PIDS, pids, sizeof(pids));
	ok(asker.header.len == sizeof(pids) && memcmp(asker.payload, pids, sizeof(pids)) == 0,
	   "the pids");
	is_int(ask(PROTO_STATS, 0, NULL, 0), 0);
	agent_next(&agent);
	agent_answer(&agent, PROTO_FIGURES, figures, sizeof(figures));
	is_int(asker.header.type, PROTO_FIGURES);
	is_int(ask(PROTO_TABLE, 0, NULL, 0), -EINVAL);
	is_int(ask(PROTO_TABLE, 0, &table, sizeof(table)), 0);
	ok(agent_gets(&agent, PROTO_TABLE) && memcmp(agent.payload, &table, sizeof(table)) == 0,
	   "from which process on");
	agent_answer(&agent, PROTO_PROCESSES, NULL, 0);
	is_int(asker.header.type, PROTO_PROCESSES);
	is_int(ask(PROTO_BALLOON, 0, &table, sizeof(table)), -EINVAL);
	is_int(ask(PROTO_UPDATE, 0, "{}", 2), 0);
	agent_next(&agent);
	agent_fail(&agent, EINVAL, "no such limit");
	is_int(asker.header.type, PROTO_FAILED);
	is_str(((struct proto_failure *)asker.payload)->message, "no such limit");
	is_int(ask(PROTO_RESIZE, 0, &size, sizeof(size)), 0);
	ok(agent_gets(&agent, PROTO_RESIZE), "a size");
	is_int(asker.answers, 5);

	is_int(ask(PROTO_SIGNAL, 5, &signal_all, sizeof(signal_all)), -ESRCH);
	is_int(ask(PROTO_SIGNAL, 0, &signal_all, 4), -EINVAL);
	is_int(ask(PROTO_HELLO, 0, NULL, 0), -EINVAL);
	agent_send(&agent, &(struct proto_header){ .type = PROTO_OOM }, NULL);
	is_int(agent.ooms, 1);

	// Answers in another order.
	ask(PROTO_PS, 0, NULL, 0);
	ask(PROTO_STATS, 0, NULL, 0);
	agent_next(&agent);
	struct proto_header first = agent.header;
	agent_next(&agent);
	agent_answer(&agent, PROTO_FIGURES, figures, sizeof(figures));
	is_int(asker.header.type, PROTO_FIGURES);
	agent.header = first;
	agent_answer(&agent, PROTO_PIDS, pids, sizeof(pids));
	is_int(asker.header.request, 1000 + PROTO_PS);
	end();
}

static void test_exec(void)
{
	begin(agent_run);
	is_int(ask(PROTO_EXEC, 0, "{\"x\":1}", 7), 0);
	ok(agent_gets(&agent, PROTO_EXEC), "exec");
	is_int(agent.header.id, 1);
	agent_answer(&agent, PROTO_STARTED, NULL, 0);
	ok(asker.header.type == PROTO_STARTED && asker.header.id == 1, "it has started");
	agent_exit(&agent, 1, 42);
	ok(asker.header.type == PROTO_EXIT && asker.header.request == 1000 + PROTO_EXEC &&
		   ((struct proto_exit *)asker.payload)->status == 42,
	   "and ended");
	is_int(session_state(agent.session), SESSION_RUNNING);

	ask(PROTO_EXEC, 0, "{}", 2);
	agent_next(&agent);
	is_int(agent.header.id, 2);
	agent_fail(&agent, ENOENT, "sh: no such file or directory");
	is_int(asker.header.type, PROTO_FAILED);

	// The asker goes while it runs, and before it runs.
	ask(PROTO_EXEC, 0, "{}", 2);
	agent_next(&agent);
	agent_answer(&agent, PROTO_STARTED, NULL, 0);
	unsigned int before = asker.answers;
	session_forget(agent.session, &asker);
	guest_poll(&agent.guest);
	ok(agent_gets(&agent, PROTO_SIGNAL) && agent.header.id == 3 &&
		   ((struct proto_signal *)agent.payload)->number == SIGKILL,
	   "what a client that goes has executed is killed");
	agent_answer(&agent, PROTO_DONE, NULL, 0);
	agent_exit(&agent, 3, 137);
	ask(PROTO_EXEC, 0, "{}", 2);
	agent_next(&agent);
	session_forget(agent.session, &asker);
	guest_poll(&agent.guest);
	struct proto_header exec = agent.header;
	ok(!agent_next(&agent), "not before it has started");
	agent.header = exec;
	agent_answer(&agent, PROTO_STARTED, NULL, 0);
	ok(agent_gets(&agent, PROTO_SIGNAL) && agent.header.id == 4, "but then");
	is_int(asker.answers, before);

	// The program's end is the end of all.
	ask(PROTO_EXEC, 0, "{}", 2);
	agent_next(&agent);
	agent_answer(&agent, PROTO_STARTED, NULL, 0);
	ask(PROTO_PS, 0, NULL, 0);
	agent_exit(&agent, 0, 0);
	is_int(session_state(agent.session), SESSION_ENDED);
	ok(asker.answers == before + 3 && asker.header.type == PROTO_EXIT, "all are told");
	is_int(((struct proto_exit *)asker.payload)->status, 137);
	end();
}

// The agent bears what it is asked for together, and opens all streams before it names one.
static void test_execs_at_once(void)
{
	static struct guest_conn *conns[3 * 20];
	unsigned int open = 0;

	begin(agent_run);
	for (int i = 0; i < 20; i++)
		ask(PROTO_EXEC, 0, "{}", 2);
	for (size_t i = 0; i < 3 * 20; i++)
		conns[i] = guest_connect(&agent.guest, PROTO_PORT_STREAM);
	for (size_t i = 0; i < 3 * 20; i++)
		open += !conns[i]->reset;
	is_int(open, 3 * 20);
	end();
}

static void test_exec_is_bounded(void)
{
	unsigned int begun = 0;

	begin(agent_run);
	while (begun < 1000 && ask(PROTO_EXEC, 0, "{}", 2) == 0) {
		begun++;
		agent_next(&agent);
		agent_answer(&agent, PROTO_STARTED, NULL, 0);
	}
	is_int(begun, SESSION_PROCESSES_MAX - 1);
	agent_exit(&agent, 5, 0);
	is_int(ask(PROTO_EXEC, 0, "{}", 2), 0); // in its place
	end();

	// An agent that answers nothing, and then one that reads nothing.
	unsigned int asked = 0;
	begin(agent_run);
	while (asked < 1000 && ask(PROTO_PS, 0, NULL, 0) == 0)
		asked++;
	is_int(asked, SESSION_REQUESTS_MAX);
	end();

	static char large[8 * 1024 * 1024];
	begin(agent_run);
	agent.control->hold = true;
	for (asked = 0; asked < 100 && ask(PROTO_UPDATE, 0, large, sizeof(large)) == 0; asked++)
		;
	is_int(asked, 4); // 32 MiB are too much by the headers, less what the guest has taken
	end();
}

static void test_failures(void)
{
	begin(agent_hello);
	agent_fail(&agent, EACCES, "mounts: /data: permission denied");
	is_int(session_state(agent.session), SESSION_FAILED);
	is_str(session_error(agent.session)->msg, "mounts: /data: permission denied");
	is_int(session_error(agent.session)->code, EACCES);
	end();

	begin(agent_ready);
	ask(PROTO_START, 0, NULL, 0);
	agent_next(&agent);
	agent_fail(&agent, ENOENT, "x: executable file not found in $PATH");
	is_int(session_state(agent.session), SESSION_FAILED);
	is_int(asker.answers, 1);
	is_str(((struct proto_failure *)asker.payload)->message,
	       "x: executable file not found in $PATH");
	end();

	// Killed before it was started.
	begin(agent_ready);
	agent_exit(&agent, 0, 137);
	is_int(session_state(agent.session), SESSION_ENDED);
	end();
}

// Where this process is busy meanwhile, it takes longer.
static void await_failure(void)
{
	for (int i = 0; i < 100 && session_state(agent.session) != SESSION_FAILED; i++)
		agent_pump_ms(&agent, 10);
}

static void test_silence(void)
{
	begin(NULL);
	await_failure();
	is_str(session_error(agent.session)->msg,
	       "guest: it does not boot; its console ends with:\nKernel panic - not syncing");
	ok(guest_connect(&agent.guest, PROTO_PORT_CONTROL)->reset, "too late");
	end();

	begin(agent_connect);
	await_failure();
	ok(strstr(session_error(agent.session)->msg, "does not greet"), "connected, and silent");
	end();

	begin(agent_hello);
	await_failure();
	ok(strstr(session_error(agent.session)->msg, "too long"), "no container");
	end();

	begin(agent_run);
	ask(PROTO_PS, 0, NULL, 0);
	guest_op(&agent.guest, agent.control, VIRTIO_VSOCK_OP_RST, 0);
	is_str(session_error(agent.session)->msg,
	       "guest: the agent has ended; its console ends with:\nKernel panic - not syncing");
	is_int(asker.header.type, PROTO_FAILED); // who waited is told
	end();

	begin(agent_run);
	session_lost(agent.session, "it has\x1b[2J rebooted");
	ok(strstr(session_error(agent.session)->msg, "guest: it has [2J rebooted; its console"),
	   "the machine tells, in plain text");
	end();

	// The whole device, as when the guest's kernel starts anew.
	begin(agent_run);
	agent.guest.dev->ops->reset(agent.guest.dev);
	is_int(session_state(agent.session), SESSION_FAILED);
	end();
}

// Frames that must not come, each at the end of a session.
static void test_lies(void)
{
	static const struct {
		const char *name;
		void (*until)(struct agent *agent);
		struct proto_header header;
		char payload[5];
		const char *want;
	} lies[] = {
		{ "no HELLO first", agent_connect, { PROTO_READY, 0, 0, 0 }, "", "wrong time" },
		{ "a wrong version",
		  agent_connect,
		  { PROTO_HELLO, sizeof(struct proto_hello), 0, 0 },
		  "\11\0\0\0",
		  "version" },
		{ "HELLO again",
		  agent_run,
		  { PROTO_HELLO, sizeof(struct proto_hello), 0, 0 },
		  "\1\0\0\0",
		  "wrong time" },
		{ "READY again", agent_run, { PROTO_READY, 0, 0, 1 }, "", "answer to nothing" },
		{ "an unknown type", agent_run, { 999, 0, 0, 0 }, "", "unknown type" },
		{ "a host's type", agent_run, { PROTO_EXEC, 2, 0, 0 }, "{}", "unknown type" },
		{ "a frame of 4 GiB", agent_run, { PROTO_PIDS, UINT32_MAX, 0, 0 }, "", "bytes" },
		{ "an exit of no process", agent_run, { PROTO_EXIT, 8, 9, 0 }, "", "doesn't run" },
		{ "an exit that is none", agent_run, { PROTO_EXIT, 8, 0, 0 }, "\377\377", "EXIT" },
		{ "an answer to nothing", agent_run, { PROTO_DONE, 0, 0, 0 }, "", "nothing" },
		{ "an answer to no request", agent_run, { PROTO_DONE, 0, 0, 5000 }, "", "nothing" },
	};
	static char payload[4096];

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		begin(lies[i].until);
		memset(payload, 0, sizeof(payload));
		memcpy(payload, lies[i].payload, 4);
		struct proto_header header = lies[i].header;
		guest_write(&agent.guest, agent.control, &header, sizeof(header));
		if (header.len <= sizeof(payload))
			guest_write(&agent.guest, agent.control, payload, header.len);
		const char *msg = session_error(agent.session)->msg;
		if (!ok(session_state(agent.session) == SESSION_FAILED && strstr(msg, lies[i].want),
			lies[i].name))
			printf("# %s\n", msg);
		guest_poll(&agent.guest);
		ok(agent.control->reset, "and the connection is cut");
		end();
	}

	// Answers that are another's.
	begin(agent_run);
	ask(PROTO_PS, 0, NULL, 0);
	agent_next(&agent);
	agent_answer(&agent, PROTO_DONE, NULL, 0);
	ok(strstr(session_error(agent.session)->msg, "something else"), "the wrong answer");
	end();
	begin(agent_run);
	ask(PROTO_EXEC, 0, "{}", 2);
	agent_next(&agent);
	agent.header.id = 0;
	agent_answer(&agent, PROTO_STARTED, NULL, 0);
	ok(strstr(session_error(agent.session)->msg, "something else"), "for another process");
	end();
	begin(agent_run);
	ask(PROTO_EXEC, 0, "{}", 2);
	agent_next(&agent);
	agent_exit(&agent, 1, 0);
	ok(strstr(session_error(agent.session)->msg, "doesn't run"), "ended before it started");
	end();
	begin(agent_run);
	ask(PROTO_PS, 0, NULL, 0);
	agent_next(&agent);
	agent_answer(&agent, PROTO_PIDS, "\1\0\0\0", 4);
	agent_answer(&agent, PROTO_PIDS, "\1\0\0\0", 4);
	ok(strstr(session_error(agent.session)->msg, "nothing"), "twice");
	end();
	begin(agent_run);
	ok(guest_connect(&agent.guest, PROTO_PORT_CONTROL)->reset, "a second control connection");
	is_int(session_state(agent.session), SESSION_RUNNING);
	end();
}

// One that had ended, and whose output is not all out when the program ends: its client isn't told that all went well.
static void test_cut_short(void)
{
	static char output[180000];
	int out[2];

	begin(agent_run);
	if (pipe2(out, O_CLOEXEC) < 0)
		abort();
	const struct stream_fds streams = { .terminal = -1, .in = -1, .out = out[1], .err = -1 };
	ask_with(PROTO_EXEC, 0, "{}", 2, &streams);
	agent_next(&agent);
	agent_answer(&agent, PROTO_STARTED, NULL, 0);
	struct guest_conn *conn = agent_stream(&agent, 1, PROTO_STDOUT);
	is_int(guest_write(&agent.guest, conn, output, sizeof(output)), sizeof(output));
	agent_exit(&agent, 1, 0);
	agent_pump(&agent);
	is_int(asker.header.type, PROTO_STARTED);
	agent_exit(&agent, 0, 0);
	is_int(session_state(agent.session), SESSION_ENDED);
	is_int(asker.header.type, PROTO_EXIT);
	is_int(((const struct proto_exit *)(const void *)asker.payload)->status, 137);
	close(out[0]);
	end();
}

// Frames cut at every byte, and many in one packet.
static void test_pieces(void)
{
	const struct proto_hello hello = { .version = PROTO_VERSION };
	struct {
		struct proto_header header;
		struct proto_hello hello;
	} first = { { .type = PROTO_HELLO, .len = sizeof(hello) }, hello };
	struct proto_header ooms[20];

	for (size_t i = 0; i < 20; i++)
		ooms[i] = (struct proto_header){ .type = PROTO_OOM };
	begin(agent_connect);
	for (size_t i = 0; i < sizeof(first); i++)
		guest_write(&agent.guest, agent.control, (char *)&first + i, 1);
	is_int(session_state(agent.session), SESSION_CREATING);
	guest_write(&agent.guest, agent.control, ooms, sizeof(ooms));
	is_int(agent.ooms, 20);
	end();
}

int main(void)
{
	test_life();
	test_questions();
	test_exec();
	test_execs_at_once();
	test_exec_is_bounded();
	test_failures();
	test_silence();
	test_cut_short();
	test_lies();
	test_pieces();
	return done();
}
