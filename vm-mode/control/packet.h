// control-packet: what goes over the Unix socket ROOT/ID/vm between a verb of moat and the VMM.
//
// SOCK_SEQPACKET; one packet is one frame of vm-mode/proto/proto.h: the header, then the payload where
// that has at most CONTROL_INLINE_MAX bytes. A longer one (JSON, towards the VMM only) is in a memory
// file that is sealed against writing, shrinking and growing: the packet is the header alone, and the
// file the first of its descriptors. The header's `len` is that of the payload in both cases.
//
// With PROTO_EXEC come the streams of the process, after that file: one descriptor is a terminal, three
// are standard input, output and error. None: they are as /dev/null. No other frame has descriptors.
#pragma once

#include "base/err.h"
#include "vm-mode/proto/proto.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONTROL_INLINE_MAX PROTO_TO_HOST_MAX
#define CONTROL_FDS_MAX	   4

struct control_packet {
	struct proto_header header;
	_Alignas(8) char payload[CONTROL_INLINE_MAX];
	char beyond; // a packet that is too long reaches into it
};

// Sends a frame, with at most 3 descriptors, which stay the caller's. Blocks unless the socket does
// not: -EAGAIN.
int control_packet_send(int sock, const struct proto_header *header, const void *payload,
			const int *fds, size_t nfds);

// Receives one. Descriptors go into fds[0 .. CONTROL_FDS_MAX - 1], -1 where there is none, and are the
// caller's. 1; 0: the other side has gone; -EAGAIN; -EPROTO: not a whole packet (what came with it is
// closed).
int control_packet_receive(int sock, struct control_packet *packet, int *fds);

// Does the payload come in a file?
static inline int control_packet_is_long(const struct proto_header *header)
{
	return header->len > CONTROL_INLINE_MAX;
}

// Reads such a file, which the sender could change no more: header->len bytes into *data (free() it).
// -EPROTO: it isn't what it must be.
int control_packet_read_file(int fd, uint32_t len, char **data, struct err *err);
