// Attempts to leave the root of the file server, and what lies on other mounts. The parts with mounts
// need root.
#include "tests/unit/fs-tree.h"
#include "tests/unit/tap.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

// The server's root is a directory `root` within the temporary one; all around it is out of bounds.
static int outer_fd = -1;

static void enter_root(void)
{
	outer_fd = base_fd;
	mkdirat(outer_fd, "root", 0755);
	put("secret", "secret");
	mkdirat(outer_fd, "secrets", 0755);
	base_fd = openat(outer_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void leave_root(void)
{
	close(base_fd);
	base_fd = outer_fd;
	clean();
}

// Every operation that takes a name.
static int call_with_name(struct client *client, int which, uint64_t dir, const char *name)
{
	const struct fuse_create_in create = { .flags = O_CREAT | O_RDWR, .mode = 0644 };
	const struct fuse_rename2_in rename = { .newdir = ROOT };
	const struct fuse_rename_in rename1 = { .newdir = ROOT };
	struct client_file file = { 0 };
	struct fuse_entry_out entry = { 0 };

	switch (which) {
	case 0:
		return client_lookup(client, dir, name, &entry);
	case 1:
		return client_create_as(client, dir, name, &create, &file);
	case 2:
		return client_mkdir(client, dir, name, 0755, &entry);
	case 3:
		return client_mknod(client, dir, name, S_IFREG | 0644, 0, &entry);
	case 4:
		return client_symlink(client, dir, name, "x", &entry);
	case 5:
		return client_link(client, client_walk(client, "file"), dir, name, &entry);
	case 6:
		return client_unlink(client, dir, name);
	case 7:
		return client_rmdir(client, dir, name);
	case 8:
		return client_rename(client, dir, name, rename, "x");
	case 9:
		return client_rename(client, ROOT, "file", rename, name);
	case 10:
		return client_call(client, FUSE_RENAME, dir, PART(rename1), TEXT(name), TEXT("x"));
	default:
		return 1;
	}
}

static void test_names(void)
{
	// None that a broken server could do harm with: outside of the root there is only `secret`.
	char absolute[64];
	const char *const names[] = { "..",	   ".",	       "../secret", absolute, "",
				      "dir/../..", "./secret", "dir/",	    "/" };
	struct client client;
	struct stat st;

	enter_root();
	snprintf(absolute, sizeof(absolute), "%s/secret", tree_path);
	put("file", "x");
	mkdirat(base_fd, "dir", 0755);
	start(&client);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		bool refused = true;
		int ret = 0;

		for (int which = 0; ret <= 0; which++) {
			ret = call_with_name(&client, which, ROOT, names[i]);
			refused = refused && (ret == -EINVAL || ret > 0);
			ret = ret > 0 ? 1 : 0;
		}
		ok(refused, names[i]);
	}
	is_int(fstatat(outer_fd, "secret", &st, 0), 0);
	is_int(st.st_nlink, 1);
	client_close(&client);
	leave_root();
}

// Links, absolute and relative, to files and directories, are files of the guest's and lead nowhere.
static void test_links(void)
{
	struct client client;
	struct fuse_entry_out entry = { 0 };
	struct fuse_open_out open = { 0 };
	struct fuse_attr attr;
	struct client_file file = { 0 };
	struct stat st;
	char target[64];

	enter_root();
	snprintf(target, sizeof(target), "%s/secrets", tree_path);
	symlinkat("../secret", base_fd, "relative");
	symlinkat(target, base_fd, "absolute");
	symlinkat("..", base_fd, "up");
	start(&client);
	const uint64_t up = client_walk(&client, "up");
	ok(up > 0, "a link is found");
	is_int(client_lookup(&client, up, "secret", &entry), -ENOTDIR);
	is_int(client_opendir(&client, up, &open), -ENOTDIR);
	is_int(client_mkdir(&client, client_walk(&client, "absolute"), "new", 0755, &entry),
	       -ENOTDIR);
	is_int(client_create(&client, client_walk(&client, "absolute"), "new", 0644, &file),
	       -ENOTDIR);
	const uint64_t node = client_walk(&client, "relative");
	is_int(client_open_file(&client, node, O_RDWR | O_TRUNC, &open), -ELOOP);
	is_int(client_setattr(&client, node,
			      &(struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = 0 }, &attr),
	       -EINVAL);
	client_setattr(&client, node,
		       &(struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 0777 }, &attr);
	client_setattr(&client, node, &(struct fuse_setattr_in){ .valid = FATTR_MTIME, .mtime = 1 },
		       &attr);
	client_setattr(&client, node,
		       &(struct fuse_setattr_in){ .valid = FATTR_UID,
						  .uid = root_rights ? 5 : getuid() },
		       &attr);
	client_setxattr(&client, node, "user.x", (struct fuse_setxattr_in){ .size = 1 }, "x");
	client_setxattr(&client, node, "trusted.x", (struct fuse_setxattr_in){ .size = 1 }, "x");
	fstatat(outer_fd, "secret", &st, 0);
	ok(st.st_size == 6 && (st.st_mode & 0777) == 0644 && st.st_mtime > 1000 &&
		   st.st_uid == geteuid(),
	   "what a link leads to is as it was");

	// A directory is swapped for a link between two requests: what is known stays what it was.
	struct fuse_entry_out dir = { 0 };
	client_mkdir(&client, ROOT, "dir", 0755, &dir);
	renameat(base_fd, "dir", base_fd, "moved");
	symlinkat("../secrets", base_fd, "dir");
	is_int(client_create(&client, dir.nodeid, "new", 0644, &file), 0);
	is_int(faccessat(base_fd, "moved/new", F_OK, 0), 0);
	is_int(faccessat(outer_fd, "secrets/new", F_OK, 0), -1);
	client_close(&client);
	leave_root();
}

// Someone outside moves a directory that the guest knows out of the root: the guest keeps it, but gets
// no further.
static void test_moved_out(void)
{
	struct client client;
	struct fuse_entry_out entry = { 0 };
	struct fuse_open_out open = { 0 };

	enter_root();
	mkdirat(base_fd, "dir", 0755);
	start(&client);
	const uint64_t node = client_walk(&client, "dir");
	is_int(renameat(base_fd, "dir", outer_fd, "secrets/dir"), 0);
	is_int(client_lookup(&client, node, "..", &entry), -EINVAL);
	is_int(client_opendir(&client, node, &open), 0);
	is_int(client_readdir(&client, node, true,
			      (struct fuse_read_in){ .fh = open.fh, .size = 4096 }) > 0,
	       1);
	for (size_t at = 0; at < client.len;) {
		const struct fuse_direntplus *plus =
			(const struct fuse_direntplus *)(client.data + at);
		is_int(plus->entry_out.nodeid, 0); // `.` and `..`: not to be entered
		at += FUSE_DIRENTPLUS_SIZE(plus);
	}
	client_close(&client);
	leave_root();
}

// ---- mounts ----

static void look_at_mounts(void)
{
	struct client client;
	struct fuse_entry_out entry = { 0 };
	struct fuse_open_out opened = { 0 };
	struct client_file file = { 0 };
	bool mounts = false;
	struct err err;
	char path[64];

	enter_root();
	mkdirat(base_fd, "bind", 0755);
	mkdirat(base_fd, "proc", 0755);
	mkdirat(base_fd, "tmp", 0755);
	put("file", "x");
	put("bound", "");
	close(openat(outer_fd, "secrets/inside", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	// The root is a mount of its own, as that of a container.
	snprintf(path, sizeof(path), "%s/root", tree_path);
	mount(path, path, NULL, MS_BIND, NULL);
	replace_fd(&base_fd, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	is_int(fs_has_mounts(proc_fd, base_fd, &mounts, &err), 0);
	ok(!mounts, "no mounts yet");
	if (fchdir(base_fd) < 0 || mount("../secrets", "bind", NULL, MS_BIND, NULL) < 0 ||
	    mount("../secret", "bound", NULL, MS_BIND, NULL) < 0 ||
	    mount("proc", "proc", "proc", 0, NULL) < 0 ||
	    mount("tmpfs", "tmp", "tmpfs", 0, NULL) < 0)
		printf("# mount: %s\n", strerror(errno));
	fs_has_mounts(proc_fd, base_fd, &mounts, &err);
	ok(mounts, "mounts below the root");

	start_with(&client,
		   (struct fs_options){ .cache_seconds = 3600, .window_bytes = FS_WINDOW_SLOT });
	is_int(client_lookup(&client, ROOT, "bind", &entry), 0);
	ok(entry.entry_valid == 0 && entry.attr_valid == 0, "others may change what is mounted");
	is_int(entry.attr.flags, FUSE_ATTR_SUBMOUNT);
	const uint64_t bind = entry.nodeid;
	is_int(client_lookup(&client, bind, "inside", &entry), 0);
	ok(entry.attr_valid == 0 && entry.attr.flags == 0, "nor is it cached below, nor mapped");
	is_int(client_lookup(&client, bind, "none", &entry), -ENOENT);
	is_int(client.answer.error, -ENOENT); // not to be remembered
	is_int(client_open_file(&client, client_walk(&client, "bind/inside"), O_RDWR, &opened), 0);
	is_int(opened.open_flags, 0);
	const struct fuse_setupmapping_in dax = { .len = FS_WINDOW_SLOT };
	is_int(client_call(&client, FUSE_SETUPMAPPING, client_walk(&client, "bind/inside"),
			   PART(dax), NO_PART, NO_PART),
	       -EOPNOTSUPP);
	is_int(client_lookup(&client, ROOT, "bound", &entry), 0);
	is_int(entry.attr.flags, 0); // only directories are announced
	is_int(client_link(&client, client_walk(&client, "file"), bind, "hard", &entry), -EXDEV);
	is_int(client_link(&client, client_walk(&client, "bind/inside"), ROOT, "hard", &entry),
	       -EXDEV);
	is_int(client_rename(&client, ROOT, "file", (struct fuse_rename2_in){ .newdir = bind },
			     "f"),
	       -EXDEV);
	is_int(client_rmdir(&client, ROOT, "bind"), -EBUSY);
	is_int(client_lookup(&client, ROOT, "proc", &entry), -EACCES);
	is_int(client_lookup(&client, ROOT, "tmp", &entry), 0);
	is_int(client_create(&client, entry.nodeid, "f", 0644, &file), 0);
	is_int(client_opendir(&client, ROOT, &opened), 0);
	client_readdir(&client, ROOT, true, (struct fuse_read_in){ .fh = opened.fh, .size = 4096 });
	bool listed = false;
	for (size_t at = 0; at < client.len;) {
		const struct fuse_direntplus *plus =
			(const struct fuse_direntplus *)(client.data + at);
		if (plus->dirent.namelen == 4 && memcmp(plus->dirent.name, "proc", 4) == 0)
			listed = plus->entry_out.nodeid == 0;
		at += FUSE_DIRENTPLUS_SIZE(plus);
	}
	ok(listed, "proc is listed, but not to be entered");
	client_close(&client);
}

// ---- an overlay ----

static int maps, unmaps;
static char mapped_content[8];

static int note_map(void *arg, const struct fs_mapping *mapping, int fd)
{
	(void)arg;
	maps += mapping->prot != 0;
	unmaps += mapping->prot == 0;
	memset(mapped_content, 0, sizeof(mapped_content));
	if (fd >= 0 && pread(fd, mapped_content, sizeof(mapped_content) - 1, 0) < 0)
		printf("# pread: %s\n", strerror(errno));
	return 0;
}

// A file of a lower layer becomes another one when it is first written: what the guest sees as memory
// must not be the old one.
static void look_at_overlay(void)
{
	const struct fuse_setupmapping_in dax = { .len = FS_WINDOW_SLOT,
						  .flags = FUSE_SETUPMAPPING_FLAG_READ };
	struct client client;
	struct fuse_entry_out entry = { 0 };
	struct fuse_open_out opened = { 0 };

	if (mount("tmpfs", tree_path, "tmpfs", 0, NULL) < 0)
		_exit(255);
	replace_fd(&base_fd, open(tree_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	mkdirat(base_fd, "lower", 0755);
	mkdirat(base_fd, "upper", 0755);
	mkdirat(base_fd, "work", 0755);
	mkdirat(base_fd, "root", 0755);
	put("lower/file", "old");
	put("lower/gone", "x");
	if (fchdir(base_fd) < 0 || mount("overlay", "root", "overlay", 0,
					 "lowerdir=lower,upperdir=upper,workdir=work") < 0)
		_exit(255);
	replace_fd(&base_fd, openat(base_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	start_with(&client, (struct fs_options){ .cache_seconds = 3600,
						 .window_bytes = FS_WINDOW_SLOT,
						 .map = note_map });
	is_int(client_lookup(&client, ROOT, "file", &entry), 0);
	is_int(entry.attr.flags, FUSE_ATTR_DAX);
	is_int(client_call(&client, FUSE_SETUPMAPPING, entry.nodeid, PART(dax), NO_PART, NO_PART),
	       0);
	is_int(maps, 1);
	const uint64_t node = entry.nodeid;
	is_int(client_open_file(&client, node, O_RDWR, &opened), 0);
	is_int(maps, 2);
	is_int(client_write(&client, node, (struct fuse_write_in){ .fh = opened.fh, .size = 3 },
			    "new"),
	       3);
	is_int(client_open_file(&client, node, O_RDWR | O_TRUNC, &opened), 0);
	is_int(maps, 3);
	is_str(mapped_content, "");
	is_int(client_lookup(&client, ROOT, "file", &entry), 0);
	is_int(entry.nodeid, node);
	is_int(client_unlink(&client, ROOT, "gone"), 0);
	is_int(client_lookup(&client, ROOT, "gone", &entry), -ENOENT);
	is_int(client_rename(&client, ROOT, "file", (struct fuse_rename2_in){ .newdir = ROOT },
			     "f"),
	       0);
	client_close(&client);
}

// In a process with a mount namespace of its own. The parent counts on from where that has ended.
static void in_namespace(void (*look)(void), const char *name)
{
	fflush(stdout);
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
			_exit(255);
		look();
		fflush(stdout);
		_exit(tap_failed > 0 ? 254 : tap_count);
	}
	waitpid(pid, &status, 0);
	const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 254;
	if (code == 255) {
		skip(name, "needs root");
	} else {
		if (code < 254)
			tap_count = code;
		ok(code < 254, name);
	}
	clean();
}

int main(void)
{
	if (!tree_open())
		return 1;
	test_names();
	test_links();
	test_moved_out();
	in_namespace(look_at_mounts, "mounts");
	in_namespace(look_at_overlay, "an overlay");
	tree_close();
	return done();
}
