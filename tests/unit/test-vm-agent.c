// Whole lives of a container under the agent, without a guest: the agent runs on this host, in a pid
// and a mount namespace of its own, and this program is the host that it talks to, over Unix sockets.
// Needs root and busybox.
#include "base/io.h"
#include "base/scope.h"
#include "base/str.h"
#include "cgroups/cgroups.h"
#include "oci-spec/spec.h"
#include "process/process.h"
#include "tests/unit/quote.h"
#include "tests/unit/tap.h"
#include "vm-mode/agent_config.h"
#include "vm-mode/proto/figures.h"
#include "vm-mode/proto/proto.h"
#include "vm-mode/split.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define PATIENCE_MS 10000
#define STREAMS_MAX 32

static char base[] = "/tmp/moat-agent-XXXXXX";
static struct arena arena;

// The host's side of one life.
static struct {
	pid_t agent; // of the process in between, which waits for it
	int listener[2], control;
	struct {
		struct proto_stream head;
		int fd;
	} streams[STREAMS_MAX];
	size_t stream_count;
	uint32_t request;
	struct proto_header header; // of the last frame
	char payload[PROTO_TO_HOST_MAX + 1];
} host;

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// ---- begin and end ----

static int listen_at(unsigned int port)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/port.%u", base, port);
	unlink(addr.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 64) < 0)
		perror("listen");
	return fd;
}

// Processes of the agent's pid namespace go with it.
static void run_agent(void)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWPID) < 0)
		_exit(99);
	pid_t pid = fork();
	if (pid == 0) {
		if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("proc", "/proc", "proc", 0, NULL) < 0)
			_exit(99);
		execl("./moat-agent", "moat-agent", "--connect",
		      arena_printf(&arena, "%s/port", base), "--root",
		      arena_printf(&arena, "%s/root", base), "--log",
		      arena_printf(&arena, "%s/log", base), NULL);
		_exit(98);
	}
	int status;
	waitpid(pid, &status, 0);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 97);
}

static void begin(void)
{
	memset(&host, 0, sizeof(host));
	for (unsigned int i = 0; i < 2; i++)
		host.listener[i] = listen_at(PROTO_PORT_CONTROL + i);
	fflush(stdout);
	host.agent = fork();
	if (host.agent == 0)
		run_agent();
	struct pollfd poll_fd = { .fd = host.listener[0], .events = POLLIN };
	host.control = poll(&poll_fd, 1, PATIENCE_MS) > 0 ?
			       accept4(host.listener[0], NULL, NULL, SOCK_CLOEXEC) :
			       -1;
}

// The connection ends, and so does the agent; its exit status.
static int end(void)
{
	int status = -1;

	close(host.control);
	for (size_t i = 0; i < host.stream_count; i++)
		scope_close_fd(&host.streams[i].fd);
	for (int64_t start = now_ms(); now_ms() - start < PATIENCE_MS; usleep(1000))
		if (waitpid(host.agent, &status, WNOHANG) == host.agent)
			break;
	if (status == -1)
		kill(host.agent, SIGKILL);
	close(host.listener[0]);
	close(host.listener[1]);
	return WEXITSTATUS(status);
}

// ---- frames ----

static void say(enum proto_type type, uint32_t id, const void *payload, size_t len)
{
	const struct proto_header header = { type, (uint32_t)len, id, ++host.request };

	if (io_write_all(host.control, &header, sizeof(header)) < 0 ||
	    io_write_all(host.control, payload, len) < 0)
		perror("say");
}

// The next frame, in words: `READY 0`, `EXIT 1 status 3`, ...; `silence` when none comes.
static const char *hear_within(int timeout_ms)
{
	static const char *const names[] = {
		"HELLO", "READY", "STARTED", "FAILED", "EXIT",
		"DONE",	 "PIDS",  "FIGURES", "OOM",    [PROTO_PROCESSES - PROTO_HELLO] = "PROCESSES"
	};
	struct pollfd poll_fd = { .fd = host.control, .events = POLLIN };
	struct err err = { 0 };
	struct proto_exit end_of;

	if (poll(&poll_fd, 1, timeout_ms) == 0)
		return "silence";
	if (io_read_all(host.control, &host.header, sizeof(host.header)) <= 0)
		return "gone";
	if (proto_check(&host.header, NULL, &err) < 0)
		return arena_strdup(&arena, err.msg);
	io_read_all(host.control, host.payload, host.header.len);
	if (proto_check(&host.header, host.payload, &err) < 0)
		return arena_strdup(&arena, err.msg);
	const char *name = names[host.header.type - PROTO_HELLO];
	if (host.header.type == PROTO_FAILED)
		return arena_printf(&arena, "FAILED %u: %s", host.header.id,
				    host.payload + offsetof(struct proto_failure, message));
	memcpy(&end_of, host.payload, sizeof(end_of));
	if (host.header.type == PROTO_EXIT)
		return arena_printf(&arena, "EXIT %u status %u signal %u", host.header.id,
				    end_of.status, end_of.signal);
	return arena_printf(&arena, "%s %u", name, host.header.id);
}

static const char *hear(void)
{
	return hear_within(PATIENCE_MS);
}

static void say_signal(uint32_t id, uint32_t number, uint32_t all)
{
	const struct proto_signal request = { number, all };

	say(PROTO_SIGNAL, id, &request, sizeof(request));
}

// ---- streams ----

// The host's end of a process's stream.
static int stream(uint32_t id, enum proto_stream_kind kind)
{
	struct pollfd poll_fd = { .fd = host.listener[1], .events = POLLIN };

	for (;;) {
		for (size_t i = 0; i < host.stream_count; i++)
			if (host.streams[i].head.id == id && host.streams[i].head.kind == kind)
				return host.streams[i].fd;
		if (host.stream_count == STREAMS_MAX || poll(&poll_fd, 1, PATIENCE_MS) <= 0)
			return -1;
		int fd = accept4(host.listener[1], NULL, NULL, SOCK_CLOEXEC);
		host.streams[host.stream_count].fd = fd;
		io_read_all(fd, &host.streams[host.stream_count++].head,
			    sizeof(struct proto_stream));
	}
}

static const char *read_stream(uint32_t id, enum proto_stream_kind kind)
{
	static char buf[8192];
	ssize_t n = io_read_all(stream(id, kind), buf, sizeof(buf) - 1);

	buf[n < 0 ? 0 : n] = '\0';
	return buf;
}

// Reads until what has come contains `word`.
static bool shows(int fd, const char *word)
{
	static char buf[65536];
	size_t len = 0;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	buf[0] = '\0';
	while (!strstr(buf, word) && len < sizeof(buf) - 1 && poll(&poll_fd, 1, PATIENCE_MS) > 0) {
		ssize_t n = read(fd, buf + len, sizeof(buf) - 1 - len);

		if (n <= 0)
			break;
		len += (size_t)n;
		buf[len] = '\0';
	}
	return strstr(buf, word) || printf("# no `%s` in: %s\n", word, buf) < 0;
}

// ---- the container ----

#define BASIC                                                                                     \
	"{'destination':'/proc','type':'proc','source':'proc'},"                                  \
	"{'destination':'/dev','type':'tmpfs','source':'tmpfs','options':['nosuid','mode=755']}," \
	"{'destination':'/dev/pts','type':'devpts','source':'devpts'},"                           \
	"{'destination':'/run','type':'tmpfs','source':'tmpfs'},"                                 \
	"{'destination':'/run/box','type':'bind','source':'/host/box','options':['bind']}"

static void put(const char *path, const char *content)
{
	scope_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || io_write_all(fd, content, strlen(content)) < 0)
		perror(path);
}

// The configuration for a shell script, `process` and `linux` being more members of these objects.
static void say_config(const char *script, const char *process, const char *more_linux,
		       const char *more)
{
	const char *json = json_of(
		arena_printf(&arena,
			     "{'ociVersion':'1.0.2','root':{'path':'r'},'hostname':'inner',"
			     "'mounts':[" BASIC "],'process':{'cwd':'/','args':['sh','-c','%s'],"
			     "'env':['PATH=/bin']%s},'linux':{'namespaces':[{'type':'pid'},"
			     "{'type':'mount'},{'type':'ipc'},{'type':'uts'},{'type':'cgroup'},"
			     "{'type':'network'}]%s}%s}",
			     script, process, more_linux, more),
		&arena);
	const struct oci_spec *spec, *hosts, *guests;
	struct process_filter filter = { 0 };
	struct err err = { 0 };
	scope_text struct text text = { 0 };

	if (spec_parse(json, strlen(json), &arena, &spec, &err) < 0 ||
	    vm_split(spec, &arena, &hosts, &guests, &err) < 0 ||
	    (spec->linux->seccomp &&
	     process_filter_load(spec->linux->seccomp, -1, &arena, &filter, &err) < 0)) {
		printf("# %s\n", err.msg);
		return;
	}
	// A host has one place for all guests' cgroups.
	guests->linux->cgroups_path = arena_strdup(&arena, strrchr(base, '/'));
	const struct agent_config config = {
		.id = "box",
		.bundle = "/b",
		.spec = guests,
		.filter = filter.count ? agent_filter_text(filter.program, filter.count, &arena) :
					 NULL,
		.filter_flags = filter.flags,
	};
	agent_config_write(&config, &text);
	say(PROTO_CONFIG, PROTO_INIT, text.str, text.len);
}

// A container that runs `script`.
static void run(const char *script, const char *process, const char *more_linux, const char *more)
{
	begin();
	is_str(hear(), "HELLO 0");
	say_config(script, process, more_linux, more);
	is_str(hear(), "READY 0");
	say(PROTO_START, PROTO_INIT, NULL, 0);
	is_str(hear(), "STARTED 0");
}

#define PLAIN "'cwd':'/','env':['PATH=/bin']"

static void say_exec(uint32_t id, const char *script, const char *process)
{
	const char *json = json_of(
		arena_printf(&arena, "{'args':['sh','-c','%s'],%s}", script, process), &arena);
	struct agent_exec exec = { 0 };
	struct err err = { 0 };
	scope_text struct text text = { 0 };

	if (spec_parse_process(json, strlen(json), &arena, &exec.process, &err) < 0)
		printf("# %s\n", err.msg);
	agent_exec_write(&exec, &text);
	say(PROTO_EXEC, id, text.str, text.len);
}

// Runs `script` by exec, to its end: what it prints.
static const char *exec(uint32_t id, const char *script, const char *process)
{
	say_exec(id, script, process);
	const char *first = hear();
	if (!str_starts(first, "STARTED"))
		return first;
	close(stream(id, PROTO_STDIN));
	const char *out = read_stream(id, PROTO_STDOUT);
	const char *last = hear();
	return str_starts(last, "EXIT") && strstr(last, "status 0") ?
		       out :
		       arena_printf(&arena, "%s%s %s", out, last, read_stream(id, PROTO_STDERR));
}

// ---- the lives ----

static void test_life(void)
{
	struct proto_hello hello;

	begin();
	is_str(hear(), "HELLO 0");
	memcpy(&hello, host.payload, sizeof(hello));
	ok(hello.boot_us[PROTO_BOOT_AGENT] > 0 &&
		   hello.boot_us[PROTO_BOOT_AGENT] <= hello.boot_us[PROTO_BOOT_HELLO],
	   "times, in order");
	say_config("echo out; echo err >&2; exit 3", "", "", "");
	is_str(hear(), "READY 0");
	is_str(hear_within(50), "silence");
	say(PROTO_START, PROTO_INIT, NULL, 0);
	is_str(hear(), "STARTED 0");
	is_str(hear(), "EXIT 0 status 3 signal 0");
	is_str(read_stream(0, PROTO_STDOUT), "out\n");
	is_str(read_stream(0, PROTO_STDERR), "err\n");
	is_str(hear_within(50), "silence");
	is_int(end(), 0);
}

// More than all buffers on the way hold, with every byte, there and back; then the end of input.
static void test_bytes(void)
{
	const size_t total = (size_t)3 * 1024 * 1024;
	size_t wrote = 0, got = 0;
	bool same = true, silent = true;
	uint8_t out[4096], in[4096];

	run("cat; echo bye >&2", "", "", "");
	struct pollfd fds[] = { { .fd = stream(0, PROTO_STDIN), .events = POLLOUT },
				{ .fd = stream(0, PROTO_STDOUT), .events = POLLIN } };
	while (got < total && poll(fds, 2, PATIENCE_MS) > 0) {
		if (fds[0].revents) {
			for (size_t i = 0; i < sizeof(out); i++)
				out[i] = (uint8_t)((wrote + i) * 7 + (wrote + i) / 256);
			ssize_t n = send(fds[0].fd, out, sizeof(out), MSG_DONTWAIT);
			wrote += n > 0 ? (size_t)n : 0;
			if (wrote >= total) {
				silent = hear_within(0)[0] == 's';
				shutdown(fds[0].fd, SHUT_WR);
				fds[0].fd = -1;
			}
		}
		if (fds[1].revents) {
			ssize_t n = read(fds[1].fd, in, sizeof(in));
			for (ssize_t i = 0; i < n; i++, got++)
				same &= in[i] == (uint8_t)(got * 7 + got / 256);
			if (n <= 0)
				break;
		}
	}
	is_int((long long)got, (long long)wrote);
	ok(same && silent, "the same bytes, while it runs");
	is_int(read(fds[1].fd, in, 1), 0);
	is_str(hear(), "EXIT 0 status 0 signal 0");
	is_str(read_stream(0, PROTO_STDERR), "bye\n");
	end();
}

static void test_slow_reader(void)
{
	size_t got = 0;
	char buf[65536];

	run("head -c 2000000 /dev/zero", "", "", "");
	// It can't all be on the way.
	is_str(hear_within(300), "silence");
	for (ssize_t n; (n = read(stream(0, PROTO_STDOUT), buf, sizeof(buf))) > 0;)
		got += (size_t)n;
	is_int((long long)got, 2000000);
	is_str(hear(), "EXIT 0 status 0 signal 0");
	end();

	// A reader that goes.
	run("yes", "", "", "");
	ok(shows(stream(0, PROTO_STDOUT), "y\ny"), "it writes");
	close(stream(0, PROTO_STDOUT));
	// The first process of a pid namespace doesn't die by SIGPIPE, but is told.
	is_str(hear(), "EXIT 0 status 1 signal 0");
	end();
}

static void test_signals(void)
{
	run("trap \\\"echo got; exit 5\\\" TERM; echo up; while :; do sleep 0.05; done", "", "",
	    "");
	ok(shows(stream(0, PROTO_STDOUT), "up"), "it is up");
	say_signal(0, SIGTERM, 0);
	is_str(hear(), "DONE 0");
	is_str(hear(), "EXIT 0 status 5 signal 0");
	is_str(read_stream(0, PROTO_STDOUT), "got\n");
	say_signal(7, SIGTERM, 0);
	is_str(hear(), "FAILED 7: process 7: has ended");
	end();

	run("sleep 100 & wait", "", "", "");
	say_signal(0, SIGKILL, 1);
	is_str(hear(), "DONE 0");
	is_str(hear(), "EXIT 0 status 137 signal 9");
	end();

	// While it waits for its start.
	begin();
	hear();
	say_config("echo never", "", "", "");
	is_str(hear(), "READY 0");
	say_signal(0, SIGTERM, 0);
	is_str(hear(), "DONE 0");
	is_str(hear(), "EXIT 0 status 143 signal 0");
	is_str(read_stream(0, PROTO_STDOUT), "");
	end();
}

static void test_exec(void)
{
	run("echo up; sleep 100; :", "", "", "");
	ok(shows(stream(0, PROTO_STDOUT), "up"), "it is up");
	is_str(exec(1, "id -u; id -g; id -G; pwd; echo $X; umask",
		    "'user':{'uid':5,'gid':6,'additionalGids':[7],'umask':63},'cwd':'/tmp',"
		    "'env':['PATH=/bin','X=y']"),
	       "5\n6\n6 7\n/tmp\ny\n0077\n");
	is_str(exec(2, "grep CapEff /proc/self/status; cat /proc/1/comm",
		    PLAIN ",'capabilities':{'bounding':['CAP_KILL'],'permitted':['CAP_KILL'],"
			  "'effective':['CAP_KILL']}"),
	       "CapEff:\t0000000000000020\nsh\n");
	is_str(exec(3, "exit 4", PLAIN), "EXIT 3 status 4 signal 0 ");
	is_str(exec(4, "kill -9 $$", PLAIN), "EXIT 4 status 137 signal 9 ");
	is_str(exec(5, "", "'cwd':'/none'"),
	       "FAILED 5: chdir to cwd (\"/none\") set in config.json failed: no such file or directory");
	// What stays in the background holds nothing up, and its output still comes.
	say_exec(6, "(sleep 0.3; echo late) & echo soon", PLAIN);
	is_str(hear(), "STARTED 6");
	is_str(hear_within(250), "EXIT 6 status 0 signal 0");
	is_str(read_stream(6, PROTO_STDOUT), "soon\nlate\n");
	// Two at once, and the program itself goes on.
	say_exec(7, "read x; echo $x", PLAIN);
	is_str(hear(), "STARTED 7");
	say_exec(8, "read x; echo $x", PLAIN);
	is_str(hear(), "STARTED 8");
	is_int(write(stream(8, PROTO_STDIN), "b\n", 2), 2);
	is_str(hear(), "EXIT 8 status 0 signal 0");
	is_int(write(stream(7, PROTO_STDIN), "a\n", 2), 2);
	is_str(hear(), "EXIT 7 status 0 signal 0");
	is_str(read_stream(7, PROTO_STDOUT), "a\n");
	is_str(read_stream(8, PROTO_STDOUT), "b\n");
	// The end of the first is the end of all, and is told last.
	say_exec(9, "sleep 100", PLAIN);
	is_str(hear(), "STARTED 9");
	say_signal(0, SIGKILL, 0);
	is_str(hear(), "DONE 0");
	is_str(hear(), "EXIT 9 status 137 signal 9");
	is_str(hear(), "EXIT 0 status 137 signal 9");
	is_str(exec(10, "true", PLAIN), "FAILED 10: the container's process has ended");
	end();
}

// Reads what a process shows until its end is told, as close behind as can be: what comes later is late. The lines
// in it.
static off_t lines_until_end(int terminal)
{
	static char buf[1024 * 1024];
	struct pollfd control = { .fd = host.control, .events = POLLIN };
	off_t lines = 0;
	bool ended = false;

	for (const int64_t start = now_ms(); !ended && now_ms() - start < PATIENCE_MS;) {
		ended = poll(&control, 1, 0) > 0;
		const ssize_t n = recv(terminal, buf, sizeof(buf), MSG_DONTWAIT);
		for (ssize_t i = 0; i < n; i++)
			lines += buf[i] == '\n';
	}
	return lines;
}

static off_t written_lines(uint32_t id)
{
	struct stat st = { 0 };

	stat(arena_printf(&arena, "%s/root/tmp/%u", base, id), &st);
	return st.st_size;
}

// Waits until a program has written much, and nothing for a while: more may follow, which does no harm.
static bool is_full(uint32_t id)
{
	off_t before = -1, now = 0;

	for (const int64_t start = now_ms(); now_ms() - start < PATIENCE_MS; before = now) {
		usleep(50000);
		now = written_lines(id);
		if (now > 100 && now == before)
			return true;
	}
	return false;
}

// Programs that are killed while nobody reads what they write: all the lines that a terminal had taken come
// before the end is told, for from then on nobody listens.
static void test_full_terminals(void)
{
	enum { COUNT = 8 };

	run("sleep 100", "", "", "");
	for (uint32_t id = 1; id <= COUNT; id++) {
		say_exec(id, "x=$(printf %0500d 0); while echo $x; do printf . >>/tmp/$ID; done",
			 arena_printf(&arena,
				      "'env':['PATH=/bin','ID=%u'],'cwd':'/','terminal':true", id));
		hear();
	}
	for (uint32_t id = 1; id <= COUNT; id++)
		ok(is_full(id), "the terminal is full");
	for (uint32_t id = 1; id <= COUNT; id++) {
		say_signal(id, SIGKILL, 0);
		hear();
		const off_t lines = lines_until_end(stream(id, PROTO_TERMINAL));
		is_str(hear(), arena_printf(&arena, "EXIT %u status 137 signal 9", id));
		ok(lines >= written_lines(id), "all that was written is there");
	}
	end();
}

static void test_terminal(void)
{
	const struct proto_size size = { .rows = 33, .cols = 44 };

	run("tty; stty size; read x; echo \\\"<$x>\\\"; exit 6",
	    ",'terminal':true,'consoleSize':{'height':11,'width':22}", "", "");
	int terminal = stream(0, PROTO_TERMINAL);
	ok(shows(terminal, "/dev/pts/0\n11 22\n"), "a terminal of its size");
	is_int(write(terminal, "typed\n", 6), 6);
	ok(shows(terminal, "<typed>"), "what is typed");
	is_str(hear(), "EXIT 0 status 6 signal 0");
	end();

	run("sleep 100", "", "", "");
	say_exec(1, "test -t 0 && stty size; seq 1 3000; read x; stty size; exit 7",
		 PLAIN ",'terminal':true,'consoleSize':{'height':5,'width':6}");
	is_str(hear(), "STARTED 1");
	terminal = stream(1, PROTO_TERMINAL);
	ok(shows(terminal, "5 6\n1\n2\n"), "exec has one, too");
	say(PROTO_RESIZE, 1, &size, sizeof(size));
	is_int(write(terminal, "\n", 1), 1);
	ok(shows(terminal, "33 44"), "it is resized, and shows all before its end");
	is_str(hear(), "EXIT 1 status 7 signal 0");
	// Hung up.
	say_exec(2, "sleep 100", PLAIN ",'terminal':true");
	is_str(hear(), "STARTED 2");
	shutdown(stream(2, PROTO_TERMINAL), SHUT_RDWR);
	say_signal(2, SIGKILL, 0);
	is_str(hear(), "DONE 2");
	is_str(hear(), "EXIT 2 status 137 signal 9");
	end();
}

static void test_figures(void)
{
	struct cgroup_stats stats;
	struct err err;

	is_int(cgroup_stats_unpack((const char *)host.payload, host.header.len, &arena, &stats,
				   &err),
	       0);
	// Where no controller counts them there is 0.
	ok(stats.pids_current == 0 || stats.pids_current == 2, "figures");
}

// The last `n` of the shell and its `sleep`.
static void test_processes(size_t n)
{
	const char *at = (const char *)host.payload, *command;
	const char *const commands[] = { "sleep 100", "sh -c echo up; sleep 100 & wait" };
	struct proto_process process;
	struct err err;
	size_t left = host.header.len, len;

	is_int(proto_check(&host.header, host.payload, &err), 0);
	for (; n > 0; n--, at += len, left -= len) {
		len = proto_process_read(at, left, &process, &command);
		ok(len > 0 && process.pid == 3 - n && process.ppid == 2 - n && process.uid == 0 &&
			   process.age_ms < 600000 &&
			   process.command_len == strlen(commands[n - 1]) &&
			   memcmp(command, commands[n - 1], process.command_len) == 0,
		   "a process of the table");
	}
	is_int((long long)left, 0);
}

static void test_reports(void)
{
	uint32_t pids[2];
	const struct proto_table after[] = { { 0 }, { 1 }, { 2 } };
	const char update[] = "{\"pids\":{\"limit\":77}}";

	run("echo up; sleep 100 & wait", "", "", "");
	ok(shows(stream(0, PROTO_STDOUT), "up"), "it is up");
	while (say(PROTO_PS, 0, NULL, 0), hear(), host.header.len < sizeof(pids))
		;
	memcpy(pids, host.payload, sizeof(pids));
	ok(pids[0] == 1 && pids[1] == 2 && host.header.len == sizeof(pids) &&
		   host.header.request == host.request,
	   "processes, as the container sees them");
	say(PROTO_STATS, 0, NULL, 0);
	is_str(hear(), "FIGURES 0");
	test_figures();
	// A shell's child is a shell at first.
	do {
		say(PROTO_TABLE, 0, &after[1], sizeof(after[1]));
		hear();
	} while (!memmem(host.payload, host.header.len, "sleep 100", 9) ||
		 memmem(host.payload, host.header.len, "wait", 4));
	for (size_t i = 0; i < ARRAY_SIZE(after); i++) {
		say(PROTO_TABLE, 0, &after[i], sizeof(after[i]));
		is_str(hear(), "PROCESSES 0");
		test_processes(2 - i);
	}
	say(PROTO_UPDATE, 0, update, sizeof(update) - 1);
	const char *answer = hear();
	ok(str_eq(answer, "DONE 0") || strstr(answer, "controller"), "an update");
	say(PROTO_UPDATE, 0, "{", 1);
	ok(str_starts(hear(), "FAILED 0: "), "a bad update");
	is_int(end(), 0);
}

// What a container sees is what its spec says.
static void test_spec(void)
{
	run("hostname; cat /proc/sys/kernel/shmmni; ls /proc/acpi 2>/dev/null; "
	    "cat /run/box/in; ls /run; (echo 1 >/proc/sys/kernel/shmmni) 2>&1; mkdir /tmp/no 2>&1; "
	    "cat /tmp/hook; ls /dev | grep -v core",
	    "",
	    ",'sysctl':{'kernel.shmmni':'1234'},'maskedPaths':['/proc/acpi'],"
	    "'readonlyPaths':['/proc/sys'],"
	    "'seccomp':{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdir'],"
	    "'action':'SCMP_ACT_ERRNO','errnoRet':28}]}",
	    ",'hooks':{'startContainer':[{'path':'/bin/sh','args':['sh','-c',"
	    "'cat >/tmp/state; echo hooked >/tmp/hook'],'env':['PATH=/bin']}]},"
	    "'annotations':{'org.example':'x'}");
	is_str(hear(), "EXIT 0 status 0 signal 0");
	is_str(read_stream(0, PROTO_STDOUT),
	       "inner\n1234\nbelow\nbox\nsh: can't create /proc/sys/kernel/shmmni: Read-only file system\n"
	       "mkdir: can't create directory '/tmp/no': No space left on device\nhooked\n"
	       "fd\nfull\nnull\nptmx\npts\nrandom\nstderr\nstdin\nstdout\ntty\n"
	       "urandom\nzero\n");
	end();
}

static const char *fate(const char *script, const char *process, const char *more)
{
	begin();
	hear();
	say_config(script, process, more, "");
	const char *answer = hear();
	if (str_starts(answer, "READY")) {
		say(PROTO_START, 0, NULL, 0);
		answer = hear();
	}
	end();
	return answer;
}

static void test_errors(void)
{
	is_str(fate("", ",'user':{'uid':1}", ",'sysctl':{'kernel.shmmni':'x'}"),
	       "FAILED 0: sysctl: linux.sysctl: kernel.shmmni = x: invalid argument");
	begin();
	hear();
	say(PROTO_START, 0, NULL, 0);
	is_str(hear(), "FAILED 0: there is no container that waits to be started");
	say(PROTO_CONFIG, 0, "{", 1);
	ok(str_starts(hear(), "FAILED 0: configuration for the guest: "), "a bad configuration");
	say(PROTO_SIGNAL, 0, "x", 1);
	is_str(hear(), "FAILED 0: request 4: only 1 bytes");
	say(PROTO_CONFIG, 0, "{}", 2);
	is_str(hear(), "FAILED 0: the guest has its container already");
	end();

	run("sleep 100", "", "", "");
	const char *none =
		"{\"process\":{\"args\":[\"none\"],\"cwd\":\"/\",\"env\":[\"PATH=/bin\"]}}";
	say(PROTO_EXEC, 1, none, strlen(none));
	is_str(hear(), "FAILED 1: exec: \"none\": executable file not found in $PATH");
	say_exec(0, "true", PLAIN);
	is_str(hear(), "FAILED 0: process 0: is there already");
	end();
}

// The container's root: busybox, and a file where the host would have mounted one below what the guest
// mounts.
static bool make_root(void)
{
	static const char *const dirs[] = {
		"", "/bin", "/dev", "/proc", "/run", "/run/box", "/tmp"
	};

	if (access("/bin/busybox", X_OK) < 0 || !mkdtemp(base))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		mkdir(arena_printf(&arena, "%s/root%s", base, dirs[i]), 0777);
	chmod(arena_printf(&arena, "%s/root/tmp", base), 01777);
	put(arena_printf(&arena, "%s/root/run/box/in", base), "below\n");
	return system(arena_printf(
		       &arena,
		       "cp /bin/busybox %s/root/bin/ && for a in $(/bin/busybox --list); do "
		       "ln -s busybox %s/root/bin/$a 2>/dev/null; done; :",
		       base, base)) == 0;
}

int main(void)
{
	if (geteuid() != 0 || access("./moat-agent", X_OK) < 0 || !make_root()) {
		skip("lives under the agent", "needs root, busybox and the agent");
		return done();
	}
	signal(SIGPIPE, SIG_IGN);
	test_life();
	test_bytes();
	test_slow_reader();
	test_signals();
	test_exec();
	test_terminal();
	test_full_terminals();
	test_reports();
	test_spec();
	test_errors();
	if (!tap_failed)
		(void)!system(arena_printf(&arena, "rm -rf %s", base));
	return done();
}
