// fs-tree: a temporary directory as the root of a file server, for its tests.
#pragma once

#include "base/scope.h"
#include "tests/unit/fs-client.h"

#include <ftw.h>

#define ROOT	  FUSE_ROOT_ID
#define ALL_FLAGS (~UINT64_C(0))
#define NO_CALL	  NO_PART, NO_PART, NO_PART

static char tree_path[] = "/tmp/moat-vm-fs-XXXXXX";
static int base_fd = -1, proc_fd = -1;
static bool root_rights; // of the host

static inline void start_with(struct client *client, struct fs_options options)
{
	struct fs *fs = NULL;
	struct err err;

	options.root_fd = base_fd;
	options.proc_fd = proc_fd;
	if (fs_create(&options, &fs, &err) < 0) {
		printf("# %s\n", err.msg);
		exit(1);
	}
	client_open(client, fs);
	client_init(client, ALL_FLAGS);
}

static inline void start(struct client *client)
{
	start_with(client, (struct fs_options){ .writeback = true, .cache_seconds = 3600 });
}

static inline int tree_remove_one(const char *path, const struct stat *st, int type,
				  struct FTW *ftw)
{
	(void)st;
	(void)type;
	return ftw->level > 0 ? remove(path) : 0;
}

// Removes all that is in the directory.
static inline void clean(void)
{
	nftw(tree_path, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void put(const char *name, const char *content)
{
	scope_fd int fd = openat(base_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, content, strlen(content)) < 0)
		printf("# put %s: %s\n", name, strerror(errno));
}

// In a user namespace, ids are few, and the kernel heeds CAP_FSETID only outside of any.
static inline bool tree_is_root(void)
{
	scope_file FILE *map = fopen("/proc/self/uid_map", "re");
	unsigned int inside = 1, outside = 1, count = 0;

	return geteuid() == 0 && map && fscanf(map, "%u %u %u", &inside, &outside, &count) == 3 &&
	       inside == 0 && outside == 0 && count == UINT32_MAX;
}

static inline bool tree_open(void)
{
	root_rights = tree_is_root();
	proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0 || !mkdtemp(tree_path))
		return false;
	base_fd = open(tree_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return base_fd >= 0;
}

static inline void tree_close(void)
{
	clean();
	rmdir(tree_path);
	close(base_fd);
	close(proc_fd);
}
