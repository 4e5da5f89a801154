#include "runtime/foreground.h"

#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"
#include "process/console.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

// One direction of the relay: what has been read and not yet been written. poll(2) and not epoll(7)
// watches the ends, since standard input or output may be an ordinary file.
struct flow {
	int from, to; // from: -1 after its end
	size_t start, len;
	char bytes[4096]; // a pipe that polls writable takes as much (PIPE_BUF) without blocking
};

struct relay {
	struct flow in, out; // towards the terminal, and from it
};

int foreground_begin(struct foreground *fg, bool subreaper, struct err *err)
{
	sigset_t taken;

	sigfillset(&taken);
	sigdelset(&taken, SIGTTIN);
	sigdelset(&taken, SIGTTOU);
	*fg = (struct foreground){ .signal_fd = -1, .watch = { .fd = -1 } };
	if (subreaper && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return err_sys(err, "become a subreaper");
	scope_fd int fd = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(err, "signalfd");
	if (sigprocmask(SIG_SETMASK, &taken, &fg->old_mask) < 0)
		return err_sys(err, "block signals");
	fg->signal_fd = take_fd(&fd);
	fg->active = true;
	return 0;
}

void foreground_end(struct foreground *fg)
{
	struct signalfd_siginfo info;

	if (!fg->active)
		return;
	if (fg->raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &fg->saved);
	// What came too late for the process, and a SIGPIPE from an output that nobody reads, must
	// not strike moat as soon as it is unblocked.
	while (read(fg->signal_fd, &info, sizeof(info)) == sizeof(info))
		;
	close(fg->signal_fd);
	sigprocmask(SIG_SETMASK, &fg->old_mask, NULL);
	*fg = (struct foreground){ .signal_fd = -1 };
}

static int enter_raw_mode(struct foreground *fg, struct err *err)
{
	struct termios raw;

	// No terminal here: the relay works as well with a pipe or a file.
	if (tcgetattr(STDIN_FILENO, &fg->saved) < 0)
		return 0;
	raw = fg->saved;
	cfmakeraw(&raw);
	// The container's terminal sends bare newlines, see console_open().
	raw.c_oflag |= OPOST | ONLCR;
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
		return err_sys(err, "set the terminal to raw mode");
	fg->raw = true;
	return 0;
}

// True if one was forwarded.
static bool take_signals(const struct foreground *fg, int pidfd, int master)
{
	struct signalfd_siginfo info;
	bool forwarded = false;

	while (read(fg->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGCHLD:
		case SIGPIPE:
		case SIGURG:
			break;
		case SIGWINCH:
			if (master >= 0)
				console_follow_size(master);
			break;
		default:
			// It may just have ended.
			sys_pidfd_send_signal(pidfd, (int)info.ssi_signo);
			forwarded = true;
		}
	}
	return forwarded;
}

// Reaps whatever has ended. 1 when `pid` has, with its status; 0 when it hasn't; negative errno when
// it can't be waited for.
static int reap(pid_t pid, int *status, struct err *err)
{
	int any, ended = 0;
	pid_t child;

	while ((child = waitpid(-1, &any, WNOHANG)) > 0 || (child < 0 && errno == EINTR))
		if (child == pid) {
			*status = WIFSIGNALED(any) ? 128 + WTERMSIG(any) : WEXITSTATUS(any);
			ended = 1;
		}
	return child < 0 && !ended ? err_sys(err, "wait for the container") : ended;
}

static void flow_read(struct flow *flow)
{
	ssize_t n = read(flow->from, flow->bytes, sizeof(flow->bytes));

	if (n > 0) {
		flow->start = 0;
		flow->len = (size_t)n;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		flow->from = -1;
	}
}

static void flow_write(struct flow *flow)
{
	ssize_t n = write(flow->to, flow->bytes + flow->start, flow->len);

	if (n > 0) {
		flow->start += (size_t)n;
		flow->len -= (size_t)n;
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		// Nobody takes it any more; the process on the terminal must not block on that.
		flow->len = 0;
	}
}

// What to watch of a flow: its source while it is empty, its sink while it isn't.
static struct pollfd flow_watch(const struct flow *flow)
{
	if (flow->len > 0)
		return (struct pollfd){ .fd = flow->to, .events = POLLOUT };
	return (struct pollfd){ .fd = flow->from, .events = POLLIN };
}

static void flow_step(struct flow *flow)
{
	if (flow->len > 0)
		flow_write(flow);
	else
		flow_read(flow);
}

// Writes out what the process has written before it ended. The kernel hands over all of it before
// it says EAGAIN (others still hold the terminal) or EIO (nobody does). A signal now has nobody to
// go to but moat: it ends the wait for a standard output that doesn't take it.
static void drain(const struct foreground *fg, int pidfd, int master, struct flow *flow)
{
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = fg->signal_fd, .events = POLLIN },
			{ .fd = flow->to, .events = POLLOUT },
		};

		if (flow->len == 0 && flow->from >= 0)
			flow_read(flow);
		if (flow->len == 0 || (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR))
			return;
		if (fds[0].revents && take_signals(fg, pidfd, master))
			return;
		if (fds[1].revents)
			flow_write(flow);
	}
}

static int start_relay(struct foreground *fg, int master, struct relay *relay, struct err *err)
{
	relay->in = (struct flow){ .from = -1, .to = master };
	relay->out = (struct flow){ .from = master, .to = STDOUT_FILENO };
	if (master < 0)
		return 0;
	if (fcntl(master, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, "make the terminal non-blocking");
	relay->in.from = STDIN_FILENO;
	return enter_raw_mode(fg, err);
}

int foreground_wait(struct foreground *fg, pid_t pid, int pidfd, int master, struct err *err)
{
	struct relay relay;
	int status = 0;
	int ret = start_relay(fg, master, &relay, err);

	if (ret < 0)
		return ret;
	while ((ret = reap(pid, &status, err)) == 0) {
		struct pollfd fds[] = {
			{ .fd = fg->signal_fd, .events = POLLIN },
			{ .fd = pidfd, .events = POLLIN },
			flow_watch(&relay.in),
			flow_watch(&relay.out),
			{ .fd = fg->watch.fd, .events = POLLIN },
		};

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return err_sys(err, "wait for the container");
		if (fds[0].revents)
			take_signals(fg, pidfd, master);
		if (fds[2].revents)
			flow_step(&relay.in);
		if (fds[3].revents)
			flow_step(&relay.out);
		if (fds[4].revents && !fg->watch.ready(fg->watch.context, fg->watch.fd))
			fg->watch.fd = -1;
	}
	if (ret < 0)
		return ret;
	if (master >= 0)
		drain(fg, pidfd, master, &relay.out);
	return status;
}
