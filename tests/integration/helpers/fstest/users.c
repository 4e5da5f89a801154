/* What an ordinary user may do. */
#include "fstest.h"

#include <sys/time.h>

static void use_others_files(void)
{
	FAILS(EACCES, open_file("secret", O_RDONLY));
	FAILS(EACCES, open_file("readable", O_WRONLY));
	OK(close(OK(open_file("readable", O_RDONLY))));
	FAILS(EACCES, open_file("closed/f", O_RDONLY));
	FAILS(EACCES, open_file("new", O_CREAT | O_WRONLY));
	FAILS(EACCES, unlink("readable"));
	FAILS(EACCES, rename("readable", "x"));
	/* EPERM where fs.protected_hardlinks is set. */
	TRUE(link("readable", "x") < 0 && (errno == EACCES || errno == EPERM));
	FAILS(EACCES, symlink("x", "y"));
	FAILS(EACCES, mkdir("x", 0755));
	FAILS(EACCES, rmdir("closed"));
	FAILS(EPERM, chmod("readable", 0777));
	FAILS(EPERM, chown("readable", USER, USER));
	FAILS(EACCES, truncate("readable", 0));
	FAILS(EACCES, access("readable", W_OK));
	OK(access("readable", R_OK));
	FAILS(EACCES, access("readable", X_OK));
	/* May be passed through, not listed; and the other way round. */
	HAS("through/f", "f");
	FAILS(EACCES, open_file("through", O_RDONLY | O_DIRECTORY));
	OK(close(OK(open_file("listed", O_RDONLY | O_DIRECTORY))));
	FAILS(EACCES, open_file("listed/f", O_RDONLY));
	FAILS(EPERM, open_file("readable", O_RDONLY | O_NOATIME));
}

static void others_files(void)
{
	put("secret", "s", 0600);
	put("readable", "r", 0644);
	OK(mkdir("closed", 0700));
	put("closed/f", "f", 0666);
	OK(mkdir("through", 0711));
	put("through/f", "f", 0644);
	OK(mkdir("listed", 0744));
	put("listed/f", "f", 0644);
	as_user(use_others_files);
	OK(close(OK(open_file("readable", O_RDONLY | O_NOATIME))));
}

static void use_own_files(void)
{
	OK(chmod("own", 0));
	FAILS(EACCES, open_file("own", O_RDONLY));
	OK(chmod("own", 0400));
	OK(close(OK(open_file("own", O_RDONLY | O_NOATIME))));
	FAILS(EACCES, open_file("own", O_WRONLY));
	FAILS(EPERM, chown("own", 0, -1));
	FAILS(EPERM, chown("own", -1, 0));
	OK(chown("own", USER, USER));
	/* Of a group that isn't ours: no set-group-ID. */
	OK(chmod("foreign-group", 02755));
	IS(mode_of("foreign-group"), 0755);
	OK(chmod("own", 02755));
	IS(mode_of("own"), 02755);
	FAILS(EPERM, mknod("device", S_IFCHR | 0600, 0x103));
}

static void own_files(void)
{
	OK(chmod(".", 0777));
	put("own", "mine", 0644);
	OK(chown("own", USER, USER));
	put("foreign-group", "", 0644);
	OK(chown("foreign-group", USER, 2000));
	as_user(use_own_files);
	put("root", "", 0);
	OK(close(OK(open_file("root", O_RDWR))));
}

static void groups(void)
{
	const gid_t others[] = { 2000, 3000 };

	put("team", "team", 0640);
	OK(chown("team", 0, 3000));
	OK(mkdir("dir", 0755));
	OK(chown("dir", 0, 2000));
	OK(chmod("dir", 0770));
	put("own", "", 0644);
	OK(chown("own", USER, USER));
	pid_t pid = child();
	if (pid == 0) {
		become(USER, USER, others, 2);
		HAS("team", "team");
		FAILS(EACCES, open_file("team", O_WRONLY));
		put("dir/f", "f", 0644);
		IS(look("dir/f").st_gid, USER);
		OK(chown("own", -1, 3000));
		FAILS(EPERM, chown("own", -1, 4000));
		OK(chmod("own", 02775));
		IS(mode_of("own"), 02775);
		child_end();
	}
	child_wait(pid);
	IS(look("own").st_gid, 3000);
	pid = child();
	if (pid == 0) {
		become(USER, USER, NULL, 0);
		FAILS(EACCES, open_file("team", O_RDONLY));
		FAILS(EACCES, open_file("dir/f", O_RDONLY));
		child_end();
	}
	child_wait(pid);
}

/* The owner's bits count for the owner, though others had more. */
static void class_of_user(void)
{
	FAILS(EACCES, open_file("owner", O_RDONLY));
	FAILS(EACCES, open_file("group", O_RDONLY));
}

static void classes(void)
{
	put("owner", "", 077);
	OK(chown("owner", USER, USER));
	put("group", "", 0707);
	OK(chown("group", 0, USER));
	as_user(class_of_user);
}

static void remove_in_sticky(void)
{
	FAILS(EPERM, unlink("tmp/roots"));
	FAILS(EPERM, rename("tmp/roots", "tmp/x"));
	FAILS(EPERM, rename("tmp/own", "tmp/roots"));
	OK(rename("tmp/own", "tmp/renamed"));
	OK(unlink("tmp/renamed"));
	OK(unlink("tmp/sub/anyones"));
}

static void sticky(void)
{
	OK(mkdir("tmp", 0755));
	OK(chmod("tmp", 01777));
	put("tmp/roots", "", 0666);
	put("tmp/own", "", 0644);
	OK(chown("tmp/own", USER, USER));
	OK(mkdir("tmp/sub", 0755));
	OK(chown("tmp/sub", USER, USER));
	OK(chmod("tmp/sub", 01777));
	put("tmp/sub/anyones", "", 0644);
	as_user(remove_in_sticky);
	HAS("tmp/roots", "");
}

static void set_times(void)
{
	const struct timespec now[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } };
	const struct timespec then[2] = { { .tv_sec = 1 }, { .tv_sec = 2 } };

	/* Who may write may set them to now. */
	OK(utimensat(AT_FDCWD, "writable", now, 0));
	OK(utimensat(AT_FDCWD, "writable", NULL, 0));
	FAILS(EPERM, utimensat(AT_FDCWD, "writable", then, 0));
	FAILS(EACCES, utimensat(AT_FDCWD, "readable", now, 0));
	FAILS(EPERM, utimensat(AT_FDCWD, "readable", then, 0));
	OK(utimensat(AT_FDCWD, "own", then, 0));
}

static void times(void)
{
	put("writable", "", 0666);
	put("readable", "", 0644);
	put("own", "", 0);
	OK(chown("own", USER, USER));
	as_user(set_times);
	IS(look("own").st_mtime, 2);
}

/* What was open before goes on to work, whatever the mode is now. */
static void open_stays(void)
{
	put("f", "before", 0666);
	int ready[2], done[2];
	char c;

	OK(pipe2(ready, O_CLOEXEC));
	OK(pipe2(done, O_CLOEXEC));
	pid_t pid = child();
	if (pid == 0) {
		char got[8];

		become(USER, USER, NULL, 0);
		int fd = OK(open_file("f", O_RDWR));
		IS(write(ready[1], "", 1), 1);
		IS(read(done[0], &c, 1), 1);
		IS(pread(fd, got, 6, 0), 6);
		IS(pwrite(fd, "after!", 6, 0), 6);
		OK(ftruncate(fd, 5));
		FAILS(EACCES, open_file("f", O_RDONLY));
		child_end();
	}
	IS(read(ready[0], &c, 1), 1);
	OK(chmod("f", 0600));
	OK(chown("f", 0, 0));
	IS(write(done[1], "", 1), 1);
	child_wait(pid);
	HAS("f", "after");
}

const struct fs_group fs_users = {
	"users",
	(const struct fs_test[]){
		{ "files of others", others_files },
		{ "files of one's own", own_files },
		{ "supplementary groups", groups },
		{ "owner, group, others: the first counts", classes },
		{ "a sticky directory", sticky },
		{ "times", times },
		{ "an open file keeps its rights", open_stays },
		{ 0 },
	},
};
