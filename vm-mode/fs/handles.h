// handles: the files and directories that the guest has open.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct handle {
	int fd; // -1: the place is free
	uint32_t generation;
	uint32_t next; // free one: an index + 1, 0: none
	bool dir;
	uint64_t nodeid;
	uint64_t pos; // of a directory: where its descriptor stands
};

struct handles {
	struct handle *table;
	uint32_t max, used, top, free;
};

int handles_create(struct handles *handles, uint32_t max);
void handles_free(struct handles *handles);

// Takes `fd`; the handle's number is in *fh. -EMFILE: there is no place, and the descriptor is still
// the caller's.
int handles_add(struct handles *handles, int fd, bool dir, uint64_t nodeid, uint64_t *fh);
bool handles_full(const struct handles *handles);

// NULL: there is no such open file, or directory.
struct handle *handles_get(const struct handles *handles, uint64_t fh, bool dir);
void handles_close(struct handles *handles, struct handle *handle);
void handles_clear(struct handles *handles);
