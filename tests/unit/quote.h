// quote: JSON in C, without a backslash at every quote.
#pragma once

#include "base/arena.h"

// The text with ' for ", as JSON.
static inline const char *json_of(const char *text, struct arena *arena)
{
	char *json = arena_strdup(arena, text);

	for (char *c = json; *c; c++)
		if (*c == '\'')
			*c = '"';
	return json;
}
