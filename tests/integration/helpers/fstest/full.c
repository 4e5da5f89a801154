/*
 * A file system that is full, and then not any more. Who keeps back what is written may tell later that it found no
 * place, by fsync(2) or msync(2), but tell it must.
 */
#include "fstest.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

#define KIB	  ((size_t)1024)
#define LEN	  (64 * KIB)
#define LARGE	  (4096 * KIB)
#define MIDDLE	  (2048 * KIB + 100)
#define SMALL_MAX (64 * KIB * KIB)

static uint8_t bytes[LARGE], got[LARGE];

static size_t space(void)
{
	struct statvfs st;

	OK(statvfs(".", &st));
	if (st.f_blocks * st.f_frsize > SMALL_MAX)
		fs_skip("the file system is too large to be filled");
	return st.f_bavail * st.f_frsize;
}

/* 0, or -1 with errno: it is written, and has its place. */
static int write_all(int fd, size_t len, size_t offset)
{
	while (len > 0) {
		const ssize_t done = pwrite(fd, bytes, len, (off_t)offset);

		if (done < 0)
			return -1;
		len -= (size_t)done;
		offset += (size_t)done;
	}
	return fsync(fd);
}

/* A file `f` of that length, opened anew: of a file server that maps large files it is mapped. */
static int make(bool hole)
{
	int fd = OK(open_file("f", O_CREAT | O_RDWR));

	(void)space();
	fill(bytes, LARGE, 4);
	OK(hole ? ftruncate(fd, LARGE) : write_all(fd, LARGE, 0));
	OK(close(fd));
	IS(size_of("f"), LARGE);
	return (int)OK(open_file("f", O_RDWR));
}

static void take_all(void)
{
	int fd = OK(open_file("filler", O_CREAT | O_WRONLY));
	size_t at = 0;

	for (size_t step = 4 * LEN; step >= 4 * KIB; step /= 4) {
		while (write_all(fd, step, at) == 0)
			at += step;
		IS(errno, ENOSPC);
	}
	OK(close(fd));
}

/* A file server hears later that nobody knows the file any more. */
static void give_back(void)
{
	OK(unlink("filler"));
	for (int ms = 0; ms < 10000 && space() <= LARGE; ms++)
		usleep(1000);
	TRUE(space() > LARGE);
}

static void holds(size_t len)
{
	int fd = OK(open_file("f", O_RDONLY));

	IS(read(fd, got, LARGE), len);
	SAME(got, bytes, len);
	OK(close(fd));
}

static void written(void)
{
	int fd = OK(open_file("f", O_CREAT | O_RDWR));

	(void)space();
	fill(bytes, LARGE, 4);
	take_all();
	FAILS(ENOSPC, write_all(fd, LEN, 0));
	OK(ftruncate(fd, 0));
	give_back();
	OK(write_all(fd, LARGE, 0));
	holds(LARGE);
}

static void allocated(void)
{
	int fd = OK(open_file("f", O_CREAT | O_RDWR));
	const size_t free = space();

	fill(bytes, LARGE, 4);
	FAILS(ENOSPC, fallocate(fd, 0, 0, (off_t)(free + LARGE)));
	OK(ftruncate(fd, 0));
	OK(fallocate(fd, 0, 0, LARGE));
	take_all();
	OK(write_all(fd, LARGE, 0));
	holds(LARGE);
	give_back();
}

static void hole_written(void)
{
	int fd = make(true);

	take_all();
	FAILS(ENOSPC, write_all(fd, LEN, MIDDLE));
	give_back();
	OK(write_all(fd, LEN, MIDDLE));
	memmove(bytes + MIDDLE, bytes, LEN);
	memset(bytes, 0, MIDDLE);
	memset(bytes + MIDDLE + LEN, 0, LARGE - MIDDLE - LEN);
	holds(LARGE);
}

static uint8_t *map(int fd)
{
	uint8_t *at = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	OK(at == MAP_FAILED ? -1 : 0);
	return at;
}

/* What has its place can be changed. */
static void in_place(void)
{
	int fd = make(false);
	uint8_t *at = map(fd);

	take_all();
	OK(write_all(fd, LEN, MIDDLE));
	memmove(bytes + MIDDLE, bytes, LEN);
	memset(at + 10, 'm', 3 * LEN);
	memset(bytes + 10, 'm', 3 * LEN);
	OK(msync(at, LARGE, MS_SYNC));
	holds(LARGE);
	give_back();
}

/* ---- by memory ---- */

static sigjmp_buf escape;

static void on_bus(int signal)
{
	(void)signal;
	siglongjmp(escape, 1);
}

/* False: there is no place for it, which SIGBUS tells. */
static bool store(uint8_t *at, size_t len)
{
	signal(SIGBUS, on_bus);
	const bool refused = sigsetjmp(escape, 1) != 0;

	if (!refused)
		memset(at, 'm', len);
	signal(SIGBUS, SIG_DFL);
	return !refused;
}

/* Is there no place for it? */
static bool is_refused(uint8_t *at)
{
	if (!store(at + MIDDLE, LEN))
		return true;
	return msync(at, LARGE, MS_SYNC) < 0 && (errno == ENOSPC || errno == EIO);
}

static void store_again(uint8_t *at)
{
	TRUE(store(at + MIDDLE, LEN));
	OK(msync(at, LARGE, MS_SYNC));
	memset(bytes + MIDDLE, 'm', LEN);
	holds(LARGE);
}

static void hole_stored_into(void)
{
	int fd = make(true);
	uint8_t *at = map(fd);

	memset(bytes, 0, LARGE);
	take_all();
	TRUE(is_refused(at));
	give_back();
	store_again(at);
}

/* One that is made where the file is mapped already, for writing. */
static void new_hole_stored_into(void)
{
	int fd = make(false);
	uint8_t *at = map(fd);

	memset(at, 'm', LARGE);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, LARGE));
	memset(bytes, 0, LARGE);
	take_all();
	/* A file system may have kept its place. */
	(void)is_refused(at);
	give_back();
	store_again(at);
}

/* What is longer without having been written is a hole, too. */
static void longer_stored_into(void)
{
	int fd = make(false);
	uint8_t *at = map(fd);

	memset(at, 'm', LARGE);
	OK(ftruncate(fd, MIDDLE));
	memset(bytes, 'm', MIDDLE);
	memset(bytes + MIDDLE, 0, LARGE - MIDDLE);
	take_all();
	if (ftruncate(fd, LARGE) == 0)
		(void)is_refused(at);
	else
		IS(errno, ENOSPC);
	give_back();
	OK(ftruncate(fd, LARGE));
	store_again(at);
}

/* Who finds no place for what he stores goes on reading what is there. */
static void read_before(void)
{
	int fd = make(false);
	uint8_t *at = map(fd);
	volatile uint8_t *near = at + MIDDLE - 1;

	IS(*near, bytes[MIDDLE - 1]);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIDDLE, LARGE - MIDDLE));
	take_all();
	(void)is_refused(at);
	IS(*near, bytes[MIDDLE - 1]);
	give_back();
	TRUE(store(at + MIDDLE, LEN));
	OK(msync(at, LARGE, MS_SYNC));
}

const struct fs_group fs_full = {
	"full",
	(const struct fs_test[]){
		{ "written", written },
		{ "allocated", allocated },
		{ "a hole, written", hole_written },
		{ "what has its place", in_place },
		{ "a hole, stored into", hole_stored_into },
		{ "a new hole, stored into", new_hole_stored_into },
		{ "a hole, stored into after a read beside it", read_before },
		{ "a file made longer, stored into", longer_stored_into },
		{ 0 },
	},
};
