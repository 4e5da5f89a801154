#include "vm-mode/fs/server.h"

#include "base/io.h"
#include "base/log.h"
#include "base/scope.h"
#include "vm-mode/virtio/device.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define PAGE_BYTES 4096
// Requests before the control socket is looked at again.
#define BATCH 32
// Each file that the guest knows is one. What fs.nr_open allows by default.
#define WANTED_FDS ((rlim_t)1 << 20)

struct server {
	const struct fs_server_config *config;
	struct fs *fs;
	struct guest_memory memory;
	struct dev_irq irq;
	int status_fd, kick_fds[FS_QUEUES];
	struct queue queues[FS_QUEUES];
	bool started;
	struct chain chain;
};

// ---- the window ----

static int map(void *arg, const struct fs_mapping *mapping, int fd)
{
	const struct server *server = arg;
	const int sock = server->config->window_fd;
	int32_t answer;
	int ret = fs_window_map(server->config->window, mapping, fd);

	if (ret < 0)
		return ret;
	if (io_send_fds(sock, mapping, sizeof(*mapping), &fd, fd >= 0 ? 1 : 0) < 0)
		return -errno;
	ssize_t len = io_recv_fds(sock, &answer, sizeof(answer), NULL, 0);
	if (len != sizeof(answer))
		return -EIO;
	return answer <= 0 ? answer : -EIO;
}

// ---- the queues ----

static void stop(struct server *server)
{
	server->started = false;
	memset(server->queues, 0, sizeof(server->queues));
}

static int report_broken(struct server *server, const struct err *why)
{
	struct fs_message message = { .type = FS_BROKEN, .broken = *why };

	stop(server);
	return io_send_fds(server->config->control_fd, &message, sizeof(message), NULL, 0);
}

// Serves what is there, within reason. 1: there may be more.
static int serve_queue(struct server *server, struct queue *queue, struct err *err)
{
	struct chain *chain = &server->chain;

	if (!queue->desc)
		return 0;
	queue_want_kicks(queue, false);
	for (int i = 0; i < BATCH; i++) {
		int ret = queue_pop(queue, chain, err);

		if (ret < 0)
			return ret;
		if (ret == 0) {
			queue_want_kicks(queue, true);
			return queue_has_more(queue);
		}
		uint32_t written = fs_serve(server->fs, chain);
		queue_push(queue, chain->head, written);
		if (queue_needs_interrupt(queue))
			dev_irq_raise(&server->irq);
	}
	return 1;
}

static int serve_queues(struct server *server, bool *more)
{
	struct err err;

	*more = false;
	for (int i = 0; i < FS_QUEUES && server->started; i++) {
		int ret = serve_queue(server, &server->queues[i], &err);

		if (ret < 0)
			return report_broken(server, &err);
		*more = *more || ret > 0;
	}
	return 0;
}

// ---- the VMM's words ----

static void unwire(struct server *server)
{
	if (server->irq.status)
		munmap((void *)server->irq.status, PAGE_BYTES);
	server->irq.status = NULL;
	replace_fd(&server->irq.fd, -1);
	replace_fd(&server->status_fd, -1);
	for (int i = 0; i < FS_QUEUES; i++)
		replace_fd(&server->kick_fds[i], -1);
}

// Takes the descriptors.
static int wire_up(struct server *server, int fds[2 + FS_QUEUES], struct err *err)
{
	unwire(server);
	server->irq.fd = take_fd(&fds[0]);
	server->status_fd = take_fd(&fds[1]);
	for (int i = 0; i < FS_QUEUES; i++)
		server->kick_fds[i] = take_fd(&fds[2 + i]);
	void *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, server->status_fd,
			  0);
	if (page == MAP_FAILED)
		return err_sys(err, "map the interrupt's status");
	server->irq.status = page;
	return 0;
}

// The guest's memory stays the same from one start to the next. Its file is closed before the guest is
// served: cut short by a server that has been broken into, it would be a SIGBUS in the VMM.
static int map_memory(struct server *server, const struct fs_message *message, int *fd,
		      struct err *err)
{
	if (server->memory.count > 0)
		return 0;
	if (message->ranges_count > GUEST_RANGES_MAX)
		return err_set(err, EINVAL, "too many ranges of memory");
	memcpy(server->memory.ranges, message->start.ranges, sizeof(message->start.ranges));
	if (server->config->window_fd >= 0)
		server->memory.window =
			(struct guest_range){ .gpa = message->start.window_gpa,
					      .size = server->config->window->bytes,
					      .host = server->config->window->host };
	server->memory.count = message->ranges_count;
	server->memory.fd = take_fd(fd);
	if (guest_memory_map(&server->memory, err) < 0)
		return -err->code;
	replace_fd(&server->memory.fd, -1);
	return 0;
}

static int start(struct server *server, const struct fs_message *message, int *fd, struct err *err)
{
	struct err why;

	if (!server->irq.status)
		return err_set(err, EINVAL, "a start without wiring");
	if (map_memory(server, message, fd, err) < 0)
		return -err->code;
	server->started = true;
	for (int i = 0; i < FS_QUEUES; i++) {
		const struct queue_setup *setup = &message->start.queues[i];

		if (setup->size == 0)
			server->queues[i] = (struct queue){ 0 };
		else if (queue_init(&server->queues[i], &server->memory, setup, &why) < 0)
			return report_broken(server, &why) < 0 ? err_sys(err, "tell the VMM") : 0;
	}
	return 0;
}

static int reset(struct server *server, struct err *err)
{
	const struct fs_message done = { .type = FS_DONE };

	stop(server);
	fs_reset(server->fs);
	if (io_send_fds(server->config->control_fd, &done, sizeof(done), NULL, 0) < 0)
		return err_sys(err, "tell the VMM");
	return 0;
}

// 1: the VMM has gone.
static int hear(struct server *server, struct err *err)
{
	int fds[2 + FS_QUEUES];
	struct fs_message message;
	ssize_t len = io_recv_fds(server->config->control_fd, &message, sizeof(message), fds,
				  2 + FS_QUEUES);
	int ret;

	if (len == 0 || (len < 0 && errno == ECONNRESET))
		return 1;
	if (len < 0)
		return err_sys(err, "hear the VMM");
	if (len != sizeof(message))
		ret = err_set(err, EPROTO, "a word of the VMM that is too short");
	else if (message.type == FS_WIRING)
		ret = wire_up(server, fds, err);
	else if (message.type == FS_START)
		ret = start(server, &message, &fds[0], err);
	else if (message.type == FS_RESET)
		ret = reset(server, err);
	else
		ret = err_set(err, EPROTO, "an unknown word of the VMM");
	for (int i = 0; i < 2 + FS_QUEUES; i++)
		replace_fd(&fds[i], -1);
	return ret;
}

// ---- the loop ----

static int loop(struct server *server, struct err *err)
{
	bool more = false;

	for (;;) {
		struct pollfd fds[1 + FS_QUEUES] = { { server->config->control_fd, POLLIN, 0 } };
		uint64_t count;

		for (int i = 0; i < FS_QUEUES; i++)
			fds[1 + i] = (struct pollfd){ server->started ? server->kick_fds[i] : -1,
						      POLLIN, 0 };
		if (poll(fds, 1 + FS_QUEUES, more ? 0 : -1) < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(err, "poll");
		}
		if (fds[0].revents) {
			int ret = hear(server, err);
			if (ret != 0)
				return ret < 0 ? ret : 0;
		}
		for (int i = 0; i < FS_QUEUES; i++)
			if (fds[1 + i].revents && read(fds[1 + i].fd, &count, sizeof(count)) < 0 &&
			    errno != EAGAIN)
				return err_sys(err, "read a queue's eventfd");
		// Also without a kick: after a start, what came before.
		if (serve_queues(server, &more) < 0)
			return err_sys(err, "tell the VMM");
	}
}

static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	// With CAP_SYS_RESOURCE, the hard one too.
	if (limit.rlim_max < WANTED_FDS &&
	    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ WANTED_FDS, WANTED_FDS }) == 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	// At worst, the guest can have fewer files open.
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warn("file server: the limit of open files can't be raised");
}

int fs_server_run(const struct fs_server_config *config, struct err *err)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return err_sysn(err, ENOMEM, "file server");
	server->config = config;
	server->memory.fd = server->irq.fd = server->status_fd = -1;
	for (int i = 0; i < FS_QUEUES; i++)
		server->kick_fds[i] = -1;
	struct fs_options options = config->options;
	options.map = map;
	options.map_arg = server;
	if (config->window_fd < 0)
		options.window_bytes = 0;
	raise_limit();
	int ret = fs_create(&options, &server->fs, err);
	if (ret == 0 && config->confine)
		ret = config->confine(err);
	if (ret == 0)
		ret = loop(server, err);
	fs_free(server->fs);
	unwire(server);
	guest_memory_free(&server->memory);
	free(server);
	return ret < 0 ? err_wrap(err, "file server") : 0;
}
