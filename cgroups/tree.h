// tree: a directory of a hierarchy with all that is below it. Private to cgroups/.
//
// What is below was made by the container, so it may be deep, and change at any moment.
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "cgroups/place.h"

// Makes the directory and whatever is missing between it and its hierarchy's mount point; tells in
// place->made what was there before. Returns 1 where the directory itself was there already, 0, or
// -errno.
int tree_make(struct place *place);

// So much of `dir` is the directory above.
size_t tree_parent_len(const char *dir);

// Takes away what tree_make() made, as far as it is empty or has gone already.
void tree_unmake(const struct place *place);

// Removes the directory and everything below it, waiting a while for processes that are ending.
// Gone already is no error.
int tree_remove(const char *dir, struct err *err);

// Appends the processes of the directory and of all below it to `pids`, as an array of pid_t. A
// directory that has gone has none.
int tree_pids(const char *dir, struct text *pids, struct err *err);
