// wire: a FUSE request out of a chain of buffers, and an answer into it.
//
// All that decides anything is copied out of the guest's memory first, once, and checked there:
// lengths, the fixed arguments of the operation, names. The data of a WRITE stay where they are.
#pragma once

#include "vm-mode/virtio/queue.h"

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>

struct fs;
struct fs_request;

// The opcodes that the header may be too old to know (7.39).
#define WIRE_STATX	52
#define WIRE_OPCODE_MAX 52

// In struct statx, the file system's part has the layout of the FUSE answer's.
struct wire_statx_in {
	uint32_t getattr_flags;
	uint32_t reserved;
	uint64_t fh;
	uint32_t flags, mask;
};

// Reads the request in `chain`. 0, or negative errno: -EINVAL for what is malformed, -ENOSYS for an
// operation that isn't known, -ENAMETOOLONG. request->header is filled as far as there is one;
// request->op is NULL where the operation isn't known.
int wire_read(struct fs *fs, const struct chain *chain, struct fs_request *request);

// The next NUL-terminated string of request->rest, which moves past it; NULL: there is none.
const char *wire_string(struct fs_request *request);

// Is this a name of a file in a directory? 0, -EINVAL (empty, with a slash, `.` or `..`),
// -ENAMETOOLONG.
int wire_check_name(const char *name);

// The pieces of `from` from byte `skip` on, `len` bytes at most, as `to`, which has as many places.
// Returns how many pieces.
size_t wire_slice(const struct iovec *from, size_t count, size_t skip, size_t len,
		  struct iovec *to);

// Writes the answer: an error, or `len` bytes of payload, which are in the chain already if
// `in_place`. Returns what was written, 0 where there is no room for an answer.
uint32_t wire_answer(const struct fs_request *request, int error, size_t len);
