// fs-root: a file server's root with something around it that is out of bounds.
#pragma once

#include "tests/unit/fs-tree.h"

// The server's root is a directory `root` within the temporary one; all around it is out of bounds.
static int outer_fd = -1;

static inline void enter_root(void)
{
	outer_fd = base_fd;
	mkdirat(outer_fd, "root", 0755);
	put("secret", "secret");
	mkdirat(outer_fd, "secrets", 0755);
	base_fd = openat(outer_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static inline void leave_root(void)
{
	close(base_fd);
	base_fd = outer_fd;
	clean();
}

// Every operation that takes a name.
static inline int call_with_name(struct client *client, int which, uint64_t dir, const char *name)
{
	const struct fuse_create_in create = { .flags = O_CREAT | O_RDWR, .mode = 0644 };
	const struct fuse_rename2_in rename = { .newdir = ROOT };
	const struct fuse_rename_in rename1 = { .newdir = ROOT };
	struct client_file file = { 0 };
	struct fuse_entry_out entry = { 0 };

	switch (which) {
	case 0:
		return client_lookup(client, dir, name, &entry);
	case 1:
		return client_create_as(client, dir, name, &create, &file);
	case 2:
		return client_mkdir(client, dir, name, 0755, &entry);
	case 3:
		return client_mknod(client, dir, name, S_IFREG | 0644, 0, &entry);
	case 4:
		return client_symlink(client, dir, name, "x", &entry);
	case 5:
		return client_link(client, client_walk(client, "file"), dir, name, &entry);
	case 6:
		return client_unlink(client, dir, name);
	case 7:
		return client_rmdir(client, dir, name);
	case 8:
		return client_rename(client, dir, name, rename, "x");
	case 9:
		return client_rename(client, ROOT, "file", rename, name);
	case 10:
		return client_call(client, FUSE_RENAME, dir, PART(rename1), TEXT(name), TEXT("x"));
	default:
		return 1;
	}
}
