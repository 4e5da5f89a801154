/* rename(2) and renameat2(2). */
#include "fstest.h"

#include <linux/fs.h>
#include <sys/sysmacros.h>

static int rename2(const char *from, const char *to, unsigned int flags)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void plain(void)
{
	put("a", "a", 0640);
	put("b", "b", 0600);
	struct stat a = look("a");

	OK(rename("a", "b"));
	FAILS(ENOENT, rename("a", "c"));
	HAS("b", "a");
	IS(look("b").st_ino, a.st_ino);
	IS(mode_of("b"), 0640);
	OK(mkdir("d", 0755));
	OK(rename("b", "d/b"));
	HAS("d/b", "a");
	OK(link("d/b", "same"));
	/* Two names of one file: nothing happens. */
	OK(rename("same", "d/b"));
	IS(look("same").st_nlink, 2);
	FAILS(ENOENT, rename("none", "d"));
	FAILS(EBUSY, rename("d/.", "e"));
}

static void dirs(void)
{
	OK(mkdir("a", 0755));
	put("a/f", "f", 0644);
	OK(mkdir("empty", 0755));
	OK(mkdir("full", 0755));
	put("full/x", "x", 0644);
	put("file", "", 0644);
	FAILS(ENOTEMPTY, rename("a", "full"));
	FAILS(ENOTDIR, rename("a", "file"));
	FAILS(EISDIR, rename("file", "a"));
	FAILS(EINVAL, rename("a", "a/below"));
	FAILS(EBUSY, rename("a/f", "."));
	OK(rename("a", "empty"));
	HAS("empty/f", "f");
	int fd = OK(open_file("empty", O_RDONLY | O_DIRECTORY));
	OK(chdir("empty"));
	OK(rename("../empty", "../full/moved"));
	HAS("f", "f");
	struct stat up;
	OK(stat("..", &up));
	OK(fstatat(fd, "f", &(struct stat){ 0 }, 0));
	OK(chdir("../.."));
	IS(up.st_ino, look("full").st_ino);
	OK(rename("full/moved", "back"));
	HAS("back/f", "f");
}

static void noreplace(void)
{
	put("a", "a", 0644);
	put("b", "b", 0644);
	FAILS(EEXIST, rename2("a", "b", RENAME_NOREPLACE));
	OK(rename2("a", "c", RENAME_NOREPLACE));
	HAS("c", "a");
	HAS("b", "b");
	FAILS(EINVAL, rename2("b", "c", RENAME_NOREPLACE | RENAME_EXCHANGE));
	FAILS(EINVAL, rename2("b", "c", 1 << 30));
}

static void exchange(void)
{
	put("f", "file", 0644);
	OK(mkdir("d", 0755));
	put("d/in", "in", 0644);
	OK(rename2("f", "d", RENAME_EXCHANGE));
	HAS("d", "file");
	HAS("f/in", "in");
	OK(mkdir("other", 0755));
	put("other/g", "g", 0644);
	OK(rename2("d", "other/g", RENAME_EXCHANGE));
	HAS("d", "g");
	HAS("other/g", "file");
	FAILS(ENOENT, rename2("d", "none", RENAME_EXCHANGE));
}

static void whiteout(void)
{
	put("f", "f", 0644);
	put("over", "over", 0644);
	int ret = rename2("f", "g", RENAME_WHITEOUT);

	if (ret < 0 && errno == EINVAL)
		fs_skip("the file system below knows no RENAME_WHITEOUT");
	OK(ret);
	HAS("g", "f");
	IS(look("f").st_mode & S_IFMT, S_IFCHR);
	IS(look("f").st_rdev, makedev(0, 0));
	OK(rename2("g", "over", RENAME_WHITEOUT));
	HAS("over", "f");
	TRUE(S_ISCHR(look("g").st_mode));
}

/* Another process never finds the name without a file, nor anything between old and new. */
static void atomic(void)
{
	put("f", "00000000", 0644);
	pid_t pid = child();

	if (pid == 0) {
		for (int i = 0; i < 300; i++) {
			char text[16];

			snprintf(text, sizeof(text), "%08d", i);
			put("f.new", text, 0644);
			OK(rename("f.new", "f"));
		}
		child_end();
	}
	for (int last = 0; last < 299;) {
		char text[16] = "";
		int fd = OK(open_file("f", O_RDONLY));

		IS(read(fd, text, sizeof(text)), 8);
		close(fd);
		TRUE(atoi(text) >= last);
		last = atoi(text);
	}
	child_wait(pid);
}

const struct fs_group fs_renames = {
	"renames",
	(const struct fs_test[]){
		{ "files", plain },
		{ "directories", dirs },
		{ "RENAME_NOREPLACE", noreplace },
		{ "RENAME_EXCHANGE", exchange },
		{ "RENAME_WHITEOUT", whiteout },
		{ "another process sees old or new", atomic },
		{ 0 },
	},
};
