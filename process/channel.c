#include "process/channel.h"

#include "base/io.h"
#include "process/process.h"

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

// What goes over the wire begins with a tag: 0 is `ok`, -errno an error whose text follows. A
// positive one is the `code` that a struct process_report begins with.
struct message {
	int32_t tag;
	char text[ERR_MSG_MAX];
};

_Static_assert(offsetof(struct process_report, code) == 0, "a report begins with its code");

int channel_pair(int ends[2], struct err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, "socket pair");
	return 0;
}

void channel_ok(int fd)
{
	const int32_t tag = 0;

	io_send_fds(fd, &tag, sizeof(tag), NULL, 0);
}

void channel_fail(int fd, const struct err *err)
{
	struct message msg = { .tag = -err->code };
	size_t len = strlen(err->msg);

	memcpy(msg.text, err->msg, len);
	io_send_fds(fd, &msg, offsetof(struct message, text) + len, NULL, 0);
}

int channel_wait(int fd, struct err *err)
{
	union {
		struct message msg;
		struct process_report report;
	} in = { 0 };
	ssize_t n = io_recv_fds(fd, &in, sizeof(in), NULL, 0);

	// A side that ends without having read all that it was sent resets the connection, and the
	// kernel tells that before it hands out the last words.
	if (n < 0 && errno == ECONNRESET)
		n = io_recv_fds(fd, &in, sizeof(in), NULL, 0);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return 0;
	if (n < 0)
		return err_sys(err, "read from the other side of a container's creation");
	if (in.msg.tag == 0)
		return 1;
	if (in.msg.tag > 0)
		return process_report_err(&in.report, err);
	in.msg.text[sizeof(in.msg.text) - 1] = '\0';
	return err_set(err, -in.msg.tag, "%s", in.msg.text);
}
