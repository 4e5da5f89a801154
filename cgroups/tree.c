#include "cgroups/tree.h"

#include "base/io.h"
#include "base/scope.h"
#include "cgroups/backoff.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_MODE	  0755
#define REMOVE_TIMEOUT_MS 2000
#define PROCS_MAX_BYTES	  ((size_t)64 * 1024 * 1024)

// ---- making ----

size_t tree_parent_len(const char *dir)
{
	return (size_t)(strrchr(dir, '/') - dir);
}

// Makes every directory on the way, from the top.
static int make_path(struct place *place)
{
	char path[PATH_MAX];
	const size_t len = strlen(place->dir);
	bool there = true;

	if (len >= sizeof(path))
		return -ENAMETOOLONG;
	for (size_t end = place->root_len; end < len;) {
		const size_t parent = end;

		end += 1 + strcspn(place->dir + end + 1, "/");
		memcpy(path, place->dir, end);
		path[end] = '\0';
		if (mkdir(path, DIR_MODE) == 0) {
			if (there)
				place->made = parent;
			there = false;
		} else if (errno != EEXIST) {
			return -errno;
		} else if (!there) {
			// Someone else is making the same groups, so what is above is theirs too.
			there = true;
			place->made = end;
		}
	}
	return there;
}

int tree_make(struct place *place)
{
	// Another moat that failed may take a parent away that both of us need.
	int tries = 5, ret;

	place->made = strlen(place->dir);
	if (mkdir(place->dir, DIR_MODE) == 0) {
		place->made = tree_parent_len(place->dir);
		return 0;
	}
	if (errno == EEXIST)
		return 1;
	ret = -errno;
	while (ret == -ENOENT && tries-- > 0)
		ret = make_path(place);
	return ret;
}

void tree_unmake(const struct place *place)
{
	char path[PATH_MAX];
	size_t len = strlen(place->dir);

	if (len >= sizeof(path))
		return;
	memcpy(path, place->dir, len + 1);
	for (; len > place->made; len = tree_parent_len(path), path[len] = '\0') {
		if (rmdir(path) < 0 && errno != ENOENT)
			return;
	}
}

// ---- removing ----

static bool is_group(const struct dirent *entry)
{
	return entry->d_type == DT_DIR && !str_eq(entry->d_name, ".") &&
	       !str_eq(entry->d_name, "..");
}

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

// A stream of its own over the directory that `fd` stands for, from its start.
static DIR *open_stream(int fd)
{
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = own < 0 ? NULL : fdopendir(own);

	if (!dir && own >= 0)
		close(own);
	return dir;
}

static bool has_groups(int fd)
{
	__attribute__((cleanup(close_dir))) DIR *dir = open_stream(fd);
	struct dirent *entry = NULL;

	while (dir && (entry = readdir(dir)) && !is_group(entry))
		;
	return dir && entry;
}

// Removes the groups in `fd` that have none below. Returns the first that has some, to be gone
// into; -1 when there is no such.
static int remove_leaves(int fd, bool *busy)
{
	__attribute__((cleanup(close_dir))) DIR *dir = open_stream(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (!is_group(entry) || unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0 ||
		    errno == ENOENT)
			continue;
		scope_fd int child = openat(fd, entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (child >= 0 && has_groups(child))
			return take_fd(&child);
		*busy = true;
	}
	return -1;
}

// Removes all groups below. Goes down and up again by descriptors, so that no tree is too deep.
// Gives up at the first one that is busy.
static void remove_below(const char *dir)
{
	scope_fd int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	unsigned long depth = 0;
	bool busy = false;

	while (fd >= 0) {
		int child = remove_leaves(fd, &busy);

		if (child >= 0) {
			depth++;
			replace_fd(&fd, child);
			continue;
		}
		if (busy || depth-- == 0)
			return;
		replace_fd(&fd, openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
	}
}

int tree_remove(const char *dir, struct err *err)
{
	// The usual case: nothing below, all processes gone.
	if (rmdir(dir) == 0 || errno == ENOENT)
		return 0;

	struct backoff backoff = backoff_until(REMOVE_TIMEOUT_MS);
	do {
		remove_below(dir);
		if (rmdir(dir) == 0 || errno == ENOENT)
			return 0;
	} while (errno == EBUSY && backoff_wait(&backoff));
	return err_sys(err, "remove the cgroup %s", dir);
}

// ---- processes ----

static int read_procs(int fd, struct text *pids, struct err *err)
{
	scope_free char *text = NULL;
	int ret = io_read_file(fd, "cgroup.procs", PROCS_MAX_BYTES, &text, NULL, err);

	// A threaded group of v2 doesn't tell its processes: they are those of the domain above it.
	if (ret == -EOPNOTSUPP || ret == -ENOENT || ret == -ENODEV)
		return 0;
	if (ret < 0)
		return ret;
	for (char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		// 0: a process of another pid namespace, that moat has no name for
		const pid_t pid = (pid_t)strtol(line, NULL, 10);
		if (pid > 0)
			text_add(pids, (const char *)&pid, sizeof(pid));
	}
	return 0;
}

static int walk_pids(int fd, struct text *pids, struct err *err)
{
	__attribute__((cleanup(close_dir))) DIR *dir = NULL;
	struct dirent *entry;
	int ret = read_procs(fd, pids, err);

	if (ret < 0)
		return ret;
	dir = open_stream(fd);
	if (!dir)
		return errno == ENOENT ? 0 : err_sys(err, "list the groups below");
	while (ret == 0 && (entry = readdir(dir))) {
		if (!is_group(entry))
			continue;
		scope_fd int child = openat(fd, entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (child >= 0)
			ret = walk_pids(child, pids, err);
		else if (errno != ENOENT)
			ret = err_sys(err, "open the cgroup %s", entry->d_name);
	}
	return ret;
}

int tree_pids(const char *dir, struct text *pids, struct err *err)
{
	scope_fd int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, "open the cgroup %s", dir);
	int ret = walk_pids(fd, pids, err);
	return ret < 0 ? err_wrap(err, "list the processes of %s", dir) : 0;
}
