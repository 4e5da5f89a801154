#include "vm-mode/control/client.h"

#include "base/io.h"
#include "base/scope.h"
#include "vm-mode/control/packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

// A socket's timeout is told as EAGAIN, connect(2)'s too.
static int fail(int code, const char *what, struct err *err)
{
	if (code == EAGAIN)
		return err_set(err, ETIMEDOUT, "the virtual machine does not answer");
	return err_sysn(err, code, "%s", what);
}

int vm_client_connect(int dirfd, unsigned int timeout_ms, struct err *err)
{
	const struct sockaddr_un addr = io_socket_address(dirfd, CONTROL_SOCKET);
	const struct timeval timeout = { .tv_sec = timeout_ms / 1000,
					 .tv_usec = timeout_ms % 1000 * 1000 };
	scope_fd int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (sock < 0 || setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    connect(sock, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return fail(errno, "connect to the virtual machine", err);
	return take_fd(&sock);
}

int vm_client_send(int sock, const struct vm_client_request *request, struct err *err)
{
	const struct proto_header header = {
		.type = request->type,
		.len = request->len,
		.id = request->id,
		.request = request->type, // one at a time: what it is about tells them apart
	};
	int ret = control_packet_send(sock, &header, request->payload, request->fds, request->nfds);

	return ret < 0 ? fail(-ret, "ask the virtual machine", err) : 0;
}

int vm_client_receive(int sock, struct vm_client_answer *answer, struct err *err)
{
	struct control_packet packet;
	int fds[CONTROL_FDS_MAX];
	int ret = control_packet_receive(sock, &packet, fds);

	for (size_t i = 0; ret > 0 && i < CONTROL_FDS_MAX; i++)
		replace_fd(&fds[i], -1);
	if (ret == 0)
		return err_set(err, ECONNRESET, "the virtual machine has gone");
	if (ret < 0)
		return fail(-ret, "hear from the virtual machine", err);
	if (control_packet_is_long(&packet.header))
		return err_set(err, EPROTO, "the virtual machine's answer is too long");
	if (proto_check(&packet.header, packet.payload, err) < 0)
		return -err->code;
	if (packet.header.type == PROTO_FAILED) {
		const struct proto_failure *failure = (const void *)packet.payload;

		return err_set(err, failure->code, "%s", failure->message);
	}
	answer->header = packet.header;
	memcpy(answer->payload, packet.payload, packet.header.len);
	return 0;
}

int vm_client_ask(int sock, const struct vm_client_request *request, uint32_t want,
		  struct vm_client_answer *answer, struct err *err)
{
	int ret = vm_client_send(sock, request, err);

	if (ret == 0)
		ret = vm_client_receive(sock, answer, err);
	if (ret < 0)
		return ret;
	if (answer->header.type != want)
		return err_set(err, EPROTO, "the virtual machine answers something else");
	return 0;
}
