#include "vm-mode/control/packet.h"

#include "base/io.h"
#include "base/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int make_file(const void *data, size_t len)
{
	scope_fd int fd = memfd_create("request", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || io_write_all(fd, data, len) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	return take_fd(&fd);
}

int control_packet_send(int sock, const struct proto_header *header, const void *payload,
			const int *fds, size_t nfds)
{
	struct control_packet packet;
	scope_fd int file = -1;
	int all[CONTROL_FDS_MAX];
	size_t count = 0, len = sizeof(packet.header);

	if (nfds >= CONTROL_FDS_MAX)
		return -EINVAL;
	packet.header = *header;
	if (control_packet_is_long(header)) {
		file = make_file(payload, header->len);
		if (file < 0)
			return file;
		all[count++] = file;
	} else if (header->len) {
		memcpy(packet.payload, payload, header->len);
		len = offsetof(struct control_packet, payload) + header->len;
	}
	for (size_t i = 0; i < nfds; i++)
		all[count++] = fds[i];
	return io_send_fds(sock, &packet, len, all, count) < 0 ? -errno : 0;
}

_Static_assert(offsetof(struct control_packet, payload) == sizeof(struct proto_header),
	       "a packet is the header, then the payload");

int control_packet_receive(int sock, struct control_packet *packet, int *fds)
{
	ssize_t n = io_recv_fds(sock, packet, sizeof(*packet), fds, CONTROL_FDS_MAX);

	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (n == 0)
		return 0;
	size_t want = sizeof(packet->header);
	if ((size_t)n >= want && !control_packet_is_long(&packet->header))
		want += packet->header.len;
	if ((size_t)n == want)
		return 1;
	for (size_t i = 0; i < CONTROL_FDS_MAX; i++)
		replace_fd(&fds[i], -1);
	return -EPROTO;
}

int control_packet_read_file(int fd, uint32_t len, char **data, struct err *err)
{
	scope_free char *read_data = NULL;
	int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
	struct stat st;

	// Only a memory file has seals: reading it waits for no one.
	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 || st.st_size != len ||
	    len > PROTO_TO_AGENT_MAX)
		return err_set(err, EPROTO, "a long request is not in a sealed file of its length");
	read_data = malloc(len);
	if (!read_data)
		return err_sysn(err, ENOMEM, "request");
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, read_data + done, len - done, (off_t)done);

		if (n <= 0)
			return err_sys(err, "read a request");
		done += (size_t)n;
	}
	*data = take_ptr(&read_data);
	return 0;
}
