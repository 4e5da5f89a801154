#include "vm-mode/fs/device.h"

#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"

#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

// How long a reset waits for the request that is being served. What takes longer hangs, in a
// network file system: no reason for the whole machine to.
#define RESET_TIMEOUT_MS 10000
// And how long a server that has closed its sockets takes to be gone, on a host that is busy.
#define FATE_TIMEOUT_MS 10000

struct fs_device {
	struct device device; // the first
	struct virtio_fs_config space;
	struct fs_window window;
	int pidfd; // of the server: another may reap this process's children
	int control_fd, window_fd;
	struct loop_source control, window_source;
	bool gone;	 // the server
	bool has_memory; // it got the guest's memory
	void (*lost)(void *owner, const struct err *why);
	void *owner;
};

static struct fs_device *of(struct device *device)
{
	return (struct fs_device *)device;
}

static struct fs_device *of_control(struct loop_source *source)
{
	return (struct fs_device *)((char *)source - offsetof(struct fs_device, control));
}

static struct fs_device *of_window(struct loop_source *source)
{
	return (struct fs_device *)((char *)source - offsetof(struct fs_device, window_source));
}

// ---- the end of the server ----

static void end_server(struct fs_device *fs)
{
	siginfo_t info;

	sys_pidfd_send_signal(fs->pidfd, SIGKILL);
	while (waitid(P_PIDFD, (id_t)fs->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	replace_fd(&fs->pidfd, -1);
}

static void unwatch(struct fs_device *fs)
{
	loop_unwatch(fs->device.env.loop, &fs->control);
	loop_unwatch(fs->device.env.loop, &fs->window_source);
}

static void lose_server(struct fs_device *fs, const struct err *why)
{
	if (fs->gone)
		return;
	fs->gone = true;
	unwatch(fs);
	sys_pidfd_send_signal(fs->pidfd, SIGKILL);
	if (fs->device.started)
		fs->device.fail(&fs->device, why);
	if (fs->lost)
		fs->lost(fs->owner, why);
}

// One that has closed its sockets. It stays to be waited for.
static void lose_ended_server(struct fs_device *fs)
{
	struct pollfd gone = { .fd = fs->pidfd, .events = POLLIN };
	siginfo_t end = { 0 };
	struct err err;

	poll(&gone, 1, FATE_TIMEOUT_MS);
	waitid(P_PIDFD, (id_t)fs->pidfd, &end, WEXITED | WNOHANG | WNOWAIT);
	if (end.si_code == CLD_KILLED || end.si_code == CLD_DUMPED)
		err_set(&err, EPIPE, "the file server was killed by signal %d", end.si_status);
	else
		err_set(&err, EPIPE, "the file server has ended");
	lose_server(fs, &err);
}

// ---- its words ----

static void control_ready(struct loop_source *source, uint32_t events)
{
	struct fs_device *fs = of_control(source);
	struct pollfd ready = { .fd = source->fd, .events = POLLIN };
	struct fs_message message;

	(void)events;
	// A reset may have been here first.
	if (poll(&ready, 1, 0) == 0)
		return;
	ssize_t len = io_recv_fds(source->fd, &message, sizeof(message), NULL, 0);
	if (len != sizeof(message)) {
		lose_ended_server(fs);
	} else if (message.type == FS_BROKEN && fs->device.started) {
		message.broken.msg[ERR_MSG_MAX - 1] = '\0';
		fs->device.fail(&fs->device, &message.broken);
	}
}

static void window_ready(struct loop_source *source, uint32_t events)
{
	struct fs_device *fs = of_window(source);

	(void)events;
	if (fs_window_serve(&fs->window, source->fd) < 0)
		lose_ended_server(fs);
}

// ---- the device's operations ----

static void config_read(struct device *device, uint64_t offset, void *data, size_t len)
{
	const struct fs_device *fs = of(device);

	dev_config_read(&fs->space, sizeof(fs->space), offset, data, len);
}

static int send_word(struct fs_device *fs, const struct fs_message *message, const int *fds,
		     size_t count, struct err *err)
{
	if (fs->gone)
		return err_set(err, EPIPE, "the file server has ended");
	if (io_send_fds(fs->control_fd, message, sizeof(*message), fds, count) < 0)
		return err_sys(err, "tell the file server");
	return 0;
}

static int watch(struct fs_device *fs, struct err *err)
{
	struct loop *loop = fs->device.env.loop;

	if (!fs->control.added && loop_watch(loop, &fs->control, EPOLLIN, err) < 0)
		return -err->code;
	if (fs->window_fd >= 0 && !fs->window_source.added)
		return loop_watch(loop, &fs->window_source, EPOLLIN, err);
	return 0;
}

static int start(struct device *device, struct err *err)
{
	struct fs_device *fs = of(device);
	const struct guest_memory *memory = device->env.memory;
	const int wiring[2 + FS_QUEUES] = { device->env.irq.fd, device->env.irq.status_fd,
					    device->kick_fds[0], device->kick_fds[1] };
	struct fs_message message = { .type = FS_WIRING };

	if (watch(fs, err) < 0)
		return -err->code;
	if (send_word(fs, &message, wiring, 2 + FS_QUEUES, err) < 0)
		return -err->code;
	message.type = FS_START;
	message.ranges_count = (uint32_t)memory->count;
	for (size_t i = 0; i < memory->count; i++) {
		message.start.ranges[i] = memory->ranges[i];
		message.start.ranges[i].host = NULL;
	}
	message.start.window_gpa = memory->window.gpa;
	for (int i = 0; i < FS_QUEUES; i++)
		message.start.queues[i] = device->queues[i].setup;
	// Once: before the guest could have said anything to it.
	if (send_word(fs, &message, &memory->fd, fs->has_memory ? 0 : 1, err) < 0)
		return -err->code;
	fs->has_memory = true;
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

// Waits for DONE, and maps meanwhile: the request that is being served may need it. What else the
// server says is of before.
static bool await_done(struct fs_device *fs)
{
	const int64_t end = now_ms() + RESET_TIMEOUT_MS;
	struct pollfd fds[2] = { { .fd = fs->control_fd, .events = POLLIN },
				 { .fd = fs->window_fd, .events = POLLIN } };
	struct fs_message message;

	for (int64_t left = RESET_TIMEOUT_MS; left > 0; left = end - now_ms()) {
		if (poll(fds, 2, (int)left) < 0 && errno != EINTR)
			return false;
		if (fds[1].revents && fs_window_serve(&fs->window, fs->window_fd) < 0)
			return false;
		if (!fds[0].revents)
			continue;
		if (io_recv_fds(fs->control_fd, &message, sizeof(message), NULL, 0) !=
		    sizeof(message))
			return false;
		if (message.type == FS_DONE)
			return true;
	}
	return false;
}

// When it returns, the server has let go of the queues.
static void reset(struct device *device)
{
	struct fs_device *fs = of(device);
	const struct fs_message message = { .type = FS_RESET };
	struct err err;

	if (fs->gone)
		return;
	if (send_word(fs, &message, NULL, 0, &err) < 0 || !await_done(fs)) {
		err_set(&err, EPIPE, "the file server doesn't answer");
		lose_server(fs, &err);
	}
}

static void close_device(struct device *device)
{
	struct fs_device *fs = of(device);

	unwatch(fs);
	replace_fd(&fs->control_fd, -1);
	replace_fd(&fs->window_fd, -1);
	end_server(fs);
	free(fs);
}

static const struct device_ops ops = {
	.id = VIRTIO_ID_FS,
	.queues = FS_QUEUES,
	.queue_size = QUEUE_SIZE_MAX,
	.config_read = config_read,
	.start = start,
	.reset = reset,
	.close = close_device,
};

// ---- the server's process ----

// Keeps only what the server needs. Nothing of its files may become descriptor 0, 1 or 2, which
// some library could write to.
static int shed_fds(struct fs_server_config *config, struct err *err)
{
	const int log = log_fd();
	const int keep[] = { 0,
			     1,
			     2,
			     log,
			     config->control_fd,
			     config->window_fd,
			     config->options.root_fd,
			     config->options.proc_fd };

	if (proc_close_fds(0, keep, ARRAY_SIZE(keep)) < 0)
		return err_sys(err, "close descriptors");
	for (int fd = 0; fd <= 2; fd++)
		if (fd != log && dup2(config->options.proc_fd, fd) < 0)
			return err_sys(err, "give up descriptor %d", fd);
	return 0;
}

static void run_server(struct fs_server_config *config)
{
	struct err err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "moat-fs");
	proc_reset_signals();
	// A write beyond RLIMIT_FSIZE is an error, not an end.
	sigaction(SIGXFSZ, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
	if (shed_fds(config, &err) < 0 || fs_server_run(config, &err) < 0) {
		log_error("%s", err.msg);
		_exit(1);
	}
	_exit(0);
}

static int spawn_server(struct fs_device *fs, const struct fs_device_config *config,
			struct err *err)
{
	int control[2], window[2] = { -1, -1 };

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0)
		return err_sys(err, "socketpair");
	fs->control_fd = control[0];
	scope_fd int control_end = control[1];
	if (fs->window.bytes > 0 &&
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, window) < 0)
		return err_sys(err, "socketpair");
	fs->window_fd = window[0];
	scope_fd int window_end = window[1];
	struct fs_server_config server = {
		.options = config->options,
		.window = &fs->window,
		.control_fd = control_end,
		.window_fd = window_end,
		.confine = config->confine,
	};
	server.options.window_bytes = fs->window.bytes;
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(err, "fork the file server");
	if (pid == 0)
		run_server(&server);
	fs->pidfd = sys_pidfd_open(pid, 0);
	return fs->pidfd < 0 ? err_sys(err, "pidfd of the file server") : 0;
}

int fs_device_create(const struct fs_device_config *config, struct device **device, struct err *err)
{
	const size_t len = strlen(config->tag);

	if (len == 0 || len > FS_TAG_MAX)
		return err_set(err, EINVAL, "the tag of a file system has 1 to %d bytes",
			       FS_TAG_MAX);
	struct fs_device *fs = calloc(1, sizeof(*fs));
	if (!fs)
		return err_sysn(err, ENOMEM, "file server");
	fs->device.ops = &ops;
	fs->control_fd = fs->window_fd = fs->pidfd = -1;
	memcpy(fs->space.tag, config->tag, len);
	fs->space.num_request_queues = FS_QUEUES - 1;
	if (config->window)
		fs->window = *config->window;
	fs->lost = config->lost;
	fs->owner = config->owner;
	if (spawn_server(fs, config, err) < 0) {
		scope_close_fd(&fs->control_fd);
		scope_close_fd(&fs->window_fd);
		free(fs);
		return -err->code;
	}
	fs->control = (struct loop_source){ .fd = fs->control_fd, .ready = control_ready };
	fs->window_source = (struct loop_source){ .fd = fs->window_fd, .ready = window_ready };
	*device = &fs->device;
	return 0;
}
