// scope: resources that end with the block that declares them.
//
//     scope_fd int fd = open(...);        closed at the end of the block
//     scope_free char *s = strdup(...);   freed
//     return take_fd(&fd);                handed on to the caller instead
//
// A module with a type of its own defines its attribute beside the type, with SCOPE_DEFINE.
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void scope_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void scope_free_ptr(void *ptr)
{
	free(*(void **)ptr);
}

static inline void scope_close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define scope_fd   __attribute__((cleanup(scope_close_fd)))
#define scope_free __attribute__((cleanup(scope_free_ptr)))
#define scope_file __attribute__((cleanup(scope_close_file)))

// Gives up ownership: returns the fd and leaves -1 behind.
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

// Gives up ownership: returns the pointer and leaves NULL behind.
#define take_ptr(ptr)                               \
	({                                          \
		__typeof__(*(ptr)) *slot_ = (ptr);  \
		__typeof__(*(ptr)) taken_ = *slot_; \
		*slot_ = NULL;                      \
		taken_;                             \
	})

// Closes *fd if it is open and stores `value` in its place.
static inline void replace_fd(int *fd, int value)
{
	scope_close_fd(fd);
	*fd = value;
}
