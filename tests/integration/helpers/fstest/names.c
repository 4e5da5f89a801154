/* Names: directories, links, special files, files without a name, and the errors of all these. */
#include "fstest.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static void directories(void)
{
	OK(mkdir("d", 0755));
	FAILS(EEXIST, mkdir("d", 0755));
	IS(look(".").st_nlink == 3 || look(".").st_nlink == 1, 1);
	OK(mkdir("d/sub", 0700));
	FAILS(ENOTEMPTY, rmdir("d"));
	FAILS(EISDIR, unlink("d"));
	put("f", "", 0644);
	FAILS(ENOTDIR, rmdir("f"));
	FAILS(ENOTDIR, mkdir("f/x", 0755));
	FAILS(ENOENT, mkdir("none/x", 0755));
	FAILS(ENOENT, rmdir("none"));
	FAILS(EINVAL, rmdir("d/."));
	FAILS(ENOTEMPTY, rmdir("d/sub/.."));
	OK(rmdir("d/sub"));
	OK(rmdir("d/"));
	FAILS(ENOENT, lstat("d", &(struct stat){ 0 }));
}

static void directory_in_use(void)
{
	char name[PATH_MAX];

	OK(mkdir("d", 0755));
	OK(chdir("d"));
	OK(rmdir("../d"));
	FAILS(ENOENT, open("f", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	FAILS(ENOENT, mkdir("x", 0755));
	TRUE(!getcwd(name, sizeof(name)) && errno == ENOENT);
	IS(look(".").st_nlink, 0);
}

static void opening(void)
{
	put("f", "abc", 0644);
	OK(mkdir("d", 0755));
	OK(symlink("f", "l"));
	FAILS(EEXIST, open_file("f", O_CREAT | O_EXCL | O_WRONLY));
	FAILS(EEXIST, open_file("l", O_CREAT | O_EXCL | O_WRONLY));
	FAILS(EISDIR, open_file("d", O_WRONLY));
	FAILS(EISDIR, open_file("d", O_CREAT | O_RDONLY));
	FAILS(ENOTDIR, open_file("f", O_DIRECTORY | O_RDONLY));
	FAILS(ENOTDIR, open_file("f/", O_RDONLY));
	FAILS(ELOOP, open_file("l", O_NOFOLLOW | O_RDONLY));
	FAILS(ENOENT, open_file("none", O_RDONLY));
	FAILS(EISDIR, open_file("new/", O_CREAT | O_WRONLY));
	OK(symlink("made", "dangling"));
	FAILS(ENOENT, open_file("dangling", O_RDONLY));
	OK(close(OK(open_file("dangling", O_CREAT | O_WRONLY))));
	IS(size_of("made"), 0);
	OK(close(OK(open_file("f", O_TRUNC | O_WRONLY))));
	IS(size_of("f"), 0);
	int fd = OK(open_file("l", O_PATH | O_NOFOLLOW));
	struct stat st;
	OK(fstat(fd, &st));
	TRUE(S_ISLNK(st.st_mode));
}

static void long_names(void)
{
	char name[NAME_MAX + 2], path[PATH_MAX + 1];

	memset(name, 'n', sizeof(name));
	name[NAME_MAX] = '\0';
	put(name, "long", 0644);
	HAS(name, "long");
	OK(rename(name, "short"));
	OK(rename("short", name));
	OK(unlink(name));
	OK(mkdir(name, 0755));
	OK(rmdir(name));
	name[NAME_MAX] = 'n';
	name[NAME_MAX + 1] = '\0';
	FAILS(ENAMETOOLONG, open_file(name, O_CREAT | O_WRONLY));
	FAILS(ENAMETOOLONG, mkdir(name, 0755));
	FAILS(ENAMETOOLONG, symlink("x", name));
	FAILS(ENAMETOOLONG, lstat(name, &(struct stat){ 0 }));
	for (size_t i = 0; i < PATH_MAX; i += 2)
		memcpy(path + i, "./", 2);
	path[PATH_MAX] = '\0';
	FAILS(ENAMETOOLONG, lstat(path, &(struct stat){ 0 }));
	path[PATH_MAX - 1] = '\0';
	OK(lstat(path, &(struct stat){ 0 }));
}

static void odd_names(void)
{
	static const char *const names[] = { "a b",	 "new\nline", "\xff\xfe", "...",
					     "\xc3\xa4", "-f",	      "\x01",	  "*" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		put(names[i], names[i], 0644);
		HAS(names[i], names[i]);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		OK(unlink(names[i]));
}

static void deep_tree(void)
{
	char path[PATH_MAX];
	const int depth = 120;

	for (int i = 0; i < depth; i++) {
		OK(mkdir("deep", 0755));
		OK(chdir("deep"));
	}
	put("bottom", "here", 0644);
	TRUE(getcwd(path, sizeof(path)) != NULL);
	TRUE(strlen(path) > 5 * 120);
	strcat(path, "/bottom");
	HAS(path, "here");
	OK(unlink("bottom"));
	for (int i = 0; i < depth; i++) {
		OK(chdir(".."));
		OK(rmdir("deep"));
	}
}

static void hard_links(void)
{
	put("a", "one", 0644);
	OK(link("a", "b"));
	OK(mkdir("d", 0755));
	OK(link("b", "d/c"));
	IS(look("a").st_nlink, 3);
	IS(look("d/c").st_ino, look("a").st_ino);
	FAILS(EEXIST, link("a", "b"));
	FAILS(EPERM, link("d", "e"));
	FAILS(ENOENT, link("none", "e"));
	put("d/c", "two", 0644);
	HAS("a", "two");
	OK(unlink("a"));
	IS(look("b").st_nlink, 2);
	OK(symlink("b", "l"));
	OK(linkat(AT_FDCWD, "l", AT_FDCWD, "m", 0));
	TRUE(S_ISLNK(look("m").st_mode));
	OK(linkat(AT_FDCWD, "l", AT_FDCWD, "n", AT_SYMLINK_FOLLOW));
	IS(look("n").st_ino, look("b").st_ino);
	IS(look("b").st_nlink, 3);
}

static void symlinks(void)
{
	char target[PATH_MAX], got[PATH_MAX];

	memset(target, 't', sizeof(target));
	target[PATH_MAX - 1] = '\0';
	OK(symlink(target, "long"));
	IS(readlink("long", got, sizeof(got)), PATH_MAX - 1);
	SAME(got, target, PATH_MAX - 1);
	IS(size_of("long"), PATH_MAX - 1);
	IS(readlink("long", got, 5), 5);
	FAILS(ENOENT, symlink("", "empty"));
	FAILS(EEXIST, symlink("x", "long"));
	FAILS(EINVAL, readlink(".", got, sizeof(got)));
	OK(symlink("loop2", "loop1"));
	OK(symlink("loop1", "loop2"));
	FAILS(ELOOP, open_file("loop1", O_RDONLY));
	FAILS(ELOOP, chmod("loop1", 0644));
	OK(mkdir("d", 0755));
	OK(symlink("d", "to-d"));
	put("to-d/f", "through", 0644);
	HAS("d/f", "through");
	FAILS(ENOTDIR, rmdir("to-d"));
	OK(unlink("to-d"));
	char name[16], before[16];
	put("c0", "end of the chain", 0644);
	for (int i = 1; i <= 40; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		snprintf(before, sizeof(before), "c%d", i - 1);
		OK(symlink(before, name));
	}
	HAS("c40", "end of the chain");
	OK(symlink("c40", "c41"));
	FAILS(ELOOP, open_file("c41", O_RDONLY));
}

static void unlink_open(void)
{
	char got[16];
	struct stat st;

	put("f", "still", 0644);
	int fd = OK(open_file("f", O_RDWR)), other = OK(open_file("f", O_RDONLY));
	OK(unlink("f"));
	FAILS(ENOENT, open_file("f", O_RDONLY));
	put("f", "another", 0644);
	OK(fstat(fd, &st));
	IS(st.st_nlink, 0);
	IS(pwrite(fd, "there", 5, 5), 5);
	IS(pread(other, got, sizeof(got), 0), 10);
	SAME(got, "stillthere", 10);
	OK(ftruncate(fd, 3));
	OK(fchmod(fd, 0600));
	OK(fstat(other, &st));
	IS(st.st_size, 3);
	IS(st.st_mode & 07777, 0600);
	HAS("f", "another");
	/* A name for what has none any more is possible for O_TMPFILE alone. */
	snprintf(got, sizeof(got), "%d", fd);
	FAILS(ENOENT, linkat(fd, "", AT_FDCWD, "g", AT_EMPTY_PATH));
}

static void rename_over_open(void)
{
	char got[8];
	struct stat st;

	put("old", "old", 0644);
	put("new", "new", 0644);
	int fd = OK(open_file("old", O_RDONLY));
	OK(rename("new", "old"));
	IS(pread(fd, got, sizeof(got), 0), 3);
	SAME(got, "old", 3);
	OK(fstat(fd, &st));
	IS(st.st_nlink, 0);
	HAS("old", "new");
}

static void link_to_fd(int fd, const char *name)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW));
}

static void tmpfile_link(void)
{
	struct stat st;
	char path[32];
	int fd = OK(open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0640));

	IS(write(fd, "nameless", 8), 8);
	OK(fstat(fd, &st));
	IS(st.st_nlink, 0);
	IS(st.st_mode, S_IFREG | 0640);
	link_to_fd(fd, "named");
	HAS("named", "nameless");
	IS(look("named").st_nlink, 1);
	IS(look("named").st_ino, st.st_ino);
	int hidden = OK(open(".", O_TMPFILE | O_WRONLY | O_EXCL | O_CLOEXEC, 0640));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", hidden);
	FAILS(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, "never", AT_SYMLINK_FOLLOW));
	fd = OK(open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	IS(write(fd, "gone", 4), 4);
	OK(close(fd));
}

static void fifo(void)
{
	char got[8];

	OK(mkfifo("fifo", 0640));
	IS(look("fifo").st_mode, S_IFIFO | 0640);
	FAILS(ENXIO, open_file("fifo", O_WRONLY | O_NONBLOCK));
	pid_t pid = child();
	if (pid == 0) {
		int fd = OK(open_file("fifo", O_WRONLY));
		IS(write(fd, "through", 7), 7);
		child_end();
	}
	int fd = OK(open_file("fifo", O_RDONLY));
	IS(read(fd, got, sizeof(got)), 7);
	SAME(got, "through", 7);
	IS(read(fd, got, sizeof(got)), 0);
	child_wait(pid);
}

static void devices(void)
{
	char got[4] = "xxx";

	OK(mknod("zero", S_IFCHR | 0666, makedev(1, 5)));
	IS(look("zero").st_mode, S_IFCHR | 0666);
	IS(look("zero").st_rdev, makedev(1, 5));
	int fd = open_file("zero", O_RDWR);
	/* A mount without devices. */
	if (fd >= 0) {
		IS(read(fd, got, 4), 4);
		SAME(got, "\0\0\0\0", 4);
	} else {
		IS(errno, EACCES);
	}
	OK(mknod("block", S_IFBLK | 0600, makedev(0xabc, 0x12345)));
	IS(look("block").st_rdev, makedev(0xabc, 0x12345));
	TRUE(S_ISBLK(look("block").st_mode));
	OK(mknod("plain", S_IFREG | 0604, 0));
	IS(look("plain").st_mode, S_IFREG | 0604);
	FAILS(EEXIST, mknod("plain", S_IFREG | 0604, 0));
}

static void sockets(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "socket" };
	char got[8];
	int listener = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

	OK(bind(listener, (struct sockaddr *)&name, sizeof(name)));
	TRUE(S_ISSOCK(look("socket").st_mode));
	FAILS(ENXIO, open_file("socket", O_RDWR));
	OK(listen(listener, 1));
	int client = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	FAILS(EADDRINUSE, bind(client, (struct sockaddr *)&name, sizeof(name)));
	OK(connect(client, (struct sockaddr *)&name, sizeof(name)));
	int server = OK(accept(listener, NULL, NULL));
	IS(write(client, "hello", 5), 5);
	IS(read(server, got, sizeof(got)), 5);
	OK(close(listener));
	int late = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	FAILS(ECONNREFUSED, connect(late, (struct sockaddr *)&name, sizeof(name)));
}

const struct fs_group fs_names = {
	"names",
	(const struct fs_test[]){
		{ "directories and their errors", directories },
		{ "a directory that is removed under its user", directory_in_use },
		{ "open(2): flags and errors", opening },
		{ "names of 255 bytes, paths of 4095", long_names },
		{ "names of any bytes", odd_names },
		{ "a deep tree", deep_tree },
		{ "hard links", hard_links },
		{ "symbolic links", symlinks },
		{ "an open file whose name is removed", unlink_open },
		{ "an open file whose name another takes", rename_over_open },
		{ "files without a name, and given one", tmpfile_link },
		{ "a FIFO", fifo },
		{ "devices", devices },
		{ "sockets", sockets },
		{ 0 },
	},
};
