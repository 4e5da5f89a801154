// Streams of a process, between descriptors of all kinds and an agent.
#include "base/scope.h"
#include "tests/unit/fake-agent.h"
#include "tests/unit/tap.h"
#include "vm-mode/control/hostfd.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>

#define MIB ((size_t)1024 * 1024)

static struct agent agent;
static char pattern[MIB], got[MIB + 1];

static void make_pipe(int ends[2])
{
	if (pipe2(ends, O_CLOEXEC) < 0)
		abort();
}

static int copy_fd(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static void set_nonblock(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

// A program with the descriptors as its streams; runs it.
static void begin(int in, int out)
{
	const struct stream_fds streams = { .terminal = -1, .in = in, .out = out, .err = -1 };

	agent_init(&agent, &streams);
	agent_run(&agent);
}

static void test_whole_mib_in(void)
{
	size_t written = 0, received = 0;
	int in[2];

	make_pipe(in);
	set_nonblock(in[1]);
	begin(in[0], -1);
	struct guest_conn *conn = agent_stream(&agent, 0, PROTO_STDIN);
	for (int i = 0; i < 100000 && received < MIB; i++) {
		ssize_t n = write(in[1], pattern + written, MIB - written);
		if (n > 0)
			written += (size_t)n;
		agent_pump(&agent);
		received += guest_read(&agent.guest, conn, got + received, MIB - received);
	}
	ok(received == MIB && memcmp(got, pattern, MIB) == 0, "1 MiB arrives in the guest intact");
	ok(!conn->host_shut, "and has not ended");
	close(in[1]);
	agent_pump(&agent);
	is_int(conn->host_shut, VIRTIO_VSOCK_SHUTDOWN_SEND);
	agent_free(&agent);
}

static void test_whole_mib_out(void)
{
	size_t sent = 0, received = 0;
	int out[2];

	make_pipe(out);
	set_nonblock(out[0]);
	begin(-1, out[1]);
	struct guest_conn *conn = agent_stream(&agent, 0, PROTO_STDOUT);
	for (int i = 0; i < 100000 && received < MIB; i++) {
		sent += guest_write(&agent.guest, conn, pattern + sent, MIB - sent);
		if (i == 0) {
			agent_pump(&agent);
			ok(sent < MIB, "the guest is stopped while no one reads");
			is_int(vsock_memory_bytes(agent.guest.vsock), VSOCK_BUFFER_SIZE);
		}
		ssize_t n = read(out[0], got + received, i % 3 ? 5000 : 33);
		if (n > 0)
			received += (size_t)n;
		agent_pump(&agent);
	}
	ok(received == MIB && memcmp(got, pattern, MIB) == 0, "1 MiB arrives on the host intact");
	is_int(read(out[0], got, 1), -1);
	guest_op(&agent.guest, conn, VIRTIO_VSOCK_OP_SHUTDOWN, 3);
	agent_pump(&agent);
	is_int(read(out[0], got, 1), 0);
	ok(conn->reset, "the end of output is the end of the pipe");
	close(out[0]);
	agent_free(&agent);
}

// A guest that doesn't read its input: then the host's isn't read either.
static void test_input_waits(void)
{
	size_t written = 0;
	int in[2];

	make_pipe(in);
	set_nonblock(in[1]);
	begin(in[0], -1);
	struct guest_conn *conn = agent_stream(&agent, 0, PROTO_STDIN);
	for (int i = 0; i < 200; i++) {
		ssize_t n = write(in[1], pattern, 10000);
		if (n > 0)
			written += (size_t)n;
		agent_pump(&agent);
	}
	is_int(conn->len, GUEST_CREDIT);
	ok(written < GUEST_CREDIT + 16384 + 65536 + 1, "what waits is in the pipe");
	// The writer goes: no busy loop over the hang-up, and nothing is lost.
	close(in[1]);
	struct err err;
	int64_t calls = 0;
	struct timespec start, now;
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		loop_once(agent.loop, 5, &err);
		calls++;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < 20);
	ok(calls < 10, "it sleeps");
	size_t received = 0;
	for (int i = 0; i < 1000; i++) {
		received += guest_read(&agent.guest, conn, got, sizeof(got));
		agent_pump(&agent);
	}
	is_int(received, written);
	is_int(conn->host_shut, VIRTIO_VSOCK_SHUTDOWN_SEND);
	agent_free(&agent);
}

// A program that has not been started takes nothing.
static void test_input_waits_for_start(void)
{
	struct stream_fds streams = STREAM_FDS_NONE;
	int in[2], waiting = 0;

	make_pipe(in);
	streams.in = in[0];
	agent_init(&agent, &streams);
	agent_ready(&agent);
	struct guest_conn *conn = agent_stream(&agent, 0, PROTO_STDIN);
	is_int(write(in[1], "input", 5), 5);
	agent_pump(&agent);
	is_int(conn->len, 0);
	is_int(ioctl(in[1], FIONREAD, &waiting), 0);
	is_int(waiting, 5);
	agent_start(&agent);
	agent_pump(&agent);
	is_int(guest_read(&agent.guest, conn, got, 6), 5);
	close(in[1]);
	agent_pump(&agent);
	is_int(conn->host_shut, VIRTIO_VSOCK_SHUTDOWN_SEND);
	agent_free(&agent);
}

static void test_broken_pipe(void)
{
	int out[2];

	make_pipe(out);
	begin(-1, out[1]);
	struct guest_conn *conn = agent_stream(&agent, 0, PROTO_STDOUT);
	close(out[0]);
	agent_pump(&agent);
	is_int(conn->host_shut, VIRTIO_VSOCK_SHUTDOWN_RCV); // before it writes
	guest_write(&agent.guest, conn, "x", 1);
	ok(!conn->reset, "what was under way is dropped");
	agent_free(&agent);

	// A guest's program that closes its input.
	int in[2];
	make_pipe(in);
	begin(in[0], -1);
	conn = agent_stream(&agent, 0, PROTO_STDIN);
	guest_op(&agent.guest, conn, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_RCV);
	agent_pump(&agent);
	is_int(write(in[1], "x", 1), -1);
	is_int(errno, EPIPE);
	close(in[1]);
	agent_free(&agent);
}

// The last bytes are there before the exit is told, however slow the reader.
static void test_exit_waits_for_output(void)
{
	int out[2];

	make_pipe(out);
	set_nonblock(out[0]);
	begin(-1, out[1]);
	struct guest_conn *conn = agent_stream(&agent, 0, PROTO_STDOUT);
	guest_write(&agent.guest, conn, pattern, 100000);
	agent_exit(&agent, 0, 3);
	agent_pump(&agent);
	is_int(session_state(agent.session), SESSION_RUNNING);
	// A child of the program goes on writing: that is not waited for.
	guest_write(&agent.guest, conn, pattern + 100000, 20000);
	size_t received = 0;
	while (session_state(agent.session) == SESSION_RUNNING) {
		ssize_t n = read(out[0], got + received, 10000);
		if (n <= 0)
			break;
		received += (size_t)n;
		agent_pump(&agent);
	}
	is_int(session_state(agent.session), SESSION_ENDED);
	is_int(session_exit(agent.session)->status, 3);
	ssize_t n;
	while ((n = read(out[0], got + received, sizeof(got) - received)) > 0)
		received += (size_t)n;
	ok(received >= 100000 && memcmp(got, pattern, received) == 0, "all output came before");
	close(out[0]);
	agent_free(&agent);

	// The guest itself may go meanwhile.
	make_pipe(out);
	set_nonblock(out[0]);
	begin(-1, out[1]);
	conn = agent_stream(&agent, 0, PROTO_STDOUT);
	guest_write(&agent.guest, conn, pattern, 100000);
	agent_exit(&agent, 0, 4);
	session_lost(agent.session, "it has powered off");
	agent.guest.dev->ops->reset(agent.guest.dev);
	for (received = 0; (n = read(out[0], got + received, MIB)) > 0; received += (size_t)n)
		agent_pump(&agent);
	ok(received == 100000 && memcmp(got, pattern, received) == 0, "nothing is lost");
	is_int(session_state(agent.session), SESSION_ENDED);
	is_int(session_exit(agent.session)->status, 4);
	close(out[0]);
	agent_free(&agent);

	// A reader that has gone is not waited for.
	make_pipe(out);
	begin(-1, out[1]);
	conn = agent_stream(&agent, 0, PROTO_STDOUT);
	guest_write(&agent.guest, conn, pattern, 100000);
	agent_exit(&agent, 0, 0);
	agent_pump(&agent);
	is_int(session_state(agent.session), SESSION_RUNNING);
	close(out[0]);
	agent_pump(&agent);
	is_int(session_state(agent.session), SESSION_ENDED);
	agent_free(&agent);
}

static void test_files(void)
{
	char name[] = "/tmp/moat-test-XXXXXX";
	int in = mkstemp(name), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	size_t received = 0;

	unlink(name);
	if (write(in, pattern, MIB) != (ssize_t)MIB)
		abort();
	lseek(in, 0, SEEK_SET);
	begin(in, null);
	struct guest_conn *conn = agent_stream(&agent, 0, PROTO_STDIN);
	for (int i = 0; i < 1000 && received < MIB; i++) {
		agent_pump(&agent);
		received += guest_read(&agent.guest, conn, got + received, MIB - received);
	}
	agent_pump(&agent);
	ok(received == MIB && memcmp(got, pattern, MIB) == 0, "a file as input");
	is_int(conn->host_shut, VIRTIO_VSOCK_SHUTDOWN_SEND);
	conn = agent_stream(&agent, 0, PROTO_STDOUT);
	is_int(guest_write(&agent.guest, conn, pattern, MIB), MIB); // to /dev/null
	agent_free(&agent);
}

static void test_socket(void)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	begin(copy_fd(ends[0]), copy_fd(ends[0]));
	struct guest_conn *in = agent_stream(&agent, 0, PROTO_STDIN);
	struct guest_conn *out = agent_stream(&agent, 0, PROTO_STDOUT);
	is_int(write(ends[1], "question", 8), 8);
	agent_pump(&agent);
	ok(in->len == 8 && memcmp(in->data, "question", 8) == 0, "a socket as input");
	guest_write(&agent.guest, out, "answer", 6);
	ok(read(ends[1], got, 10) == 6 && memcmp(got, "answer", 6) == 0, "and as output");
	ok(!(fcntl(ends[0], F_GETFL) & O_NONBLOCK), "its flags are as they were");
	close(ends[0]);
	close(ends[1]);
	agent_free(&agent);
}

static int open_terminal(int *slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		return -1;
	*slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return *slave < 0 ? -1 : master;
}

#define TURNS 500 // of waiting, 10 ms each

static void test_terminal(void)
{
	struct winsize window = { .ws_row = 40, .ws_col = 132 };
	struct stream_fds streams = STREAM_FDS_NONE;
	struct proto_size size;
	int slave, master = open_terminal(&slave);

	if (master < 0) {
		skip("terminal", "no devpts here");
		return;
	}
	int keep = copy_fd(slave);
	ioctl(master, TIOCSWINSZ, &window);
	streams.terminal = slave;
	agent_init(&agent, &streams);
	agent_run(&agent);
	ok(agent_gets(&agent, PROTO_RESIZE), "the guest is told the size at first");
	memcpy(&size, agent.payload, sizeof(size));
	ok(size.rows == 40 && size.cols == 132, "the host's");
	struct guest_conn *conn = agent_stream(&agent, 0, PROTO_TERMINAL);
	agent_pump(&agent);
	is_int(write(master, "ls\r\003\004", 5), 5);
	// The kernel takes its time to pass on what is typed.
	for (int i = 0; i < TURNS && conn->len < 5; i++)
		agent_pump_ms(&agent, 10);
	ok(conn->len == 5 && memcmp(conn->data, "ls\r\003\004", 5) == 0, "keys come raw");
	guest_write(&agent.guest, conn, "a\r\nb", 4);
	agent_pump(&agent);
	ok(read(master, got, 100) == 4 && memcmp(got, "a\r\nb", 4) == 0, "and so does the screen");
	ok(!(fcntl(keep, F_GETFL) & O_NONBLOCK), "its flags are as they were");
	window.ws_row = 50;
	ioctl(master, TIOCSWINSZ, &window);
	raise(SIGWINCH);
	agent_pump(&agent);
	ok(agent_gets(&agent, PROTO_RESIZE), "SIGWINCH: the guest is told");
	memcpy(&size, agent.payload, sizeof(size));
	is_int(size.rows, 50);
	close(keep);
	close(master);
	for (int i = 0; i < TURNS && conn->host_shut != 3; i++)
		agent_pump_ms(&agent, 10);
	is_int(conn->host_shut, 3); // hung up
	agent_free(&agent);
}

// A terminal's reader that is slow to take the last of it, and a guest that closes both ways at once, as Linux does:
// EXIT may come before, between or after.
static void test_end_of_terminal(int exit_at)
{
	struct stream_fds streams = STREAM_FDS_NONE;
	const size_t len = 100000;
	int slave, master = open_terminal(&slave);
	size_t received = 0;

	if (master < 0) {
		skip("the end of a terminal", "no devpts here");
		return;
	}
	set_nonblock(master);
	streams.terminal = slave;
	agent_init(&agent, &streams);
	agent_run(&agent);
	struct guest_conn *conn = agent_stream(&agent, 0, PROTO_TERMINAL);
	is_int(guest_write(&agent.guest, conn, pattern, len), len);
	for (int step = 0; step < 3; step++) {
		if (step == exit_at)
			agent_exit(&agent, 0, 3);
		if (step < 2)
			guest_op(&agent.guest, conn, VIRTIO_VSOCK_OP_SHUTDOWN,
				 step ? 3 : VIRTIO_VSOCK_SHUTDOWN_SEND);
	}
	for (int i = 0; i < TURNS && received < len; i++) {
		ssize_t n = read(master, got + received, sizeof(got) - received);

		received += n > 0 ? (size_t)n : 0;
		agent_pump_ms(&agent, n > 0 ? 0 : 2);
	}
	ok(received == len && memcmp(got, pattern, len) == 0, "all of it is shown");
	agent_pump(&agent);
	is_int(session_state(agent.session), SESSION_ENDED);
	close(master);
	agent_free(&agent);
}

// The ways that are for where /proc isn't.
static void test_ways(void)
{
	static const enum hostfd_way ways[] = { HOSTFD_NOWAIT, HOSTFD_POLLED };
	struct err err;

	for (size_t i = 0; i < 2; i++) {
		struct hostfd in, out;
		size_t sent = 0, received = 0;
		int ends[2];
		ssize_t n;

		make_pipe(ends);
		is_int(hostfd_open(&in, copy_fd(ends[0]), &err), 0);
		is_int(hostfd_open(&out, copy_fd(ends[1]), &err), 0);
		replace_fd(&in.fd, ends[0]); // as they came, not opened anew
		replace_fd(&out.fd, ends[1]);
		in.way = out.way = ways[i];
		is_int(hostfd_read(&in, got, 10), -EAGAIN);
		while ((n = hostfd_write(&out, pattern + sent, MIB - sent)) > 0)
			sent += (size_t)n;
		is_int(n, -EAGAIN);
		ok(sent >= 4096 && sent <= MIB / 2, "until the pipe is full");
		hostfd_close(&out);
		while ((n = hostfd_read(&in, got + received, 5000)) > 0)
			received += (size_t)n;
		is_int(n, 0);
		ok(received == sent && memcmp(got, pattern, sent) == 0, "what went in comes out");
		hostfd_close(&in);
	}
	int slave, master = open_terminal(&slave);
	if (master < 0)
		return;
	struct hostfd tty;
	is_int(hostfd_open(&tty, copy_fd(slave), &err), 0);
	replace_fd(&tty.fd, slave);
	tty.way = HOSTFD_NOWAIT;
	is_int(hostfd_read(&tty, got, 10), -EAGAIN);
	is_int(tty.way, HOSTFD_POLLED); // the kernel has no RWF_NOWAIT for terminals
	is_int(hostfd_write(&tty, "xy", 2), 1);
	close(master);
	is_int(hostfd_read(&tty, got, 10), 0);
	hostfd_close(&tty);
}

static void test_wrong_streams(void)
{
	int out[2];

	make_pipe(out);
	begin(-1, out[1]);
	ok(agent_stream(&agent, 0, PROTO_TERMINAL)->reset, "a stream that the process hasn't");
	struct guest_conn *null = agent_stream(&agent, 0, PROTO_STDIN);
	guest_poll(&agent.guest);
	is_int(null->host_shut, VIRTIO_VSOCK_SHUTDOWN_SEND); // no descriptor: as /dev/null
	null = agent_stream(&agent, 0, PROTO_STDERR);
	is_int(guest_write(&agent.guest, null, pattern, MIB), MIB);
	ok(agent_stream(&agent, 7, PROTO_STDOUT)->reset, "a process that isn't there");
	ok(agent_stream(&agent, 0, (enum proto_stream_kind)9)->reset, "a kind that there is not");
	ok(!agent_stream(&agent, 0, PROTO_STDOUT)->reset, "the right one");
	ok(agent_stream(&agent, 0, PROTO_STDOUT)->reset, "but once only");
	// Names byte by byte, with data behind; and more of those without a name than there may be.
	is_int(session_state(agent.session), SESSION_RUNNING);
	unsigned int open = 0;
	for (int i = 0; i < 250; i++)
		open += guest_connect(&agent.guest, PROTO_PORT_STREAM)->open;
	is_int(open, 3 * SESSION_PROCESSES_MAX);
	close(out[0]);
	agent_free(&agent);

	make_pipe(out);
	begin(-1, out[1]);
	const struct proto_stream name = { .kind = PROTO_STDOUT };
	char bytes[sizeof(name) + 3] = "........abc";
	memcpy(bytes, &name, sizeof(name));
	struct guest_conn *conn = guest_connect(&agent.guest, PROTO_PORT_STREAM);
	for (size_t i = 0; i < 7; i++)
		guest_write(&agent.guest, conn, bytes + i, 1);
	guest_write(&agent.guest, conn, bytes + 7, 4);
	ok(read(out[0], got, 10) == 3 && memcmp(got, "abc", 3) == 0, "a name in pieces");
	close(out[0]);
	agent_free(&agent);
}

int main(void)
{
	fill_pattern(pattern, sizeof(pattern));
	test_whole_mib_in();
	test_whole_mib_out();
	test_input_waits();
	test_input_waits_for_start();
	test_broken_pipe();
	test_exit_waits_for_output();
	test_files();
	test_socket();
	test_terminal();
	for (int exit_at = 0; exit_at < 3; exit_at++)
		test_end_of_terminal(exit_at);
	test_ways();
	test_wrong_streams();
	return done();
}
