#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "vm-mode/agent/agent.h"
#include "vm-mode/agent/guest.h"
#include "vm-mode/agent/job.h"

#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

static int connect_unix(const char *prefix, unsigned int port, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	scope_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s.%u", prefix, port);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "connect to %s", addr.sun_path);
	return take_fd(&fd);
}

// The VMM answers or has gone, and this machine with it; but on a busy host it may be long without a processor, longer
// than the 2 seconds that Linux waits for it by default.
#define ANSWER_TIMEOUT_S (24 * 60 * 60)

static int connect_vsock(unsigned int port, int flags, struct err *err)
{
	const struct sockaddr_vm addr = { .svm_family = AF_VSOCK,
					  .svm_port = port,
					  .svm_cid = VMADDR_CID_HOST };
	const struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_S };
	scope_fd int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	if (fd < 0)
		return err_sys(
			err,
			"vsock (a kernel that has it as a module wants an initramfs of moat-initrd's)");
	if (setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &timeout, sizeof(timeout)) < 0)
		return err_sys(err, "wait long for the host");
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 && errno != EINPROGRESS)
		return err_sys(err, "connect to port %u of the host", port);
	return take_fd(&fd);
}

int agent_connect(const struct agent *agent, unsigned int port, bool wait, struct err *err)
{
	scope_fd int fd = agent->connect ? connect_unix(agent->connect, port, err) :
					   connect_vsock(port, wait ? 0 : SOCK_NONBLOCK, err);

	if (fd >= 0 && !wait && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, "connection to the host");
	return fd < 0 ? -err->code : take_fd(&fd);
}

uint64_t agent_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void signals_ready(struct loop_source *source, uint32_t events)
{
	struct agent *agent = (struct agent *)((char *)source - offsetof(struct agent, signals));
	struct signalfd_siginfo info;

	(void)events;
	// Several ends may be one signal; all are reaped.
	while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		;
	job_reap(agent);
}

static int watch_children(struct agent *agent, struct err *err)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	agent->signals = (struct loop_source){
		.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
		.ready = signals_ready,
	};
	if (agent->signals.fd < 0)
		return err_sys(err, "signalfd");
	return loop_watch(agent->loop, &agent->signals, EPOLLIN, err);
}

static int run(struct agent *agent, struct err *err)
{
	agent->boot_us[PROTO_BOOT_AGENT] = agent_now_us();
	if (!agent->connect && guest_prepare(err) < 0)
		return -err->code;
	if (loop_create(&agent->loop, err) < 0 || watch_children(agent, err) < 0 ||
	    control_open(agent, err) < 0)
		return -err->code;
	return loop_run(agent->loop, err);
}

// Only an agent that is started by hand has options: a kernel hands its unknown parameters to the
// first process, but none of them begins with two dashes.
static int parse(struct agent *agent, char **argv, const char **log, struct err *err)
{
	for (char **arg = argv + 1; *arg; arg++) {
		const char **value = str_eq(*arg, "--connect") ? &agent->connect :
				     str_eq(*arg, "--root")    ? &agent->root :
				     str_eq(*arg, "--log")     ? log :
								 NULL;

		if (!value || !arg[1])
			continue;
		*value = *++arg;
	}
	if (!agent->connect != !agent->root)
		return err_set(err, EINVAL, "--connect PREFIX and --root DIR go together");
	return 0;
}

int main(int argc, char **argv)
{
	static struct agent agent;
	const char *log = NULL;
	struct err err = { 0 };

	(void)argc;
	const bool good = parse(&agent, argv, &log, &err) == 0 &&
			  (!log || log_open(log, LOG_TEXT, LOG_DEBUG, &err) == 0) &&
			  run(&agent, &err) == 0;
	if (!agent.connect && getpid() == 1)
		guest_end(good ? NULL : err.msg);
	if (!good)
		log_error("moat-agent: %s", err.msg);
	container_remove(&agent);
	return good ? 0 : 1;
}
