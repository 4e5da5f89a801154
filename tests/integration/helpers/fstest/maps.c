/*
 * Files as memory, beside read(2) and write(2). Each with a small file and a large one: a file server may
 * treat them differently (in a microVM, large ones are mapped straight from the host).
 */
#include "fstest.h"

#include <linux/magic.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/wait.h>

#define PAGE  ((size_t)4096)
#define SMALL (4 * PAGE)
#define LARGE ((size_t)5 << 20)

static const size_t sizes[] = { SMALL, LARGE };

static uint8_t bytes[LARGE], got[LARGE];

/* Makes `f` anew, with a pattern that is in `bytes` too. */
static int make(size_t len)
{
	(void)unlink("f");
	int fd = OK(open_file("f", O_CREAT | O_RDWR));

	fill(bytes, len, 5);
	IS(pwrite(fd, bytes, len, 0), len);
	/* Of a file server that maps large files the kernel learns now that this is one, and forgets the file, to
	 * look it up anew. */
	OK(close(fd));
	IS(size_of("f"), len);
	return (int)OK(open_file("f", O_RDWR));
}

static uint8_t *map(int fd, size_t len, int prot, int flags)
{
	uint8_t *at = mmap(NULL, len, prot, flags, fd, 0);

	OK(at == MAP_FAILED ? -1 : 0);
	return at;
}

static uint8_t *map_shared(int fd, size_t len)
{
	return map(fd, len, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static void shared(void)
{
	for (size_t i = 0; i < 2; i++) {
		const size_t len = sizes[i];
		int fd = make(len);
		uint8_t *at = map_shared(fd, len);

		SAME(at, bytes, len);
		/* What is stored is read. */
		memset(at + len / 2, 'm', 3000);
		memset(bytes + len / 2, 'm', 3000);
		IS(pread(fd, got, len, 0), len);
		SAME(got, bytes, len);
		/* What is written is seen. */
		memset(bytes + 100, 'w', 9000);
		IS(pwrite(fd, bytes + 100, 9000, 100), 9000);
		SAME(at, bytes, len);
		OK(msync(at, len, MS_SYNC));
		OK(munmap(at, len));
		OK(close(fd));
		fd = OK(open_file("f", O_RDONLY));
		IS(read(fd, got, len), len);
		SAME(got, bytes, len);
		OK(close(fd));
	}
}

static void private(void)
{
	for (size_t i = 0; i < 2; i++) {
		const size_t len = sizes[i];
		int fd = make(len);
		uint8_t *at = map(fd, len, PROT_READ | PROT_WRITE, MAP_PRIVATE);

		at[0] = (uint8_t)~bytes[0];
		at[len - 1] = (uint8_t)~bytes[len - 1];
		IS(pread(fd, got, len, 0), len);
		SAME(got, bytes, len);
		IS(pwrite(fd, "new", 3, PAGE + 10), 3);
		SAME(at + PAGE + 10, "new", 3);
		IS(pwrite(fd, "new", 3, 10), 3);
		IS(at[10], bytes[10]);
		OK(munmap(at, len));
	}
}

static void of_two_processes(void)
{
	for (size_t i = 0; i < 2; i++) {
		const size_t len = sizes[i];
		int fd = make(len), go[2];
		char c;

		OK(pipe2(go, O_CLOEXEC));
		uint8_t *at = map_shared(fd, len);
		pid_t pid = child();
		if (pid == 0) {
			int own = OK(open_file("f", O_RDWR));
			uint8_t *other = map_shared(own, len);

			IS(read(go[0], &c, 1), 1);
			IS(other[len - 5], 'p');
			IS(pread(own, got, 1, (off_t)len - 5), 1);
			IS(got[0], 'p');
			other[7] = 'c';
			child_end();
		}
		at[len - 5] = 'p';
		IS(write(go[1], "", 1), 1);
		child_wait(pid);
		IS(at[7], 'c');
		OK(munmap(at, len));
		OK(close(fd));
	}
}

static void rights(void)
{
	OK(close(make(SMALL)));
	int fd = OK(open_file("f", O_RDONLY));
	FAILS(EACCES,
	      mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
	map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	uint8_t *at = map(fd, PAGE, PROT_READ, MAP_SHARED);
	FAILS(EACCES, mprotect(at, PAGE, PROT_READ | PROT_WRITE));
	SAME(at, bytes, PAGE);
	int writer = OK(open_file("f", O_WRONLY));
	FAILS(EACCES, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, writer, 0) == MAP_FAILED ? -1 : 0);
	OK(mkdir("d", 0755));
	FAILS(ENODEV,
	      mmap(NULL, PAGE, PROT_READ, MAP_SHARED, open_file("d", O_RDONLY), 0) == MAP_FAILED ?
		      -1 :
		      0);
}

static void unnamed(void)
{
	for (size_t i = 0; i < 2; i++) {
		int fd = make(sizes[i]);
		uint8_t *at = map_shared(fd, sizes[i]);

		OK(unlink("f"));
		OK(close(fd));
		SAME(at, bytes, sizes[i]);
		memset(at, 1, sizes[i]);
		IS(at[sizes[i] - 1], 1);
		OK(munmap(at, sizes[i]));
	}
}

/* ---- beyond the end ---- */

static sigjmp_buf escape;

static void on_bus(int signal)
{
	(void)signal;
	siglongjmp(escape, 1);
}

/* Does the touch of this byte end in SIGBUS? */
static bool is_beyond(const volatile uint8_t *at)
{
	if (sigsetjmp(escape, 1))
		return true;
	(void)*at;
	return false;
}

static void shortened(void)
{
	signal(SIGBUS, on_bus);
	for (size_t i = 0; i < 2; i++) {
		const size_t len = sizes[i];
		int fd = make(len);
		uint8_t *at = map_shared(fd, len);

		SAME(at, bytes, len);
		OK(ftruncate(fd, PAGE + 100));
		TRUE(!is_beyond(at + PAGE));
		IS(at[PAGE + 99], bytes[PAGE + 99]);
		/* The rest of the last page is zeros, in memory as in the file once it grows. */
		IS(at[PAGE + 100], 0);
		TRUE(is_beyond(at + 2 * PAGE));
		TRUE(is_beyond(at + len - 1));
		OK(ftruncate(fd, (off_t)len));
		TRUE(!is_beyond(at + len - 1));
		memset(bytes + PAGE + 100, 0, len - PAGE - 100);
		SAME(at, bytes, len);
		IS(pread(fd, got, len, 0), len);
		SAME(got, bytes, len);
		OK(munmap(at, len));
	}
}

static void lengthened(void)
{
	signal(SIGBUS, on_bus);
	for (size_t i = 0; i < 2; i++) {
		const size_t len = sizes[i];
		int fd = make(PAGE);
		uint8_t *at = map_shared(fd, len);

		TRUE(is_beyond(at + PAGE));
		IS(pwrite(fd, bytes, len, 0), len);
		SAME(at, bytes, PAGE);
		fill(bytes, len, 6);
		IS(pwrite(fd, bytes, len, 0), len);
		SAME(at, bytes, len);
		at[len - 1] = 'e';
		IS(pread(fd, got, 1, (off_t)len - 1), 1);
		IS(got[0], 'e');
		OK(munmap(at, len));
	}
}

/* What is stored beyond the end, in its page, never comes to light. */
static void beyond_the_end(void)
{
	int fd = make(PAGE);
	struct statfs fs;

	OK(fstatfs(fd, &fs));
	if (fs.f_type == TMPFS_MAGIC || fs.f_type == OVERLAYFS_SUPER_MAGIC)
		fs_skip("a tmpfs doesn't clear it, nor an overlay upon one");
	OK(ftruncate(fd, 100));
	uint8_t *at = map_shared(fd, PAGE);
	at[99] = 'l';
	at[200] = 's';
	OK(msync(at, PAGE, MS_SYNC));
	OK(munmap(at, PAGE));
	OK(ftruncate(fd, 300));
	IS(pread(fd, got, PAGE, 0), 300);
	IS(got[99], 'l');
	IS(got[200], 0);
}

static void punched(void)
{
	for (size_t i = 0; i < 2; i++) {
		const size_t len = sizes[i];
		int fd = make(len);
		uint8_t *at = map_shared(fd, len);

		SAME(at, bytes, len);
		at[PAGE] = 'x';
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			      (off_t)(2 * PAGE)) < 0)
			fs_skip("the file system below punches no holes");
		memset(bytes, 0, 2 * PAGE);
		SAME(at, bytes, len);
		at[1] = 'y';
		IS(pread(fd, got, 2, 0), 2);
		IS(got[1], 'y');
		OK(munmap(at, len));
	}
}

/* ---- memory that is a file as the buffer of another file's ---- */

static void as_buffer(void)
{
	for (size_t i = 0; i < 2; i++) {
		const size_t len = sizes[i];
		int fd = make(len), to = OK(open_file("g", O_CREAT | O_RDWR | O_TRUNC));
		uint8_t *at = map_shared(fd, len);

		IS(write(to, at, len), len);
		IS(pread(to, got, len, 0), len);
		SAME(got, bytes, len);
		fill(bytes, len, 8);
		IS(pwrite(to, bytes, len, 0), len);
		IS(pread(to, at, len, 0), len);
		IS(pread(fd, got, len, 0), len);
		SAME(got, bytes, len);
		/* Onto itself. */
		IS(pwrite(fd, at, PAGE, (off_t)PAGE), PAGE);
		SAME(at + PAGE, bytes, PAGE);
		OK(munmap(at, len));
	}
}

/* The same past the cache: the device gets the addresses of the mapped file's pages. */
static void as_direct_buffer(void)
{
	for (size_t i = 0; i < 2; i++) {
		const size_t len = sizes[i];
		int fd = make(len);
		uint8_t *at = map_shared(fd, len);

		(void)unlink("g");
		int to = open_file("g", O_CREAT | O_RDWR | O_DIRECT);
		if (to < 0 && errno == EINVAL)
			fs_skip("the file system below has no O_DIRECT");
		OK(to);
		IS(pwrite(to, at, len, 0), len);
		int plain = OK(open_file("g", O_RDWR));
		IS(pread(plain, got, len, 0), len);
		SAME(got, bytes, len);
		fill(bytes, len, 8);
		IS(pwrite(plain, bytes, len, 0), len);
		OK(fsync(plain));
		IS(pread(to, at, len, 0), len);
		IS(pread(fd, got, len, 0), len);
		SAME(got, bytes, len);
		/* Over the end of the file that is read. */
		IS(pread(to, at, SMALL, (off_t)(len - PAGE)), PAGE);
		SAME(at, bytes + len - PAGE, PAGE);
		OK(munmap(at, len));
	}
}

/* ---- programs ---- */

static void program(void)
{
	int from = OK(open_file("/proc/self/exe", O_RDONLY)),
	    to = OK(open("copy", O_CREAT | O_WRONLY | O_CLOEXEC, 0755));
	ssize_t n;

	while ((n = OK(read(from, got, sizeof(got)))) > 0)
		IS(write(to, got, (size_t)n), n);
	OK(close(to));
	pid_t pid = child();
	if (pid == 0) {
		execl("./copy", "copy", "nothing", NULL);
		_exit(3);
	}
	child_wait(pid);
	to = OK(open_file("copy", O_WRONLY));
	pid = child();
	if (pid == 0) {
		FAILS(ETXTBSY, execl("./copy", "copy", "nothing", NULL));
		child_end();
	}
	child_wait(pid);
	OK(close(to));
	OK(chmod("copy", 0644));
	FAILS(EACCES, execl("./copy", "copy", "nothing", NULL));
	int script = OK(open("script", O_CREAT | O_WRONLY | O_CLOEXEC, 0755));
	OK(dprintf(script, "#!/nowhere\n"));
	OK(close(script));
	FAILS(ENOENT, execl("./script", "script", NULL));
}

const struct fs_group fs_maps = {
	"maps",
	(const struct fs_test[]){
		{ "shared: what is stored is read, what is written seen", shared },
		{ "private", private },
		{ "of two processes", of_two_processes },
		{ "rights", rights },
		{ "of a file whose name is removed", unnamed },
		{ "a file made shorter", shortened },
		{ "a file made longer", lengthened },
		{ "the page in which a file ends", beyond_the_end },
		{ "a hole made", punched },
		{ "as the buffer of a read and a write", as_buffer },
		{ "as their buffer with O_DIRECT", as_direct_buffer },
		{ "a program and its file", program },
		{ 0 },
	},
};
