// fs-client: a guest's kernel, as the file server sees it: makes FUSE requests in plain memory,
// hands them to fs_serve(), and keeps the answer.
#pragma once

#include "base/str.h"
#include "vm-mode/fs/fs.h"
#include "vm-mode/fs/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define CLIENT_OUT_MAX ((size_t)2 << 20)

struct client {
	struct fs *fs;
	uid_t uid;
	gid_t gid;
	uint64_t unique;
	struct chain *chain;
	size_t out_max; // room for the answer's payload
	// The last answer.
	uint32_t written; // as fs_serve() said
	uint8_t *data;
	size_t len;
	struct fuse_out_header answer;
};

// A part of a request.
#define PART(object) ((struct iovec){ (void *)&(object), sizeof(object) })
#define TEXT(text)   ((struct iovec){ (void *)(text), strlen(text) + 1 })
#define BYTES(p, n)  ((struct iovec){ (void *)(p), (n) })
#define NO_PART	     ((struct iovec){ NULL, 0 })

// Sends a request of up to three parts; returns the answer's error: 0 or negative errno. -EPROTO: there
// was no sound answer.
static inline int client_call(struct client *client, uint32_t opcode, uint64_t nodeid,
			      struct iovec a, struct iovec b, struct iovec c)
{
	struct chain *chain = client->chain;
	const struct iovec parts[] = { a, b, c };
	struct fuse_in_header header = { .len = sizeof(header),
					 .opcode = opcode,
					 .unique = ++client->unique,
					 .nodeid = nodeid,
					 .uid = client->uid,
					 .gid = client->gid,
					 .pid = 1 };

	chain->out = chain->pieces;
	chain->out[0] = PART(header);
	chain->out_count = 1;
	for (size_t i = 0; i < 3; i++) {
		header.len += (uint32_t)parts[i].iov_len;
		if (parts[i].iov_len > 0)
			chain->out[chain->out_count++] = parts[i];
	}
	chain->out_bytes = header.len;
	// Cut where a copy that doesn't look at pieces would fail.
	chain->in = chain->out + chain->out_count;
	chain->in[0] = PART(client->answer);
	chain->in[1] = BYTES(client->data, client->out_max < 5 ? client->out_max : 5);
	chain->in[2] = BYTES(client->data + 5, client->out_max < 5 ? 0 : client->out_max - 5);
	chain->in_count = 3;
	chain->in_bytes = sizeof(client->answer) + client->out_max;
	memset(&client->answer, 0x5a, sizeof(client->answer));
	client->written = fs_serve(client->fs, chain);
	if (client->written == 0)
		return client->len = 0, 0;
	client->len = client->answer.len - sizeof(client->answer);
	if (client->answer.len != client->written || client->answer.unique != client->unique ||
	    client->len > client->out_max)
		return -EPROTO;
	return client->answer.error;
}

// Copies the answer's payload; false where it has another size.
static inline bool client_take(const struct client *client, void *to, size_t size)
{
	if (client->len != size)
		return false;
	memcpy(to, client->data, size);
	return true;
}

static inline int client_init(struct client *client, uint64_t flags)
{
	const struct fuse_init_in in = { .major = 7,
					 .minor = 41,
					 .max_readahead = 131072,
					 .flags = (uint32_t)flags | FUSE_INIT_EXT,
					 .flags2 = (uint32_t)(flags >> 32) };

	return client_call(client, FUSE_INIT, 0, PART(in), NO_PART, NO_PART);
}

static inline void client_open(struct client *client, struct fs *fs)
{
	*client = (struct client){ .fs = fs,
				   .uid = geteuid(),
				   .gid = getegid(),
				   .chain = calloc(1, sizeof(*client->chain)),
				   .data = malloc(CLIENT_OUT_MAX),
				   .out_max = CLIENT_OUT_MAX };
}

static inline void client_close(struct client *client)
{
	free(client->data);
	free(client->chain);
	fs_free(client->fs);
}

// ---- operations, each with the answer that matters ----

static inline int client_lookup(struct client *client, uint64_t dir, const char *name,
				struct fuse_entry_out *entry)
{
	int ret = client_call(client, FUSE_LOOKUP, dir, TEXT(name), NO_PART, NO_PART);

	if (ret == 0 && !client_take(client, entry, sizeof(*entry)))
		return -EPROTO;
	return ret == 0 && entry->nodeid == 0 ? -ENOENT : ret;
}

// The node of a path, or 0.
static inline uint64_t client_walk(struct client *client, const char *path)
{
	struct fuse_entry_out entry = { .nodeid = FUSE_ROOT_ID };
	char copy[256], *rest = copy, *name;

	snprintf(copy, sizeof(copy), "%s", path);
	while ((name = strsep(&rest, "/")))
		if (client_lookup(client, entry.nodeid, name, &entry) < 0)
			return 0;
	return entry.nodeid;
}

static inline void client_forget(struct client *client, uint64_t nodeid, uint64_t count)
{
	const struct fuse_forget_in in = { .nlookup = count };

	client_call(client, FUSE_FORGET, nodeid, PART(in), NO_PART, NO_PART);
}

static inline int client_getattr(struct client *client, uint64_t nodeid, struct fuse_attr *attr)
{
	const struct fuse_getattr_in in = { 0 };
	struct fuse_attr_out out;
	int ret = client_call(client, FUSE_GETATTR, nodeid, PART(in), NO_PART, NO_PART);

	if (ret == 0 && !client_take(client, &out, sizeof(out)))
		return -EPROTO;
	if (ret == 0)
		*attr = out.attr;
	return ret;
}

static inline int client_setattr(struct client *client, uint64_t nodeid,
				 const struct fuse_setattr_in *in, struct fuse_attr *attr)
{
	struct fuse_attr_out out;
	int ret = client_call(client, FUSE_SETATTR, nodeid, PART(*in), NO_PART, NO_PART);

	if (ret == 0 && !client_take(client, &out, sizeof(out)))
		return -EPROTO;
	if (ret == 0)
		*attr = out.attr;
	return ret;
}

struct client_file {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};

static inline int client_create_as(struct client *client, uint64_t dir, const char *name,
				   const struct fuse_create_in *in, struct client_file *file)
{
	int ret = client_call(client, FUSE_CREATE, dir, PART(*in), TEXT(name), NO_PART);

	return ret == 0 && !client_take(client, file, sizeof(*file)) ? -EPROTO : ret;
}

static inline int client_create(struct client *client, uint64_t dir, const char *name,
				uint32_t mode, struct client_file *file)
{
	const struct fuse_create_in in = { .flags = O_RDWR | O_CREAT | O_EXCL,
					   .mode = S_IFREG | mode };

	return client_create_as(client, dir, name, &in, file);
}

static inline int client_open_file(struct client *client, uint64_t nodeid, uint32_t flags,
				   struct fuse_open_out *out)
{
	const struct fuse_open_in in = { .flags = flags };
	int ret = client_call(client, FUSE_OPEN, nodeid, PART(in), NO_PART, NO_PART);

	return ret == 0 && !client_take(client, out, sizeof(*out)) ? -EPROTO : ret;
}

static inline int client_release(struct client *client, uint64_t nodeid, uint64_t fh)
{
	const struct fuse_release_in in = { .fh = fh };

	return client_call(client, FUSE_RELEASE, nodeid, PART(in), NO_PART, NO_PART);
}

// Bytes, or negative errno.
static inline int client_write(struct client *client, uint64_t nodeid, struct fuse_write_in in,
			       const void *data)
{
	struct fuse_write_out out;
	int ret = client_call(client, FUSE_WRITE, nodeid, PART(in), BYTES(data, in.size), NO_PART);

	if (ret < 0)
		return ret;
	return client_take(client, &out, sizeof(out)) ? (int)out.size : -EPROTO;
}

// Bytes, in client->data, or negative errno.
static inline int client_read(struct client *client, uint64_t nodeid, uint64_t fh, uint64_t offset,
			      uint32_t size)
{
	const struct fuse_read_in in = { .fh = fh, .offset = offset, .size = size };
	int ret = client_call(client, FUSE_READ, nodeid, PART(in), NO_PART, NO_PART);

	return ret < 0 ? ret : (int)client->len;
}

static inline int client_mkdir(struct client *client, uint64_t dir, const char *name, uint32_t mode,
			       struct fuse_entry_out *entry)
{
	const struct fuse_mkdir_in in = { .mode = mode };
	int ret = client_call(client, FUSE_MKDIR, dir, PART(in), TEXT(name), NO_PART);

	return ret == 0 && !client_take(client, entry, sizeof(*entry)) ? -EPROTO : ret;
}

static inline int client_mknod(struct client *client, uint64_t dir, const char *name, uint32_t mode,
			       uint32_t rdev, struct fuse_entry_out *entry)
{
	const struct fuse_mknod_in in = { .mode = mode, .rdev = rdev };
	int ret = client_call(client, FUSE_MKNOD, dir, PART(in), TEXT(name), NO_PART);

	return ret == 0 && !client_take(client, entry, sizeof(*entry)) ? -EPROTO : ret;
}

static inline int client_symlink(struct client *client, uint64_t dir, const char *name,
				 const char *target, struct fuse_entry_out *entry)
{
	int ret = client_call(client, FUSE_SYMLINK, dir, TEXT(name), TEXT(target), NO_PART);

	return ret == 0 && !client_take(client, entry, sizeof(*entry)) ? -EPROTO : ret;
}

static inline int client_link(struct client *client, uint64_t old, uint64_t dir, const char *name,
			      struct fuse_entry_out *entry)
{
	const struct fuse_link_in in = { .oldnodeid = old };
	int ret = client_call(client, FUSE_LINK, dir, PART(in), TEXT(name), NO_PART);

	return ret == 0 && !client_take(client, entry, sizeof(*entry)) ? -EPROTO : ret;
}

static inline int client_unlink(struct client *client, uint64_t dir, const char *name)
{
	return client_call(client, FUSE_UNLINK, dir, TEXT(name), NO_PART, NO_PART);
}

static inline int client_rmdir(struct client *client, uint64_t dir, const char *name)
{
	return client_call(client, FUSE_RMDIR, dir, TEXT(name), NO_PART, NO_PART);
}

static inline int client_rename(struct client *client, uint64_t dir, const char *name,
				struct fuse_rename2_in in, const char *new_name)
{
	return client_call(client, FUSE_RENAME2, dir, PART(in), TEXT(name), TEXT(new_name));
}

static inline int client_opendir(struct client *client, uint64_t nodeid, struct fuse_open_out *out)
{
	const struct fuse_open_in in = { .flags = O_RDONLY | O_DIRECTORY };
	int ret = client_call(client, FUSE_OPENDIR, nodeid, PART(in), NO_PART, NO_PART);

	return ret == 0 && !client_take(client, out, sizeof(*out)) ? -EPROTO : ret;
}

// Bytes of entries in client->data, or negative errno.
static inline int client_readdir(struct client *client, uint64_t nodeid, bool plus,
				 struct fuse_read_in in)
{
	int ret = client_call(client, plus ? FUSE_READDIRPLUS : FUSE_READDIR, nodeid, PART(in),
			      NO_PART, NO_PART);

	return ret < 0 ? ret : (int)client->len;
}

static inline int client_setxattr(struct client *client, uint64_t nodeid, const char *name,
				  struct fuse_setxattr_in in, const void *value)
{
	return client_call(client, FUSE_SETXATTR, nodeid, PART(in), TEXT(name),
			   BYTES(value, in.size));
}

static inline int client_getxattr(struct client *client, uint64_t nodeid, const char *name,
				  uint32_t size)
{
	const struct fuse_getxattr_in in = { .size = size };
	int ret = client_call(client, FUSE_GETXATTR, nodeid, PART(in), TEXT(name), NO_PART);

	return ret < 0 ? ret : (int)client->len;
}
