/* Whose a new file is and with which mode, and who changes that: as root. */
#include "fstest.h"

#include <sys/xattr.h>

static void new_files(void)
{
	umask(027);
	OK(close(OK(open("f", O_CREAT | O_WRONLY | O_CLOEXEC, 0666))));
	OK(mkdir("d", 0777));
	OK(mkfifo("p", 0666));
	OK(symlink("x", "l"));
	IS(mode_of("f"), 0640);
	IS(mode_of("d"), 0750);
	IS(mode_of("p"), 0640);
	IS(mode_of("l"), 0777);
	IS(look("f").st_uid, 0);
	IS(look("f").st_gid, 0);
	umask(0);
	OK(close(OK(open("s", O_CREAT | O_WRONLY | O_CLOEXEC, 07777))));
	IS(mode_of("s"), 07777);
	OK(mkdir("t", 01777));
	IS(mode_of("t"), 01777);
	/* The mode is for later: it doesn't hold for the descriptor that makes the file. */
	int fd = OK(open("none", O_CREAT | O_RDWR | O_CLOEXEC, 0));
	IS(write(fd, "x", 1), 1);
	IS(mode_of("none"), 0);
}

static void make_all(void)
{
	OK(close(OK(open("user/f", O_CREAT | O_WRONLY | O_CLOEXEC, 0666))));
	OK(mkdir("user/d", 0777));
	OK(mkfifo("user/p", 0600));
	OK(symlink("x", "user/l"));
	int fd = OK(open("user", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
	struct stat st;
	OK(fstat(fd, &st));
	IS(st.st_uid, USER);
	IS(st.st_gid, USER);
}

static void new_files_of_users(void)
{
	static const char *const names[] = { "user/f", "user/d", "user/p", "user/l" };

	OK(mkdir("user", 0777));
	OK(chmod("user", 0777));
	as_user(make_all);
	for (size_t i = 0; i < 4; i++) {
		IS(look(names[i]).st_uid, USER);
		IS(look(names[i]).st_gid, USER);
	}
}

static void make_in_setgid(void)
{
	OK(close(OK(open("team/f", O_CREAT | O_WRONLY | O_CLOEXEC, 0666))));
	OK(mkdir("team/d", 0755));
	OK(mkfifo("team/p", 0600));
	OK(symlink("x", "team/l"));
	/* Not of the group: a file loses the bit. */
	OK(close(OK(open("team/s", O_CREAT | O_WRONLY | O_CLOEXEC, 02777))));
}

static void setgid_directory(void)
{
	OK(mkdir("team", 0755));
	OK(chown("team", 0, 2000));
	OK(chmod("team", 02777));
	as_user(make_in_setgid);
	IS(look("team/f").st_uid, USER);
	IS(look("team/f").st_gid, 2000);
	IS(mode_of("team/f"), 0666);
	IS(look("team/d").st_gid, 2000);
	IS(mode_of("team/d"), 02755);
	IS(look("team/p").st_gid, 2000);
	IS(look("team/l").st_gid, 2000);
	IS(mode_of("team/s"), 0777);
	OK(mkdir("team/d/e", 0700));
	IS(look("team/d/e").st_gid, 2000);
	IS(mode_of("team/d/e"), 02700);
}

static void chown_clears(void)
{
	put("f", "", 06755);
	IS(mode_of("f"), 06755);
	OK(chown("f", USER, USER));
	IS(mode_of("f"), 0755);
	/* Without execution for the group, set-group-ID means something else. */
	put("g", "", 02644);
	OK(chown("g", USER, USER));
	IS(mode_of("g"), 02644);
	OK(mkdir("d", 0755));
	OK(chmod("d", 06755));
	OK(chown("d", USER, USER));
	IS(mode_of("d"), 06755);
	OK(chown("f", (uid_t)-1, 7));
	IS(look("f").st_uid, USER);
	IS(look("f").st_gid, 7);
	OK(symlink("f", "l"));
	OK(lchown("l", 5, 6));
	IS(look("l").st_uid, 5);
	IS(look("f").st_uid, USER);
	OK(chown("f", 100000, 200000));
	IS(look("f").st_uid, 100000);
	IS(look("f").st_gid, 200000);
}

static void write_as_user(void)
{
	int fd = OK(open_file("f", O_RDWR));

	IS(write(fd, "x", 1), 1);
	IS(mode_of("f"), 0777);
	OK(close(fd));
}

static void truncate_as_user(void)
{
	OK(truncate("f", 1));
	IS(mode_of("f"), 0777);
}

static void ftruncate_as_user(void)
{
	int fd = OK(open_file("f", O_WRONLY));

	OK(ftruncate(fd, 0));
	IS(mode_of("f"), 0777);
}

static void trunc_as_user(void)
{
	OK(close(OK(open_file("f", O_WRONLY | O_TRUNC))));
	IS(mode_of("f"), 0777);
}

static void allocate_as_user(void)
{
	int fd = OK(open_file("f", O_WRONLY));

	OK(fallocate(fd, 0, 0, 8192));
	IS(mode_of("f"), 0777);
}

static void write_clears(void)
{
	void (*const ways[])(void) = { write_as_user, truncate_as_user, ftruncate_as_user,
				       trunc_as_user, allocate_as_user };

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		put("f", "content", 06777);
		IS(mode_of("f"), 06777);
		as_user(ways[i]);
		IS(mode_of("f"), 0777);
	}
	/* Root may. */
	put("g", "content", 06777);
	int fd = OK(open_file("g", O_WRONLY));
	IS(write(fd, "x", 1), 1);
	OK(ftruncate(fd, 3));
	OK(close(fd));
	IS(mode_of("g"), 06777);
}

static void chmod_bits(void)
{
	static const mode_t modes[] = { 0, 0777, 01000, 02711, 04711, 07777, 0644 };

	put("f", "", 0644);
	OK(mkdir("d", 0755));
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		OK(chmod("f", modes[i]));
		IS(mode_of("f"), modes[i]);
		OK(chmod("d", modes[i]));
		IS(mode_of("d"), modes[i]);
	}
	int fd = OK(open_file("f", O_RDONLY));
	OK(fchmod(fd, 0600));
	IS(mode_of("f"), 0600);
	OK(mkfifo("p", 0600));
	OK(chmod("p", 0666));
	IS(mode_of("p"), 0666);
	FAILS(ENOENT, chmod("none", 0644));
}

/* The default ACL of a directory takes the umask's place: u::rwx, g::rwx, o::---. */
static void default_acl(void)
{
	static const uint8_t acl[] = {
		2,    0, 0, 0,			       /* version */
		1,    0, 7, 0, 0xff, 0xff, 0xff, 0xff, /* the owner */
		4,    0, 7, 0, 0xff, 0xff, 0xff, 0xff, /* the group */
		0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, /* others */
	};

	OK(mkdir("d", 0755));
	int ret = setxattr("d", "system.posix_acl_default", acl, sizeof(acl), 0);
	if (ret < 0 && errno == EOPNOTSUPP)
		fs_skip("the file system below has no ACLs");
	OK(ret);
	umask(077);
	OK(close(OK(open("d/f", O_CREAT | O_WRONLY | O_CLOEXEC, 0666))));
	OK(mkdir("d/sub", 0777));
	OK(mkfifo("d/p", 0666));
	IS(mode_of("d/f"), 0660);
	IS(mode_of("d/sub"), 0770);
	IS(mode_of("d/p"), 0660);
	TRUE(getxattr("d/sub", "system.posix_acl_default", NULL, 0) == sizeof(acl));
	OK(removexattr("d", "system.posix_acl_default"));
	OK(close(OK(open("d/g", O_CREAT | O_WRONLY | O_CLOEXEC, 0666))));
	IS(mode_of("d/g"), 0600);
}

static void read_by_acl(void)
{
	HAS("f", "secret");
	FAILS(EACCES, open_file("f", O_WRONLY));
}

/* The mask has been taken away. */
static void refused_by_acl(void)
{
	FAILS(EACCES, open_file("f", O_RDONLY));
}

/* u::rw-, u:1000:r--, g::---, mask r--, o::--- */
static void access_acl(void)
{
	static const uint8_t acl[] = {
		2,    0, 0, 0,			       /* version */
		1,    0, 6, 0, 0xff, 0xff, 0xff, 0xff, /* the owner */
		2,    0, 4, 0, 0xe8, 3,	   0,	 0,    /* user 1000 */
		4,    0, 0, 0, 0xff, 0xff, 0xff, 0xff, /* the group */
		0x10, 0, 4, 0, 0xff, 0xff, 0xff, 0xff, /* the mask */
		0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, /* others */
	};

	put("f", "secret", 0600);
	int ret = setxattr("f", "system.posix_acl_access", acl, sizeof(acl), 0);
	if (ret < 0 && errno == EOPNOTSUPP)
		fs_skip("the file system below has no ACLs");
	OK(ret);
	IS(mode_of("f"), 0640);
	as_user(read_by_acl);
	OK(chmod("f", 0600));
	as_user(refused_by_acl);
}

const struct fs_group fs_owners = {
	"owners",
	(const struct fs_test[]){
		{ "new files of root, and umask", new_files },
		{ "new files of a user", new_files_of_users },
		{ "a directory with set-group-ID", setgid_directory },
		{ "chown takes set-user-ID away", chown_clears },
		{ "a user's write takes set-user-ID away", write_clears },
		{ "chmod: every bit", chmod_bits },
		{ "a default ACL", default_acl },
		{ "an ACL", access_acl },
		{ 0 },
	},
};
