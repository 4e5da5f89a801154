/* Content: reading and writing, by every way but memory. */
#include "fstest.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#define BIG ((size_t)3 << 20)

static uint8_t bytes[BIG], got[BIG + 1];

/* A file of BIG bytes of a pattern, which are in `bytes` too. */
static int big_file(const char *name, unsigned int seed)
{
	int fd = OK(open_file(name, O_CREAT | O_RDWR));

	fill(bytes, BIG, seed);
	IS(pwrite(fd, bytes, BIG, 0), BIG);
	return fd;
}

static void whole(void)
{
	int fd = big_file("f", 1);

	IS(size_of("f"), BIG);
	IS(pread(fd, got, sizeof(got), 0), BIG);
	SAME(got, bytes, BIG);
	IS(pread(fd, got, 10, BIG), 0);
	IS(pread(fd, got, 10, BIG - 3), 3);
	OK(close(fd));
	fd = OK(open_file("f", O_RDONLY));
	for (size_t at = 0; at < BIG; at += 4093) {
		const size_t len = BIG - at < 4093 ? BIG - at : 4093;

		IS(read(fd, got + at, 4093), len);
	}
	SAME(got, bytes, BIG);
	FAILS(EBADF, write(fd, "x", 1));
	int writer = OK(open_file("f", O_WRONLY));
	FAILS(EBADF, read(writer, got, 1));
	/* In the middle of pages that this descriptor can't read. */
	for (size_t at = 100; at + 5000 < BIG; at += 200001) {
		fill(bytes + at, 5000, (unsigned int)at);
		IS(pwrite(writer, bytes + at, 5000, (off_t)at), 5000);
	}
	IS(pread(fd, got, sizeof(got), 0), BIG);
	SAME(got, bytes, BIG);
	FAILS(EINVAL, pread(fd, got, 1, -1));
	IS(lseek(fd, 0, SEEK_END), BIG);
}

static void vectors(void)
{
	char a[3], b[5];
	int fd = OK(open_file("f", O_CREAT | O_RDWR));
	struct iovec out[3] = { { "abc", 3 }, { "", 0 }, { "defgh", 5 } },
		     in[2] = { { a, 3 }, { b, 5 } };

	IS(writev(fd, out, 3), 8);
	IS(pwritev(fd, out, 3, 100), 8);
	IS(preadv(fd, in, 2, 100), 8);
	SAME(a, "abc", 3);
	SAME(b, "defgh", 5);
	IS(size_of("f"), 108);
}

static void truncated(void)
{
	int fd = big_file("f", 2);

	OK(ftruncate(fd, 5000));
	IS(size_of("f"), 5000);
	OK(ftruncate(fd, 10000));
	IS(pread(fd, got, 20000, 0), 10000);
	memset(bytes + 5000, 0, 5000);
	SAME(got, bytes, 10000);
	OK(truncate("f", 0));
	IS(pread(fd, got, 1, 0), 0);
	IS(pwrite(fd, "end", 3, 70000), 3);
	IS(pread(fd, got, sizeof(got), 0), 70003);
	memset(bytes, 0, 70000);
	SAME(got, bytes, 70000);
	FAILS(EINVAL, ftruncate(fd, -1));
	FAILS(EISDIR, truncate(".", 0));
	FAILS(EINVAL, ftruncate(OK(open_file("f", O_RDONLY)), 0));
	OK(truncate("f", INT64_C(5) << 30));
	IS(size_of("f"), INT64_C(5) << 30);
	IS(pwrite(fd, "far", 3, (INT64_C(5) << 30) - 1), 3);
	IS(pread(fd, got, 10, (INT64_C(5) << 30) - 3), 5);
	SAME(got, "\0\0far", 5);
	TRUE(look("f").st_blocks < 10000);
}

static void appended(void)
{
	const int count = 200, writers = 4;
	char line[9];
	pid_t pids[4];

	put("log", "", 0644);
	for (int w = 0; w < writers; w++) {
		pids[w] = child();
		if (pids[w] == 0) {
			int fd = OK(open_file("log", O_WRONLY | O_APPEND));

			for (int i = 0; i < count; i++) {
				snprintf(line, sizeof(line), "%d %05d\n", w, i);
				IS(write(fd, line, 8), 8);
			}
			child_end();
		}
	}
	for (int w = 0; w < writers; w++)
		child_wait(pids[w]);
	IS(size_of("log"), 8 * count * writers);
	int fd = OK(open_file("log", O_RDWR)), next[4] = { 0 };
	for (int i = 0; i < count * writers; i++) {
		IS(read(fd, line, 8), 8);
		IS(atoi(line + 2), next[line[0] - '0']++);
	}
	/* On Linux also what pwrite(2) writes goes to the end. */
	int append = OK(open_file("log", O_WRONLY | O_APPEND));
	IS(pwrite(append, "last", 4, 0), 4);
	IS(size_of("log"), 8 * count * writers + 4);
	/* Another process has made it longer meanwhile. */
	IS(pwrite(fd, "more", 4, 8 * count * writers + 4), 4);
	IS(write(append, "last", 4), 4);
	IS(size_of("log"), 8 * count * writers + 12);
}

static void seen_by_another(void)
{
	int go[2], back[2];
	char c;

	OK(pipe2(go, O_CLOEXEC));
	OK(pipe2(back, O_CLOEXEC));
	int fd = OK(open_file("f", O_CREAT | O_RDWR));
	pid_t pid = child();
	if (pid == 0) {
		int other = OK(open_file("f", O_RDWR));

		for (int i = 1; i <= 20; i++) {
			IS(read(go[0], &c, 1), 1);
			IS(lseek(other, 0, SEEK_END), i * 3000);
			IS(pread(other, got, 3000, (i - 1) * 3000), 3000);
			IS(got[2999], i);
			got[0] = (uint8_t)(i + 100);
			IS(pwrite(other, got, 1, (i - 1) * 3000), 1);
			IS(write(back[1], "", 1), 1);
		}
		child_end();
	}
	for (int i = 1; i <= 20; i++) {
		memset(bytes, i, 3000);
		IS(write(fd, bytes, 3000), 3000);
		IS(write(go[1], "", 1), 1);
		IS(read(back[0], &c, 1), 1);
		IS(pread(fd, got, 1, (i - 1) * 3000), 1);
		IS(got[0], i + 100);
	}
	child_wait(pid);
}

static void direct(void)
{
	static _Alignas(4096) uint8_t buffer[256 << 10];
	const size_t len = sizeof(buffer);
	int plain = big_file("f", 3);
	int fd = open_file("f", O_RDWR | O_DIRECT);

	if (fd < 0 && errno == EINVAL)
		fs_skip("the file system below has no O_DIRECT");
	OK(fd);
	IS(pread(fd, buffer, len, 8192), len);
	SAME(buffer, bytes + 8192, len);
	fill(buffer, len, 33);
	IS(pwrite(fd, buffer, len, 1 << 20), len);
	memcpy(bytes + (1 << 20), buffer, len);
	IS(pread(plain, got, sizeof(got), 0), BIG);
	SAME(got, bytes, BIG);
	/* What another has just written, and keeps back perhaps. */
	IS(pwrite(plain, "kept back", 9, 4096), 9);
	IS(pread(fd, buffer, 4096, 4096), 4096);
	SAME(buffer, "kept back", 9);
	/* Longer, by whole blocks. */
	IS(pwrite(fd, buffer, 8192, BIG), 8192);
	IS(size_of("f"), BIG + 8192);
	IS(pread(fd, buffer, len, BIG), 8192);
	int append = OK(open_file("f", O_WRONLY | O_DIRECT | O_APPEND));
	IS(write(append, buffer, 4096), 4096);
	IS(size_of("f"), BIG + 8192 + 4096);
}

static void copied(void)
{
	int from = big_file("f", 4), to = OK(open_file("g", O_CREAT | O_RDWR));
	off_t at = 1000, to_at = 500;

	IS(copy_file_range(from, &at, to, &to_at, 100000, 0), 100000);
	IS(at, 101000);
	IS(to_at, 100500);
	IS(size_of("g"), 100500);
	IS(pread(to, got, 200000, 500), 100000);
	SAME(got, bytes + 1000, 100000);
	IS(lseek(to, 0, SEEK_SET), 0);
	at = 0;
	for (size_t left = BIG; left > 0;)
		left -= (size_t)OK(sendfile(to, from, &at, left));
	IS(at, BIG);
	IS(pread(to, got, sizeof(got), 0), BIG);
	SAME(got, bytes, BIG);
	int ends[2];
	OK(pipe2(ends, O_CLOEXEC));
	at = 4000;
	ssize_t n = OK(splice(from, &at, ends[1], NULL, 30000, 0));
	IS(read(ends[0], got, 30000), n);
	SAME(got, bytes + 4000, (size_t)n);
	IS(write(ends[1], "spliced", 7), 7);
	at = 3;
	IS(splice(ends[0], NULL, to, &at, 7, 0), 7);
	IS(pread(to, got, 7, 3), 7);
	SAME(got, "spliced", 7);
	/* Within one file, and over its end. */
	at = BIG - 100;
	to_at = 0;
	IS(copy_file_range(from, &at, from, &to_at, 1000, 0), 100);
	IS(pread(from, got, 100, 0), 100);
	SAME(got, bytes + BIG - 100, 100);
	at = 0;
	to_at = 50;
	FAILS(EINVAL, copy_file_range(from, &at, from, &to_at, 100, 0));
}

static void synced(void)
{
	int fd = OK(open_file("f", O_CREAT | O_WRONLY | O_SYNC));

	IS(write(fd, "sync", 4), 4);
	OK(fsync(fd));
	OK(fdatasync(fd));
	OK(syncfs(fd));
	OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
	OK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	OK(fsync(OK(open_file(".", O_RDONLY | O_DIRECTORY))));
	HAS("f", "sync");
	OK(mkfifo("p", 0644));
	FAILS(EINVAL, fsync(OK(open_file("p", O_RDWR))));
}

static void limited(void)
{
	const struct rlimit limit = { 10000, 10000 };

	signal(SIGXFSZ, SIG_IGN);
	pid_t pid = child();
	if (pid == 0) {
		OK(setrlimit(RLIMIT_FSIZE, &limit));
		int fd = OK(open_file("f", O_CREAT | O_RDWR));
		IS(pwrite(fd, bytes, 4000, 9000), 1000);
		FAILS(EFBIG, pwrite(fd, bytes, 1, 10000));
		FAILS(EFBIG, ftruncate(fd, 10001));
		FAILS(EFBIG, fallocate(fd, 0, 0, 20000));
		child_end();
	}
	child_wait(pid);
	IS(size_of("f"), 10000);
}

const struct fs_group fs_data = {
	"data",
	(const struct fs_test[]){
		{ "read and written", whole },
		{ "several buffers at once", vectors },
		{ "made shorter and longer", truncated },
		{ "O_APPEND by several processes", appended },
		{ "what a process writes another reads", seen_by_another },
		{ "O_DIRECT", direct },
		{ "copy_file_range, sendfile, splice", copied },
		{ "fsync and its like", synced },
		{ "a limit of size", limited },
		{ 0 },
	},
};
