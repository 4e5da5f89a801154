/*
 * leftovers ID ROOT DIR: what is left of a test on the host, a line each:
 *
 *     mount: LINE        of mountinfo that wasn't in standard input ("> "), or was and is gone ("< ")
 *     path: PATH         below the file systems of the kernel, or below ROOT, with ID in its name
 *     process: PID ARGV  which is in the test's cgroups (ID), names its state directory (ROOT) or sees
 *                        a mount of the test's directory (DIR) in another mount namespace than this one (so, is in a
 *                        container)
 *
 * leftovers --processes ID ROOT DIR: only the pids. Zombies are not told: when they go is up to the
 * host's pid 1.
 *
 * One program for what every test does at its end: in the test VM each program costs 50 ms to start.
 */
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct content {
	char *data; /* NUL-terminated */
	size_t len;
};

static bool read_fd(int fd, struct content *content)
{
	size_t size = 0;
	ssize_t got = 1;

	*content = (struct content){ 0 };
	while (got > 0) {
		if (content->len + 1 >= size) {
			size = size ? 2 * size : 16384;
			content->data = realloc(content->data, size);
			if (!content->data)
				err(2, "realloc");
		}
		got = read(fd, content->data + content->len, size - content->len - 1);
		if (got > 0)
			content->len += (size_t)got;
	}
	content->data[content->len] = '\0';
	return got == 0;
}

/* False where it can't be read: the process has gone. The content is the caller's to free. */
static bool read_file(int dirfd, const char *path, struct content *content)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	bool good;

	*content = (struct content){ 0 };
	if (fd < 0)
		return false;
	good = read_fd(fd, content);
	close(fd);
	return good;
}

static bool file_has(int dirfd, const char *path, const char *needle)
{
	struct content content;
	bool has = read_file(dirfd, path, &content) &&
		   memmem(content.data, content.len, needle, strlen(needle));

	free(content.data);
	return has;
}

static bool has_line(const char *text, const char *line, size_t len)
{
	for (const char *end; *text; text = end + (*end == '\n')) {
		end = strchrnul(text, '\n');
		if ((size_t)(end - text) == len && memcmp(text, line, len) == 0)
			return true;
	}
	return false;
}

/* The lines of `a` that aren't in `b`. */
static void print_missing(const char *a, const char *b, char mark)
{
	for (const char *end; *a; a = end + (*end == '\n')) {
		end = strchrnul(a, '\n');
		if (end > a && !has_line(b, a, (size_t)(end - a)))
			printf("mount: %c %.*s\n", mark, (int)(end - a), a);
	}
}

static void print_mounts(void)
{
	struct content before, now;

	if (!read_fd(STDIN_FILENO, &before) || !read_file(AT_FDCWD, "/proc/self/mountinfo", &now))
		err(2, "mountinfo");
	print_missing(before.data, now.data, '<');
	print_missing(now.data, before.data, '>');
	free(before.data);
	free(now.data);
}

static void print_paths(const char *id, char *root)
{
	char *tops[] = { "/sys/fs/cgroup", "/run", "/dev/shm", root, NULL };
	FTS *tree = fts_open(tops, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
	FTSENT *entry;

	if (!tree)
		err(2, "fts_open");
	while ((errno = 0, entry = fts_read(tree)))
		if (entry->fts_info != FTS_DP && entry->fts_info != FTS_ERR &&
		    entry->fts_info != FTS_NS && strstr(entry->fts_name, id))
			printf("path: %s\n", entry->fts_path);
	if (errno)
		err(2, "fts_read");
	fts_close(tree);
}

/* What may not be asked is taken for another's: a container's process, without CAP_SYS_PTRACE here. */
static bool same_mounts(int proc)
{
	struct stat own, other;

	return fstatat(proc, "ns/mnt", &other, 0) == 0 && stat("/proc/self/ns/mnt", &own) == 0 &&
	       own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

static bool is_zombie(int proc)
{
	struct content stat;
	bool good = read_file(proc, "stat", &stat);
	const char *state = good ? strrchr(stat.data, ')') : NULL;
	bool zombie = !state || strchr("ZX", state[2]);

	free(stat.data);
	return zombie;
}

static void print_process(const char *pid, int proc)
{
	struct content cmdline;

	printf("process: %s ", pid);
	if (read_file(proc, "cmdline", &cmdline))
		for (size_t i = 0; i < cmdline.len; i++)
			putchar(cmdline.data[i] ? cmdline.data[i] : ' ');
	putchar('\n');
	free(cmdline.data);
}

/* Not this program, whose arguments name all of it. */
static bool is_ours(const char *pid, int proc, char *const names[])
{
	return atoi(pid) != getpid() &&
	       (file_has(proc, "cmdline", names[1]) || file_has(proc, "cgroup", names[0]) ||
		(!same_mounts(proc) && file_has(proc, "mountinfo", names[2]))) &&
	       !is_zombie(proc);
}

static void print_processes(char *const names[], bool bare)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	if (!dir)
		err(2, "/proc");
	while ((entry = readdir(dir))) {
		int proc;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		proc = openat(dirfd(dir), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (proc < 0)
			continue;
		if (is_ours(entry->d_name, proc, names)) {
			if (bare)
				puts(entry->d_name);
			else
				print_process(entry->d_name, proc);
		}
		close(proc);
	}
	closedir(dir);
}

int main(int argc, char **argv)
{
	bool bare = argc == 5 && strcmp(argv[1], "--processes") == 0;
	char **names = argv + (bare ? 2 : 1);

	if (argc != 4 && !bare)
		errx(2, "usage: leftovers [--processes] ID ROOT DIR");
	if (!bare) {
		print_mounts();
		print_paths(names[0], names[1]);
	}
	print_processes(names, bare);
	return 0;
}
