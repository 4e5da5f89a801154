// The control socket, from a verb's client through the VMM to a played agent.
#include "base/io.h"
#include "base/scope.h"
#include "tests/unit/fake-agent.h"
#include "tests/unit/tap.h"
#include "vm-mode/control/client.h"
#include "vm-mode/control/control.h"
#include "vm-mode/control/packet.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static struct agent agent;
static struct control *control;
static struct vm_client_answer answer;
static struct err err;
static char dir[64];
static int dirfd;
static char big[3 * 1024 * 1024];

static void on_balloon(void *user, uint64_t target, struct proto_ballooned *told)
{
	uint64_t *set = user;

	if (target != PROTO_BALLOON_KEEP)
		*set = target;
	*told = (struct proto_ballooned){ .target_bytes = *set,
					  .given_bytes = *set / 2,
					  .driver = 1 };
}

static void begin_as(uid_t owner)
{
	static uint64_t target;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct control_config config = { .owner = owner, .balloon = on_balloon, .user = &target };

	snprintf(dir, sizeof(dir), "/tmp/moat-test-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/vm", dir);
	config.listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (bind(config.listen_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(config.listen_fd, 128) < 0)
		abort();
	agent_init(&agent, NULL);
	config.loop = agent.loop;
	config.session = agent.session;
	if (control_create(&config, &control, &err) < 0)
		abort();
}

static void begin(void)
{
	begin_as(getuid());
	agent_run(&agent);
}

static void end(void)
{
	control_free(control);
	agent_free(&agent);
	unlinkat(dirfd, "vm", 0);
	close(dirfd);
	rmdir(dir);
}

static int connect_client(void)
{
	int sock = vm_client_connect(dirfd, 0, &err);

	agent_pump(&agent);
	return sock;
}

static int ask(int sock, uint32_t type, const void *payload, uint32_t len)
{
	const struct vm_client_request request = { .type = type, .payload = payload, .len = len };
	int ret = vm_client_send(sock, &request, &err);

	agent_pump(&agent);
	return ret;
}

// What came to the client, or -1: nothing yet.
static int hear(int sock)
{
	char byte;

	agent_pump(&agent);
	if (recv(sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0)
		return -1;
	return vm_client_receive(sock, &answer, &err);
}

static void test_questions(void)
{
	const uint32_t pids[] = { 1, 9 };
	const struct proto_signal term = { .number = SIGTERM };

	begin();
	int sock = connect_client();
	is_int(ask(sock, PROTO_PS, NULL, 0), 0);
	ok(agent_gets(&agent, PROTO_PS), "the agent is asked");
	agent_answer(&agent, PROTO_PIDS, pids, sizeof(pids));
	is_int(hear(sock), 0);
	ok(answer.header.type == PROTO_PIDS && answer.header.len == 8 &&
		   memcmp(answer.payload, pids, 8) == 0,
	   "the client gets the pids");
	ask(sock, PROTO_SIGNAL, &term, sizeof(term));
	agent_next(&agent);
	agent_fail(&agent, ESRCH, "no such process");
	is_int(hear(sock), -ESRCH);
	is_str(err.msg, "no such process");
	is_int(ask(sock, PROTO_START, NULL, 0), 0);
	is_int(hear(sock), -EBUSY); // by the VMM itself

	// Another client at the same time.
	int second = connect_client();
	ask(sock, PROTO_PS, NULL, 0);
	ask(second, PROTO_STATS, NULL, 0);
	agent_next(&agent);
	agent_answer(&agent, PROTO_PIDS, pids, sizeof(pids));
	agent_next(&agent);
	is_int(hear(second), -1);
	agent_answer(&agent, PROTO_FIGURES, "figures", 7);
	is_int(hear(second), 0);
	ok(answer.header.len == 7 && memcmp(answer.payload, "figures", 7) == 0, "the figures");
	is_int(hear(sock), 0);
	is_int(answer.header.type, PROTO_PIDS);

	// Gone before the answer.
	ask(second, PROTO_PS, NULL, 0);
	close(second);
	agent_pump(&agent);
	agent_next(&agent);
	agent_answer(&agent, PROTO_PIDS, pids, sizeof(pids));
	is_int(hear(sock), -1);
	is_int(session_state(agent.session), SESSION_RUNNING);
	close(sock);
	end();
}

// It is the VMM's own to answer.
static void test_balloon(void)
{
	const struct proto_balloon target = { 4096 }, keep = { PROTO_BALLOON_KEEP };
	const struct proto_ballooned *told = (const void *)answer.payload;

	begin();
	int sock = connect_client();
	for (int i = 0; i < 3 * CONTROL_ASKED_MAX; i++) {
		is_int(ask(sock, PROTO_BALLOON, i ? &keep : &target, sizeof(target)), 0);
		is_int(hear(sock), 0);
		is_int(answer.header.type, PROTO_BALLOONED);
	}
	ok(told->target_bytes == 4096 && told->given_bytes == 2048 && told->driver == 1,
	   "the target is set once, and then stays");
	ok(!agent_next(&agent), "the agent hears nothing of it");
	ask(sock, PROTO_BALLOON, NULL, 0);
	is_int(hear(sock), -EINVAL);
	close(sock);
	end();
}

static void test_start(void)
{
	begin_as(getuid());
	agent_ready(&agent);
	int sock = connect_client();
	ask(sock, PROTO_START, NULL, 0);
	ok(agent_gets(&agent, PROTO_START), "START");
	agent_answer(&agent, PROTO_STARTED, NULL, 0);
	is_int(hear(sock), 0);
	is_int(session_state(agent.session), SESSION_RUNNING);
	close(sock);
	end();
}

static void test_exec(void)
{
	const char json[] = "{\"args\":[\"cat\"]}";
	int in[2], out[2], err_pipe[2];
	char got[16];

	begin();
	int sock = connect_client();
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err_pipe, O_CLOEXEC) < 0)
		abort();
	const int fds[] = { in[0], out[1], err_pipe[1] };
	const struct vm_client_request exec = {
		.type = PROTO_EXEC, .payload = json, .len = sizeof(json) - 1, .fds = fds, .nfds = 3
	};
	is_int(vm_client_send(sock, &exec, &err), 0);
	for (size_t i = 0; i < 3; i++)
		close(fds[i]);
	agent_pump(&agent);
	ok(agent_gets(&agent, PROTO_EXEC) && agent.header.len == sizeof(json) - 1 &&
		   memcmp(agent.payload, json, sizeof(json) - 1) == 0,
	   "the agent gets the process");
	struct guest_conn *in_conn = agent_stream(&agent, 1, PROTO_STDIN);
	struct guest_conn *out_conn = agent_stream(&agent, 1, PROTO_STDOUT);
	struct guest_conn *err_conn = agent_stream(&agent, 1, PROTO_STDERR);
	agent_answer(&agent, PROTO_STARTED, NULL, 0);
	is_int(hear(sock), 0);
	ok(answer.header.type == PROTO_STARTED && answer.header.id == 1, "it runs");
	is_int(write(in[1], "in", 2), 2);
	agent_pump(&agent);
	ok(in_conn->len == 2, "its input");
	guest_write(&agent.guest, out_conn, "out", 3);
	guest_write(&agent.guest, err_conn, "err", 3);
	ok(read(out[0], got, 9) == 3 && memcmp(got, "out", 3) == 0, "its output");
	ok(read(err_pipe[0], got, 9) == 3 && memcmp(got, "err", 3) == 0, "its errors");
	guest_write(&agent.guest, out_conn, "end", 3);
	agent_exit(&agent, 1, 5);
	is_int(hear(sock), 0);
	ok(answer.header.type == PROTO_EXIT && ((struct proto_exit *)answer.payload)->status == 5,
	   "its exit");
	is_int(read(out[0], got, 9), 3);
	agent_pump(&agent);
	ok(in_conn->reset && !out_conn->reset, "its output may go on: a child may hold it");
	close(sock);
	agent_pump(&agent);
	ok(!agent_next(&agent), "a client that goes after the exit kills nothing");

	// A client that goes before.
	sock = connect_client();
	ask(sock, PROTO_EXEC, json, sizeof(json) - 1);
	agent_next(&agent);
	agent_answer(&agent, PROTO_STARTED, NULL, 0);
	close(sock);
	agent_pump(&agent);
	ok(agent_gets(&agent, PROTO_SIGNAL) && agent.header.id == 2 &&
		   ((struct proto_signal *)agent.payload)->number == SIGKILL,
	   "the process of a client that goes is killed");
	close(in[1]);
	close(out[0]);
	close(err_pipe[0]);
	end();
}

static void test_long_request(void)
{
	size_t got = 0;

	begin();
	fill_pattern(big, sizeof(big));
	int sock = connect_client();
	is_int(ask(sock, PROTO_UPDATE, big, sizeof(big)), 0);
	struct proto_header header;
	struct guest_conn *conn = agent.control;
	guest_read(&agent.guest, conn, &header, sizeof(header));
	is_int(header.len, sizeof(big));
	static char copy[sizeof(big)];
	for (int i = 0; i < 10000 && got < sizeof(big); i++) {
		got += guest_read(&agent.guest, conn, copy + got, sizeof(big) - got);
		agent_pump(&agent);
	}
	ok(memcmp(copy, big, sizeof(big)) == 0, "3 MiB in a sealed file");
	agent.header = header;
	agent_answer(&agent, PROTO_DONE, NULL, 0);
	is_int(hear(sock), 0);
	close(sock);
	end();
}

static bool is_dropped(int sock)
{
	agent_pump(&agent);
	return hear(sock) == -ECONNRESET;
}

// Sends bytes as they are, with descriptors.
static int send_raw(const void *data, size_t len, const int *fds, size_t nfds)
{
	int sock = connect_client();

	io_send_fds(sock, data, len, fds, nfds);
	return sock;
}

static void test_rubbish(void)
{
	const int fds[] = { 0, 1, 2 };
	struct {
		struct proto_header header;
		char payload[100];
	} packet = { .header = { .type = PROTO_PS } };
	int sock;

	begin();
	ok(is_dropped(sock = send_raw("x", 1, NULL, 0)), "half a header");
	close(sock);
	ok(is_dropped(sock = send_raw(&packet, sizeof(packet), NULL, 0)), "more than a frame");
	close(sock);
	packet.header.type = PROTO_CONFIG;
	ok(is_dropped(sock = send_raw(&packet, 16, NULL, 0)), "a type that is not a client's");
	close(sock);
	packet.header.type = PROTO_READY;
	ok(is_dropped(sock = send_raw(&packet, 16, NULL, 0)), "one that is the agent's");
	close(sock);
	packet.header = (struct proto_header){ .type = PROTO_PS };
	ok(is_dropped(sock = send_raw(&packet, 16, fds, 1)), "descriptors with no EXEC");
	close(sock);
	packet.header = (struct proto_header){ .type = PROTO_EXEC, .len = 2 };
	ok(is_dropped(sock = send_raw(&packet, 18, fds, 2)), "two descriptors");
	close(sock);
	packet.header = (struct proto_header){ .type = PROTO_UPDATE, .len = 70000 };
	ok(is_dropped(sock = send_raw(&packet, 16, NULL, 0)), "a long request without a file");
	close(sock);
	scope_fd int file = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	is_int(ftruncate(file, 70000), 0);
	ok(is_dropped(sock = send_raw(&packet, 16, &file, 1)), "a file that isn't sealed");
	close(sock);
	fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	packet.header.len = 70001;
	ok(is_dropped(sock = send_raw(&packet, 16, &file, 1)), "a file of another length");
	close(sock);
	packet.header.len = 70000;
	sock = send_raw(&packet, 16, &file, 1);
	is_int(hear(sock), -1); // a good one, at last: under way
	close(sock);

	// Too much at once, and answers that are not read.
	sock = connect_client();
	for (int i = 0; i < CONTROL_ASKED_MAX + 1; i++)
		ask(sock, PROTO_PS, NULL, 0);
	ok(is_dropped(sock), "more questions than are allowed at once");
	close(sock);
	is_int(session_state(agent.session), SESSION_RUNNING);
	end();
}

static void test_deaf_client(void)
{
	static char pids[PROTO_TO_HOST_MAX];
	int answered = 0;

	begin();
	int sock = connect_client();
	for (; answered < 100 && ask(sock, PROTO_PS, NULL, 0) == 0; answered++) {
		while (agent_next(&agent))
			agent_answer(&agent, PROTO_PIDS, pids, sizeof(pids));
		agent_pump(&agent);
	}
	ok(answered > 1 && answered < 100, "a client that doesn't read is dropped");
	close(sock);
	end();
}

static void test_clients_are_bounded(void)
{
	int socks[CONTROL_CLIENTS_MAX + 5];
	int served = 0;

	begin();
	for (int i = 0; i < CONTROL_CLIENTS_MAX + 5; i++) {
		socks[i] = connect_client();
		ask(socks[i], PROTO_START, NULL, 0); // answered by the VMM
	}
	for (int i = 0; i < 200; i++)
		agent_pump(&agent);
	for (int i = 0; i < CONTROL_CLIENTS_MAX + 5; i++)
		served += hear(socks[i]) == -EBUSY;
	is_int(served, CONTROL_CLIENTS_MAX);
	for (int i = 0; i < 5; i++)
		close(socks[i]);
	for (int i = 0; i < 50; i++)
		agent_pump(&agent);
	for (int i = CONTROL_CLIENTS_MAX; i < CONTROL_CLIENTS_MAX + 5; i++)
		served += hear(socks[i]) == -EBUSY;
	is_int(served, CONTROL_CLIENTS_MAX + 5); // the others when there is room
	for (int i = 5; i < CONTROL_CLIENTS_MAX + 5; i++)
		close(socks[i]);
	end();
}

static void test_strangers(void)
{
	if (getuid() != 0) {
		skip("strangers", "needs to be root to be someone else");
		return;
	}
	begin_as(1234);
	int sock = connect_client();
	ask(sock, PROTO_START, NULL, 0);
	is_int(hear(sock), -EBUSY); // root may always
	close(sock);
	// As another: who one is is noted by connect(2).
	if (chmod(dir, 0755) < 0 || fchmodat(dirfd, "vm", 0666, 0) < 0 || seteuid(77) < 0)
		abort();
	sock = connect_client();
	int other = seteuid(0);
	ok(other == 0 && is_dropped(sock), "a stranger is not listened to");
	close(sock);
	if (seteuid(1234) < 0)
		abort();
	sock = connect_client();
	other = seteuid(0);
	ask(sock, PROTO_START, NULL, 0);
	ok(other == 0 && hear(sock) == -EBUSY, "the owner is");
	close(sock);
	end();
}

static void test_end(void)
{
	begin();
	int sock = connect_client();
	ask(sock, PROTO_EXEC, "{}", 2);
	agent_next(&agent);
	agent_answer(&agent, PROTO_STARTED, NULL, 0);
	hear(sock);
	guest_op(&agent.guest, agent.control, VIRTIO_VSOCK_OP_RST, 0);
	is_int(hear(sock), -EPROTO);
	ok(strstr(err.msg, "Kernel panic"),
	   "when the guest dies, so does exec, with its last words");
	ask(sock, PROTO_PS, NULL, 0);
	is_int(hear(sock), -EBUSY);
	close(sock);
	end();
	is_int(vm_client_connect(AT_FDCWD, 0, &err), -ENOENT);
}

// The guest's out-of-memory killer: told to who watches, to nobody else, and not to who has gone.
static void test_oom(void)
{
	begin();
	int idle = connect_client(), first = connect_client(), second = connect_client();
	is_int(ask(first, PROTO_WATCH, NULL, 0), 0);
	is_int(hear(first), 0);
	is_int(answer.header.type, PROTO_DONE);
	ask(second, PROTO_WATCH, NULL, 0);
	is_int(hear(second), 0);
	ok(!agent_next(&agent), "the agent isn't asked");
	control_tell_oom(control);
	is_int(hear(first), 0);
	is_int(answer.header.type, PROTO_OOM);
	is_int(hear(first), -1); // once
	is_int(hear(second), 0);
	is_int(answer.header.type, PROTO_OOM);
	is_int(hear(idle), -1);
	// One that watches may ask, too.
	ask(first, PROTO_PS, NULL, 0);
	agent_next(&agent);
	agent_answer(&agent, PROTO_PIDS, NULL, 0);
	is_int(hear(first), 0);
	is_int(answer.header.type, PROTO_PIDS);
	close(second);
	agent_pump(&agent);
	control_tell_oom(control);
	is_int(hear(first), 0);
	is_int(answer.header.type, PROTO_OOM);
	close(first);
	close(idle);
	end();
}

// One that is stopped, and one whose guest never answers.
static void test_silence(void)
{
	const struct vm_client_request ps = { .type = PROTO_PS };
	int socks[256], n = 0, refused;

	begin();
	int sock = vm_client_connect(dirfd, 1, &err);
	is_int(vm_client_ask(sock, &ps, PROTO_PIDS, &answer, &err), -ETIMEDOUT);
	is_str(err.msg, "the virtual machine does not answer");
	agent_pump(&agent);
	ok(agent_gets(&agent, PROTO_PS), "the agent was asked");
	is_int(vm_client_receive(sock, &answer, &err), -ETIMEDOUT);
	close(sock);
	// Nobody is taken in any more.
	while (n < 256 && (refused = vm_client_connect(dirfd, 1, &err)) >= 0)
		socks[n++] = refused;
	is_int(refused, -ETIMEDOUT);
	while (n > 0)
		close(socks[--n]);
	end();
}

int main(void)
{
	test_questions();
	test_balloon();
	test_start();
	test_exec();
	test_long_request();
	test_rubbish();
	test_deaf_client();
	test_clients_are_bounded();
	test_strangers();
	test_oom();
	test_silence();
	test_end();
	return done();
}
