// str: strings, numbers in strings, and growing text.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static inline bool str_eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static inline bool str_starts(const char *str, const char *prefix)
{
	return strncmp(str, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *str, const char *suffix);

// Well-formed UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates.
bool str_is_utf8(const char *str);

// Whole-string decimal numbers: no sign for the unsigned ones, no blanks, no leading `+`, no
// trailing text, no overflow. Return 0, -EINVAL (not a number) or -ERANGE, and leave *value alone
// on failure.
int str_to_u64(const char *str, uint64_t *value);
int str_to_i64(const char *str, int64_t *value);
int str_to_u32(const char *str, uint32_t *value);
int str_to_int(const char *str, int *value);

// A growing text: starts as {0}; `str` is NUL-terminated once something was added. Like the
// arena's, its allocations do not fail.
struct text {
	char *str;
	size_t len, cap;
};

void text_add(struct text *text, const char *bytes, size_t len);
void text_str(struct text *text, const char *str);
void text_printf(struct text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Adds `str` as a JSON string, quotes included; bytes that are not UTF-8 become U+FFFD.
void text_json(struct text *text, const char *str);

// Adds the present time in UTC as RFC 3339 with nanoseconds: `2026-01-31T23:59:59.000000000Z`.
void text_now(struct text *text);

void text_free(struct text *text);

#define scope_text __attribute__((cleanup(text_free)))
