// The terminal and the foreground: moat between a caller (this test) and a process.
#include "process/console.h"
#include "runtime/foreground.h"

#include "base/io.h"
#include "base/proc.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define PATIENCE_MS 10000

static struct err err;

// A program that tells of every signal, of the terminal's size at the start and at each change, and
// ends at SIGTERM (5) or when a line comes (8). A shell can't do this without losing a signal now
// and then.
static void tell_signals(void)
{
	sigset_t all;
	struct signalfd_siginfo info;
	struct winsize size;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	struct pollfd fds[] = {
		{ .fd = signalfd(-1, &all, SFD_CLOEXEC), .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};
	info.ssi_signo = SIGWINCH;
	do {
		if (info.ssi_signo == SIGTERM)
			_exit(5);
		if (info.ssi_signo == SIGWINCH && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
			dprintf(STDOUT_FILENO, "%d %d\n", size.ws_row, size.ws_col);
		else
			dprintf(STDOUT_FILENO, "%s\n", sigabbrev_np((int)info.ssi_signo));
		poll(fds, 2, -1);
		if (fds[1].revents)
			_exit(8);
	} while (read(fds[0].fd, &info, sizeof(info)) == sizeof(info));
}

// A stand-in for moat, in a process of its own: begins, makes a process with or without a terminal
// that runs `script`, waits, ends; its exit status is what foreground_wait() said.
static int stand_in(const char *script, bool tty, bool subreaper)
{
	struct foreground fg;
	struct console console = { .master = -1 };
	struct err failure = { 0 };
	int pair[2];

	if (foreground_begin(&fg, subreaper, &failure) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 99;
	pid_t pid = fork();
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		close(pair[0]);
		if (tty && (console_open(NULL, &console, &failure) < 0 ||
			    console_send(pair[1], &console, &failure) < 0)) {
			dprintf(STDERR_FILENO, "%s\n", failure.msg);
			_exit(98);
		}
		char go;
		if (tty && read(pair[1], &go, 1) != 1)
			_exit(97);
		if (!script)
			tell_signals();
		execl("/bin/sh", "sh", "-c", script, (char *)NULL);
		_exit(97);
	}
	close(pair[1]);
	scope_fd int master = tty ? console_receive(pair[0], &failure) : -1;
	if (tty && (master < 0 || write(pair[0], "", 1) != 1))
		return 96;
	scope_fd int pidfd = sys_pidfd_open(pid, 0);
	int status = foreground_wait(&fg, pid, pidfd, master, &failure);
	foreground_end(&fg);
	return status;
}

struct session {
	pid_t pid;
	int in, out; // this side of moat's standard input and output; the same for a terminal
};

static void take_stdio(int in, int out)
{
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	close_range(3, ~0U, 0);
}

static struct session begin_with_pipes(const char *script, bool tty, bool subreaper)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		exit(1);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		take_stdio(in[0], out[1]);
		_exit(stand_in(script, tty, subreaper));
	}
	close(in[0]);
	close(out[1]);
	return (struct session){ pid, in[1], out[0] };
}

static struct session begin_with_terminal(const char *script, const struct winsize *size)
{
	struct session session;

	fflush(stdout);
	session.pid = forkpty(&session.in, NULL, NULL, size);
	if (session.pid == 0) {
		close_range(3, ~0U, 0);
		_exit(stand_in(script, true, false));
	}
	session.out = session.in;
	return session;
}

// Reads until `want` has come (or the end, or time is up); what came is kept.
static const char *read_until(const struct session *session, const char *want)
{
	static char buf[65536];
	size_t len = 0;
	struct pollfd fd = { .fd = session->out, .events = POLLIN };

	buf[0] = '\0';
	while (len < sizeof(buf) - 1 && (!*want || !strstr(buf, want)) &&
	       poll(&fd, 1, PATIENCE_MS) > 0) {
		ssize_t n = read(session->out, buf + len, sizeof(buf) - 1 - len);

		if (n <= 0)
			break;
		len += (size_t)n;
		buf[len] = '\0';
	}
	return buf;
}

static int end(struct session *session)
{
	int status = proc_wait(session->pid);

	close(session->in);
	if (session->out != session->in)
		close(session->out);
	return status;
}

// ---- the terminal itself ----

static int terminal_is_right(void)
{
	const struct oci_console_size size = { .height = 11, .width = 77 };
	struct console console;
	struct winsize window;
	struct termios settings;
	struct stat st;
	char got[8] = "", name[32] = "";

	if (console_open(&size, &console, &err) < 0)
		return 1;
	if (ttyname_r(STDIN_FILENO, name, sizeof(name)) != 0 || !str_eq(name, console.name) ||
	    !isatty(STDERR_FILENO))
		return 2;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) < 0 || window.ws_row != 11 ||
	    window.ws_col != 77)
		return 3;
	if (tcgetattr(STDIN_FILENO, &settings) < 0 || settings.c_oflag & ONLCR ||
	    !(settings.c_oflag & OPOST))
		return 4;
	if (tcgetsid(STDIN_FILENO) != getpid() || tcgetpgrp(STDIN_FILENO) != getpid())
		return 5;
	if (write(STDOUT_FILENO, "a\n", 2) != 2 ||
	    read(console.master, got, sizeof(got) - 1) != 2 || !str_eq(got, "a\n"))
		return 6;
	if (!(fcntl(console.master, F_GETFD) & FD_CLOEXEC) || fstat(console.master, &st) < 0)
		return 7;
	return 0;
}

static void test_terminal(void)
{
	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0)
		_exit(terminal_is_right());
	is_int(proc_wait(pid), 0);
}

static void test_connect(void)
{
	char dir[] = "/tmp/test-console.XXXXXX", deep[300], name[320];
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	scope_fd int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!ok(mkdtemp(dir) != NULL, "a directory"))
		return;
	snprintf(deep, sizeof(deep), "%s/%0150d", dir, 0);
	snprintf(name, sizeof(name), "%s/sock", deep);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/sock", dir);
	ok(mkdir(deep, 0700) == 0 && bind(server, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
		   listen(server, 2) == 0 && link(addr.sun_path, name) == 0,
	   "a socket with a short and a long name");
	scope_fd int near = console_connect(addr.sun_path, &err);
	ok(near >= 0, "connect by a short name");
	scope_fd int far = console_connect(name, &err);
	ok(far >= 0, "connect by a long name");
	unlink(name);
	unlink(addr.sun_path);
	is_int(console_connect(addr.sun_path, &err), -ENOENT);
	ok(str_starts(err.msg, "connect to /tmp/test-console."), "the error names the socket");
	rmdir(deep);
	rmdir(dir);
}

// ---- the foreground ----

static void test_status(void)
{
	struct session session = begin_with_pipes("exit 3", false, false);

	is_int(end(&session), 3);
	session = begin_with_pipes("kill -KILL $$", false, false);
	is_int(end(&session), 128 + SIGKILL);
	session = begin_with_pipes("cat; exit 4", false, false);
	ok(write(session.in, "direct\n", 7) == 7, "to standard input");
	close(session.in);
	session.in = session.out;
	is_str(read_until(&session, ""), "direct\n");
	is_int(end(&session), 4);
}

static void test_signals(void)
{
	struct session session = begin_with_pipes(NULL, false, false);

	is_str(read_until(&session, "\n"), "WINCH\n"); // it has no terminal
	kill(session.pid, SIGUSR1);
	is_str(read_until(&session, "\n"), "USR1\n");
	kill(session.pid, SIGCONT);
	is_str(read_until(&session, "\n"), "CONT\n");
	kill(session.pid, SIGWINCH);
	kill(session.pid, SIGCHLD);
	kill(session.pid, SIGURG);
	kill(session.pid, SIGPWR); // the highest number: the others would come before it
	is_str(read_until(&session, "\n"), "PWR\n");
	kill(session.pid, SIGTERM);
	is_int(end(&session), 5);
}

static pid_t parent_of(pid_t pid)
{
	char path[32], *stat = NULL;
	int parent = -1;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (io_read_file(AT_FDCWD, path, 4096, &stat, NULL, &err) == 0)
		sscanf(strrchr(stat, ')'), ") %*c %d", &parent);
	free(stat);
	return parent;
}

// Polls until the process has that parent (-1: is no more), for a while.
static bool comes_to(pid_t pid, pid_t parent)
{
	for (int ms = 0; ms < PATIENCE_MS && parent_of(pid) != parent; ms++)
		usleep(1000);
	return parent_of(pid) == parent;
}

static void test_subreaper(void)
{
	struct session session = begin_with_pipes("(sleep 30 & echo $!); read x", false, true);
	pid_t orphan = atoi(read_until(&session, "\n"));

	ok(orphan > 0 && comes_to(orphan, session.pid), "moat adopts what was orphaned");
	kill(orphan, SIGKILL);
	ok(comes_to(orphan, -1), "and reaps it");
	close(session.in);
	session.in = session.out;
	is_int(end(&session), 1);
}

static void test_relay(void)
{
	struct session session = begin_with_pipes(
		"stty -echo; echo ready; read x; echo \"got $x\"; exit 6", true, false);

	is_str(read_until(&session, "ready\n"), "ready\n");
	ok(write(session.in, "words\n", 6) == 6, "to the terminal");
	is_str(read_until(&session, "\n"), "got words\n");
	is_int(end(&session), 6);

	// Everything arrives, also when the process is gone before it is read.
	session = begin_with_pipes("head -c 3000 /dev/zero | tr '\\0' x; echo end", true, false);
	proc_wait(session.pid);
	ok(strlen(read_until(&session, "end\n")) == 3004,
	   "what was written before the end arrives");
	close(session.in);
	close(session.out);

	// Nobody reads: the process must not hang on that.
	session = begin_with_pipes("head -c 300000 /dev/zero; exit 7", true, false);
	close(session.out);
	session.out = session.in;
	is_int(end(&session), 7);

	// Somebody holds the reading end and doesn't read: moat still forwards a signal, and having
	// nobody left to forward the next one to, ends.
	session = begin_with_pipes("echo ready; head -c 300000 /dev/zero", true, false);
	read_until(&session, "ready\n");
	int status = 0, ended = 0;
	for (int ms = 0; ms < PATIENCE_MS && !ended; ms++) {
		kill(session.pid, SIGTERM);
		usleep(1000);
		ended = waitpid(session.pid, &status, WNOHANG);
	}
	is_int(ended, session.pid);
	// The last of these signals may have found it with nothing left to do but to die of it.
	ok(WIFSIGNALED(status) ? WTERMSIG(status) == SIGTERM : WEXITSTATUS(status) == 128 + SIGTERM,
	   "its status is the process's");
	close(session.in);
	close(session.out);
}

static void test_own_terminal(void)
{
	const struct winsize first = { .ws_row = 20, .ws_col = 90 },
			     second = { .ws_row = 30, .ws_col = 70 };
	struct session session = begin_with_terminal(NULL, &first);
	struct termios settings;

	// The caller's terminal adds the carriage return that the container's doesn't send.
	is_str(read_until(&session, "\n"), "20 90\r\n");
	ok(tcgetattr(session.in, &settings) == 0 && !(settings.c_lflag & (ICANON | ECHO | ISIG)) &&
		   settings.c_oflag & OPOST,
	   "the caller's terminal is raw");
	ioctl(session.in, TIOCSWINSZ, &second);
	is_str(read_until(&session, "\n"), "30 70\r\n");
	ok(write(session.in, "x\r", 2) == 2, "a key");

	scope_fd int keep = open(ptsname(session.in), O_RDWR | O_NOCTTY | O_CLOEXEC);
	is_int(proc_wait(session.pid), 8);
	ok(tcgetattr(keep, &settings) == 0 && settings.c_lflag & ICANON && settings.c_lflag & ECHO,
	   "the caller's terminal is as before");
	close(session.in);

	session = begin_with_terminal("stty -echo; echo ready; read x; exit 1", &first);
	read_until(&session, "ready\r\n");
	ok(write(session.in, "\003", 1) == 1, "^C");
	is_int(end(&session), 128 + SIGINT);
}

int main(void)
{
	// A shell starts what runs in its background with ^C ignored.
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	test_connect();
	test_status();
	test_signals();
	test_subreaper();
	if (access("/dev/pts/ptmx", F_OK) < 0) {
		skip("terminals", "no devpts here");
		return done();
	}
	test_terminal();
	test_relay();
	test_own_terminal();
	return done();
}
