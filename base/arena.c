#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)16 * 1024)

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, size;
	_Alignas(max_align_t) unsigned char bytes[];
};

static void out_of_memory(void)
{
	static const char msg[] = "moat: out of memory\n";

	fwrite(msg, 1, sizeof(msg) - 1, stderr);
	_Exit(1);
}

static struct arena_chunk *chunk_new(struct arena *arena, size_t least)
{
	size_t size = least > CHUNK_BYTES ? least : CHUNK_BYTES;
	struct arena_chunk *chunk = calloc(1, sizeof(*chunk) + size);

	if (!chunk)
		out_of_memory();
	chunk->size = size;
	chunk->next = arena->head;
	arena->head = chunk;
	return chunk;
}

void arena_free(struct arena *arena)
{
	while (arena->head) {
		struct arena_chunk *next = arena->head->next;

		free(arena->head);
		arena->head = next;
	}
}

void *arena_alloc(struct arena *arena, size_t size)
{
	const size_t align = _Alignof(max_align_t);

	if (size > SIZE_MAX - sizeof(struct arena_chunk) - align)
		out_of_memory();
	size = (size + align - 1) & ~(align - 1);

	struct arena_chunk *chunk = arena->head;
	if (!chunk || chunk->size - chunk->used < size)
		chunk = chunk_new(arena, size);

	void *ptr = chunk->bytes + chunk->used;
	chunk->used += size;
	return ptr;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		out_of_memory();
	return arena_alloc(arena, bytes);
}

char *arena_strndup(struct arena *arena, const char *str, size_t len)
{
	char *copy = arena_alloc(arena, len + 1);

	memcpy(copy, str, len);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *str)
{
	return arena_strndup(arena, str, strlen(str));
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
	va_list args, again;

	va_start(args, fmt);
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	char *str = arena_alloc(arena, (size_t)(len < 0 ? 0 : len) + 1);
	vsnprintf(str, (size_t)(len < 0 ? 0 : len) + 1, fmt, again);
	va_end(again);
	return str;
}
