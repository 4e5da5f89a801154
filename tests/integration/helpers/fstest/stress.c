/*
 * stress DIR SEED OPERATIONS PROCESSES: each process has a file of its own below DIR and does random things to
 * it: read, write, truncate, store into a mapping, allocate, punch, zero, copy within it, sync, open anew,
 * rename. A buffer in memory says what the file must hold; every read is compared with it, and at the end the
 * whole. What goes wrong is told with the seed and the last operations.
 */
#include "fstest.h"

#include <linux/falloc.h>
#include <sys/mman.h>

/* Above what makes a file server map it, and over several pieces of such a mapping. */
#define FILE_MAX ((uint32_t)5 << 20)
#define IO_MAX	 ((uint32_t)200 << 10)
#define HISTORY	 12

static uint8_t *shadow, *buffer;
static uint32_t size;
static int fd;
static char name[64];
static uint64_t state;
static unsigned int start_seed, operation, process;
static char history[HISTORY][96];

static uint32_t random_below(uint32_t limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return limit ? (uint32_t)(state >> 16) % limit : 0;
}

static _Noreturn void wrong(const char *what, uint32_t at)
{
	printf("# seed %u, process %u, operation %u: %s at %u (size %u): %s\n", start_seed, process,
	       operation, what, at, size, strerrorname_np(errno));
	for (unsigned int i = operation > HISTORY ? operation - HISTORY : 0; i < operation; i++)
		printf("#   %s\n", history[i % HISTORY]);
	fflush(stdout);
	_exit(1);
}

static void expect(bool good, const char *what, uint32_t at)
{
	if (!good)
		wrong(what, at);
}

static void tell(const char *what, uint32_t at, uint32_t len)
{
	snprintf(history[operation % HISTORY], sizeof(history[0]), "%u %s %u+%u of %u", operation,
		 what, at, len, size);
}

static void compare(const uint8_t *got, uint32_t at, uint32_t len)
{
	if (!memcmp(got, shadow + at, len))
		return;
	for (uint32_t i = 0; i < len; i++)
		if (got[i] != shadow[at + i])
			wrong("a wrong byte", at + i);
}

/* A place in the file, mostly, and a length. */
static uint32_t place(uint32_t limit, uint32_t *len)
{
	const uint32_t at = random_below(limit);

	*len = 1 + random_below(random_below(4) ? 8000 : IO_MAX);
	if (*len > FILE_MAX - at)
		*len = FILE_MAX - at;
	return at;
}

/* The file is longer now; between its old end and `at` it has zeros. */
static void grow(uint32_t end)
{
	if (end > size)
		size = end;
}

/* ---- operations ---- */

static void do_read(void)
{
	uint32_t len, at = place(size + 4096 < FILE_MAX ? size + 4096 : FILE_MAX, &len);
	const uint32_t there = at >= size ? 0 : len < size - at ? len : size - at;

	tell("read", at, len);
	expect(pread(fd, buffer, len, at) == (ssize_t)there, "a short read", at);
	compare(buffer, at, there);
}

static void do_write(void)
{
	uint32_t len, at = place(random_below(3) && size ? size : FILE_MAX, &len);

	tell("write", at, len);
	fill(shadow + at, len, operation);
	expect(pwrite(fd, shadow + at, len, at) == (ssize_t)len, "write", at);
	grow(at + len);
}

static void do_append(void)
{
	uint32_t len = 1 + random_below(5000);

	if (len > FILE_MAX - size)
		return;
	tell("append", size, len);
	int other = open_file(name, O_WRONLY | O_APPEND);
	fill(shadow + size, len, operation);
	expect(other >= 0 && write(other, shadow + size, len) == (ssize_t)len, "append", size);
	close(other);
	size += len;
}

static void do_truncate(void)
{
	const uint32_t to = random_below(3) ? random_below(FILE_MAX) : random_below(size + 1);

	tell("truncate", to, 0);
	expect((random_below(2) ? ftruncate(fd, to) : truncate(name, to)) == 0, "truncate", to);
	if (to < size)
		memset(shadow + to, 0, size - to);
	size = to;
}

static void do_map(bool store)
{
	uint32_t len, at = place(size, &len);

	if (size == 0)
		return;
	if (len > size - at)
		len = size - at;
	tell(store ? "store" : "load", at, len);
	const uint32_t page = at & ~4095U;
	uint8_t *map = mmap(NULL, len + at - page, PROT_READ | (store ? PROT_WRITE : 0), MAP_SHARED,
			    fd, page);
	expect(map != MAP_FAILED, "mmap", at);
	if (store) {
		fill(shadow + at, len, operation);
		memcpy(map + at - page, shadow + at, len);
		if (random_below(4) == 0)
			expect(msync(map, len + at - page, MS_SYNC) == 0, "msync", at);
	}
	compare(map + at - page, at, len);
	expect(munmap(map, len + at - page) == 0, "munmap", at);
}

static void do_store(void)
{
	do_map(true);
}

static void do_load(void)
{
	do_map(false);
}

static void do_fallocate(void)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	const int mode = modes[random_below(5)];
	uint32_t len, at = place(size + 10000 < FILE_MAX ? size + 10000 : FILE_MAX, &len);

	tell("fallocate", at, len);
	if (fallocate(fd, mode, at, len) < 0) {
		expect(errno == EOPNOTSUPP, "fallocate", at);
		return;
	}
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(shadow + at, 0, len);
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		grow(at + len);
}

static void do_copy(void)
{
	uint32_t len, from = place(size, &len);
	off_t from_at = from, to_at = random_below(FILE_MAX - len);

	if (len > size - from || (to_at < from + len && to_at + len > from))
		return;
	tell("copy", from, len);
	for (uint32_t left = len; left > 0;) {
		ssize_t n = copy_file_range(fd, &from_at, fd, &to_at, left, 0);

		expect(n > 0, "copy_file_range", from);
		left -= (uint32_t)n;
	}
	memcpy(shadow + to_at - len, shadow + from, len);
	grow((uint32_t)to_at);
}

static void do_reopen(void)
{
	static const int flags[] = { 0, 0, O_SYNC };

	tell("reopen", 0, 0);
	close(fd);
	fd = open_file(name, O_RDWR | flags[random_below(3)]);
	expect(fd >= 0, "open", 0);
}

static void do_sync(void)
{
	tell("sync", 0, 0);
	expect((random_below(2) ? fsync(fd) : fdatasync(fd)) == 0, "fsync", 0);
}

static void do_stat(void)
{
	struct stat st;

	tell("stat", 0, 0);
	expect((random_below(2) ? fstat(fd, &st) : stat(name, &st)) == 0, "stat", 0);
	expect(st.st_size == size, "a wrong size", (uint32_t)st.st_size);
}

static void do_rename(void)
{
	char other[80];

	tell("rename", 0, 0);
	snprintf(other, sizeof(other), "%s.x", name);
	expect(rename(name, other) == 0 && link(other, name) == 0 && unlink(other) == 0, "rename",
	       0);
}

/* Another process reads the whole. */
static void do_check(void)
{
	tell("check", 0, 0);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		int own = open_file(name, O_RDONLY);

		expect(own >= 0, "open", 0);
		for (uint32_t at = 0; at < size; at += IO_MAX) {
			const uint32_t len = size - at < IO_MAX ? size - at : IO_MAX;

			expect(pread(own, buffer, len, at) == (ssize_t)len, "a short read of all",
			       at);
			compare(buffer, at, len);
		}
		expect(pread(own, buffer, 1, size) == 0, "bytes beyond the end", size);
		_exit(0);
	}
	child_wait(pid);
}

static void (*const operations[])(void) = {
	do_read,      do_read,	do_read,   do_write, do_write,	do_write, do_append,
	do_truncate,  do_store, do_store,  do_load,  do_load,	do_stat,  do_fallocate,
	do_fallocate, do_copy,	do_reopen, do_sync,  do_rename,
};

static void run(unsigned int count)
{
	state = ((uint64_t)start_seed << 20) + process * UINT64_C(0x9e3779b97f4a7c15) + 1;
	shadow = calloc(FILE_MAX, 1);
	buffer = malloc(IO_MAX);
	snprintf(name, sizeof(name), "stress%u", process);
	fd = open_file(name, O_RDWR | O_CREAT | O_TRUNC);
	expect(shadow && buffer && fd >= 0, "set-up", 0);
	for (operation = 0; operation < count; operation++) {
		operations[random_below(sizeof(operations) / sizeof(operations[0]))]();
		if (operation % 200 == 199)
			do_check();
	}
	do_check();
	close(fd);
	expect(unlink(name) == 0, "unlink", 0);
}

int stress(const char *dir, unsigned int seed, unsigned int count, unsigned int processes)
{
	pid_t pids[64];

	if (processes > 64 || chdir(dir) < 0)
		return 2;
	start_seed = seed;
	for (process = 0; process < processes; process++) {
		pids[process] = child();
		if (pids[process] == 0) {
			run(count);
			child_end();
		}
	}
	for (process = 0; process < processes; process++)
		child_wait(pids[process]);
	printf("ok stress: seed %u, %u operations, %u processes\n", seed, count, processes);
	return 0;
}
