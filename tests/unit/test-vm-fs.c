// The file server: its protocol, attributes and names, on a temporary directory.
#include "tests/unit/fs-tree.h"
#include "tests/unit/tap.h"

#include <linux/fs.h>
#include <sys/resource.h>

// ---- the protocol ----

static void test_init(void)
{
	struct client client;
	struct fuse_init_out out = { 0 };
	struct fuse_attr attr = { 0 };
	struct fs *fs = NULL;
	struct err err;

	fs_create(&(struct fs_options){ .root_fd = base_fd, .proc_fd = proc_fd }, &fs, &err);
	client_open(&client, fs);
	is_int(client_getattr(&client, ROOT, &attr), -ENOTCONN);
	is_int(client_init(&client, ALL_FLAGS), 0);
	ok(client_take(&client, &out, sizeof(out)), "the answer to INIT is whole");
	is_int(out.major, 7);
	is_int(out.max_write, 1 << 20);
	is_int(out.max_pages, 256);
	ok(out.flags & FUSE_AUTO_INVAL_DATA && !(out.flags & FUSE_WRITEBACK_CACHE),
	   "where others write, cached data are checked");
	ok(!(out.flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_NO_OPEN_SUPPORT)),
	   "locks are the guest's, and files are opened");
	ok(!(out.flags & FUSE_MAP_ALIGNMENT), "no window, no DAX");
	is_int(client_getattr(&client, ROOT, &attr), 0);
	ok(S_ISDIR(attr.mode), "the root is a directory");
	is_int(client_init(&client, 0), 0);
	client_take(&client, &out, sizeof(out));
	is_int(out.flags & ~FUSE_INIT_EXT, 0);

	const struct fuse_init_in newer = { .major = 8, .minor = 1 };
	is_int(client_call(&client, FUSE_INIT, 0, PART(newer), NO_PART, NO_PART), 0);
	client_take(&client, &out, sizeof(out));
	is_int(out.major, 7);
	const struct fuse_init_in older = { .major = 7, .minor = 23 };
	is_int(client_call(&client, FUSE_INIT, 0, PART(older), NO_PART, NO_PART), -EPROTO);
	client_close(&client);
}

// Requests that are cut short, or lie about their lengths.
static void test_malformed(void)
{
	struct client client;
	const struct fuse_getattr_in in = { 0 };
	struct fuse_in_header header = { .len = 1000, .opcode = FUSE_GETATTR, .nodeid = ROOT };
	char half[20] = { 0 };

	start(&client);
	is_int(client_call(&client, FUSE_GETATTR, ROOT, BYTES(&in, sizeof(in) - 1), NO_PART,
			   NO_PART),
	       -EINVAL);
	is_int(client_call(&client, 9999, ROOT, NO_CALL), -ENOSYS);
	is_int(client_call(&client, FUSE_GETLK, ROOT, NO_CALL), -ENOSYS);
	is_int(client_call(&client, FUSE_IOCTL, ROOT, NO_CALL), -ENOSYS);
	is_int(client_call(&client, FUSE_GETATTR, 12345, PART(in), NO_PART, NO_PART), -ESTALE);
	is_int(client_call(&client, FUSE_GETATTR, 0, PART(in), NO_PART, NO_PART), -ESTALE);
	is_int(client_call(&client, FUSE_GETATTR, UINT64_MAX, PART(in), NO_PART, NO_PART), -ESTALE);
	is_int(client_call(&client, FUSE_LOOKUP, ROOT, BYTES("abc", 3), NO_PART, NO_PART), -EINVAL);
	is_int(client_call(&client, FUSE_SYMLINK, ROOT, TEXT("a"), NO_PART, NO_PART), -EINVAL);

	struct chain *chain = client.chain;
	chain->out[0] = PART(header);
	chain->out_count = 1;
	chain->out_bytes = sizeof(header);
	is_int(fs_serve(client.fs, chain), sizeof(struct fuse_out_header));
	is_int(client.answer.error, -EINVAL);
	header = (struct fuse_in_header){
		.len = 40, .opcode = FUSE_STATFS, .nodeid = ROOT, .total_extlen = 1
	};
	fs_serve(client.fs, chain);
	is_int(client.answer.error, -EINVAL);
	chain->out[0] = BYTES(half, sizeof(half));
	chain->out_bytes = sizeof(half);
	fs_serve(client.fs, chain);
	is_int(client.answer.error, -EINVAL);
	chain->in_bytes = 8;
	is_int(fs_serve(client.fs, chain), 0);

	// No room for the answer: an error, not half of one.
	client.out_max = 16;
	is_int(client_call(&client, FUSE_GETATTR, ROOT, PART(in), NO_PART, NO_PART), -EIO);
	client_close(&client);
}

static void test_lookup(void)
{
	struct client client;
	struct fuse_entry_out entry = { 0 }, again = { 0 };
	uint32_t inodes, handles;
	char longest[300];

	put("file", "x");
	mkdirat(base_fd, "dir", 0755);
	put("dir/below", "y");
	start(&client);
	is_int(client_lookup(&client, ROOT, "file", &entry), 0);
	ok(S_ISREG(entry.attr.mode) && entry.attr.size == 1, "attributes come with it");
	is_int(entry.entry_valid, 3600);
	is_int(client_lookup(&client, ROOT, "file", &again), 0);
	is_int(again.nodeid, entry.nodeid);
	ok(client_walk(&client, "dir/below") > 0, "a path");
	is_int(client_lookup(&client, ROOT, "none", &entry), -ENOENT);
	is_int(client.answer.error, 0); // it may be remembered
	is_int(entry.entry_valid, 3600);
	is_int(client_lookup(&client, again.nodeid, "x", &entry), -ENOTDIR);
	is_int(client_lookup(&client, ROOT, "", &entry), -EINVAL);
	is_int(client_lookup(&client, ROOT, ".", &entry), -EINVAL);
	is_int(client_lookup(&client, ROOT, "..", &entry), -EINVAL);
	is_int(client_lookup(&client, ROOT, "dir/below", &entry), -EINVAL);
	is_int(client_lookup(&client, ROOT, "/etc", &entry), -EINVAL);
	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	is_int(client_lookup(&client, ROOT, longest, &entry), -ENAMETOOLONG);
	longest[255] = '\0';
	is_int(client_lookup(&client, ROOT, longest, &entry), -ENOENT);

	fs_count(client.fs, &inodes, &handles);
	is_int(inodes, 4);
	client_forget(&client, again.nodeid, 1);
	is_int(client_getattr(&client, again.nodeid, &entry.attr), 0);
	client_forget(&client, again.nodeid, 1000);
	is_int(client_getattr(&client, again.nodeid, &entry.attr), -ESTALE);
	client_forget(&client, ROOT, 1000);
	is_int(client_getattr(&client, ROOT, &entry.attr), 0);
	is_int(client_lookup(&client, ROOT, "file", &entry), 0);
	ok(entry.generation != again.generation || entry.nodeid != again.nodeid,
	   "a place that is used again has another generation");

	const struct fuse_batch_forget_in batch = { .count = 3 };
	const struct fuse_forget_one ones[2] = { { entry.nodeid, 1 }, { 77777, 1 } };
	client_call(&client, FUSE_BATCH_FORGET, 0, PART(batch), PART(ones), NO_PART);
	is_int(client.written, 0);
	is_int(client_getattr(&client, entry.nodeid, &entry.attr), -ESTALE);
	client_close(&client);
	clean();
}

static void test_bounds(void)
{
	struct client client;
	struct fuse_entry_out entry = { 0 };
	struct client_file file = { 0 };
	struct fuse_open_out open = { 0 };
	char name[16];
	uint32_t inodes, handles;
	int ret = 0, made = 0;

	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		put(name, "");
	}
	start_with(&client, (struct fs_options){ .inodes_max = 8 });
	for (made = 0; made < 10; made++) {
		snprintf(name, sizeof(name), "f%d", made);
		ret = client_lookup(&client, ROOT, name, &entry);
		if (ret < 0)
			break;
	}
	is_int(made, 7);
	is_int(ret, -ENFILE);
	is_int(client_create(&client, ROOT, "new", 0644, &file), -ENFILE);
	is_int(faccessat(base_fd, "new", F_OK, 0), -1);
	is_int(client_opendir(&client, ROOT, &open), 0);
	ok(client_readdir(&client, ROOT, true,
			  (struct fuse_read_in){ .fh = open.fh, .size = 4096 }) > 0,
	   "a directory is listed also when no more inodes fit");
	client_call(&client, FUSE_DESTROY, 0, NO_CALL);
	fs_count(client.fs, &inodes, &handles);
	is_int(inodes, 1);
	is_int(handles, 0);
	client_init(&client, ALL_FLAGS);
	is_int(client_lookup(&client, ROOT, "f9", &entry), 0);
	client_close(&client);

	// Open files.
	struct rlimit limit, few;
	getrlimit(RLIMIT_NOFILE, &limit);
	few = limit;
	few.rlim_cur = 300;
	setrlimit(RLIMIT_NOFILE, &few);
	start(&client);
	client_lookup(&client, ROOT, "f1", &entry);
	for (made = 0; made < 300; made++) {
		ret = client_open_file(&client, entry.nodeid, O_RDONLY, &open);
		if (ret < 0)
			break;
	}
	is_int(made, 75);
	is_int(ret, -EMFILE);
	is_int(client_opendir(&client, ROOT, &open), -EMFILE);
	is_int(client_create(&client, ROOT, "new", 0644, &file), -EMFILE);
	client_close(&client);
	setrlimit(RLIMIT_NOFILE, &limit);
	clean();
}

// ---- attributes ----

static void test_setattr(void)
{
	struct client client;
	struct fuse_entry_out entry = { 0 };
	struct fuse_attr attr = { 0 };

	put("file", "12345678");
	symlinkat("file", base_fd, "link");
	start(&client);
	client_lookup(&client, ROOT, "file", &entry);
	is_int(client_setattr(&client, entry.nodeid,
			      &(struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 0100640 },
			      &attr),
	       0);
	is_int(attr.mode, S_IFREG | 0640);
	is_int(client_setattr(&client, entry.nodeid,
			      &(struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = 3 }, &attr),
	       0);
	is_int(attr.size, 3);
	is_int(client_setattr(&client, entry.nodeid,
			      &(struct fuse_setattr_in){ .valid = FATTR_SIZE,
							 .size = UINT64_C(6) << 30 },
			      &attr),
	       0);
	is_int(attr.size, INT64_C(6) << 30);
	is_int(client_setattr(&client, entry.nodeid,
			      &(struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = UINT64_MAX },
			      &attr),
	       -EINVAL);
	is_int(client_setattr(&client, ROOT,
			      &(struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = 0 }, &attr),
	       -EISDIR);
	is_int(client_setattr(&client, entry.nodeid,
			      &(struct fuse_setattr_in){ .valid = FATTR_ATIME | FATTR_MTIME,
							 .atime = 1000,
							 .mtime = 2000,
							 .mtimensec = 7 },
			      &attr),
	       0);
	ok(attr.atime == 1000 && attr.mtime == 2000 && attr.mtimensec == 7, "both times");
	is_int(client_setattr(&client, entry.nodeid,
			      &(struct fuse_setattr_in){ .valid = FATTR_MTIME_NOW | FATTR_MTIME },
			      &attr),
	       0);
	ok(attr.atime == 1000 && attr.mtime > 1000000000, "one of them, now");

	// A link's own.
	client_lookup(&client, ROOT, "link", &entry);
	ok(S_ISLNK(entry.attr.mode), "a link is not followed");
	is_int(client_setattr(&client, entry.nodeid,
			      &(struct fuse_setattr_in){ .valid = FATTR_MTIME, .mtime = 5 }, &attr),
	       0);
	is_int(attr.mtime, 5);
	is_int(client_call(&client, FUSE_READLINK, entry.nodeid, NO_CALL), 0);
	ok(client.len == 4 && memcmp(client.data, "file", 4) == 0, "what a link says");
	is_int(client_call(&client, FUSE_READLINK, ROOT, NO_CALL), -EINVAL);
	client_close(&client);
	clean();
}

static void test_statx(void)
{
	struct client client;
	const struct {
		uint32_t flags, reserved;
		uint64_t fh;
		uint32_t sx_flags, mask;
	} in = { .mask = STATX_BASIC_STATS | STATX_BTIME };
	struct {
		uint64_t valid;
		uint32_t nsec, flags;
		uint64_t spare[2];
		struct statx stat;
	} out = { 0 };
	struct statx real;

	put("file", "123");
	start(&client);
	uint64_t node = client_walk(&client, "file");
	statx(base_fd, "file", 0, STATX_BASIC_STATS | STATX_BTIME, &real);
	is_int(client_call(&client, 52, node, PART(in), NO_PART, NO_PART), 0);
	ok(client_take(&client, &out, sizeof(out)), "the size of a statx answer");
	ok(out.stat.stx_btime.tv_sec == real.stx_btime.tv_sec && out.stat.stx_size == 3 &&
		   out.stat.stx_mnt_id == 0,
	   "with the time of birth, without what is the host's");
	is_int(client_call(&client, FUSE_STATFS, node, NO_CALL), 0);
	is_int(client.len, sizeof(struct fuse_statfs_out));
	const struct fuse_syncfs_in sync = { 0 };
	// Not of the whole machine's disk: only how it fails.
	is_int(client_call(&client, FUSE_SYNCFS, 99, PART(sync), NO_PART, NO_PART), -ESTALE);
	client_close(&client);
	clean();
}

// ---- names ----

static void test_names(void)
{
	struct client client;
	struct fuse_entry_out entry = { 0 }, dir = { 0 };
	struct fuse_attr attr = { 0 };
	struct stat st = { 0 };

	start(&client);
	is_int(client_mkdir(&client, ROOT, "dir", 0750, &dir), 0);
	ok(S_ISDIR(dir.attr.mode) && (dir.attr.mode & 07777) == 0750, "a directory is made");
	is_int(client_mkdir(&client, ROOT, "dir", 0750, &entry), -EEXIST);
	is_int(client_mkdir(&client, ROOT, "..", 0750, &entry), -EINVAL);
	is_int(client_symlink(&client, dir.nodeid, "link", "/etc/passwd", &entry), 0);
	ok(S_ISLNK(entry.attr.mode), "a link is made");
	is_int(client_mknod(&client, dir.nodeid, "fifo", S_IFIFO | 0600, 0, &entry), 0);
	ok(S_ISFIFO(entry.attr.mode), "a FIFO is made");
	is_int(client_mknod(&client, dir.nodeid, "sock", S_IFSOCK | 0600, 0, &entry), 0);
	is_int(client_mknod(&client, dir.nodeid, "file", S_IFREG | 0600, 0, &entry), 0);
	is_int(client_link(&client, entry.nodeid, ROOT, "hard", &entry), 0);
	is_int(entry.attr.nlink, 2);
	is_int(client_link(&client, client_walk(&client, "dir/link"), ROOT, "hardlink", &entry), 0);
	ok(S_ISLNK(entry.attr.mode), "a link to a link is to the link itself");
	is_int(client_link(&client, dir.nodeid, ROOT, "harddir", &entry), -EPERM);
	is_int(client_link(&client, 4711, ROOT, "hard2", &entry), -ESTALE);
	is_int(client_unlink(&client, ROOT, "dir"), -EISDIR);
	is_int(client_rmdir(&client, ROOT, "dir"), -ENOTEMPTY);
	is_int(client_rmdir(&client, ROOT, "hard"), -ENOTDIR);
	is_int(client_unlink(&client, ROOT, "hard"), 0);
	is_int(client_unlink(&client, ROOT, "hard"), -ENOENT);
	is_int(client_unlink(&client, dir.nodeid, "../dir"), -EINVAL);

	// What is unlinked but known stays what it is.
	uint64_t node = client_walk(&client, "dir/file");
	is_int(client_unlink(&client, dir.nodeid, "file"), 0);
	is_int(client_getattr(&client, node, &attr), 0);
	is_int(attr.nlink, 0);
	is_int(client_link(&client, node, ROOT, "back", &entry), -ENOENT);

	put("a", "a");
	put("b", "bb");
	const struct fuse_rename2_in plain = { .newdir = ROOT };
	const struct fuse_rename2_in keep = { .newdir = ROOT, .flags = RENAME_NOREPLACE };
	const struct fuse_rename2_in swap = { .newdir = ROOT, .flags = RENAME_EXCHANGE };
	is_int(client_rename(&client, ROOT, "a", keep, "b"), -EEXIST);
	is_int(client_rename(&client, ROOT, "a", swap, "b"), 0);
	fstatat(base_fd, "a", &st, 0);
	is_int(st.st_size, 2);
	is_int(client_rename(&client, ROOT, "a", plain, "b"), 0);
	is_int(client_rename(&client, ROOT, "a", plain, "b"), -ENOENT);
	is_int(client_rename(&client, ROOT, "b", (struct fuse_rename2_in){ .newdir = dir.nodeid },
			     "c"),
	       0);
	is_int(client_rename(&client, ROOT, "dir", (struct fuse_rename2_in){ .newdir = dir.nodeid },
			     "itself"),
	       -EINVAL);
	is_int(client_rename(&client, ROOT, "dir",
			     (struct fuse_rename2_in){ .newdir = ROOT, .flags = 64 }, "x"),
	       -EINVAL);
	is_int(client_rename(&client, ROOT, "dir", (struct fuse_rename2_in){ .newdir = 999 }, "x"),
	       -ESTALE);
	is_int(client_rename(&client, ROOT, "dir", plain, "../out"), -EINVAL);
	if (root_rights) {
		is_int(client_rename(&client, dir.nodeid, "c",
				     (struct fuse_rename2_in){ .newdir = ROOT,
							       .flags = RENAME_WHITEOUT },
				     "d"),
		       0);
		fstatat(base_fd, "dir/c", &st, AT_SYMLINK_NOFOLLOW);
		ok(S_ISCHR(st.st_mode) && st.st_rdev == 0, "a whiteout stays behind");
	} else {
		skip("whiteout", "needs CAP_MKNOD");
	}
	client_close(&client);
	clean();
}

static void test_modes(void)
{
	struct client client;
	struct fuse_entry_out entry = { 0 };
	struct client_file file = { 0 };
	const struct fuse_create_in masked = { .flags = O_CREAT | O_RDWR,
					       .mode = S_IFREG | 0666,
					       .umask = 027 };
	const struct fuse_mkdir_in dir_masked = { .mode = 01777, .umask = 022 };

	start(&client);
	is_int(client_create_as(&client, ROOT, "file", &masked, &file), 0);
	is_int(file.entry.attr.mode, S_IFREG | 0640);
	is_int(client_call(&client, FUSE_MKDIR, ROOT, PART(dir_masked), TEXT("dir"), NO_PART), 0);
	client_take(&client, &entry, sizeof(entry));
	is_int(entry.attr.mode, S_IFDIR | 01755);
	is_int(client_create(&client, ROOT, "all", 04777, &file), 0);
	is_int(file.entry.attr.mode, S_IFREG | 04777);

	// A default ACL counts instead of the umask: u::rwx g::rwx o::r-x
	static const uint8_t acl[] = { 2,    0,	   0, 0, 1,    0,    7,	   0,	 0xff, 0xff,
				       0xff, 0xff, 4, 0, 7,    0,    0xff, 0xff, 0xff, 0xff,
				       32,   0,	   5, 0, 0xff, 0xff, 0xff, 0xff };
	int ret = client_setxattr(&client, entry.nodeid, "system.posix_acl_default",
				  (struct fuse_setxattr_in){ .size = sizeof(acl) }, acl);
	if (ret == -EOPNOTSUPP) {
		skip("a default ACL", "the file system has none");
	} else {
		is_int(ret, 0);
		is_int(client_create_as(&client, entry.nodeid, "file", &masked, &file), 0);
		is_int(file.entry.attr.mode, S_IFREG | 0664);
	}
	client_close(&client);
	clean();
}

static void test_owners(void)
{
	struct client client;
	struct client_file file = { 0 };
	struct fuse_entry_out entry = { 0 };
	struct fuse_attr attr = { 0 };

	start(&client);
	if (!root_rights) {
		client.uid++;
		int ret = client_create(&client, ROOT, "file", 0644, &file);
		ok(ret == -EPERM || ret == -EOVERFLOW, "not in the name of others");
		skip("files of other users", "needs root");
		client_close(&client);
		clean();
		return;
	}
	// In a directory that they could not write to without the server's rights: the guest knows
	// better, e.g. of groups.
	fchmod(base_fd, 0700);
	client.uid = 1234;
	client.gid = 5678;
	is_int(client_create(&client, ROOT, "file", 0644, &file), 0);
	ok(file.entry.attr.uid == 1234 && file.entry.attr.gid == 5678, "a file is its maker's");
	is_int(client_mkdir(&client, ROOT, "dir", 0755, &entry), 0);
	is_int(entry.attr.uid, 1234);
	is_int(client_symlink(&client, ROOT, "link", "x", &entry), 0);
	is_int(entry.attr.gid, 5678);
	is_int(client_mknod(&client, ROOT, "dev", S_IFCHR | 0600, 1 << 8 | 3, &entry), 0);
	ok(entry.attr.uid == 1234 && entry.attr.rdev == (1 << 8 | 3), "a device, not opened");
	client.uid = 0;
	client.gid = 0;
	is_int(client_create(&client, ROOT, "roots", 0644, &file), 0);
	is_int(file.entry.attr.uid, 0);

	is_int(client_setattr(&client, file.entry.nodeid,
			      &(struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 06755 },
			      &attr),
	       0);
	is_int(client_setattr(&client, file.entry.nodeid,
			      &(struct fuse_setattr_in){
				      .valid = FATTR_UID | FATTR_GID, .uid = 7, .gid = 8 },
			      &attr),
	       0);
	ok(attr.uid == 7 && attr.gid == 8 && (attr.mode & 07777) == 0755,
	   "a new owner takes set-user-ID away");

	// A set-group-ID directory gives its group on.
	mkdirat(base_fd, "sgid", 0777);
	if (fchownat(base_fd, "sgid", 0, 99, 0) < 0 || fchmodat(base_fd, "sgid", 02777, 0) < 0)
		printf("# chown: %s\n", strerror(errno));
	client.uid = client.gid = 1234;
	is_int(client_create(&client, client_walk(&client, "sgid"), "f", 0644, &file), 0);
	is_int(file.entry.attr.gid, 99);
	client_close(&client);
	clean();
}

static void test_killpriv(void)
{
	struct client client;
	struct client_file file = { 0 };
	struct fuse_attr attr = { 0 };

	start(&client);
	client_create(&client, ROOT, "file", 06755, &file);
	struct fuse_write_in in = { .fh = file.open.fh, .size = 1 };
	const uint64_t node = file.entry.nodeid;

	if (!root_rights) {
		skip("set-user-ID is kept or killed as the request says", "needs CAP_FSETID");
	} else {
		client_write(&client, node, in, "x");
		client_getattr(&client, node, &attr);
		is_int(attr.mode & 07777, 06755);
		in.write_flags = FUSE_WRITE_KILL_SUIDGID;
		client_write(&client, node, in, "x");
		client_getattr(&client, node, &attr);
		is_int(attr.mode & 07777, 0755);
		fchmodat(base_fd, "file", 06755, 0);
		struct fuse_setattr_in cut = { .valid = FATTR_SIZE };
		client_setattr(&client, node, &cut, &attr);
		is_int(attr.mode & 07777, 06755);
		cut.valid |= FATTR_KILL_SUIDGID;
		cut.size = 1;
		client_setattr(&client, node, &cut, &attr);
		is_int(attr.mode & 07777, 0755);
		fchmodat(base_fd, "file", 06755, 0);
		const struct fuse_open_in open = { .flags = O_WRONLY | O_TRUNC,
						   .open_flags = FUSE_OPEN_KILL_SUIDGID };
		is_int(client_call(&client, FUSE_OPEN, node, PART(open), NO_PART, NO_PART), 0);
		client_getattr(&client, node, &attr);
		is_int(attr.mode & 07777, 0755);
		is_int(attr.size, 0);
	}
	client_close(&client);
	clean();
}

int main(void)
{
	if (!tree_open())
		return 1;
	test_init();
	test_malformed();
	test_lookup();
	test_bounds();
	test_setattr();
	test_statx();
	test_names();
	test_modes();
	test_owners();
	test_killpriv();
	tree_close();
	return done();
}
