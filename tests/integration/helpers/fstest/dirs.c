/* Reading directories, small and large, while they change. */
#include "fstest.h"

#include <dirent.h>

static char *name_of(unsigned int i)
{
	static char name[64];

	/* Names of several lengths, so that they don't fill buffers evenly. */
	snprintf(name, sizeof(name), "%05u%.*s", i, (int)(i % 40),
		 "........................................");
	return name;
}

static void make(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		OK(close(OK(open_file(name_of(i), O_CREAT | O_WRONLY))));
}

static DIR *open_dir(const char *name)
{
	DIR *dir = opendir(name);

	TRUE(dir != NULL);
	return dir;
}

static struct dirent *next(DIR *dir)
{
	struct dirent *entry;

	errno = 0;
	do
		entry = readdir(dir);
	while (entry && (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")));
	IS(errno, 0);
	return entry;
}

/* Reads the rest: each of `count` names once, from where the ones in `seen` are told already. */
static void all_once(DIR *dir, uint8_t *seen, unsigned int count)
{
	struct dirent *entry;
	unsigned int n = 0;

	while ((entry = next(dir))) {
		unsigned int i = (unsigned int)atoi(entry->d_name);

		TRUE(i < count);
		IS(strcmp(entry->d_name, name_of(i)), 0);
		IS(seen[i]++, 0);
		n++;
	}
	for (unsigned int i = 0; i < count; i++)
		IS(seen[i], 1);
	TRUE(n <= count);
}

static uint8_t *none_seen(unsigned int count)
{
	uint8_t *seen = calloc(count, 1);

	TRUE(seen != NULL);
	return seen;
}

static void large(void)
{
	make(fs_entries);
	DIR *dir = open_dir(".");
	all_once(dir, none_seen(fs_entries), fs_entries);
	rewinddir(dir);
	all_once(dir, none_seen(fs_entries), fs_entries);
	closedir(dir);
	/* Another that is open at the same time has a position of its own. */
	DIR *one = open_dir("."), *two = open_dir(".");
	for (int i = 0; i < 10; i++) {
		char name[256];

		snprintf(name, sizeof(name), "%s", next(one)->d_name);
		IS(strcmp(name, next(two)->d_name), 0);
	}
	closedir(one);
	closedir(two);
}

static void positions(void)
{
	const unsigned int count = 500;
	static char names[500][256];
	long at[500];

	make(count);
	DIR *dir = open_dir(".");
	for (unsigned int i = 0; i < count; i++) {
		at[i] = telldir(dir);
		snprintf(names[i], sizeof(names[i]), "%s", next(dir)->d_name);
	}
	TRUE(next(dir) == NULL);
	for (unsigned int i = 0; i < count; i += 7) {
		const unsigned int to = (i * 131) % count;

		seekdir(dir, at[to]);
		IS(strcmp(next(dir)->d_name, names[to]), 0);
	}
	/* A position outlives the entries before it. */
	for (unsigned int i = 0; i < 250; i++)
		OK(unlink(names[i]));
	seekdir(dir, at[250]);
	for (unsigned int i = 250; i < count; i++)
		IS(strcmp(next(dir)->d_name, names[i]), 0);
	TRUE(next(dir) == NULL);
	closedir(dir);
}

/* rm -r: nothing is left out though each entry is removed when it is seen. */
static void remove_while_reading(void)
{
	struct dirent *entry;
	unsigned int n = 0;

	OK(mkdir("d", 0755));
	OK(chdir("d"));
	make(fs_entries);
	DIR *dir = open_dir(".");
	while ((entry = next(dir))) {
		OK(unlink(entry->d_name));
		n++;
	}
	IS(n, fs_entries);
	closedir(dir);
	OK(chdir(".."));
	OK(rmdir("d"));
}

/* What is there all the time is seen once, whatever comes and goes beside it. */
static void change_while_reading(void)
{
	const unsigned int count = 600;
	uint8_t *seen = none_seen(count);
	struct dirent *entry;
	char name[32];
	unsigned int i = 0;

	make(count);
	DIR *dir = open_dir(".");
	while ((entry = next(dir))) {
		snprintf(name, sizeof(name), "new%u", i);
		if (i < 300)
			put(name, "", 0644);
		snprintf(name, sizeof(name), "new%u", i / 2);
		if (i < 300 && i % 2)
			OK(unlink(name));
		i++;
		if (strncmp(entry->d_name, "new", 3))
			IS(seen[atoi(entry->d_name)]++, 0);
	}
	for (i = 0; i < count; i++)
		IS(seen[i], 1);
	closedir(dir);
}

static bool lists(DIR *dir, const char *name)
{
	struct dirent *entry;

	rewinddir(dir);
	while ((entry = next(dir)))
		if (!strcmp(entry->d_name, name))
			return true;
	return false;
}

static void rewound(void)
{
	DIR *dir = open_dir(".");

	TRUE(!lists(dir, "f"));
	put("f", "", 0644);
	TRUE(lists(dir, "f"));
	OK(rename("f", "g"));
	TRUE(!lists(dir, "f"));
	TRUE(lists(dir, "g"));
	OK(unlink("g"));
	TRUE(!lists(dir, "g"));
	TRUE(lists(dir, "g") == false);
	OK(mkdir("d", 0755));
	TRUE(lists(dir, "d"));
	closedir(dir);
}

static void types(void)
{
	struct dirent *entry;
	unsigned int n = 0;

	put("f", "", 0644);
	OK(mkdir("d", 0755));
	OK(symlink("x", "l"));
	OK(mkfifo("p", 0644));
	OK(link("f", "again"));
	DIR *dir = open_dir(".");
	while ((entry = next(dir))) {
		const struct stat st = look(entry->d_name);

		IS(entry->d_ino, st.st_ino);
		if (entry->d_type != DT_UNKNOWN)
			IS(entry->d_type, IFTODT(st.st_mode));
		n++;
	}
	IS(n, 5);
	rewinddir(dir);
	unsigned int dots = 0;
	while ((entry = readdir(dir))) {
		struct stat st;

		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			continue;
		OK(stat(entry->d_name, &st));
		TRUE(S_ISDIR(st.st_mode));
		dots++;
	}
	IS(dots, 2);
	closedir(dir);
}

/* Of a directory that is gone nothing is read, and that is no error. */
static void removed(void)
{
	OK(mkdir("d", 0755));
	DIR *dir = open_dir("d");
	OK(rmdir("d"));
	TRUE(next(dir) == NULL);
	closedir(dir);
}

const struct fs_group fs_dirs = {
	"dirs",
	(const struct fs_test[]){
		{ "a large one", large },
		{ "telldir and seekdir, also after removals", positions },
		{ "removing what is read", remove_while_reading },
		{ "changes while it is read", change_while_reading },
		{ "rewinddir sees what has changed", rewound },
		{ "types and inode numbers", types },
		{ "one that has been removed", removed },
		{ 0 },
	},
};
