/* Space: holes, fallocate(2), statfs(2). */
#include "fstest.h"

#include <linux/falloc.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#define KIB 1024
#define LEN (256 * KIB)

static uint8_t bytes[LEN], got[2 * LEN];

/* How many blocks the file has, which need not be right while it is open for writing. */
static blkcnt_t blocks_of(int *fd)
{
	OK(fsync(*fd));
	OK(close(*fd));
	const blkcnt_t blocks = look("f").st_blocks;
	*fd = (int)OK(open_file("f", O_RDWR));
	return blocks;
}

static int full_file(void)
{
	int fd = OK(open_file("f", O_CREAT | O_RDWR));

	fill(bytes, LEN, 9);
	IS(pwrite(fd, bytes, LEN, 0), LEN);
	OK(fsync(fd));
	return fd;
}

/* The file holds what `bytes` does, and is `len` long. */
static void holds(int fd, off_t len)
{
	IS(size_of("f"), len);
	IS(pread(fd, got, sizeof(got), 0), len);
	SAME(got, bytes, (size_t)(len < LEN ? len : LEN));
	for (off_t i = LEN; i < len; i++)
		IS(got[i], 0);
}

/* False: not a thing of this file system. */
static bool allocate(int fd, int mode, off_t offset, off_t len)
{
	int ret = fallocate(fd, mode, offset, len);

	if (ret < 0 && errno == EOPNOTSUPP)
		return false;
	OK(ret);
	return true;
}

static void allocated(void)
{
	int fd = full_file();

	OK(fallocate(fd, 0, 0, LEN));
	holds(fd, LEN);
	OK(fallocate(fd, 0, LEN, 100 * KIB));
	holds(fd, LEN + 100 * KIB);
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, LEN, 200 * KIB));
	holds(fd, LEN + 100 * KIB);
	TRUE(blocks_of(&fd) * 512 >= LEN + 200 * KIB);
	FAILS(EINVAL, fallocate(fd, 0, 0, 0));
	FAILS(EINVAL, fallocate(fd, 0, -1, 10));
	FAILS(EBADF, fallocate(OK(open_file("f", O_RDONLY)), 0, 0, 10));
	FAILS(EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096));
}

static void punched(void)
{
	int fd = full_file();
	const blkcnt_t blocks = blocks_of(&fd);

	if (!allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 64 * KIB, 64 * KIB))
		fs_skip("the file system below punches no holes");
	memset(bytes + 64 * KIB, 0, 64 * KIB);
	/* Before it is looked at: a tmpfs fills a hole of a mapped file with what is read there. */
	TRUE(blocks_of(&fd) < blocks);
	holds(fd, LEN);
	/* Not at borders of pages; over the end. */
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1000, 10000));
	memset(bytes + 1000, 0, 10000);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, LEN - 100, KIB));
	memset(bytes + LEN - 100, 0, 100);
	holds(fd, LEN);
	/* What has just been written and perhaps is kept back. */
	IS(pwrite(fd, "new", 3, 200 * KIB), 3);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 200 * KIB, 4096));
	memset(bytes + 200 * KIB, 0, 4096);
	holds(fd, LEN);
}

static void zeroed(void)
{
	int fd = full_file();

	if (!allocate(fd, FALLOC_FL_ZERO_RANGE, 5000, 100 * KIB))
		fs_skip("the file system below knows no FALLOC_FL_ZERO_RANGE");
	memset(bytes + 5000, 0, 100 * KIB);
	holds(fd, LEN);
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, LEN, 8192));
	holds(fd, LEN + 8192);
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, LEN, 64 * KIB));
	holds(fd, LEN + 8192);
}

/* FUSE has no words for these: refused, with the file as it was. */
static void moved(void)
{
	static const int modes[] = { FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE,
				     FALLOC_FL_UNSHARE_RANGE };
	int fd = full_file();

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (fallocate(fd, modes[i], 0, 64 * KIB) < 0) {
			IS(errno, EOPNOTSUPP);
			holds(fd, LEN);
		} else {
			fd = full_file();
			OK(ftruncate(fd, LEN));
		}
}

static void holes(void)
{
	int fd = OK(open_file("f", O_CREAT | O_RDWR));

	OK(ftruncate(fd, 1024 * KIB));
	fill(bytes, LEN, 3);
	IS(pwrite(fd, bytes, 64 * KIB, 512 * KIB), 64 * KIB);
	TRUE(blocks_of(&fd) * 512 < 512 * KIB);
	/* A file system may take a hole for data, but not the other way round. */
	const off_t data = OK(lseek(fd, 0, SEEK_DATA)), hole = OK(lseek(fd, 512 * KIB, SEEK_HOLE));
	TRUE(data == 512 * KIB || data == 0);
	TRUE(hole == 576 * KIB || hole == 1024 * KIB);
	IS(lseek(fd, 520 * KIB, SEEK_DATA), 520 * KIB);
	TRUE(lseek(fd, 100 * KIB, SEEK_HOLE) == 100 * KIB || data == 0);
	FAILS(ENXIO, lseek(fd, 1024 * KIB, SEEK_DATA));
	FAILS(ENXIO, lseek(fd, 1024 * KIB + 1, SEEK_HOLE));
	if (data != 0)
		FAILS(ENXIO, lseek(fd, 600 * KIB, SEEK_DATA));
	FAILS(EINVAL, lseek(fd, 0, 77));
	FAILS(EINVAL, lseek(fd, -1, SEEK_SET));
	IS(lseek(fd, 5, SEEK_SET), 5);
	IS(lseek(fd, 10, SEEK_CUR), 15);
}

static void figures(void)
{
	struct statvfs st;
	struct statfs fst;
	int fd = full_file();

	OK(statvfs(".", &st));
	TRUE(st.f_bsize >= 512);
	TRUE(st.f_frsize >= 512);
	TRUE(st.f_blocks == 0 || st.f_bfree <= st.f_blocks);
	TRUE(st.f_bavail <= st.f_bfree);
	IS(st.f_namemax, 255);
	OK(fstatfs(fd, &fst));
	IS(fst.f_namelen, 255);
	IS(fst.f_blocks, st.f_blocks);
	TRUE(look("f").st_blksize >= 512);
	TRUE(blocks_of(&fd) * 512 >= LEN);
}

const struct fs_group fs_space = {
	"space",
	(const struct fs_test[]){
		{ "fallocate: space", allocated },
		{ "fallocate: holes", punched },
		{ "fallocate: zeros", zeroed },
		{ "fallocate: what moves data", moved },
		{ "SEEK_DATA and SEEK_HOLE", holes },
		{ "statfs", figures },
		{ 0 },
	},
};
