#include "vm-mode/control/control.h"

#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "vm-mode/control/packet.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct client {
	struct loop_source source; // first; fd -1: free
	struct control *control;
	unsigned int asked; // requests that are not answered yet
	bool watches;	    // wants to hear of OOM
	bool lost;	    // it can't be sent to: goes at the end of what is under way
};

struct control {
	struct loop_source listener; // first
	struct control_config config;
	struct client clients[CONTROL_CLIENTS_MAX];
	size_t client_count;
	struct control_packet packet;
};

static void watch_listener(struct control *control)
{
	struct err err;

	if (loop_watch(control->config.loop, &control->listener, EPOLLIN, &err) < 0)
		log_warn("vm: control socket: %s", err.msg);
}

static void drop(struct client *client)
{
	struct control *control = client->control;

	if (client->source.fd < 0)
		return;
	loop_unwatch(control->config.loop, &client->source);
	replace_fd(&client->source.fd, -1);
	control->client_count--;
	session_forget(control->config.session, client);
	watch_listener(control);
}

// ---- answers ----

static void send_to(struct client *client, const struct proto_header *header, const void *payload)
{
	if (client->lost)
		return;
	if (control_packet_send(client->source.fd, header, payload, NULL, 0) < 0) {
		// Its own turn comes in the loop: this may be called from within its request.
		client->lost = true;
		shutdown(client->source.fd, SHUT_RDWR);
	}
}

static void answered(void *user, const struct proto_header *header, const void *payload)
{
	struct client *client = user;

	if (header->type != PROTO_EXIT && client->asked > 0)
		client->asked--;
	send_to(client, header, payload);
}

static void refuse(struct client *client, const struct proto_header *request, const struct err *err)
{
	struct proto_failure failure;
	const struct proto_header header = {
		.type = PROTO_FAILED,
		.len = proto_failure_of(err, &failure),
		.id = request->id,
		.request = request->request,
	};

	send_to(client, &header, &failure);
}

// ---- requests ----

// What came with a packet: at its end, all descriptors are someone else's or closed.
struct request {
	const struct proto_header *header;
	const void *payload;
	char *file_data;
	struct stream_fds streams;
	int fds[CONTROL_FDS_MAX];
};

static void release(struct request *request)
{
	for (size_t i = 0; i < CONTROL_FDS_MAX; i++)
		replace_fd(&request->fds[i], -1);
	free(request->file_data);
}

#define scope_request __attribute__((cleanup(release)))

// Which descriptor is what. False: that is no request.
static bool sort_streams(struct request *request, size_t first)
{
	int *fds = request->fds + first;
	size_t count = 0;

	while (first + count < CONTROL_FDS_MAX && fds[count] >= 0)
		count++;
	if (count == 0)
		return true;
	if (request->header->type != PROTO_EXEC || (count != 1 && count != 3))
		return false;
	if (count == 1) {
		request->streams.terminal = take_fd(&fds[0]);
	} else {
		request->streams.in = take_fd(&fds[0]);
		request->streams.out = take_fd(&fds[1]);
		request->streams.err = take_fd(&fds[2]);
	}
	return true;
}

static bool unpack(struct request *request, const struct control_packet *packet)
{
	const bool is_long = control_packet_is_long(&packet->header);
	struct err err;

	request->header = &packet->header;
	request->payload = packet->payload;
	if (packet->header.type < PROTO_START || packet->header.type > PROTO_WATCH)
		return false;
	if (is_long) {
		if (control_packet_read_file(request->fds[0], packet->header.len,
					     &request->file_data, &err) < 0)
			return false;
		request->payload = request->file_data;
	}
	return sort_streams(request, is_long ? 1 : 0);
}

static void answer_balloon(struct client *client, const struct request *request)
{
	const struct control_config *config = &client->control->config;
	struct proto_header header = { .type = PROTO_BALLOONED,
				       .len = sizeof(struct proto_ballooned),
				       .request = request->header->request };
	struct proto_ballooned answer;
	struct proto_balloon asked;
	struct err err;

	if (!config->balloon || request->header->len != sizeof(asked)) {
		err_set(&err, EINVAL, "a request of type %u with %u bytes is none", PROTO_BALLOON,
			request->header->len);
		refuse(client, request->header, &err);
		return;
	}
	memcpy(&asked, request->payload, sizeof(asked));
	config->balloon(config->user, asked.target_bytes, &answer);
	send_to(client, &header, &answer);
}

static void ask(struct client *client, struct request *request)
{
	const struct proto_header *header = request->header;
	const struct session_request asked = {
		.type = header->type,
		.id = header->id,
		.payload = request->payload,
		.len = header->len,
		.tag = header->request,
		.answered = answered,
		.user = client,
		.streams = &request->streams,
	};
	struct err err;

	if (session_ask(client->control->config.session, &asked, &err) < 0) {
		if (header->type != PROTO_RESIZE)
			refuse(client, header, &err);
	} else if (header->type != PROTO_RESIZE) {
		client->asked++;
	}
}

static void watch(struct client *client, const struct proto_header *request)
{
	const struct proto_header done = { .type = PROTO_DONE,
					   .id = request->id,
					   .request = request->request };

	client->watches = true;
	send_to(client, &done, NULL);
}

void control_tell_oom(struct control *control)
{
	const struct proto_header oom = { .type = PROTO_OOM };

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].source.fd >= 0 && control->clients[i].watches)
			send_to(&control->clients[i], &oom, NULL);
}

// Reads one packet: false when there is none, or the client is to go.
static bool serve(struct client *client)
{
	struct control_packet *packet = &client->control->packet;
	scope_request struct request request = { .streams = STREAM_FDS_NONE };
	int ret = control_packet_receive(client->source.fd, packet, request.fds);

	if (ret == -EAGAIN)
		return false;
	if (ret <= 0 || client->asked >= CONTROL_ASKED_MAX || !unpack(&request, packet)) {
		if (ret != 0)
			log_warn("vm: a client of the control socket sends no proper request");
		client->lost = true;
		return false;
	}
	if (packet->header.type == PROTO_BALLOON)
		answer_balloon(client, &request);
	else if (packet->header.type == PROTO_WATCH)
		watch(client, request.header);
	else
		ask(client, &request);
	return true;
}

static void on_client(struct loop_source *source, uint32_t events)
{
	struct client *client = (struct client *)source;

	(void)events;
	for (int i = 0; i < CONTROL_ASKED_MAX && !client->lost; i++)
		if (!serve(client))
			break;
	if (client->lost)
		drop(client);
}

// ---- connections ----

static bool may_connect(const struct control *control, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == 0 || peer.uid == control->config.owner);
}

static void on_listener(struct loop_source *source, uint32_t events)
{
	struct control *control = (struct control *)source;
	struct client *client = control->clients;
	struct err err;

	(void)events;
	// Also with no descriptor left: one who leaves makes room.
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			loop_unwatch(control->config.loop, &control->listener);
		return;
	}
	if (!may_connect(control, fd)) {
		log_warn("vm: a stranger at the control socket");
		close(fd);
		return;
	}
	while (client->source.fd >= 0)
		client++;
	*client = (struct client){ .control = control, .source = { .fd = fd, .ready = on_client } };
	if (loop_watch(control->config.loop, &client->source, EPOLLIN, &err) < 0) {
		log_warn("vm: control socket: %s", err.msg);
		replace_fd(&client->source.fd, -1);
		return;
	}
	if (++control->client_count == CONTROL_CLIENTS_MAX)
		loop_unwatch(control->config.loop, &control->listener);
}

int control_create(const struct control_config *config, struct control **control, struct err *err)
{
	struct control *made = calloc(1, sizeof(*made));

	if (!made) {
		close(config->listen_fd);
		return err_sysn(err, ENOMEM, "control socket");
	}
	made->config = *config;
	made->listener = (struct loop_source){ .fd = config->listen_fd, .ready = on_listener };
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		made->clients[i].source.fd = -1;
	// The description may be shared with who made it; a client that has gone between epoll and
	// accept must not block us. Nobody else accepts here.
	if (fcntl(config->listen_fd, F_SETFL, fcntl(config->listen_fd, F_GETFL) | O_NONBLOCK) < 0 ||
	    loop_watch(made->config.loop, &made->listener, EPOLLIN, err) < 0) {
		control_free(made);
		return err_sys(err, "control socket");
	}
	*control = made;
	return 0;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		drop(&control->clients[i]);
	loop_unwatch(control->config.loop, &control->listener);
	close(control->listener.fd);
	free(control);
}
