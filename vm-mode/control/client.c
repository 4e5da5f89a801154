#include "vm-mode/control/client.h"

#include "base/io.h"
#include "base/scope.h"
#include "vm-mode/control/packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int vm_client_connect(int dirfd, struct err *err)
{
	const struct sockaddr_un addr = io_socket_address(dirfd, CONTROL_SOCKET);
	scope_fd int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (sock < 0 || connect(sock, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "connect to the virtual machine");
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

	return ret < 0 ? err_sysn(err, -ret, "ask the virtual machine") : 0;
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
		return err_sysn(err, -ret, "hear from the virtual machine");
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
