// options: the words in a mount's `options`, decoded. Internal to rootfs/.
//
// config.md "Linux mount options"; mount(8), "Filesystem-independent mount options".
#pragma once

#include "base/arena.h"
#include "base/str.h"
#include "oci-spec/types.h"

#include <stddef.h>
#include <stdint.h>

// Words that are neither a flag of the mount nor one of the file system.
enum mount_word {
	WORD_BIND = 1 << 0,
	WORD_RBIND = 1 << 1, // with WORD_BIND
	WORD_REMOUNT = 1 << 2,
	WORD_TMPCOPYUP = 1 << 3,
	WORD_COPY_SYMLINK = 1 << 4,  // a source that is a link is copied, not mounted
	WORD_SRC_NOFOLLOW = 1 << 5,  // it is mounted itself, not what it leads to
	WORD_DEST_NOFOLLOW = 1 << 6, // likewise for the target
	WORD_IDMAP = 1 << 7,
	WORD_RIDMAP = 1 << 8, // with WORD_IDMAP
};

// What mount_setattr(2) adds and takes away.
struct mount_attrs {
	uint64_t set, clear; // MOUNT_ATTR_*
};

struct mount_options {
	unsigned int words;	       // WORD_*
	struct mount_attrs attrs;      // of the mount
	struct mount_attrs tree;       // of the mount and all below it
	unsigned int sb_set, sb_clear; // MS_* of the file system's super block
	unsigned int *propagation;     // MS_*, perhaps with MS_REC, in the order given
	size_t propagation_count;
	struct oci_strings data; // for the file system, `key=value` or `key`
};

// Decodes the options; of words that contradict each other the last one wins. The lists live in
// `arena`, the strings are the spec's.
void options_decode(const struct oci_strings *words, struct arena *arena,
		    struct mount_options *options);

// The MS_* flags of a propagation word (`rslave`), or 0 if it is none.
unsigned int options_propagation(const char *word);

// Prints everything but the data as ` key=word,word` for the plan.
void options_print(const struct mount_options *options, struct text *out);
