// arena: memory that lives and dies together.
//
// A parsed spec, a plan and the strings they point to are built once, read many times and freed at
// once. Allocations come zeroed and aligned for any type. Running out of memory ends the program
// with a message: a runtime that can't allocate a few kilobytes has nothing better to do, and its
// callers stay free of checks that nobody can test.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *head; // the chunk that is being filled; older ones behind it
};

// All memory of the arena becomes invalid. The arena may be used again.
void arena_free(struct arena *arena);

#define scope_arena __attribute__((cleanup(arena_free)))

// `size` zeroed bytes; never NULL.
void *arena_alloc(struct arena *arena, size_t size) __attribute__((returns_nonnull, alloc_size(2)));

// `count` zeroed objects of type `type`.
#define arena_new(arena, type, count) ((type *)arena_alloc_array((arena), (count), sizeof(type)))
void *arena_alloc_array(struct arena *arena, size_t count, size_t size)
	__attribute__((returns_nonnull));

char *arena_strdup(struct arena *arena, const char *str) __attribute__((returns_nonnull));
char *arena_strndup(struct arena *arena, const char *str, size_t len)
	__attribute__((returns_nonnull));
char *arena_printf(struct arena *arena, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull));
