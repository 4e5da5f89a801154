/* Times: set, and made by what is done. */
#include "fstest.h"

#include <sys/xattr.h>
#include <time.h>

static void set(const char *name, struct timespec atime, struct timespec mtime)
{
	const struct timespec both[2] = { atime, mtime };

	OK(utimensat(AT_FDCWD, name, both, AT_SYMLINK_NOFOLLOW));
}

static const struct timespec omit = { .tv_nsec = UTIME_OMIT };
static const struct timespec past = { 1000000000, 123456789 };

static bool before(struct timespec a, struct timespec b)
{
	return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

static bool same(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static void by_hand(void)
{
	put("f", "", 0644);
	set("f", (struct timespec){ 1, 999999999 }, past);
	IS(look("f").st_atim.tv_sec, 1);
	IS(look("f").st_atim.tv_nsec, 999999999);
	TRUE(same(look("f").st_mtim, past));
	set("f", omit, (struct timespec){ 2, 0 });
	IS(look("f").st_atim.tv_nsec, 999999999);
	IS(look("f").st_mtime, 2);
	set("f", (struct timespec){ 3, 1 }, omit);
	IS(look("f").st_atime, 3);
	IS(look("f").st_mtime, 2);
	OK(symlink("f", "l"));
	set("l", past, past);
	TRUE(same(look("l").st_mtim, past));
	IS(look("f").st_mtime, 2);
	OK(mkdir("d", 0755));
	set("d", past, past);
	TRUE(same(look("d").st_mtim, past));
	int fd = OK(open_file("f", O_RDONLY));
	const struct timespec both[2] = { { 5, 5 }, { 6, 6 } };
	OK(futimens(fd, both));
	IS(look("f").st_mtim.tv_nsec, 6);
	FAILS(EINVAL,
	      utimensat(AT_FDCWD, "f", (const struct timespec[2]){ { 0, 1000000000 }, { 0 } }, 0));
}

static void far(void)
{
	static const time_t seconds[] = {
		0, -1, -1000000, INT64_C(0x7fffffff), INT64_C(0x80000000), INT64_C(0x100000001)
	};

	put("f", "", 0644);
	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		set("f", (struct timespec){ seconds[i], 7 }, (struct timespec){ seconds[i], 8 });
		IS(look("f").st_mtime, seconds[i]);
		IS(look("f").st_atim.tv_nsec, 7);
	}
}

/* As tar and cp -p do it: what was written before must not come after. */
static void written_then_set(void)
{
	int fd = OK(open_file("f", O_CREAT | O_WRONLY));
	const struct timespec both[2] = { past, past };

	IS(write(fd, "content", 7), 7);
	OK(futimens(fd, both));
	OK(close(fd));
	TRUE(same(look("f").st_mtim, past));
	OK(close(OK(open_file("f", O_RDWR))));
	sync();
	TRUE(same(look("f").st_mtim, past));
	HAS("f", "content");
	fd = OK(open_file("f", O_WRONLY));
	set("f", past, past);
	IS(pwrite(fd, "later", 5, 0), 5);
	OK(fsync(fd));
	OK(close(fd));
	TRUE(before(past, look("f").st_mtim));
}

static void moved_mtime(const char *name)
{
	TRUE(before(past, look(name).st_mtim));
	set(name, past, past);
}

static void of_content(void)
{
	put("f", "x", 0644);
	set("f", past, past);
	int fd = OK(open_file("f", O_RDWR));
	IS(write(fd, "y", 1), 1);
	moved_mtime("f");
	OK(ftruncate(fd, 0));
	moved_mtime("f");
	OK(truncate("f", 10));
	moved_mtime("f");
	OK(fallocate(fd, 0, 0, 8192));
	TRUE(before(past, look("f").st_ctim));
	OK(close(OK(open_file("f", O_WRONLY | O_TRUNC))));
	moved_mtime("f");
}

static void of_directories(void)
{
	OK(mkdir("d", 0755));
	OK(mkdir("e", 0755));
	set("d", past, past);
	put("d/f", "", 0644);
	moved_mtime("d");
	OK(mkdir("d/sub", 0755));
	moved_mtime("d");
	OK(rename("d/f", "d/g"));
	moved_mtime("d");
	set("e", past, past);
	OK(rename("d/g", "e/g"));
	moved_mtime("d");
	moved_mtime("e");
	OK(link("e/g", "d/h"));
	moved_mtime("d");
	OK(unlink("d/h"));
	moved_mtime("d");
	OK(rmdir("d/sub"));
	moved_mtime("d");
}

/* Calls `change`, after which the time of change must be later than before it. */
#define CHANGES(name, change)                                       \
	do {                                                        \
		const struct timespec was = look(name).st_ctim;     \
		nanosleep(&(struct timespec){ 0, 20000000 }, NULL); \
		OK(change);                                         \
		TRUE(before(was, look(name).st_ctim));              \
	} while (0)

static void of_change(void)
{
	put("f", "", 0644);
	CHANGES("f", chmod("f", 0600));
	CHANGES("f", chown("f", 1, 1));
	CHANGES("f", link("f", "g"));
	CHANGES("g", unlink("f"));
	CHANGES("g", truncate("g", 5));
	set("g", past, past);
	TRUE(before(past, look("g").st_ctim));
	if (setxattr("g", "user.x", "", 0, 0) == 0)
		CHANGES("g", removexattr("g", "user.x"));
}

static void of_birth(void)
{
	struct statx stx;

	put("f", "", 0644);
	OK(statx(AT_FDCWD, "f", 0, STATX_BTIME | STATX_BASIC_STATS, &stx));
	IS(stx.stx_size, 0);
	IS(stx.stx_nlink, 1);
	if (!(stx.stx_mask & STATX_BTIME))
		fs_skip("the file system below keeps no time of birth");
	const int64_t birth = stx.stx_btime.tv_sec;
	TRUE(birth > 1500000000);
	set("f", past, past);
	OK(statx(AT_FDCWD, "f", 0, STATX_BTIME | STATX_BASIC_STATS, &stx));
	IS(stx.stx_btime.tv_sec, birth);
	IS(stx.stx_mtime.tv_sec, past.tv_sec);
}

const struct fs_group fs_times = {
	"times",
	(const struct fs_test[]){
		{ "set, to the nanosecond", by_hand },
		{ "set, before 1970 and after 2038", far },
		{ "written, then set", written_then_set },
		{ "mtime of what is written", of_content },
		{ "mtime of a directory that changes", of_directories },
		{ "ctime", of_change },
		{ "btime", of_birth },
		{ 0 },
	},
};
