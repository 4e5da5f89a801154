#include "rootfs/options.h"

#include "rootfs/rootfs.h"

#include <stdlib.h>
#include <sys/mount.h>

enum option_effect {
	ON_MOUNT,	// MOUNT_ATTR_* and, beside them, MS_* of the super block
	ON_TREE,	// MOUNT_ATTR_*, AT_RECURSIVE
	ON_PROPAGATION, // MS_*
	ON_WORD,	// WORD_*
};

struct option {
	const char *name;
	enum option_effect effect;
	uint64_t set, clear;
	unsigned int sb_set, sb_clear;
};

// Access times are one field of three values: whoever sets one clears the field, and clearing it
// alone gives the kernel's default, relatime. So `norelatime` has nothing to do.
#define ATIME MOUNT_ATTR__ATIME

// Sorted by name: it is searched, and `moat features` lists it.
static const struct option table[] = {
	{ "acl", ON_MOUNT, .sb_set = MS_POSIXACL },
	{ "async", ON_MOUNT, .sb_clear = MS_SYNCHRONOUS },
	{ "atime", ON_MOUNT, .clear = ATIME },
	{ "bind", ON_WORD, .set = WORD_BIND },
	{ "copy-symlink", ON_WORD, .set = WORD_COPY_SYMLINK },
	{ "defaults", ON_WORD, .set = 0 },
	{ "dest-nofollow", ON_WORD, .set = WORD_DEST_NOFOLLOW },
	{ "dev", ON_MOUNT, .clear = MOUNT_ATTR_NODEV },
	{ "diratime", ON_MOUNT, .clear = MOUNT_ATTR_NODIRATIME },
	{ "dirsync", ON_MOUNT, .sb_set = MS_DIRSYNC },
	{ "exec", ON_MOUNT, .clear = MOUNT_ATTR_NOEXEC },
	{ "idmap", ON_WORD, .set = WORD_IDMAP },
	{ "iversion", ON_MOUNT, .sb_set = MS_I_VERSION },
	{ "lazytime", ON_MOUNT, .sb_set = MS_LAZYTIME },
	{ "loud", ON_MOUNT, .sb_clear = MS_SILENT },
	{ "mand", ON_MOUNT, .sb_set = MS_MANDLOCK },
	{ "noacl", ON_MOUNT, .sb_clear = MS_POSIXACL },
	{ "noatime", ON_MOUNT, .set = MOUNT_ATTR_NOATIME, .clear = ATIME },
	{ "nodev", ON_MOUNT, .set = MOUNT_ATTR_NODEV },
	{ "nodiratime", ON_MOUNT, .set = MOUNT_ATTR_NODIRATIME },
	{ "noexec", ON_MOUNT, .set = MOUNT_ATTR_NOEXEC },
	{ "noiversion", ON_MOUNT, .sb_clear = MS_I_VERSION },
	{ "nolazytime", ON_MOUNT, .sb_clear = MS_LAZYTIME },
	{ "nomand", ON_MOUNT, .sb_clear = MS_MANDLOCK },
	{ "norelatime", ON_WORD, .set = 0 },
	{ "nostrictatime", ON_MOUNT, .clear = ATIME },
	{ "nosuid", ON_MOUNT, .set = MOUNT_ATTR_NOSUID },
	{ "nosymfollow", ON_MOUNT, .set = MOUNT_ATTR_NOSYMFOLLOW },
	{ "private", ON_PROPAGATION, .set = MS_PRIVATE },
	{ "ratime", ON_TREE, .clear = ATIME },
	{ "rbind", ON_WORD, .set = WORD_BIND | WORD_RBIND },
	{ "rdev", ON_TREE, .clear = MOUNT_ATTR_NODEV },
	{ "rdiratime", ON_TREE, .clear = MOUNT_ATTR_NODIRATIME },
	{ "relatime", ON_MOUNT, .set = MOUNT_ATTR_RELATIME, .clear = ATIME },
	{ "remount", ON_WORD, .set = WORD_REMOUNT },
	{ "rexec", ON_TREE, .clear = MOUNT_ATTR_NOEXEC },
	{ "ridmap", ON_WORD, .set = WORD_IDMAP | WORD_RIDMAP },
	{ "rnoatime", ON_TREE, .set = MOUNT_ATTR_NOATIME, .clear = ATIME },
	{ "rnodev", ON_TREE, .set = MOUNT_ATTR_NODEV },
	{ "rnodiratime", ON_TREE, .set = MOUNT_ATTR_NODIRATIME },
	{ "rnoexec", ON_TREE, .set = MOUNT_ATTR_NOEXEC },
	{ "rnorelatime", ON_TREE, .clear = ATIME },
	{ "rnostrictatime", ON_TREE, .clear = ATIME },
	{ "rnosuid", ON_TREE, .set = MOUNT_ATTR_NOSUID },
	{ "rnosymfollow", ON_TREE, .set = MOUNT_ATTR_NOSYMFOLLOW },
	{ "ro", ON_MOUNT, .set = MOUNT_ATTR_RDONLY, .sb_set = MS_RDONLY },
	{ "rprivate", ON_PROPAGATION, .set = MS_PRIVATE | MS_REC },
	{ "rrelatime", ON_TREE, .set = MOUNT_ATTR_RELATIME, .clear = ATIME },
	{ "rro", ON_TREE, .set = MOUNT_ATTR_RDONLY },
	{ "rrw", ON_TREE, .clear = MOUNT_ATTR_RDONLY },
	{ "rshared", ON_PROPAGATION, .set = MS_SHARED | MS_REC },
	{ "rslave", ON_PROPAGATION, .set = MS_SLAVE | MS_REC },
	{ "rstrictatime", ON_TREE, .set = MOUNT_ATTR_STRICTATIME, .clear = ATIME },
	{ "rsuid", ON_TREE, .clear = MOUNT_ATTR_NOSUID },
	{ "rsymfollow", ON_TREE, .clear = MOUNT_ATTR_NOSYMFOLLOW },
	{ "runbindable", ON_PROPAGATION, .set = MS_UNBINDABLE | MS_REC },
	{ "rw", ON_MOUNT, .clear = MOUNT_ATTR_RDONLY, .sb_clear = MS_RDONLY },
	{ "shared", ON_PROPAGATION, .set = MS_SHARED },
	{ "silent", ON_MOUNT, .sb_set = MS_SILENT },
	{ "slave", ON_PROPAGATION, .set = MS_SLAVE },
	{ "src-nofollow", ON_WORD, .set = WORD_SRC_NOFOLLOW },
	{ "strictatime", ON_MOUNT, .set = MOUNT_ATTR_STRICTATIME, .clear = ATIME },
	{ "suid", ON_MOUNT, .clear = MOUNT_ATTR_NOSUID },
	{ "symfollow", ON_MOUNT, .clear = MOUNT_ATTR_NOSYMFOLLOW },
	{ "sync", ON_MOUNT, .sb_set = MS_SYNCHRONOUS },
	{ "tmpcopyup", ON_WORD, .set = WORD_TMPCOPYUP },
	{ "unbindable", ON_PROPAGATION, .set = MS_UNBINDABLE },
};

static int compare_name(const void *name, const void *row)
{
	return strcmp(name, ((const struct option *)row)->name);
}

static const struct option *find(const char *name)
{
	return bsearch(name, table, ARRAY_SIZE(table), sizeof(table[0]), compare_name);
}

const char *const *rootfs_mount_options(size_t *count)
{
	static const char *names[ARRAY_SIZE(table)];

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		names[i] = table[i].name;
	*count = ARRAY_SIZE(table);
	return names;
}

unsigned int options_propagation(const char *word)
{
	const struct option *option = find(word);

	return option && option->effect == ON_PROPAGATION ? (unsigned int)option->set : 0;
}

static void change(struct mount_attrs *attrs, const struct option *option)
{
	attrs->set = (attrs->set & ~option->clear) | option->set;
	// The kernel clears first, and wants the access time's field cleared as a whole.
	attrs->clear = (attrs->clear | option->clear) & ~(option->set & ~(uint64_t)ATIME);
}

void options_decode(const struct oci_strings *words, struct arena *arena,
		    struct mount_options *options)
{
	*options = (struct mount_options){
		.propagation = arena_new(arena, unsigned int, words->n),
		.data.v = arena_new(arena, char *, words->n + 1),
	};
	for (size_t i = 0; i < words->n; i++) {
		const struct option *option = find(words->v[i]);

		if (!option) {
			options->data.v[options->data.n++] = words->v[i];
			continue;
		}
		switch (option->effect) {
		case ON_MOUNT:
			change(&options->attrs, option);
			options->sb_set = (options->sb_set & ~option->sb_clear) | option->sb_set;
			options->sb_clear = (options->sb_clear | option->sb_clear) &
					    ~option->sb_set;
			break;
		case ON_TREE:
			change(&options->tree, option);
			break;
		case ON_PROPAGATION:
			options->propagation[options->propagation_count++] =
				(unsigned int)option->set;
			break;
		case ON_WORD:
			options->words |= (unsigned int)option->set;
			break;
		}
	}
}

// Adds `name` to the list that `key` starts at its first entry.
static void print_word(struct text *out, const char *key, const char *name, bool *first)
{
	if (*first)
		text_printf(out, " %s=%s", key, name);
	else
		text_printf(out, ",%s", name);
	*first = false;
}

// The words of `effect` whose flags are all in the given ones. Relatime is no flag but the absence
// of others; where the whole field of access times is meant, that is `atime`.
static void print_flags(struct text *out, const char *key, enum option_effect effect,
			uint64_t flags, unsigned int sb)
{
	const bool whole_atime = (flags & ATIME) == ATIME;
	bool first = true;

	if (whole_atime)
		print_word(out, key, "atime", &first);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct option *option = &table[i];

		if (option->effect != effect || (!option->set && !option->sb_set))
			continue;
		if (whole_atime && (option->set & ATIME))
			continue;
		if (option->set ? (option->set & ~flags) == 0 : (option->sb_set & ~sb) == 0)
			print_word(out, key, option->name, &first);
	}
}

void options_print(const struct mount_options *options, struct text *out)
{
	const uint64_t words = options->words;
	bool first = true;

	print_flags(out, "set", ON_MOUNT, options->attrs.set, options->sb_set);
	print_flags(out, "clear", ON_MOUNT, options->attrs.clear, options->sb_clear);
	print_flags(out, "tree-set", ON_TREE, options->tree.set, 0);
	print_flags(out, "tree-clear", ON_TREE, options->tree.clear, 0);
	for (size_t i = 0; i < options->propagation_count; i++)
		for (size_t k = 0; k < ARRAY_SIZE(table); k++)
			if (table[k].effect == ON_PROPAGATION &&
			    table[k].set == options->propagation[i])
				print_word(out, "propagation", table[k].name, &first);
	first = true;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct option *option = &table[i];
		const bool told = option->set == WORD_BIND || option->set == WORD_REMOUNT;

		if (option->effect == ON_WORD && option->set && !told &&
		    (option->set & ~words) == 0)
			print_word(out, "with", option->name, &first);
	}
}
