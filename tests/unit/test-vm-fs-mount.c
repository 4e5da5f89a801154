// The file server behind a real kernel: its FUSE client, by /dev/fuse instead of a virtqueue. What
// programs see of a mounted file system, with the guest's cache of writes and without. Needs root.
#include "tests/unit/fs-tree.h"
#include "tests/unit/tap.h"

#include <dirent.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define REQUEST_MAX ((size_t)(1 << 20) + 8192)
#define COUNT_MANY  700

// The mount, and the same directory as the host sees it.
static int mnt = -1, host = -1;

// ---- the server ----

static void serve(int fuse_fd, struct fs *fs)
{
	static struct chain chain;
	uint8_t *in = malloc(REQUEST_MAX), *out = malloc(REQUEST_MAX);

	for (;;) {
		ssize_t len = read(fuse_fd, in, REQUEST_MAX);

		if (len < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN))
			continue;
		if (len <= 0)
			break;
		chain.out = chain.pieces;
		chain.out[0] = BYTES(in, (size_t)len);
		chain.in = chain.pieces + 1;
		chain.in[0] = BYTES(out, REQUEST_MAX);
		chain.out_count = chain.in_count = 1;
		chain.out_bytes = (size_t)len;
		// As much room as virtio's client gives: what was asked for.
		chain.in_bytes = REQUEST_MAX;
		uint32_t written = fs_serve(fs, &chain);
		if (written > 0 && write(fuse_fd, out, written) < 0 && errno != ENOENT)
			break;
	}
	free(in);
	free(out);
}

static pid_t start_server(int fuse_fd, bool writeback)
{
	pid_t pid = fork();
	struct fs *fs;
	struct err err;

	if (pid != 0)
		return pid;
	if (fs_create(&(struct fs_options){ .root_fd = host,
					    .proc_fd = proc_fd,
					    .writeback = writeback,
					    .cache_seconds = 3600 },
		      &fs, &err) < 0)
		_exit(1);
	serve(fuse_fd, fs);
	_exit(0);
}

// ---- what programs do ----

static int open_file(const char *name, int flags)
{
	return openat(mnt, name, flags | O_CLOEXEC, 0644);
}

static off_t host_size(const char *name)
{
	struct stat st;

	return fstatat(host, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -1 : st.st_size;
}

static void check_writes(void)
{
	struct stat st;
	char line[16], got[64] = { 0 };
	int fd = open_file("log", O_WRONLY | O_CREAT | O_APPEND);
	int other = open_file("log", O_WRONLY | O_APPEND);

	for (int i = 0; i < 1000; i++) {
		snprintf(line, sizeof(line), "%07d\n", i);
		if (write(i % 2 ? fd : other, line, 8) != 8)
			break;
	}
	fstat(fd, &st);
	is_int(st.st_size, 8000);
	close(fd);
	close(other);
	is_int(host_size("log"), 8000);
	fd = open_file("log", O_RDWR);
	is_int(pread(fd, got, 8, 8 * 501), 8);
	is_str(got, "0000501\n");
	// Within a page that isn't here, by a file that is only open for writing.
	int writer = open_file("log", O_WRONLY);
	is_int(pwrite(writer, "X", 1, 5000), 1);
	close(writer);
	is_int(pread(fd, got, 1, 5000), 1);
	is_int(got[0], 'X');
	is_int(ftruncate(fd, 10), 0);
	is_int(host_size("log"), 10);
	is_int(pwrite(fd, "end", 3, (off_t)5 << 30), 3);
	// What the guest keeps back is no hole.
	is_int(lseek(fd, (off_t)5 << 30, SEEK_DATA), (off_t)5 << 30);
	is_int(fsync(fd), 0);
	is_int(host_size("log"), ((off_t)5 << 30) + 3);
	is_int(lseek(fd, 1 << 20, SEEK_DATA) >= 1 << 20, 1);
	is_int(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
	is_int(pread(fd, got, 1, 3), 1);
	is_int(got[0], 0);
	close(fd);
	fd = open_file("log", O_RDONLY | O_TRUNC);
	is_int(host_size("log"), 0);
	close(fd);
}

static void check_maps(void)
{
	int fd = open_file("mapped", O_RDWR | O_CREAT);
	char got[8] = { 0 };

	is_int(ftruncate(fd, 8192), 0);
	char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ok(map != MAP_FAILED, "a shared mapping");
	map[4095] = 'a';
	map[4096] = 'b';
	is_int(pread(fd, got, 2, 4095), 2);
	is_str(got, "ab");
	is_int(msync(map, 8192, MS_SYNC), 0);
	int direct = openat(host, "mapped", O_RDONLY | O_CLOEXEC);
	is_int(pread(direct, got, 2, 4095), 2);
	is_str(got, "ab");
	munmap(map, 8192);
	close(direct);
	close(fd);
	// Without the guest's cache.
	fd = open_file("mapped", O_RDWR | O_DIRECT);
	char *page = aligned_alloc(4096, 4096);
	is_int(pread(fd, page, 4096, 4096), 4096);
	is_int(page[0], 'b');
	is_int(pwrite(fd, page, 4096, 0), 4096);
	free(page);
	close(fd);
}

static void check_names(void)
{
	struct stat st;
	char target[16] = { 0 };
	int fd = open_file("open", O_RDWR | O_CREAT | O_EXCL);

	is_int(write(fd, "x", 1), 1);
	is_int(linkat(mnt, "open", mnt, "second", 0), 0);
	fstat(fd, &st);
	is_int(st.st_nlink, 2);
	is_int(unlinkat(mnt, "open", 0), 0);
	is_int(unlinkat(mnt, "second", 0), 0);
	fstat(fd, &st);
	is_int(st.st_nlink, 0);
	is_int(pread(fd, target, 1, 0), 1);
	close(fd);
	is_int(symlinkat("../there", mnt, "link"), 0);
	is_int(readlinkat(mnt, "link", target, sizeof(target)), 8);
	is_str(target, "../there");
	is_int(mkdirat(mnt, "dir", 0700), 0);
	is_int(renameat2(mnt, "link", mnt, "dir", RENAME_NOREPLACE), -1);
	is_int(renameat2(mnt, "link", mnt, "dir", RENAME_EXCHANGE), 0);
	is_int(unlinkat(mnt, "dir", 0), 0);
	is_int(unlinkat(mnt, "link", AT_REMOVEDIR), 0);
	is_int(mkfifoat(mnt, "fifo", 0600), 0);
	fd = open_file("fifo", O_RDWR);
	is_int(write(fd, "fifo", 5), 5);
	is_int(read(fd, target, 5), 5);
	is_str(target, "fifo");
	close(fd);
	is_int(mknodat(mnt, "null", S_IFCHR | 0666, makedev(1, 3)), 0);
	fstatat(mnt, "null", &st, 0);
	is_int(st.st_rdev, makedev(1, 3));
	fd = open_file(".", O_TMPFILE | O_RDWR);
	if (fd < 0) {
		skip("a file without a name", strerror(errno));
	} else {
		snprintf(target, sizeof(target), "%d", fd);
		is_int(linkat(openat(proc_fd, "self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC), target,
			      mnt, "named", AT_SYMLINK_FOLLOW),
		       0);
		is_int(host_size("named"), 0);
		close(fd);
	}
}

static void check_directory(void)
{
	char name[16];
	size_t count = 0;
	long middle = 0;
	char at_middle[256] = "";

	mkdirat(mnt, "many", 0755);
	for (int i = 0; i < COUNT_MANY; i++) {
		snprintf(name, sizeof(name), "many/f%d", i);
		close(open_file(name, O_CREAT | O_WRONLY));
	}
	DIR *dir = fdopendir(open_file("many", O_RDONLY | O_DIRECTORY));
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (++count == COUNT_MANY / 2)
			middle = telldir(dir);
		if (count == COUNT_MANY / 2 + 1)
			snprintf(at_middle, sizeof(at_middle), "%s", entry->d_name);
	}
	is_int(count, COUNT_MANY + 2);
	seekdir(dir, middle);
	is_str(readdir(dir)->d_name, at_middle);
	// What is removed while it is read doesn't disturb the rest.
	rewinddir(dir);
	size_t removed = 0;
	for (struct dirent *entry; (entry = readdir(dir));)
		removed += unlinkat(dirfd(dir), entry->d_name, 0) == 0;
	is_int(removed, COUNT_MANY);
	closedir(dir);
	is_int(unlinkat(mnt, "many", AT_REMOVEDIR), 0);
}

static void check_rights(void)
{
	struct stat st;
	int fd = open_file("suid", O_WRONLY | O_CREAT);

	is_int(fchmod(fd, 06777), 0);
	close(fd);
	mkdirat(mnt, "shared", 0777);
	fchmodat(mnt, "shared", 02777, 0);
	is_int(fchownat(mnt, "shared", 0, 77, 0), 0);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		if (setgid(1000) < 0 || setuid(1000) < 0)
			_exit(9);
		umask(027);
		fd = open_file("suid", O_WRONLY);
		int wrong = fd < 0 || write(fd, "x", 1) != 1;
		close(fd);
		close(open_file("shared/file", O_WRONLY | O_CREAT | O_EXCL));
		wrong |= open_file("theirs", O_WRONLY | O_CREAT) >= 0;
		_exit(wrong);
	}
	int status = -1;
	waitpid(pid, &status, 0);
	is_int(status, 0);
	fstatat(mnt, "suid", &st, 0);
	is_int(st.st_mode & 07777, 0777);
	fstatat(mnt, "shared/file", &st, 0);
	ok(st.st_uid == 1000 && st.st_gid == 77 && (st.st_mode & 07777) == 0640,
	   "owner, the directory's group, and the umask");
	fstatat(host, "shared/file", &st, 0);
	is_int(st.st_uid, 1000);

	// Capabilities that are given while the content is still on its way.
	static const uint8_t caps[20] = { 1, 0, 0, 2, 0, 0x20 };
	char path[64], value[64];
	fd = open_file("capable", O_WRONLY | O_CREAT);
	is_int(write(fd, "program", 7), 7);
	is_int(fsetxattr(fd, "security.capability", caps, sizeof(caps), 0), 0);
	close(fd);
	snprintf(path, sizeof(path), "%s/root/capable", tree_path);
	is_int(getxattr(path, "security.capability", value, sizeof(value)), sizeof(caps));
	fd = open_file("capable", O_WRONLY);
	is_int(write(fd, "P", 1), 1);
	close(fd);
	is_int(getxattr(path, "security.capability", value, sizeof(value)), -1);
}

static void check_locks(void)
{
	int one = open_file("lock", O_RDWR | O_CREAT), two = open_file("lock", O_RDWR);
	struct flock lock = { .l_type = F_WRLCK, .l_len = 10 };

	is_int(flock(one, LOCK_EX), 0);
	is_int(flock(two, LOCK_EX | LOCK_NB), -1);
	is_int(fcntl(one, F_OFD_SETLK, &lock), 0);
	is_int(fcntl(two, F_OFD_SETLK, &lock), -1);
	close(one);
	is_int(flock(two, LOCK_EX | LOCK_NB), 0);
	close(two);
}

// Another one changes a file behind the guest's back, in a bind mount.
static void check_foreign(bool writeback)
{
	struct statx real, seen;
	char got[16] = { 0 };

	statx(host, "bind", 0, STATX_BASIC_STATS | STATX_BTIME, &real);
	statx(mnt, "bind", 0, STATX_BASIC_STATS | STATX_BTIME, &seen);
	ok(real.stx_btime.tv_sec == seen.stx_btime.tv_sec && real.stx_ino == seen.stx_ino,
	   "a mount's root, with its time of birth");
	int direct = openat(host, "bind/file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	is_int(write(direct, "one", 3), 3);
	int fd = open_file("bind/file", O_RDONLY);
	is_int(read(fd, got, 16), 3);
	is_int(pwrite(direct, "three", 5, 0), 5);
	if (writeback) {
		skip("a file that others change", "not with the guest's cache of writes");
	} else {
		is_int(pread(fd, got, 16, 0), 5);
		is_str(got, "three");
	}
	close(fd);
	is_int(unlinkat(host, "bind/file", 0), 0);
	is_int(faccessat(mnt, "bind/file", F_OK, 0), -1);
	close(openat(host, "bind/new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	is_int(faccessat(mnt, "bind/new", F_OK, 0), 0);
	close(direct);
}

// ---- setting the stage ----

static void in_namespace(bool writeback)
{
	char root[64], bind[80], point[64], other[64], options[128];
	int fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fuse_fd < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		_exit(255);
	snprintf(root, sizeof(root), "%s/root", tree_path);
	snprintf(bind, sizeof(bind), "%s/root/bind", tree_path);
	snprintf(other, sizeof(other), "%s/other", tree_path);
	snprintf(point, sizeof(point), "%s/mnt", tree_path);
	mkdir(root, 0755);
	mkdir(other, 0755);
	mkdir(point, 0755);
	if (mount(root, root, NULL, MS_BIND, NULL) < 0 || mkdir(bind, 0755) < 0 ||
	    mount(other, bind, NULL, MS_BIND, NULL) < 0)
		_exit(255);
	host = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions",
		 fuse_fd);
	if (mount("moat", point, "fuse", 0, options) < 0)
		_exit(255);
	pid_t server = start_server(fuse_fd, writeback);
	close(fuse_fd);
	mnt = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	check_writes();
	check_maps();
	check_names();
	check_directory();
	check_rights();
	check_locks();
	check_foreign(writeback);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	fflush(stdout);
	_exit(tap_failed > 0 ? 254 : tap_count);
}

static void test_mounted(bool writeback)
{
	int status;

	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		in_namespace(writeback);
	waitpid(pid, &status, 0);
	const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 254;
	if (code == 255) {
		skip("a mounted file system", "needs root and /dev/fuse");
	} else {
		if (code < 254)
			tap_count = code;
		ok(code < 254, writeback ? "with writeback" : "without writeback");
	}
	clean();
}

int main(void)
{
	alarm(60);
	if (!tree_open())
		return 1;
	chmod(tree_path, 0755);
	test_mounted(false);
	test_mounted(true);
	tree_close();
	return done();
}
