// The file server: open files, directories, extended attributes and the DAX window, on a
// temporary directory.
#include "tests/unit/fs-tree.h"
#include "tests/unit/tap.h"

#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <time.h>

#define COUNT_MANY 700

// A mapping as the server has asked for.
static struct fs_mapping last_mapping;
static int mappings, last_mapping_fd_valid;

static int note_mapping(void *arg, const struct fs_mapping *mapping, int fd)
{
	(void)arg;
	last_mapping = *mapping;
	last_mapping_fd_valid = fcntl(fd, F_GETFL) >= 0;
	mappings++;
	return 0;
}

// ---- open files ----

static void test_io(void)
{
	struct client client;
	struct client_file file = { 0 };
	struct fuse_open_out open = { 0 };
	struct fuse_attr attr = { 0 };
	char *block = malloc(1 << 20);

	memset(block, 'b', 1 << 20);
	start(&client);
	is_int(client_create(&client, ROOT, "file", 0644, &file), 0);
	const uint64_t node = file.entry.nodeid, fh = file.open.fh;
	struct fuse_write_in in = { .fh = fh, .size = 11 };

	is_int(client_write(&client, node, in, "hello world"), 11);
	is_int(client_read(&client, node, fh, 6, 100), 5);
	ok(memcmp(client.data, "world", 5) == 0, "what was written is read");
	is_int(client_read(&client, node, fh, 11, 100), 0);
	in.offset = (UINT64_C(5) << 30) + 3;
	in.size = 1 << 20;
	is_int(client_write(&client, node, in, block), 1 << 20);
	is_int(client_read(&client, node, fh, in.offset - 3, 1 << 20), 1 << 20);
	ok(client.data[2] == 0 && client.data[3] == 'b', "beyond 4 GiB, with a hole before");
	in.size = (1 << 20) + 1;
	is_int(client_write(&client, node, in, block), -EINVAL);
	is_int(client_read(&client, node, fh, 0, (1 << 20) + 1), -EINVAL);
	is_int(client_read(&client, node, fh, UINT64_MAX, 16), -EINVAL);
	is_int(client_read(&client, node, fh + 1, 0, 16), -EBADF);
	client.out_max = 100;
	is_int(client_read(&client, node, fh, 0, 101), -EINVAL);
	is_int(client_read(&client, node, fh, 0, 100), 100);
	client.out_max = CLIENT_OUT_MAX;

	// More data are announced than come.
	in.size = 64;
	in.offset = 0;
	is_int(client_call(&client, FUSE_WRITE, node, PART(in), BYTES(block, 63), NO_PART),
	       -EINVAL);

	// The guest may have kept back what would not be a hole.
	const struct fuse_lseek_in data = { .fh = fh, .offset = 0, .whence = SEEK_DATA };
	is_int(client_call(&client, FUSE_LSEEK, node, PART(data), NO_PART, NO_PART), -ENOSYS);

	struct fuse_fallocate_in room = { .fh = fh,
					  .offset = 0,
					  .length = 4096,
					  .mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };
	is_int(client_call(&client, FUSE_FALLOCATE, node, PART(room), NO_PART, NO_PART), 0);
	is_int(client_read(&client, node, fh, 0, 5), 5);
	is_int(client.data[0], 0);
	room.mode = FALLOC_FL_COLLAPSE_RANGE;
	is_int(client_call(&client, FUSE_FALLOCATE, node, PART(room), NO_PART, NO_PART),
	       -EOPNOTSUPP);

	const struct fuse_fsync_in sync = { .fh = fh, .fsync_flags = FUSE_FSYNC_FDATASYNC };
	is_int(client_call(&client, FUSE_FSYNC, node, PART(sync), NO_PART, NO_PART), 0);
	is_int(client_call(&client, FUSE_FSYNCDIR, node, PART(sync), NO_PART, NO_PART), -EBADF);

	const struct fuse_copy_file_range_in copy = { .fh_in = fh,
						      .off_in = UINT64_C(5) << 30,
						      .nodeid_out = node,
						      .fh_out = fh,
						      .len = 100 };
	int ret = client_call(&client, FUSE_COPY_FILE_RANGE, node, PART(copy), NO_PART, NO_PART);
	ok(ret == 0 || ret == -EXDEV, "copy_file_range");
	if (ret == 0) {
		is_int(client_read(&client, node, fh, 0, 4), 4);
		is_int(client.data[3], 'b');
	}

	is_int(client_setattr(&client, node,
			      &(struct fuse_setattr_in){
				      .valid = FATTR_SIZE | FATTR_FH, .fh = fh, .size = 2 },
			      &attr),
	       0);
	is_int(attr.size, 2);
	is_int(client_release(&client, node, fh), 0);
	is_int(client_release(&client, node, fh), -EBADF);
	is_int(client_open_file(&client, node, O_RDONLY, &open), 0);
	ok(open.fh != fh, "a handle that was closed is no other's");
	in = (struct fuse_write_in){ .fh = open.fh, .size = 1 };
	is_int(client_write(&client, node, in, "x"), -EBADF);
	client_close(&client);
	clean();
	free(block);
}

// A chain of as many pieces as there can be.
static void test_many_pieces(void)
{
	struct client client;
	struct client_file file = { 0 };
	static char data[QUEUE_CHAIN_MAX * 2];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)('a' + i % 26);
	start(&client);
	client_create(&client, ROOT, "file", 0644, &file);
	client_write(&client, file.entry.nodeid,
		     (struct fuse_write_in){ .fh = file.open.fh, .size = sizeof(data) }, data);

	static struct iovec parts[QUEUE_CHAIN_MAX], slices[QUEUE_CHAIN_MAX];
	for (size_t i = 0; i < QUEUE_CHAIN_MAX; i++)
		parts[i] = BYTES(data + 2 * i, 2);
	is_int(wire_slice(parts, QUEUE_CHAIN_MAX, 0, sizeof(data), slices), QUEUE_CHAIN_MAX);
	is_int(wire_slice(parts, QUEUE_CHAIN_MAX, 3, 4, slices), 3);
	ok(slices[0].iov_base == data + 3 && slices[0].iov_len == 1 && slices[2].iov_len == 1,
	   "a slice begins and ends within pieces");
	is_int(wire_slice(parts, 2, 4, 1, slices), 0);

	const struct fuse_read_in in = { .fh = file.open.fh, .size = 2040 };
	struct fuse_in_header header = { .len = sizeof(header) + sizeof(in),
					 .opcode = FUSE_READ,
					 .unique = 9,
					 .nodeid = file.entry.nodeid };
	struct chain *chain = client.chain;
	static char got[2056];
	chain->out[0] = PART(header);
	chain->out[1] = PART(in);
	chain->out_count = 2;
	chain->out_bytes = header.len;
	chain->in = chain->out + 2;
	// 1 and 2 bytes at a time, the header in the first of them.
	chain->in_count = 1023;
	for (size_t i = 0, at = 0; i < 1023; i++) {
		size_t len = i < 1020 ? 2 : (sizeof(got) - 2040) / 3;
		chain->in[i] = BYTES(got + at, len);
		at += len;
	}
	chain->in_bytes = 2040 + 15;
	header.unique = 10;
	is_int(fs_serve(client.fs, chain), sizeof(struct fuse_out_header));
	chain->in[1022].iov_len++;
	chain->in_bytes++;
	is_int(fs_serve(client.fs, chain), 2056);
	ok(memcmp(got + 16, data, 2040) == 0, "a read into a thousand pieces");
	client_close(&client);
	clean();
}

static void test_open(void)
{
	struct client client;
	struct client_file file = { 0 };
	struct fuse_open_out open = { 0 };

	put("file", "content");
	mkfifoat(base_fd, "fifo", 0666);
	symlinkat("file", base_fd, "link");
	mkdirat(base_fd, "dir", 0755);
	start(&client);
	const uint64_t node = client_walk(&client, "file");
	is_int(client_open_file(&client, client_walk(&client, "fifo"), O_RDONLY, &open), -ENXIO);
	is_int(client_open_file(&client, client_walk(&client, "fifo"), O_RDWR, &open), -ENXIO);
	is_int(client_open_file(&client, client_walk(&client, "link"), O_RDONLY, &open), -ELOOP);
	is_int(client_open_file(&client, client_walk(&client, "dir"), O_RDONLY, &open), -EISDIR);
	is_int(client_opendir(&client, node, &open), -ENOTDIR);

	// The guest writes where it says, and reads what it writes around.
	is_int(client_open_file(&client, node, O_WRONLY | O_APPEND, &open), 0);
	ok(open.open_flags & FOPEN_KEEP_CACHE, "the guest keeps what it has of a file");
	is_int(client_read(&client, node, open.fh, 0, 7), 7);
	is_int(client_write(&client, node, (struct fuse_write_in){ .fh = open.fh, .size = 1 }, "C"),
	       1);
	is_int(client_read(&client, node, open.fh, 0, 100), 7);
	is_int(client.data[0], 'C');
	is_int(client_open_file(&client, node, O_WRONLY | O_TRUNC, &open), 0);
	is_int(client_read(&client, node, open.fh, 0, 100), 0);
	const struct fuse_flush_in flush = { .fh = open.fh };
	is_int(client_call(&client, FUSE_FLUSH, node, PART(flush), NO_PART, NO_PART), -ENOSYS);

	// A file that appeared meanwhile.
	const struct fuse_create_in weak = { .flags = O_CREAT | O_RDWR, .mode = 0600 };
	is_int(client_create(&client, ROOT, "file", 0600, &file), -EEXIST);
	is_int(client_create_as(&client, ROOT, "file", &weak, &file), 0);
	is_int(file.entry.nodeid, node);
	is_int(client_create_as(&client, ROOT, "fifo", &weak, &file), -ENXIO);
	is_int(client_create_as(&client, ROOT, "link", &weak, &file), -ELOOP);
	is_int(client_create_as(&client, ROOT, "dir", &weak, &file), -EISDIR);

	const struct fuse_create_in tmp = { .flags = O_RDWR, .mode = S_IFREG | 0600 };
	int ret = client_call(&client, FUSE_TMPFILE, ROOT, PART(tmp), TEXT("/"), NO_PART);
	if (ret == -EOPNOTSUPP) {
		skip("a file without a name", "the file system has none");
	} else {
		is_int(ret, 0);
		ok(client_take(&client, &file, sizeof(file)) && file.entry.attr.nlink == 0,
		   "a file without a name");
		is_int(client_link(&client, file.entry.nodeid, ROOT, "named", &file.entry), 0);
		is_int(file.entry.attr.nlink, 1);
	}
	client_close(&client);

	// Without the writeback cache.
	start_with(&client, (struct fs_options){ .cache_seconds = 1 });
	const uint64_t again = client_walk(&client, "file");
	is_int(client_open_file(&client, again, O_WRONLY, &open), 0);
	ok(open.open_flags & FOPEN_NOFLUSH, "no flush at a close");
	is_int(client_read(&client, again, open.fh, 0, 7), -EBADF);
	const struct fuse_flush_in flush2 = { .fh = open.fh };
	is_int(client_call(&client, FUSE_FLUSH, again, PART(flush2), NO_PART, NO_PART), 0);
	client_close(&client);
	clean();
}

// ---- directories ----

struct seen {
	size_t count, dots, looked_up;
	uint64_t last_off;
	bool names[COUNT_MANY];
};

static void take_entries(const struct client *client, bool plus, struct seen *seen)
{
	const size_t before = plus ? sizeof(struct fuse_entry_out) : 0;

	for (size_t at = 0; at < client->len;) {
		const struct fuse_dirent *entry =
			(const struct fuse_dirent *)(client->data + at + before);
		int number;
		char name[32];

		snprintf(name, sizeof(name), "%.*s", (int)entry->namelen, entry->name);
		if (sscanf(name, "f%d", &number) == 1 && number < COUNT_MANY)
			seen->names[number] = true;
		seen->dots += name[0] == '.';
		seen->count++;
		if (plus && ((const struct fuse_entry_out *)(client->data + at))->nodeid)
			seen->looked_up++;
		seen->last_off = entry->off;
		at += FUSE_DIRENT_ALIGN(before + FUSE_NAME_OFFSET + entry->namelen);
	}
}

static void list(struct client *client, uint64_t fh, bool plus, struct seen *seen)
{
	*seen = (struct seen){ 0 };
	for (int rounds = 0; rounds < COUNT_MANY; rounds++) {
		int len = client_readdir(
			client, ROOT, plus,
			(struct fuse_read_in){ .fh = fh, .offset = seen->last_off, .size = 4096 });
		if (len <= 0)
			break;
		take_entries(client, plus, seen);
	}
}

static void test_directories(void)
{
	struct client client;
	struct fuse_open_out open = { 0 };
	static struct seen seen, again;
	uint32_t inodes, handles;
	char name[32];

	mkdirat(base_fd, "dir", 0755);
	for (int i = 0; i < COUNT_MANY; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		if (mknodat(base_fd, name, S_IFREG | 0644, 0) < 0)
			break;
	}
	start(&client);
	is_int(client_opendir(&client, ROOT, &open), 0);
	ok(open.open_flags & FOPEN_CACHE_DIR, "the guest keeps directories");
	list(&client, open.fh, false, &seen);
	is_int(seen.count, COUNT_MANY + 3);
	is_int(seen.dots, 2);
	ok(memchr(seen.names, false, COUNT_MANY) == NULL, "every name is there");
	fs_count(client.fs, &inodes, &handles);
	is_int(inodes, 1);

	// From the middle, twice the same.
	client_readdir(&client, ROOT, false,
		       (struct fuse_read_in){ .fh = open.fh, .offset = 0, .size = 4096 });
	seen = (struct seen){ 0 };
	take_entries(&client, false, &seen);
	const uint64_t middle = seen.last_off;
	client_readdir(&client, ROOT, false,
		       (struct fuse_read_in){ .fh = open.fh, .offset = middle, .size = 4096 });
	seen = (struct seen){ 0 };
	take_entries(&client, false, &seen);
	list(&client, open.fh, false, &again);
	client_readdir(&client, ROOT, false,
		       (struct fuse_read_in){ .fh = open.fh, .offset = middle, .size = 4096 });
	again = (struct seen){ 0 };
	take_entries(&client, false, &again);
	ok(seen.count == again.count && seen.last_off == again.last_off &&
		   memcmp(seen.names, again.names, sizeof(seen.names)) == 0,
	   "an offset is a place to come back to");

	list(&client, open.fh, true, &seen);
	is_int(seen.count, COUNT_MANY + 3);
	fs_count(client.fs, &inodes, &handles);
	ok(inodes == seen.looked_up + 1 && inodes > 200, "with attributes, each is looked up");
	is_int(client_readdir(&client, ROOT, false,
			      (struct fuse_read_in){ .fh = open.fh, .size = 20 }),
	       -EINVAL);
	is_int(client_readdir(
		       &client, ROOT, false,
		       (struct fuse_read_in){ .fh = open.fh, .offset = UINT64_MAX, .size = 4096 }),
	       -EINVAL);
	is_int(client_readdir(&client, client_walk(&client, "dir"), false,
			      (struct fuse_read_in){ .fh = open.fh, .size = 4096 }),
	       -EBADF);
	const struct fuse_release_in release = { .fh = open.fh };
	is_int(client_release(&client, ROOT, open.fh), -EBADF);
	is_int(client_call(&client, FUSE_RELEASEDIR, ROOT, PART(release), NO_PART, NO_PART), 0);
	client_close(&client);
	clean();
}

static void test_seek(void)
{
	struct client client;
	struct client_file file = { 0 };
	struct fuse_lseek_out at = { 0 };

	put("file", "x");
	scope_fd int fd = openat(base_fd, "file", O_WRONLY | O_CLOEXEC);
	is_int(ftruncate(fd, 1 << 20), 0);
	start_with(&client, (struct fs_options){ .cache_seconds = 3600 });
	is_int(client_create_as(&client, ROOT, "file", &(struct fuse_create_in){ .flags = O_RDWR },
				&file),
	       0);
	struct fuse_lseek_in in = { .fh = file.open.fh, .whence = SEEK_DATA };
	is_int(client_call(&client, FUSE_LSEEK, file.entry.nodeid, PART(in), NO_PART, NO_PART), 0);
	in.offset = 1 << 19;
	is_int(client_call(&client, FUSE_LSEEK, file.entry.nodeid, PART(in), NO_PART, NO_PART),
	       -ENXIO);
	in.whence = SEEK_HOLE;
	is_int(client_call(&client, FUSE_LSEEK, file.entry.nodeid, PART(in), NO_PART, NO_PART), 0);
	ok(client_take(&client, &at, sizeof(at)) && at.offset == 1 << 19, "a hole is found");
	in.whence = SEEK_END;
	is_int(client_call(&client, FUSE_LSEEK, file.entry.nodeid, PART(in), NO_PART, NO_PART),
	       -EINVAL);
	client_close(&client);
	clean();
}

// What FUSE_HANDLE_KILLPRIV_V2 leaves to the server without a flag.
static void test_kill(void)
{
	struct client client;
	struct client_file file = { 0 };
	struct stat st;

	if (!root_rights) {
		skip("set-user-ID and fallocate", "needs root");
		return;
	}
	put("file", "x");
	is_int(fchmodat(base_fd, "file", 06777, 0), 0);
	start(&client);
	is_int(client_create_as(&client, ROOT, "file", &(struct fuse_create_in){ .flags = O_RDWR },
				&file),
	       0);
	const struct fuse_fallocate_in room = { .fh = file.open.fh, .length = 4096 };
	is_int(client_call(&client, FUSE_FALLOCATE, file.entry.nodeid, PART(room), NO_PART,
			   NO_PART),
	       0);
	is_int(fstatat(base_fd, "file", &st, 0) == 0 ? st.st_mode & 07777 : 0, 06777);
	client.uid = 1000;
	is_int(client_call(&client, FUSE_FALLOCATE, file.entry.nodeid, PART(room), NO_PART,
			   NO_PART),
	       0);
	is_int(fstatat(base_fd, "file", &st, 0) == 0 ? st.st_mode & 07777 : 0, 0777);
	client_close(&client);
	clean();
}

// ---- extended attributes ----

static void test_xattr(void)
{
	struct client client;
	const struct fuse_getxattr_in all = { .size = 1000 }, ask = { 0 };
	struct fuse_getxattr_out size;
	struct client_file file = { 0 };

	put("file", "x");
	symlinkat("none", base_fd, "link");
	start(&client);
	const uint64_t node = client_walk(&client, "file");
	int ret = client_setxattr(&client, node, "user.test",
				  (struct fuse_setxattr_in){ .size = 5 }, "value");
	if (ret == -EOPNOTSUPP) {
		skip("extended attributes", "the file system has none");
		client_close(&client);
		clean();
		return;
	}
	is_int(ret, 0);
	is_int(client_getxattr(&client, node, "user.test", 100), 5);
	ok(memcmp(client.data, "value", 5) == 0, "the value");
	is_int(client_getxattr(&client, node, "user.test", 4), -ERANGE);
	is_int(client_getxattr(&client, node, "user.test", 0), sizeof(size));
	ok(client_take(&client, &size, sizeof(size)) && size.size == 5, "its size");
	is_int(client_getxattr(&client, node, "user.none", 10), -ENODATA);
	is_int(client_setxattr(&client, node, "user.test",
			       (struct fuse_setxattr_in){ .size = 1, .flags = XATTR_CREATE }, "v"),
	       -EEXIST);
	is_int(client_call(&client, FUSE_LISTXATTR, node, PART(all), NO_PART, NO_PART), 0);
	ok(memmem(client.data, client.len, "user.test", 10), "the list");
	is_int(client_call(&client, FUSE_LISTXATTR, node, PART(ask), NO_PART, NO_PART), 0);
	is_int(client.len, sizeof(size));
	const struct fuse_getxattr_in tight = { .size = 9 };
	is_int(client_call(&client, FUSE_LISTXATTR, node, PART(tight), NO_PART, NO_PART), -ERANGE);
	if (client_setxattr(&client, node, "trusted.test", (struct fuse_setxattr_in){ .size = 1 },
			    "v") == 0) {
		is_int(client_call(&client, FUSE_LISTXATTR, node, PART(all), NO_PART, NO_PART), 0);
		ok(memmem(client.data, client.len, "trusted.test", 13), "root's list");
		client.uid = 1000;
		is_int(client_call(&client, FUSE_LISTXATTR, node, PART(all), NO_PART, NO_PART), 0);
		ok(!memmem(client.data, client.len, "trusted", 7) &&
			   memmem(client.data, client.len, "user.test", 10),
		   "a user's list");
		client.uid = geteuid();
	} else {
		skip("root's attributes", "needs root");
	}
	is_int(client_call(&client, FUSE_REMOVEXATTR, node, TEXT("user.test"), NO_PART, NO_PART),
	       0);
	is_int(client_call(&client, FUSE_REMOVEXATTR, node, TEXT("user.test"), NO_PART, NO_PART),
	       -ENODATA);
	is_int(client_setxattr(&client, client_walk(&client, "link"), "user.x",
			       (struct fuse_setxattr_in){ .size = 1 }, "v"),
	       -EPERM);
	const struct fuse_setxattr_in lie = { .size = 500 };
	is_int(client_call(&client, FUSE_SETXATTR, node, PART(lie), TEXT("user.x"), BYTES("a", 1)),
	       -EINVAL);
	is_int(client_call(&client, FUSE_SETXATTR, node, PART(lie), BYTES("user", 4), NO_PART),
	       -EINVAL);

	// Capabilities of a file survive what the guest had kept back, and only that.
	static const uint8_t caps[20] = { 1, 0, 0, 2, 0, 0x20 };
	ret = client_setxattr(&client, node, "security.capability",
			      (struct fuse_setxattr_in){ .size = sizeof(caps) }, caps);
	if (ret == 0) {
		client_create_as(&client, ROOT, "file", &(struct fuse_create_in){ .flags = O_RDWR },
				 &file);
		struct fuse_write_in in = { .fh = file.open.fh,
					    .size = 1,
					    .write_flags = FUSE_WRITE_CACHE };
		is_int(client_write(&client, node, in, "x"), 1);
		is_int(client_getxattr(&client, node, "security.capability", 100), 20);
		in.write_flags = 0;
		is_int(client_write(&client, node, in, "x"), 1);
		is_int(client_getxattr(&client, node, "security.capability", 100), -ENODATA);
	} else {
		skip("file capabilities", "needs CAP_SETFCAP");
	}
	client_close(&client);
	clean();
}

// ---- the window ----

// A file of 100,000 bytes, the first `hole` of which are one.
static void put_large(const char *name, off_t hole)
{
	static const char bytes[100000];
	scope_fd int fd = openat(base_fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	const size_t len = sizeof(bytes) - (size_t)hole;

	is_int(pwrite(fd, bytes, len, hole), (long long)len);
}

// Does the file have a place for all that it could hold up to `size`?
static bool is_filled(const char *name, off_t size)
{
	struct stat st;

	return fstatat(base_fd, name, &st, 0) == 0 && st.st_blocks * 512 >= size;
}

static void punch(struct client *client, uint64_t nodeid, uint64_t fh)
{
	const struct fuse_fallocate_in in = { .fh = fh,
					      .length = 80000,
					      .mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };

	is_int(client_call(client, FUSE_FALLOCATE, nodeid, PART(in), NO_PART, NO_PART), 0);
}

// What is mapped for writing is all there: a store shall never find the disk full.
static void test_holes(void)
{
	struct client client;
	struct fuse_entry_out entry = { 0 };
	struct fuse_open_out open = { 0 };

	put_large("sparse", 80000);
	put_large("file", 0);
	start_with(&client, (struct fs_options){ .window_bytes = 4 * FS_WINDOW_SLOT,
						 .dax_min_bytes = 65536,
						 .map = note_mapping });
	client_init(&client, ALL_FLAGS);
	client_lookup(&client, ROOT, "sparse", &entry);
	is_int(entry.attr.flags & FUSE_ATTR_DAX, 0);
	ok(!is_filled("sparse", 100000), "a file with a hole");
	struct fuse_setupmapping_in in = { .fh = UINT64_MAX, .len = FS_WINDOW_SLOT };
	is_int(client_call(&client, FUSE_SETUPMAPPING, entry.nodeid, PART(in), NO_PART, NO_PART),
	       0);
	ok(!is_filled("sparse", 100000), "mapped for reading, it keeps it");
	in.flags = FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE;
	is_int(client_call(&client, FUSE_SETUPMAPPING, entry.nodeid, PART(in), NO_PART, NO_PART),
	       0);
	ok(is_filled("sparse", 100000), "mapped for writing, it has none");

	client_lookup(&client, ROOT, "file", &entry);
	client_open_file(&client, entry.nodeid, O_RDWR, &open);
	in.moffset = FS_WINDOW_SLOT;
	is_int(client_call(&client, FUSE_SETUPMAPPING, entry.nodeid, PART(in), NO_PART, NO_PART),
	       0);
	punch(&client, entry.nodeid, open.fh);
	ok(is_filled("file", 100000), "nor does one come of punching");
	struct fuse_setattr_in longer = { .valid = FATTR_SIZE, .size = 400000 };
	is_int(client_call(&client, FUSE_SETATTR, entry.nodeid, PART(longer), NO_PART, NO_PART), 0);
	ok(is_filled("file", 400000), "nor of making it longer");
	const struct fuse_write_in write = { .fh = open.fh, .offset = 700000, .size = 1 };
	is_int(client_call(&client, FUSE_WRITE, entry.nodeid, PART(write), BYTES("x", 1), NO_PART),
	       0);
	ok(is_filled("file", 700000), "nor of writing behind its end");
	longer.size = FS_WINDOW_SLOT + 100 * 4096;
	is_int(client_call(&client, FUSE_SETATTR, entry.nodeid, PART(longer), NO_PART, NO_PART), 0);
	ok(is_filled("file", (off_t)FS_WINDOW_SLOT) &&
		   !is_filled("file", (off_t)FS_WINDOW_SLOT + 50 * 4096),
	   "what isn't mapped is left alone");

	const struct fuse_removemapping_in count = { 1 };
	const struct fuse_removemapping_one one = { FS_WINDOW_SLOT, FS_WINDOW_SLOT };
	is_int(client_call(&client, FUSE_REMOVEMAPPING, entry.nodeid, PART(count), PART(one),
			   NO_PART),
	       0);
	punch(&client, entry.nodeid, open.fh);
	ok(!is_filled("file", (off_t)FS_WINDOW_SLOT), "and no more, a hole can be made");
	client_close(&client);
	clean();
}

static void test_dax(void)
{
	struct client client;
	struct fuse_entry_out entry = { 0 };
	struct fuse_init_out init = { 0 };

	put("small", "x");
	put_large("large", 0);
	start_with(&client, (struct fs_options){ .window_bytes = 4 * FS_WINDOW_SLOT,
						 .dax_min_bytes = 65536,
						 .map = note_mapping });
	client_init(&client, ALL_FLAGS);
	client_take(&client, &init, sizeof(init));
	is_int(init.map_alignment, 21);
	client_lookup(&client, ROOT, "small", &entry);
	is_int(entry.attr.flags & FUSE_ATTR_DAX, 0);
	client_lookup(&client, ROOT, "large", &entry);
	is_int(entry.attr.flags & FUSE_ATTR_DAX, FUSE_ATTR_DAX);

	struct fuse_setupmapping_in in = { .fh = UINT64_MAX,
					   .len = FS_WINDOW_SLOT,
					   .moffset = 3 * FS_WINDOW_SLOT,
					   .flags = FUSE_SETUPMAPPING_FLAG_READ };
	is_int(client_call(&client, FUSE_SETUPMAPPING, entry.nodeid, PART(in), NO_PART, NO_PART),
	       0);
	ok(mappings == 1 && last_mapping.prot == PROT_READ && last_mapping_fd_valid &&
		   last_mapping.window_offset == 3 * FS_WINDOW_SLOT,
	   "a piece of a file is mapped");
	in.flags |= FUSE_SETUPMAPPING_FLAG_WRITE;
	is_int(client_call(&client, FUSE_SETUPMAPPING, entry.nodeid, PART(in), NO_PART, NO_PART),
	       0);
	is_int(last_mapping.prot, PROT_READ | PROT_WRITE);
	is_int(client_call(&client, FUSE_SETUPMAPPING, ROOT, PART(in), NO_PART, NO_PART),
	       -EOPNOTSUPP);
	in.len = 2 * FS_WINDOW_SLOT;
	is_int(client_call(&client, FUSE_SETUPMAPPING, entry.nodeid, PART(in), NO_PART, NO_PART),
	       -EINVAL);
	in.len = 4096;
	is_int(client_call(&client, FUSE_SETUPMAPPING, entry.nodeid, PART(in), NO_PART, NO_PART),
	       -EINVAL);
	in.len = FS_WINDOW_SLOT;
	in.moffset = UINT64_MAX - FS_WINDOW_SLOT + 1;
	is_int(client_call(&client, FUSE_SETUPMAPPING, entry.nodeid, PART(in), NO_PART, NO_PART),
	       -EINVAL);

	const struct fuse_removemapping_in count = { 1 }, wrong = { 2 };
	const struct fuse_removemapping_one one = { 3 * FS_WINDOW_SLOT, FS_WINDOW_SLOT };
	mappings = 0;
	is_int(client_call(&client, FUSE_REMOVEMAPPING, entry.nodeid, PART(wrong), PART(one),
			   NO_PART),
	       -EINVAL);
	is_int(client_call(&client, FUSE_REMOVEMAPPING, entry.nodeid, PART(count), PART(one),
			   NO_PART),
	       0);
	ok(mappings == 1 && last_mapping.prot == 0, "and unmapped");
	in.moffset = 0;
	client_call(&client, FUSE_SETUPMAPPING, entry.nodeid, PART(in), NO_PART, NO_PART);
	client_forget(&client, entry.nodeid, 1);
	ok(mappings == 3 && last_mapping.prot == 0, "a file that is forgotten is not mapped");
	client_close(&client);
	clean();
}

// Not a test: what a file costs that is looked up, looked at and read.
static void measure(void)
{
	struct client client;
	struct fuse_entry_out entry = { 0 };
	struct fuse_open_out open = { 0 };
	struct fuse_attr attr;
	struct timespec from, to;
	const int rounds = 2000;

	put("file", "content");
	start(&client);
	client_lookup(&client, ROOT, "file", &entry);
	client_open_file(&client, entry.nodeid, O_RDONLY, &open);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (int i = 0; i < rounds; i++) {
		client_lookup(&client, ROOT, "file", &entry);
		client_getattr(&client, entry.nodeid, &attr);
		client_read(&client, entry.nodeid, open.fh, 0, 4096);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	printf("# %.1f us of CPU for a lookup, a getattr and a read\n",
	       ((double)(to.tv_sec - from.tv_sec) * 1e6 +
		(double)(to.tv_nsec - from.tv_nsec) / 1e3) /
		       rounds);
	client_close(&client);
	clean();
}

int main(void)
{
	if (!tree_open())
		return 1;
	test_io();
	test_many_pieces();
	test_open();
	test_directories();
	test_seek();
	test_kill();
	test_xattr();
	test_dax();
	test_holes();
	measure();
	tree_close();
	return done();
}
