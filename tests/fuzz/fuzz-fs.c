// fuzz-fs: any sequence of requests to the file server, over a small tree.
//
// Beyond "no crash": nothing outside of the root changes, no descriptor is lost, an answer's length is
// what was said, and the server goes on. Give absolute paths: the working directory is the server's.
#include "base/str.h"
#include "vm-mode/fs/fs.h"
#include "vm-mode/fs/wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define KNOWN	      16 // nodeids and handles that are remembered
#define REQUESTS_MAX  128
#define OUT_MAX	      8192
#define SECRET	      "nobody changes this\n"
#define SECRET_MTIME  1000000
#define PIECES_MAX    4
#define NOT_PATCHED   255
#define RAW_NAME      64
#define CAPS_SIZE     20
#define FILE_SIZE_MAX ((rlim_t)8 << 20)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char tree[] = "/tmp/moat-fuzz-fs-XXXXXX";
static int outer = -1, root = -1, proc = -1;
static bool map_fails;	// the VMM can't map what it is to
static bool has_mounts; // below the root

struct input {
	const uint8_t *data;
	size_t size;
};

struct session {
	struct fs *fs;
	uint64_t nodes[KNOWN], handles[KNOWN];
	unsigned int nodes_count, handles_count;
};

// An operation: the size of its arguments, where in them a handle and a nodeid are, how many names
// follow, and where a second handle is (0: none).
struct shape {
	uint8_t opcode, args, handle, node, names, second;
};

static const struct shape shapes[] = {
	{ FUSE_LOOKUP, 0, NOT_PATCHED, NOT_PATCHED, 1 },
	{ FUSE_FORGET, 8, NOT_PATCHED, NOT_PATCHED, 0 },
	{ FUSE_GETATTR, 16, 8, NOT_PATCHED, 0 },
	{ FUSE_SETATTR, 88, 8, NOT_PATCHED, 0 },
	{ FUSE_READLINK, 0, NOT_PATCHED, NOT_PATCHED, 0 },
	{ FUSE_SYMLINK, 0, NOT_PATCHED, NOT_PATCHED, 2 },
	{ FUSE_MKNOD, 16, NOT_PATCHED, NOT_PATCHED, 1 },
	{ FUSE_MKDIR, 8, NOT_PATCHED, NOT_PATCHED, 1 },
	{ FUSE_UNLINK, 0, NOT_PATCHED, NOT_PATCHED, 1 },
	{ FUSE_RMDIR, 0, NOT_PATCHED, NOT_PATCHED, 1 },
	{ FUSE_RENAME, 8, NOT_PATCHED, 0, 2 },
	{ FUSE_LINK, 8, NOT_PATCHED, 0, 1 },
	{ FUSE_OPEN, 8, NOT_PATCHED, NOT_PATCHED, 0 },
	{ FUSE_READ, 40, 0, NOT_PATCHED, 0 },
	{ FUSE_WRITE, 40, 0, NOT_PATCHED, 2 },
	{ FUSE_STATFS, 0, NOT_PATCHED, NOT_PATCHED, 0 },
	{ FUSE_RELEASE, 24, 0, NOT_PATCHED, 0 },
	{ FUSE_FSYNC, 16, 0, NOT_PATCHED, 0 },
	{ FUSE_SETXATTR, 16, NOT_PATCHED, NOT_PATCHED, 2 },
	{ FUSE_GETXATTR, 8, NOT_PATCHED, NOT_PATCHED, 1 },
	{ FUSE_LISTXATTR, 8, NOT_PATCHED, NOT_PATCHED, 0 },
	{ FUSE_REMOVEXATTR, 0, NOT_PATCHED, NOT_PATCHED, 1 },
	{ FUSE_FLUSH, 24, 0, NOT_PATCHED, 0 },
	{ FUSE_INIT, 64, NOT_PATCHED, NOT_PATCHED, 0 },
	{ FUSE_OPENDIR, 8, NOT_PATCHED, NOT_PATCHED, 0 },
	{ FUSE_READDIR, 40, 0, NOT_PATCHED, 0 },
	{ FUSE_RELEASEDIR, 24, 0, NOT_PATCHED, 0 },
	{ FUSE_FSYNCDIR, 16, 0, NOT_PATCHED, 0 },
	{ FUSE_CREATE, 16, NOT_PATCHED, NOT_PATCHED, 1 },
	{ FUSE_DESTROY, 0, NOT_PATCHED, NOT_PATCHED, 0 },
	{ FUSE_BATCH_FORGET, 24, NOT_PATCHED, 8, 0 },
	{ FUSE_FALLOCATE, 32, 0, NOT_PATCHED, 0 },
	{ FUSE_READDIRPLUS, 40, 0, NOT_PATCHED, 0 },
	{ FUSE_RENAME2, 16, NOT_PATCHED, 0, 2 },
	{ FUSE_LSEEK, 24, 0, NOT_PATCHED, 0 },
	{ FUSE_COPY_FILE_RANGE, 56, 0, 16, 0, 24 },
	{ FUSE_SETUPMAPPING, 40, 0, NOT_PATCHED, 0 },
	{ FUSE_REMOVEMAPPING, 20, NOT_PATCHED, NOT_PATCHED, 0 },
	{ FUSE_SYNCFS, 8, NOT_PATCHED, NOT_PATCHED, 0 },
	{ FUSE_TMPFILE, 16, NOT_PATCHED, NOT_PATCHED, 1 },
	{ WIRE_STATX, 24, 8, NOT_PATCHED, 0 },
	{ FUSE_INTERRUPT, 8, NOT_PATCHED, NOT_PATCHED, 0 },
};

static const char *const names[] = {
	"file",
	"dir",
	"link",
	"up",
	"fifo",
	"new",
	"..",
	".",
	"",
	"a/b",
	"../canary",
	"absolute",
	"sub",
	"/",
	"user.x",
	"trusted.x",
	"security.capability",
	"system.posix_acl_access",
	"x",
	"mnt",
	"proc",
};

static void must(bool condition)
{
	if (!condition)
		abort();
}

// ---- the input ----

static uint8_t byte(struct input *input)
{
	if (input->size == 0)
		return 0;
	input->size--;
	return *input->data++;
}

static void bytes(struct input *input, uint8_t *to, size_t len)
{
	size_t now = len < input->size ? len : input->size;

	memset(to, 0, len);
	memcpy(to, input->data, now);
	input->data += now;
	input->size -= now;
}

static uint64_t pick(struct input *input, const uint64_t *known, unsigned int count)
{
	const uint8_t which = byte(input);
	uint64_t raw;

	if (which < 0xf0 && count > 0)
		return known[which % count];
	bytes(input, (uint8_t *)&raw, sizeof(raw));
	return raw;
}

// A name: one that matters, any, or one about as long as the longest, with its NUL or without.
static size_t add_name(struct input *input, uint8_t *to, size_t room)
{
	const uint8_t which = byte(input);
	char raw[NAME_MAX + 16];
	const char *name = raw;

	if (which < 0xe0) {
		name = names[which % ARRAY_SIZE(names)];
	} else if (which < 0xe8) {
		memset(raw, 'n', sizeof(raw));
		raw[NAME_MAX - 2 + which % 8] = '\0';
	} else if (which < 0xf0) {
		// A value: the capabilities of a program, VFS_CAP_REVISION_2.
		memset(to, 0, room < CAPS_SIZE ? room : CAPS_SIZE);
		memcpy(to, (const uint8_t[]){ 1, 0, 0, 2 }, room < 4 ? room : 4);
		return room < CAPS_SIZE ? room : CAPS_SIZE;
	} else {
		bytes(input, (uint8_t *)raw, RAW_NAME);
		raw[which % RAW_NAME] = '\0';
	}
	size_t len = strlen(name) + (which % 16 != 15);
	if (len > room)
		len = room;
	memcpy(to, name, len); // NOLINT(bugprone-not-null-terminated-result): some have none
	return len;
}

// Small numbers, which are more often good ones: counts, sizes, offsets, flags; of the window, whole slots.
static void tame(const struct shape *shape, uint8_t *args, uint64_t mask)
{
	const bool window = shape->opcode == FUSE_SETUPMAPPING ||
			    shape->opcode == FUSE_REMOVEMAPPING;
	const size_t first = shape->opcode == FUSE_REMOVEMAPPING ? 4 : 0;

	if (first)
		memcpy(args, &(uint32_t){ 1 }, first);
	for (size_t i = first; i + sizeof(uint64_t) <= shape->args; i += sizeof(uint64_t)) {
		uint64_t value;

		memcpy(&value, args + i, sizeof(value));
		value &= mask;
		if (window && i != offsetof(struct fuse_setupmapping_in, flags))
			value *= FS_WINDOW_SLOT;
		memcpy(args + i, &value, sizeof(value));
	}
}

// ---- a request ----

static size_t make_request(struct session *session, struct input *input, uint8_t *to, size_t room)
{
	const struct shape *shape = &shapes[byte(input) % ARRAY_SIZE(shapes)];
	struct fuse_in_header header = { .opcode = shape->opcode,
					 .unique = 1,
					 .nodeid = pick(input, session->nodes,
							session->nodes_count) };
	const uint8_t odd = byte(input);
	uint8_t *args = to + sizeof(header);
	size_t len = sizeof(header) + shape->args;
	uint64_t value;

	bytes(input, args, shape->args);
	if ((odd & 4) && shape->opcode != FUSE_INIT)
		tame(shape, args, odd & 8 ? 0xff : 3);
	if (shape->handle != NOT_PATCHED) {
		value = pick(input, session->handles, session->handles_count);
		memcpy(args + shape->handle, &value, sizeof(value));
	}
	if (shape->second) {
		value = pick(input, session->handles, session->handles_count);
		memcpy(args + shape->second, &value, sizeof(value));
	}
	if (shape->node != NOT_PATCHED) {
		value = pick(input, session->nodes, session->nodes_count);
		memcpy(args + shape->node, &value, sizeof(value));
	}
	for (int i = 0; i < shape->names; i++)
		len += add_name(input, to + len, room - len);
	header.uid = odd >= 0xf0 ? UINT32_MAX : odd & 1 ? 1000 : geteuid();
	header.gid = odd & 2 ? 1000 : getegid();
	header.total_extlen = odd >= 0xf8 ? odd : 0;
	header.len = (uint32_t)len + (odd % 32 == 31 ? byte(input) - 128u : 0);
	if (odd % 32 == 30)
		header.opcode = byte(input);
	memcpy(to, &header, sizeof(header));
	return odd % 32 == 29 ? byte(input) % (len + 1) : len;
}

// Cuts a buffer into pieces, each in memory of its own size.
static size_t cut(struct input *input, const uint8_t *from, size_t len, struct iovec *pieces)
{
	size_t count = 0;

	while (len > 0) {
		size_t now = count == PIECES_MAX - 1 ? len : 1 + byte(input) * (size_t)8;

		now = now < len ? now : len;
		pieces[count] = (struct iovec){ malloc(now), now };
		if (from)
			memcpy(pieces[count].iov_base, from, now);
		else
			memset(pieces[count].iov_base, 0, now);
		from = from ? from + now : NULL;
		len -= now;
		count++;
	}
	return count;
}

static void learn(struct session *session, const uint8_t *answer, size_t len, uint32_t opcode)
{
	struct fuse_entry_out entry = { 0 };
	struct fuse_open_out open = { 0 };
	const uint8_t *at = answer;

	if (opcode == FUSE_LOOKUP || opcode == FUSE_CREATE || opcode == FUSE_MKDIR ||
	    opcode == FUSE_MKNOD || opcode == FUSE_SYMLINK || opcode == FUSE_TMPFILE) {
		if (len < sizeof(entry))
			return;
		memcpy(&entry, at, sizeof(entry));
		session->nodes[session->nodes_count < KNOWN ? session->nodes_count++ :
							      1 + entry.nodeid % (KNOWN - 1)] =
			entry.nodeid;
		at += sizeof(entry);
		len -= sizeof(entry);
	}
	if ((opcode == FUSE_OPEN || opcode == FUSE_OPENDIR || opcode == FUSE_CREATE ||
	     opcode == FUSE_TMPFILE) &&
	    len >= sizeof(open)) {
		memcpy(&open, at, sizeof(open));
		session->handles[session->handles_count < KNOWN ? session->handles_count++ :
								  open.fh % KNOWN] = open.fh;
	}
}

static void check_answer(struct session *session, const struct chain *chain, uint32_t written,
			 uint32_t opcode)
{
	static uint8_t answer[OUT_MAX];
	struct fuse_out_header header;
	size_t at = 0;

	must(written <= chain->in_bytes);
	if (written == 0)
		return;
	for (size_t i = 0; i < chain->in_count && at < sizeof(answer); i++) {
		size_t now = chain->in[i].iov_len;

		now = now < sizeof(answer) - at ? now : sizeof(answer) - at;
		memcpy(answer + at, chain->in[i].iov_base, now);
		at += now;
	}
	must(written >= sizeof(header));
	memcpy(&header, answer, sizeof(header));
	must(header.len == written && header.error <= 0 && header.error > -512);
	if (header.error == 0)
		learn(session, answer + sizeof(header), written - sizeof(header), opcode);
}

static void serve_one(struct session *session, struct input *input)
{
	static struct chain chain;
	static uint8_t request[1024];
	size_t len = make_request(session, input, request, sizeof(request));
	const uint32_t opcode = ((const struct fuse_in_header *)request)->opcode;
	const uint8_t room = byte(input);

	chain.out = chain.pieces;
	chain.out_count = cut(input, request, len, chain.out);
	chain.out_bytes = len;
	chain.in = chain.out + chain.out_count;
	chain.in_bytes = room < 0xb0  ? 4096 + 16 :
			 room < 0xc0  ? (size_t)FS_IO_MAX + 16 :
			 room == 0xff ? 0 :
					room;
	chain.in_count = cut(input, NULL, chain.in_bytes, chain.in);
	check_answer(session, &chain, fs_serve(session->fs, &chain), opcode);
	for (size_t i = 0; i < chain.out_count + chain.in_count; i++)
		free(chain.pieces[i].iov_base);
}

// ---- the tree ----

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	return ftw->level > 0 ? remove(path) : 0;
}

// Another file system, empty again.
static void renew_mount(void)
{
	char path[64];

	if (!has_mounts)
		return;
	snprintf(path, sizeof(path), "%s/root/mnt", tree);
	umount2(path, MNT_DETACH);
	must(mount("tmpfs", path, "tmpfs", 0, "size=8m") == 0);
}

// One that the guest may see, and one that it may not.
static void make_mounts(void)
{
	char path[64];

	must(mkdirat(root, "mnt", 0755) == 0 && mkdirat(root, "proc", 0755) == 0);
	snprintf(path, sizeof(path), "%s/root/proc", tree);
	must(mount("proc", path, "proc", MS_RDONLY, NULL) == 0);
	has_mounts = true;
}

static void make_tree(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/root", tree);
	renew_mount();
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	fchmod(root, 0755);
	int fd = openat(root, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	must(write(fd, path, sizeof(path)) == sizeof(path));
	close(fd);
	mkdirat(root, "dir", 0755);
	mkdirat(root, "dir/sub", 0755);
	symlinkat("../canary", root, "link");
	symlinkat("..", root, "up");
	symlinkat("/etc/hostname", root, "absolute");
	mkfifoat(root, "fifo", 0644);
}

static void check_outside(void)
{
	char content[64];
	struct stat st;
	int entries = 0;

	must(fstatat(outer, "canary", &st, AT_SYMLINK_NOFOLLOW) == 0);
	must(st.st_mtime == SECRET_MTIME && st.st_nlink == 1 && st.st_uid == geteuid() &&
	     st.st_mode == (S_IFREG | 0644));
	int fd = openat(outer, "canary", O_RDONLY | O_CLOEXEC);
	must(read(fd, content, sizeof(content)) == strlen(SECRET));
	close(fd);
	must(memcmp(content, SECRET, strlen(SECRET)) == 0);
	DIR *dir = fdopendir(openat(outer, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	while (readdir(dir))
		entries++;
	closedir(dir);
	must(entries == 4); // with `.` and `..`
	must(fstatat(root, "..", &st, 0) == 0);
}

static int no_map(void *arg, const struct fs_mapping *mapping, int fd)
{
	(void)arg;
	must(mapping->len > 0 && mapping->window_offset % FS_WINDOW_SLOT == 0 &&
	     mapping->window_offset + mapping->len <= 4 * FS_WINDOW_SLOT);
	must((mapping->prot != 0) == (fd >= 0));
	return map_fails && mapping->prot ? -ENOMEM : 0;
}

static int lowest_fd(void)
{
	int fd = fcntl(proc, F_DUPFD_CLOEXEC, 0);

	close(fd);
	return fd; // cppcheck-suppress deallocret
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct rlimit size = { FILE_SIZE_MAX, FILE_SIZE_MAX }, files = { 4 * 64, 4 * 64 };
	const struct timespec times[2] = { { SECRET_MTIME, 0 }, { SECRET_MTIME, 0 } };

	(void)argc;
	(void)argv;
	sigaction(SIGXFSZ, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
	setrlimit(RLIMIT_NOFILE, &files);
	must(mkdtemp(tree) != NULL);
	// A small file system of our own, where we may: it goes with us.
	const bool may_mount = unshare(CLONE_NEWNS) == 0 &&
			       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	if (may_mount)
		must(mount("tmpfs", tree, "tmpfs", 0, "size=64m") == 0);
	else
		setrlimit(RLIMIT_FSIZE, &size);
	outer = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	mkdirat(outer, "root", 0755);
	root = openat(outer, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (may_mount)
		make_mounts();
	int fd = openat(outer, "canary", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	must(write(fd, SECRET, strlen(SECRET)) == (ssize_t)strlen(SECRET));
	futimens(fd, times);
	close(fd);
	must(outer >= 0 && root >= 0 && proc >= 0);
	return 0;
}

// The server for one of the ways to be set up; made once.
static struct fs *server(uint8_t how)
{
	static struct fs *servers[8];
	const struct fs_options options = { .root_fd = root,
					    .proc_fd = proc,
					    .writeback = how & 1,
					    .cache_seconds = how & 2 ? 1 : 0,
					    .window_bytes = 4 * FS_WINDOW_SLOT,
					    .map = no_map,
					    .inodes_max = how & 4 ? 4 : 100 };
	struct fs **fs = &servers[how % ARRAY_SIZE(servers)];
	struct err err;

	must(*fs || fs_create(&options, fs, &err) == 0);
	return *fs;
}

static void begin(struct session *session, bool features)
{
	const struct {
		struct fuse_in_header header;
		struct fuse_init_in in;
	} init = { { .len = sizeof(init), .opcode = FUSE_INIT },
		   { .major = 7,
		     .minor = 38,
		     .flags = features ? UINT32_MAX : 0,
		     .flags2 = UINT32_MAX } };
	struct chain *chain = calloc(1, sizeof(*chain));
	uint8_t out[128];

	chain->out = chain->pieces;
	chain->in = chain->pieces + 1;
	chain->pieces[0] = (struct iovec){ (void *)&init, sizeof(init) };
	chain->pieces[1] = (struct iovec){ out, sizeof(out) };
	chain->out_count = chain->in_count = 1;
	chain->out_bytes = sizeof(init);
	chain->in_bytes = sizeof(out);
	must(fs_serve(session->fs, chain) > sizeof(struct fuse_out_header));
	free(chain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct session session = { .nodes = { FUSE_ROOT_ID }, .nodes_count = 1 };
	const uint8_t how = byte(&input);

	map_fails = how & 16;
	uint32_t inodes, handles;

	make_tree();
	session.fs = server(how);
	const int fd = lowest_fd();
	begin(&session, !(how & 8));
	for (int i = 0; i < REQUESTS_MAX && input.size > 0; i++)
		serve_one(&session, &input);
	fs_reset(session.fs);
	fs_count(session.fs, &inodes, &handles);
	must(inodes == 1 && handles == 0 && lowest_fd() == fd);
	check_outside();
	return 0;
}
