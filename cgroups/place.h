// place: one directory of one hierarchy, and what is to be written there. Private to cgroups/.
//
// Plans and cgroups are lists of places. The functions here are what everything else does with the
// kernel's files: read one, write one, write a list. A file is named by its directory and its name.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "cgroups/cgroups.h"
#include "cgroups/devices.h"

#include <stdbool.h>
#include <stddef.h>

enum place_write_flag {
	// A kernel without the file is as good.
	WRITE_OPTIONAL = 1,
	// Where the file is missing the next write of the list is made instead; where it isn't,
	// that one is passed over.
	WRITE_OR_NEXT = 2,
	// Neighbours that carry it bound each other (a limit and its total, a quota and its
	// period): which order the kernel takes depends on what stood there before, and it refuses
	// a wrong one with EINVAL. Any order that it takes will do.
	WRITE_LINKED = 4,
	// A limit that newer kernels have no longer: the file is missing, refuses every value, or
	// takes it and keeps none. That is worth a warning.
	WRITE_FADED = 8,
};

struct place_write {
	const char *file, *value;
	unsigned int flags;
};

struct place {
	const char *controllers; // v1: `cpu,cpuacct` or `name=systemd`; v2: those that it may have,
				 // separated by blanks, or NULL where nobody has looked
	const char *dir;	 // absolute
	size_t root_len;	 // so much of `dir` is the hierarchy's mount point
	bool v2;
	bool needed;	    // a limit is to be written here
	const char *enable; // v2: controllers that a limit needs, separated by blanks; NULL: none
	struct {
		struct place_write *v;
		size_t n, cap;
	} writes;
	const struct device_rules
		*devices; // v1: among the writes; v2: to become a program; NULL: none
	size_t made;	  // so much of `dir` was there before cgroup_create(); 0: all of it
};

struct places {
	struct place *v;
	size_t n;
};

struct unit;

struct cgroup {
	struct arena arena; // holds all of it
	enum cgroup_driver driver;
	struct places places;
	struct places before;	 // what the last update has changed
	const struct unit *unit; // of the systemd driver; NULL: none
	pid_t keeper;		 // that keeps the unit from ending (cgroups/keeper.h); 0: none
};

// True if `name` is one of the names in `list`, separated by blanks or commas.
bool place_list_has(const char *list, const char *name);

// The place that has `controller` (as v1 and v2 call it); NULL: none.
struct place *place_find(const struct places *places, const char *v1_name, const char *v2_name);

// True if device rules are to be written to it.
bool place_changes_devices(const struct place *place);

// The v2 place; NULL: none.
struct place *place_find_v2(const struct places *places);

void place_add_write(struct place *place, struct arena *arena, unsigned int flags, const char *file,
		     const char *format, ...) __attribute__((format(printf, 5, 6)));

// Opens a file of the directory. Returns the fd or -errno.
int place_open(const char *dir, const char *file, int flags);

// Reads at most `size` - 1 bytes with one read(2), ends them with a NUL and takes a newline at the
// end away. Returns the length or -errno.
int place_read(const char *dir, const char *file, char *buf, size_t size);

// Reads a whole file of any length, NUL-terminated, into *data (free() it). Returns 0 or -errno.
int place_read_all(const char *dir, const char *file, char **data);

// The file's one number; `max` and what doesn't fit is UINT64_MAX. Returns 0 or -errno.
int place_read_u64(const char *dir, const char *file, uint64_t *value);

// Writes with one write(2). Returns 0 or -errno.
int place_write(const char *dir, const char *file, const char *value);

// Makes all writes of the place, in order.
int place_write_all(const struct place *place, struct err *err);
