#include "vm-mode/fs/wire.h"

#include "vm-mode/fs/internal.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

int wire_check_name(const char *name)
{
	const size_t len = strnlen(name, NAME_MAX + 1);

	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	if (len == 0 || strchr(name, '/') || str_eq(name, ".") || str_eq(name, ".."))
		return -EINVAL;
	return 0;
}

const char *wire_string(struct fs_request *request)
{
	const uint8_t *start = request->rest;
	const uint8_t *end = memchr(start, '\0', request->rest_len);

	if (!end)
		return NULL;
	request->rest = end + 1;
	request->rest_len -= (size_t)(end + 1 - start);
	return (const char *)start;
}

static int read_strings(struct fs_request *request)
{
	const char *kinds = request->op->strings;

	for (size_t i = 0; kinds && kinds[i]; i++) {
		const char *string = wire_string(request);
		int ret = !string ? -EINVAL : kinds[i] == 'n' ? wire_check_name(string) : 0;

		if (ret < 0)
			return ret;
		request->strings[i] = string;
	}
	return 0;
}

int wire_read(struct fs *fs, const struct chain *chain, struct fs_request *request)
{
	struct fuse_in_header *header = &request->header;

	*request = (struct fs_request){ .chain = chain };
	if (chain_read(chain, 0, header, sizeof(*header)) < sizeof(*header))
		return -EINVAL;
	request->op = fs_op_find(header->opcode);
	if (!request->op)
		return -ENOSYS;
	if (header->len < sizeof(*header) || header->len > chain->out_bytes)
		return -EINVAL;
	// Extensions come last, in units of 8 bytes; there is none that we want.
	size_t len = header->len - sizeof(*header);
	const size_t extensions = (size_t)header->total_extlen * 8;
	if (extensions > len || len - extensions < request->op->args)
		return -EINVAL;
	len = request->op->data ? request->op->args : len - extensions;
	if (len > FS_IN_MAX)
		return -EINVAL;
	if (chain_read(chain, sizeof(*header), fs->in, len) < len)
		return -EINVAL;
	request->args = fs->in;
	request->rest = fs->in + request->op->args;
	request->rest_len = len - request->op->args;
	request->out = fs->out;
	request->out_size = chain->in_bytes < sizeof(struct fuse_out_header) ?
				    0 :
				    chain->in_bytes - sizeof(struct fuse_out_header);
	if (request->out_size > FS_OUT_MAX)
		request->out_size = FS_OUT_MAX;
	return read_strings(request);
}

size_t wire_slice(const struct iovec *from, size_t count, size_t skip, size_t len, struct iovec *to)
{
	size_t used = 0;

	for (size_t i = 0; i < count && len > 0; i++) {
		if (skip >= from[i].iov_len) {
			skip -= from[i].iov_len;
			continue;
		}
		size_t now = from[i].iov_len - skip;
		if (now > len)
			now = len;
		to[used++] = (struct iovec){ (char *)from[i].iov_base + skip, now };
		len -= now;
		skip = 0;
	}
	return used;
}

uint32_t wire_answer(const struct fs_request *request, int error, size_t len)
{
	const struct chain *chain = request->chain;
	struct fuse_out_header header = { .unique = request->header.unique };

	if (chain->in_bytes < sizeof(header))
		return 0;
	if (error == 0 && len > chain->in_bytes - sizeof(header))
		error = -EIO; // the guest has left no room for what it asked for
	header.error = error;
	header.len = (uint32_t)(sizeof(header) + (error ? 0 : len));
	chain_write(chain, 0, &header, sizeof(header));
	if (!error && !request->in_place)
		chain_write(chain, sizeof(header), request->out, len);
	return header.len;
}
