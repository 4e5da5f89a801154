// fuzz-session: an agent that says what the bytes say, to a session that is asked things meanwhile.
//
// Beyond "no crash": an asker gets at most one answer to each question but EXEC, which may have two.
#include "base/scope.h"
#include "tests/unit/fake-agent.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t len;
};

static struct input input;
static struct agent agent;
static struct guest_conn *streams[8];
static char bytes[65536];

#define ASKED_MAX 256
static struct {
	uint32_t type;
	unsigned int answers;
} asked[ASKED_MAX];
static uint32_t asked_count;

// The far ends of the streams, as an engine or a shell has them; -1: closed.
#define FAR_MAX 64
static int far_ends[FAR_MAX];
static size_t far_count;

static uint8_t next(void)
{
	if (input.len == 0)
		return 0;
	input.len--;
	return *input.data++;
}

static size_t next_bytes(size_t len)
{
	if (len > input.len)
		len = input.len;
	memcpy(bytes, input.data, len);
	input.data += len;
	input.len -= len;
	return len;
}

// ---- streams ----

static void keep_far(int fd)
{
	if (fd < 0 || far_count == FAR_MAX || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		abort();
	far_ends[far_count++] = fd;
}

// One of the host's descriptors: what never ends, a pipe, a socket, or none.
static int make_stream(bool to_read)
{
	const uint8_t kind = far_count < FAR_MAX ? next() % 4 : 0;
	int ends[2];

	if (kind == 3)
		return -1;
	if (kind == 0)
		return open(to_read ? "/dev/zero" : "/dev/null", O_RDWR | O_CLOEXEC);
	if ((kind == 1 ? pipe2(ends, O_CLOEXEC) :
			 socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) < 0)
		abort();
	keep_far(ends[to_read ? 1 : 0]);
	return ends[to_read ? 0 : 1];
}

static int make_terminal(void)
{
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), unlock = 0;

	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return -1;
	keep_far(master);
	return ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static struct stream_fds make_streams(void)
{
	struct stream_fds fds = { .terminal = -1, .in = -1, .out = -1, .err = -1 };

	if (next() % 4 == 0 && far_count < FAR_MAX) {
		fds.terminal = make_terminal();
	} else {
		fds.in = make_stream(true);
		fds.out = make_stream(false);
		fds.err = make_stream(false);
	}
	return fds;
}

static void use_far(void)
{
	static char block[4096];
	const uint8_t what = next();
	int *fd = far_count > 0 ? &far_ends[(what >> 2) % far_count] : NULL;

	if (!fd || *fd < 0)
		return;
	if ((what & 3) == 0) {
		close(*fd);
		*fd = -1;
	} else if ((what & 3) == 1) {
		send(*fd, block, next() * 16U, MSG_NOSIGNAL);
	} else if ((what & 3) == 2) {
		for (size_t done = 0; done < sizeof(bytes); done += sizeof(block))
			if (read(*fd, block, sizeof(block)) <= 0)
				break;
	} else if (write(*fd, block, next() * 16U) < 0) {
		return; // full, or the other side has gone
	}
}

// ---- verbs ----

static void on_answer(void *user, const struct proto_header *header, const void *payload)
{
	const bool twice = header->request < asked_count &&
			   asked[header->request].type == PROTO_EXEC;
	struct err err;

	(void)user;
	if (header->request >= asked_count || ++asked[header->request].answers > 1U + twice)
		abort();
	if (header->type != PROTO_FAILED && proto_check(header, payload, &err) < 0)
		abort();
}

static void ask(void)
{
	static const uint32_t lens[] = { [PROTO_SIGNAL] = sizeof(struct proto_signal),
					 [PROTO_RESIZE] = sizeof(struct proto_size),
					 [PROTO_EXEC] = 2,
					 [PROTO_UPDATE] = 5000,
					 [PROTO_STATS] = 0 };
	struct stream_fds fds;
	struct session_request request = {
		.type = PROTO_START + next() % 7,
		.id = next() % 4,
		.payload = bytes,
		.tag = asked_count,
		.answered = on_answer,
		.user = &streams[next() % 4],
	};
	struct err err;

	if (asked_count == ASKED_MAX)
		request.type = PROTO_RESIZE;
	else
		asked[asked_count++].type = request.type;
	request.len = lens[request.type];
	if (request.type == PROTO_EXEC) {
		fds = make_streams();
		request.streams = &fds;
	}
	session_ask(agent.session, &request, &err);
}

// ---- the agent ----

static void say(void)
{
	uint8_t kind = next();
	struct proto_header header = { .type = PROTO_HELLO + kind % 10,
				       .id = next() % 4,
				       .request = next() % 16 };

	if (kind & 128) { // any bytes
		size_t len = next_bytes(next());
		guest_write(&agent.guest, agent.control, bytes, len);
		return;
	}
	header.len = kind & 64 ? next() : 0;
	switch (kind & 64 ? 0 : header.type) {
	case PROTO_HELLO:
		header.len = sizeof(struct proto_hello);
		break;
	case PROTO_FAILED:
		header.len = 6;
		break;
	case PROTO_EXIT:
		header.len = sizeof(struct proto_exit);
		break;
	case PROTO_FIGURES:
		header.len = 1;
		break;
	case PROTO_PIDS:
		header.len = next() * 256U;
		break;
	default:
		break;
	}
	memset(bytes, 0, header.len);
	bytes[0] = 1;
	if (kind & 32)
		next_bytes(header.len);
	// The answer to what came last, or came before.
	agent_next(&agent);
	if (next() & 1) {
		header.id = agent.header.id;
		header.request = agent.header.request;
	}
	agent_send(&agent, &header, bytes);
}

static void use_stream(struct guest_conn **conn)
{
	uint8_t what = next();

	if (!*conn || (*conn)->reset) {
		*conn = what & 16 ? guest_connect(&agent.guest, PROTO_PORT_STREAM) :
				    agent_stream(&agent, what % 4, what >> 2 & 3);
		return;
	}
	switch (what & 3) {
	case 0:
		guest_write(&agent.guest, *conn, bytes, what * 64U);
		break;
	case 1:
		guest_op(&agent.guest, *conn, VIRTIO_VSOCK_OP_SHUTDOWN, what >> 2 & 3);
		break;
	case 2:
		guest_read(&agent.guest, *conn, bytes, sizeof(bytes));
		break;
	default:
		guest_op(&agent.guest, *conn, VIRTIO_VSOCK_OP_RST, 0);
		(*conn)->reset = true;
		break;
	}
	guest_poll(&agent.guest);
}

static void step(void)
{
	uint8_t what = next();

	switch (what % 9) {
	case 0:
		ask();
		break;
	case 8:
		use_far();
		// Perhaps too small for a packet's header.
		if (what >> 3 == 31)
			agent.guest.buffer_len = next() % 64;
		break;
	case 1:
		session_forget(agent.session, &streams[what >> 3 & 3]);
		break;
	case 2:
	case 3:
		use_stream(&streams[what >> 3 & 7]);
		break;
	case 4:
		agent_pump(&agent);
		break;
	default:
		if (what >> 3 == 31)
			guest_op(&agent.guest, agent.control, VIRTIO_VSOCK_OP_SHUTDOWN, next() & 3);
		else
			say();
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const until[])(struct agent * agent) = { agent_connect, agent_hello,
							       agent_ready, agent_run };
	struct stream_fds fds;

	input = (struct input){ data, size };
	memset(streams, 0, sizeof(streams));
	memset(asked, 0, sizeof(asked));
	asked_count = 0;
	far_count = 0;
	signal(SIGPIPE, SIG_IGN);
	fds = make_streams();
	agent_init(&agent, &fds);
	until[next() % 4](&agent);
	while (input.len > 0)
		step();
	agent_free(&agent);
	for (size_t i = 0; i < far_count; i++)
		if (far_ends[i] >= 0)
			close(far_ends[i]);
	return 0;
}
