// What no driver would ask of the file server: names, handles, numbers and sizes that are made up, files that
// must not be opened, ids and attributes that are not the guest's to give.
#include "tests/unit/fs-root.h"
#include "tests/unit/tap.h"

#include <limits.h>

// ---- names and numbers that are made up ----

// A name ends at its first NUL, and is no longer than a name is.
static void test_odd_names(void)
{
	struct client client;
	struct fuse_entry_out entry = { 0 };
	char longest[NAME_MAX + 2], target[PATH_MAX + 1];
	bool refused = true;
	int ret = 0;

	memset(longest, 'n', NAME_MAX + 1);
	longest[NAME_MAX + 1] = '\0';
	memset(target, 't', PATH_MAX);
	target[PATH_MAX] = '\0';
	enter_root();
	put("file", "x");
	start(&client);
	const uint64_t file = client_walk(&client, "file");
	is_int(client_call(&client, FUSE_LOOKUP, ROOT, BYTES("file\0/../../secret", 19), NO_PART,
			   NO_PART),
	       0);
	ok(client_take(&client, &entry, sizeof(entry)) && entry.nodeid == file,
	   "what is behind the NUL is no part of the name");
	for (int which = 0; ret <= 0; which++) {
		ret = call_with_name(&client, which, ROOT, longest);
		refused = refused && (ret == -ENAMETOOLONG || ret > 0);
	}
	ok(refused, "a name that is too long");
	is_int(client_symlink(&client, ROOT, "long", target, &entry), -ENAMETOOLONG);
	is_int(client_symlink(&client, ROOT, "empty", "", &entry), -ENOENT);
	client_close(&client);
	leave_root();
}

static int call_with_handle(struct client *client, int which, uint64_t node, uint64_t fh)
{
	const struct fuse_flush_in flush = { .fh = fh };
	const struct fuse_fsync_in sync = { .fh = fh };
	const struct fuse_fallocate_in allocate = { .fh = fh, .length = 1 };
	const struct fuse_lseek_in seek = { .fh = fh, .whence = SEEK_DATA };
	const struct fuse_copy_file_range_in copy = {
		.fh_in = fh, .nodeid_out = node, .fh_out = fh, .len = 1
	};
	const struct fuse_read_in read = { .fh = fh, .size = 4096 };
	const struct fuse_release_in release = { .fh = fh };

	switch (which) {
	case 0:
		return client_read(client, node, fh, 0, 1);
	case 1:
		return client_write(client, node, (struct fuse_write_in){ .fh = fh, .size = 1 },
				    "x");
	case 2:
		return client_call(client, FUSE_FLUSH, node, PART(flush), NO_PART, NO_PART);
	case 3:
		return client_call(client, FUSE_FSYNC, node, PART(sync), NO_PART, NO_PART);
	case 4:
		return client_call(client, FUSE_FALLOCATE, node, PART(allocate), NO_PART, NO_PART);
	case 5:
		return client_call(client, FUSE_LSEEK, node, PART(seek), NO_PART, NO_PART);
	case 6:
		return client_call(client, FUSE_COPY_FILE_RANGE, node, PART(copy), NO_PART,
				   NO_PART);
	case 7:
		return client_readdir(client, node, false, read);
	case 8:
		return client_readdir(client, node, true, read);
	case 9:
		return client_call(client, FUSE_FSYNCDIR, node, PART(sync), NO_PART, NO_PART);
	case 10:
		return client_release(client, node, fh);
	case 11:
		return client_call(client, FUSE_RELEASEDIR, node, PART(release), NO_PART, NO_PART);
	default:
		return 1;
	}
}

// All that takes a handle of an open file, or of a directory, refuses this one.
static bool handle_is_refused(struct client *client, uint64_t node, uint64_t fh)
{
	int ret;

	for (int which = 0; (ret = call_with_handle(client, which, node, fh)) <= 0; which++)
		if (ret != -EBADF)
			return false;
	return true;
}

static void test_handles(void)
{
	struct client client;
	struct client_file file = { 0 };
	struct fuse_open_out closed = { 0 }, dir = { 0 };

	enter_root();
	start_with(&client, (struct fs_options){ .cache_seconds = 1 });
	client_create(&client, ROOT, "file", 0600, &file);
	const uint64_t node = file.entry.nodeid, fh = file.open.fh;
	client_open_file(&client, node, O_RDWR, &closed);
	client_release(&client, node, closed.fh);
	client_opendir(&client, ROOT, &dir);
	const uint64_t forged[] = { 0,
				    1,
				    fh + 1,
				    fh - 1,
				    fh ^ UINT64_C(1) << 32,
				    fh ^ UINT64_C(1) << 63,
				    closed.fh,
				    UINT32_MAX,
				    fh | UINT32_MAX,
				    UINT64_MAX };
	for (size_t i = 0; i < ARRAY_SIZE(forged); i++)
		ok(handle_is_refused(&client, node, forged[i]), "a handle of no open file");
	is_int(client_read(&client, ROOT, dir.fh, 0, 1), -EBADF);
	is_int(client_readdir(&client, ROOT, false,
			      (struct fuse_read_in){ .fh = fh, .size = 4096 }),
	       -EBADF);
	// The one that is open has come to no harm.
	is_int(client_write(&client, node, (struct fuse_write_in){ .fh = fh, .size = 1 }, "x"), 1);
	client_close(&client);
	leave_root();
}

static void test_nodeids(void)
{
	struct client client;
	struct fuse_entry_out entry = { 0 };
	struct fuse_attr attr;
	bool refused = true;

	enter_root();
	put("file", "x");
	put("gone", "x");
	start(&client);
	const uint64_t node = client_walk(&client, "file"), gone = client_walk(&client, "gone");
	client_forget(&client, gone, 1);
	const uint64_t forged[] = {
		0,	    gone,      gone + 1, node | UINT64_C(1) << 32, node | UINT64_C(1) << 63,
		UINT32_MAX, UINT64_MAX
	};
	for (size_t i = 0; i < ARRAY_SIZE(forged); i++) {
		const struct fuse_rename2_in rename = { .newdir = forged[i] };

		refused = client_getattr(&client, forged[i], &attr) == -ESTALE &&
			  client_lookup(&client, forged[i], "file", &entry) == -ESTALE &&
			  client_link(&client, forged[i], ROOT, "hard", &entry) == -ESTALE &&
			  client_rename(&client, ROOT, "file", rename, "x") == -ESTALE;
		client_forget(&client, forged[i], UINT64_MAX);
		ok(refused, "a nodeid of no file");
	}
	// The root can't be forgotten, and forgetting too much is forgetting.
	client_forget(&client, ROOT, UINT64_MAX);
	client_forget(&client, node, UINT64_MAX);
	is_int(client_getattr(&client, node, &attr), -ESTALE);
	ok(client_walk(&client, "file") > 0, "the root is still there");
	client_close(&client);
	leave_root();
}

static void test_sizes(void)
{
	struct client client;
	struct client_file file = { 0 };
	struct fuse_attr attr;

	enter_root();
	start_with(&client, (struct fs_options){ .window_bytes = FS_WINDOW_SLOT });
	client_create(&client, ROOT, "file", 0600, &file);
	const uint64_t node = file.entry.nodeid, fh = file.open.fh;
	is_int(client_read(&client, node, fh, 0, UINT32_MAX), -EINVAL);
	is_int(client_read(&client, node, fh, UINT64_MAX, 1), -EINVAL);
	is_int(client_read(&client, node, fh, INT64_MAX, 1), -EINVAL);
	const struct fuse_write_in writes[] = { { .fh = fh, .size = UINT32_MAX },
						{ .fh = fh, .size = FS_IO_MAX + 1 },
						{ .fh = fh, .size = 2 },
						{ .fh = fh, .size = 1, .offset = INT64_MAX },
						{ .fh = fh, .size = 1, .offset = UINT64_MAX } };
	for (size_t i = 0; i < ARRAY_SIZE(writes); i++)
		is_int(client_call(&client, FUSE_WRITE, node, PART(writes[i]), BYTES("x", 1),
				   NO_PART),
		       -EINVAL);
	is_int(client_setattr(&client, node,
			      &(struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = UINT64_MAX },
			      &attr),
	       -EINVAL);
	const struct fuse_fallocate_in allocate[] = {
		{ .fh = fh, .length = UINT64_MAX },
		{ .fh = fh, .offset = UINT64_MAX, .length = 1 },
		{ .fh = fh, .offset = INT64_MAX, .length = INT64_MAX },
	};
	for (size_t i = 0; i < ARRAY_SIZE(allocate); i++)
		ok(client_call(&client, FUSE_FALLOCATE, node, PART(allocate[i]), NO_PART, NO_PART) <
			   0,
		   "no room for as much");
	const struct fuse_copy_file_range_in copy = {
		.fh_in = fh, .fh_out = fh, .off_in = UINT64_MAX, .len = UINT64_MAX
	};
	is_int(client_call(&client, FUSE_COPY_FILE_RANGE, node, PART(copy), NO_PART, NO_PART),
	       -EINVAL);
	const struct fuse_setupmapping_in maps[] = {
		{ .len = UINT64_MAX & ~(FS_WINDOW_SLOT - 1) },
		{ .moffset = FS_WINDOW_SLOT, .len = FS_WINDOW_SLOT },
		{ .moffset = -FS_WINDOW_SLOT, .len = 2 * FS_WINDOW_SLOT },
		{ .foffset = -FS_WINDOW_SLOT, .len = FS_WINDOW_SLOT },
		{ .len = 0 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		is_int(client_call(&client, FUSE_SETUPMAPPING, node, PART(maps[i]), NO_PART,
				   NO_PART),
		       -EINVAL);
	client_getattr(&client, node, &attr);
	is_int(attr.size, 0);
	client_close(&client);
	leave_root();
}

// ---- files that are more than bytes ----

// Whatever is tried, the server opens no device, FIFO or socket of the host's.
static void try_special(struct client *client, const char *name)
{
	static const uint32_t flags[] = {
		O_RDONLY, O_WRONLY, O_RDWR, O_ACCMODE, O_RDONLY | O_NONBLOCK, O_WRONLY | O_TRUNC
	};
	const struct fuse_create_in weak = { .flags = O_CREAT | O_RDWR, .mode = 0600 };
	const struct fuse_setattr_in cut = { .valid = FATTR_SIZE };
	const struct fuse_syncfs_in sync = { 0 };
	const struct fuse_setupmapping_in map = { .len = FS_WINDOW_SLOT };
	struct fuse_open_out open = { 0 };
	struct client_file file = { 0 };
	struct fuse_entry_out entry = { 0 };
	struct fuse_attr attr;
	const uint64_t node = client_walk(client, name);
	bool refused = node > 0;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		refused = refused && client_open_file(client, node, flags[i], &open) == -ENXIO;
	ok(refused, name);
	is_int(client_create_as(client, ROOT, name, &weak, &file), -ENXIO);
	is_int(client_opendir(client, node, &open), -ENOTDIR);
	is_int(client_setattr(client, node, &cut, &attr), -EINVAL);
	is_int(client_call(client, FUSE_SYNCFS, node, PART(sync), NO_PART, NO_PART), -ENXIO);
	is_int(client_call(client, FUSE_SETUPMAPPING, node, PART(map), NO_PART, NO_PART),
	       -EOPNOTSUPP);
	is_int(client_lookup(client, node, "x", &entry), -ENOTDIR);
	// As a file among others it can be had.
	is_int(client_getattr(client, node, &attr), 0);
	is_int(client_link(client, node, ROOT, "again", &entry), 0);
	is_int(client_unlink(client, ROOT, "again"), 0);
}

static void test_special(void)
{
	struct client client;
	struct fuse_entry_out entry = { 0 };

	enter_root();
	start_with(&client, (struct fs_options){ .window_bytes = FS_WINDOW_SLOT });
	is_int(client_mknod(&client, ROOT, "fifo", S_IFIFO | 0666, 0, &entry), 0);
	try_special(&client, "fifo");
	is_int(openat(base_fd, "fifo", O_WRONLY | O_NONBLOCK | O_CLOEXEC), -1);
	is_int(errno, ENXIO); // nobody reads
	is_int(client_mknod(&client, ROOT, "socket", S_IFSOCK | 0666, 0, &entry), 0);
	try_special(&client, "socket");
	if (!root_rights) {
		skip("devices", "needs root");
	} else {
		is_int(client_mknod(&client, ROOT, "zero", S_IFCHR | 0666, 1 << 8 | 5, &entry), 0);
		try_special(&client, "zero");
		// There is no such block device: even to try would give another error.
		is_int(client_mknod(&client, ROOT, "disk", S_IFBLK | 0666, 0xfff << 8, &entry), 0);
		try_special(&client, "disk");
	}
	is_int(client_mknod(&client, ROOT, "no", S_IFDIR | 0700, 0, &entry), -EPERM);
	is_int(client_mknod(&client, ROOT, "no", S_IFLNK | 0777, 0, &entry), -EINVAL);
	client_close(&client);
	leave_root();
}

// The ids of a request are for what it makes, and for nothing after it.
static void test_ids(void)
{
	struct client client;
	struct client_file file = { 0 };
	struct fuse_entry_out entry = { 0 };
	struct stat st;

	if (!root_rights) {
		skip("requests in the name of others", "needs root");
		return;
	}
	enter_root();
	start(&client);
	client.uid = UINT32_MAX;
	is_int(client_create(&client, ROOT, "none", 0644, &file), -EOVERFLOW);
	client.uid = 0;
	client.gid = UINT32_MAX;
	is_int(client_mkdir(&client, ROOT, "none", 0755, &entry), -EOVERFLOW);
	is_int(faccessat(base_fd, "none", F_OK, 0), -1);
	client.uid = client.gid = 1234;
	is_int(client_create(&client, ROOT, "theirs", 06755, &file), 0);
	fstatat(base_fd, "theirs", &st, 0);
	ok(st.st_uid == 1234 && st.st_gid == 1234, "no set-user-ID program of another's");
	client.uid = client.gid = 0;
	client_create(&client, ROOT, "ours", 0644, &file);
	fstatat(base_fd, "ours", &st, 0);
	ok(st.st_uid == 0 && st.st_gid == 0, "the next is its own maker's again");
	client_close(&client);
	leave_root();
}

// Of what the host's kernel goes by, a guest can set the capabilities of its programs, and what overlays
// of its own need.
static void test_security_xattrs(void)
{
	static const char *const labels[] = { "security.selinux",  "security.SMACK64",
					      "security.apparmor", "security.ima",
					      "security.evm",	   "security.x",
					      "security." };
	struct client client;
	bool refused = true;

	enter_root();
	put("file", "x");
	start(&client);
	const uint64_t node = client_walk(&client, "file");
	for (size_t i = 0; i < ARRAY_SIZE(labels); i++)
		refused = refused &&
			  client_setxattr(&client, node, labels[i],
					  (struct fuse_setxattr_in){ .size = 1 },
					  "x") == -EOPNOTSUPP &&
			  client_call(&client, FUSE_REMOVEXATTR, node, TEXT(labels[i]), NO_PART,
				      NO_PART) == -EOPNOTSUPP;
	ok(refused, "labels are the host's");
	if (root_rights) {
		is_int(client_setxattr(&client, node, "trusted.overlay.opaque",
				       (struct fuse_setxattr_in){ .size = 1 }, "y"),
		       0);
		is_int(client_getxattr(&client, node, "trusted.overlay.opaque", 10), 1);
	} else {
		skip("trusted.* is the guest's", "needs root");
	}
	client_close(&client);
	leave_root();
}

int main(void)
{
	if (!tree_open())
		return 1;
	test_odd_names();
	test_handles();
	test_nodeids();
	test_sizes();
	test_special();
	test_ids();
	test_security_xattrs();
	tree_close();
	return done();
}
