#include "vm-mode/fs/handles.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int handles_create(struct handles *handles, uint32_t max)
{
	*handles = (struct handles){ .max = max };
	handles->table = calloc(max, sizeof(*handles->table));
	return handles->table ? 0 : -ENOMEM;
}

void handles_free(struct handles *handles)
{
	handles_clear(handles);
	free(handles->table);
	*handles = (struct handles){ 0 };
}

bool handles_full(const struct handles *handles)
{
	return handles->used == handles->max;
}

// The upper half of a number is the generation, so that one that was closed isn't taken for its
// successor.
int handles_add(struct handles *handles, int fd, bool dir, uint64_t nodeid, uint64_t *fh)
{
	uint32_t at = handles->free;

	if (handles_full(handles))
		return -EMFILE;
	if (at)
		handles->free = handles->table[at - 1].next;
	else
		at = ++handles->top;
	struct handle *handle = &handles->table[at - 1];
	const uint32_t generation = handle->generation + 1;

	*handle =
		(struct handle){ .fd = fd, .generation = generation, .dir = dir, .nodeid = nodeid };
	handles->used++;
	*fh = (uint64_t)generation << 32 | at;
	return 0;
}

struct handle *handles_get(const struct handles *handles, uint64_t fh, bool dir)
{
	const uint32_t at = (uint32_t)fh;

	if (at == 0 || at > handles->top)
		return NULL;
	struct handle *handle = &handles->table[at - 1];
	if (handle->fd < 0 || handle->generation != fh >> 32 || handle->dir != dir)
		return NULL;
	return handle;
}

void handles_close(struct handles *handles, struct handle *handle)
{
	close(handle->fd);
	handle->fd = -1;
	handle->next = handles->free;
	handles->free = (uint32_t)(handle - handles->table) + 1;
	handles->used--;
}

void handles_clear(struct handles *handles)
{
	for (uint32_t i = 0; i < handles->top; i++)
		if (handles->table[i].fd >= 0)
			handles_close(handles, &handles->table[i]);
}
