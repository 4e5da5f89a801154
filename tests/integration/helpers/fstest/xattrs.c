/* Extended attributes. */
#include "fstest.h"

#include <linux/limits.h>
#include <sys/xattr.h>

static char value[XATTR_SIZE_MAX + 1], got[XATTR_SIZE_MAX + 1];

/* Makes `f`. Skips where files can't have user's attributes. */
static void need_user_attributes(void)
{
	put("f", "", 0644);
	int ret = setxattr("f", "user.probe", "", 0, 0);

	if (ret < 0 && errno == EOPNOTSUPP)
		fs_skip("the file system below has no attributes of users");
	OK(ret);
	OK(removexattr("f", "user.probe"));
}

static void values(void)
{
	need_user_attributes();
	OK(setxattr("f", "user.a", "one", 3, XATTR_CREATE));
	IS(getxattr("f", "user.a", got, sizeof(got)), 3);
	SAME(got, "one", 3);
	IS(getxattr("f", "user.a", NULL, 0), 3);
	FAILS(ERANGE, getxattr("f", "user.a", got, 2));
	FAILS(EEXIST, setxattr("f", "user.a", "x", 1, XATTR_CREATE));
	OK(setxattr("f", "user.a", "longer", 6, XATTR_REPLACE));
	IS(getxattr("f", "user.a", got, sizeof(got)), 6);
	FAILS(ENODATA, setxattr("f", "user.b", "x", 1, XATTR_REPLACE));
	FAILS(ENODATA, getxattr("f", "user.b", got, sizeof(got)));
	FAILS(ENODATA, removexattr("f", "user.b"));
	OK(setxattr("f", "user.empty", "", 0, 0));
	IS(getxattr("f", "user.empty", got, sizeof(got)), 0);
	OK(setxattr("f", "user.zeros", "a\0b", 3, 0));
	IS(getxattr("f", "user.zeros", got, sizeof(got)), 3);
	SAME(got, "a\0b", 3);
	int fd = OK(open_file("f", O_RDONLY));
	IS(fgetxattr(fd, "user.zeros", got, sizeof(got)), 3);
	OK(fsetxattr(fd, "user.fd", "x", 1, 0));
	OK(fremovexattr(fd, "user.fd"));
	OK(mkdir("d", 0755));
	OK(setxattr("d", "user.a", "dir", 3, 0));
	IS(getxattr("d", "user.a", got, sizeof(got)), 3);
}

static bool lists(const char *list, ssize_t len, const char *name)
{
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(list + at) + 1)
		if (!strcmp(list + at, name))
			return true;
	return false;
}

static void listed(void)
{
	char name[32];

	need_user_attributes();
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "user.name%d", i);
		OK(setxattr("f", name, name, strlen(name), 0));
	}
	ssize_t len = OK(listxattr("f", got, sizeof(got)));
	IS(listxattr("f", NULL, 0), len);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "user.name%d", i);
		TRUE(lists(got, len, name));
	}
	FAILS(ERANGE, listxattr("f", got, (size_t)len - 1));
	OK(removexattr("f", "user.name7"));
	len = OK(listxattr("f", got, sizeof(got)));
	TRUE(!lists(got, len, "user.name7"));
	TRUE(lists(got, len, "user.name8"));
	/* They go with the file to another name, and not to one of the same name. */
	OK(rename("f", "g"));
	IS(getxattr("g", "user.name8", got, sizeof(got)), 10);
	put("f", "", 0644);
	FAILS(ENODATA, getxattr("f", "user.name8", got, sizeof(got)));
}

static void limits(void)
{
	char name[XATTR_NAME_MAX + 2];

	need_user_attributes();
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[XATTR_NAME_MAX + 1] = '\0';
	FAILS(ERANGE, setxattr("f", name, "x", 1, 0));
	name[XATTR_NAME_MAX] = '\0';
	OK(setxattr("f", name, "x", 1, 0));
	IS(getxattr("f", name, got, sizeof(got)), 1);
	FAILS(E2BIG, setxattr("f", "user.a", value, XATTR_SIZE_MAX + 1, 0));
	FAILS(EOPNOTSUPP, setxattr("f", "nonsense.a", "x", 1, 0));
	fill(value, sizeof(value), 1);
	/* How much fits is for the file system to say; what fits comes back. */
	for (size_t len = 500; len <= XATTR_SIZE_MAX; len = len * 5 / 2) {
		if (setxattr("f", "user.large", value, len, 0) < 0) {
			TRUE(errno == ENOSPC || errno == E2BIG);
			break;
		}
		IS(getxattr("f", "user.large", got, XATTR_SIZE_MAX), len);
		SAME(got, value, len);
	}
}

static void user_sees_not(void)
{
	FAILS(ENODATA, getxattr("f", "trusted.a", got, sizeof(got)));
	TRUE(!lists(got, OK(listxattr("f", got, sizeof(got))), "trusted.a"));
	FAILS(EPERM, setxattr("f", "trusted.b", "x", 1, 0));
}

static void trusted(void)
{
	put("f", "", 0644);
	int ret = setxattr("f", "trusted.a", "x", 1, 0);
	if (ret < 0 && errno == EPERM)
		fs_skip("without CAP_SYS_ADMIN");
	OK(ret);
	IS(getxattr("f", "trusted.a", got, sizeof(got)), 1);
	TRUE(lists(got, OK(listxattr("f", got, sizeof(got))), "trusted.a"));
	as_user(user_sees_not);
	OK(symlink("f", "l"));
	OK(lsetxattr("l", "trusted.l", "link", 4, 0));
	IS(lgetxattr("l", "trusted.l", got, sizeof(got)), 4);
	FAILS(ENODATA, getxattr("l", "trusted.l", got, sizeof(got)));
	OK(lremovexattr("l", "trusted.l"));
	OK(mkfifo("p", 0644));
	OK(setxattr("p", "trusted.p", "x", 1, 0));
	IS(getxattr("p", "trusted.p", got, sizeof(got)), 1);
}

static void user_of_others(void)
{
	FAILS(EACCES, setxattr("f", "user.b", "x", 1, 0));
	IS(getxattr("f", "user.a", got, sizeof(got)), 1);
	FAILS(EACCES, getxattr("closed", "user.a", got, sizeof(got)));
}

static void permissions(void)
{
	need_user_attributes();
	OK(setxattr("f", "user.a", "x", 1, 0));
	put("closed", "", 0600);
	OK(setxattr("closed", "user.a", "x", 1, 0));
	as_user(user_of_others);
	OK(symlink("f", "l"));
	FAILS(EPERM, lsetxattr("l", "user.a", "x", 1, 0));
	OK(mkfifo("p", 0666));
	FAILS(EPERM, setxattr("p", "user.a", "x", 1, 0));
}

/* security.capability, version 2: CAP_NET_RAW. A write takes it away. */
static void capabilities(void)
{
	static const uint8_t caps[20] = { 1, 0, 0, 2, 0, 0x20 };

	put("f", "program", 0755);
	OK(setxattr("f", "security.capability", caps, sizeof(caps), 0));
	IS(getxattr("f", "security.capability", got, sizeof(got)), sizeof(caps));
	SAME(got, caps, sizeof(caps));
	int fd = OK(open_file("f", O_RDWR));
	IS(read(fd, got, 3), 3);
	IS(getxattr("f", "security.capability", got, sizeof(got)), sizeof(caps));
	IS(write(fd, "x", 1), 1);
	FAILS(ENODATA, getxattr("f", "security.capability", got, sizeof(got)));
	/* As an unpacker does it: content first. */
	IS(write(fd, "new content", 11), 11);
	OK(fsetxattr(fd, "security.capability", caps, sizeof(caps), 0));
	OK(fsync(fd));
	OK(close(fd));
	IS(getxattr("f", "security.capability", got, sizeof(got)), sizeof(caps));
	OK(chown("f", 1, 1));
	FAILS(ENODATA, getxattr("f", "security.capability", got, sizeof(got)));
}

const struct fs_group fs_xattrs = {
	"xattrs",
	(const struct fs_test[]){
		{ "values", values },
		{ "lists", listed },
		{ "limits", limits },
		{ "trusted", trusted },
		{ "permissions, and what can't have them", permissions },
		{ "capabilities of a file", capabilities },
		{ 0 },
	},
};
