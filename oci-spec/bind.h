// bind: between JSON objects and C structures, by tables.
//
// A structure's table has one row a field: its name in JSON, where it lies, and what may stand
// there. The kind of a plain field follows from the member's C type, so that table and structure
// can't disagree. One decoder and one encoder serve all tables; they know nothing of what the
// fields mean.
//
// Decoding: fields that no row names are ignored; `null` for a field that isn't required counts as
// absent, and so does an empty string, since engines written in Go can't tell the two apart. An
// error names the path of the field.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "oci-spec/json.h"
#include "oci-spec/types.h"

#include <stddef.h>
#include <stdint.h>

enum kind {
	KIND_BOOL,
	KIND_OPT_BOOL,
	KIND_U32, // the numbers, up to KIND_OPT_I64
	KIND_U64,
	KIND_I32,
	KIND_I64,
	KIND_OPT_U16,
	KIND_OPT_U32,
	KIND_OPT_U64,
	KIND_OPT_I32,
	KIND_OPT_I64,
	KIND_STRING,
	KIND_STRINGS,
	KIND_PAIRS,
	KIND_ENUM,    // a string that stands for the value of a C enum
	KIND_CHAR,    // a string of one letter, as a char
	KIND_NUMBERS, // LIST(uint32_t)
	KIND_OBJECT,  // a structure within the structure
	KIND_POINTER, // to a structure; NULL: absent
	KIND_LIST,    // LIST() of structures
	KIND_MAP,     // an object with free keys, as a LIST() of structures that hold their key
};

enum field_flags {
	FIELD_REQUIRED = 1 << 0, // must be there; always written
	FIELD_WRITTEN = 1 << 1,	 // written also where it is empty
	FIELD_ABSOLUTE = 1 << 2, // a string, or each of the strings, is an absolute path
	FIELD_PRESENT = 1 << 3,	 // KIND_POINTER: absent stands for an empty object, never for NULL
	FIELD_ALL_ONES = 1 << 4, // KIND_OPT_U64: 2^64-1, which is -1 to Go, counts as absent
};

// The words that may stand in a string. For KIND_ENUM and KIND_CHAR each has a value: decoding
// takes any that matches, encoding writes the first with that value. A KIND_CHAR field that is
// absent has the value of the first word.
struct word {
	const char *name;
	int value;
};
struct words {
	const struct word *v;
	size_t n;
};

// The first word with this value; `unknown` for a value that no word has.
const char *words_name(const struct words *words, int value);

// For words without a value, and for those that have one.
#define WORD(text)             \
	{                      \
		.name = (text) \
	}
#define WORD_FOR(number, text)                    \
	{                                         \
		.name = (text), .value = (number) \
	}
#define WORDS(...)                                                                            \
	{                                                                                     \
		.v = (const struct word[]){ __VA_ARGS__ },                                    \
		.n = sizeof((const struct word[]){ __VA_ARGS__ }) / sizeof(const struct word) \
	}

struct object;

struct field {
	const char *name;
	enum kind kind;
	unsigned int flags;
	size_t offset;
	const struct object *object; // of KIND_OBJECT, KIND_POINTER, KIND_LIST, KIND_MAP
	const struct words *words;   // which strings may stand here; NULL: any
	int64_t min, max; // of a number, where that is less than its type holds; both 0: all
};

struct object {
	const struct field *fields;
	size_t count; // at most 32
	size_t size;  // of the structure
	size_t key;   // for KIND_MAP: where the key goes, a char *
	bool closed;  // other fields than these are an error
};

#define FIELDS(table) .fields = (table), .count = ARRAY_SIZE(table)
#define OBJECT_OF(T, table)                             \
	{                                               \
		FIELDS(table), .size = sizeof(struct T) \
	}

#define MEMBER(T, member) (((struct T *)0)->member)

// The kind that a member's own type says; another type doesn't compile.
#define KIND_OF(T, member) \
	_Generic(MEMBER(T, member),                 \
		bool: KIND_BOOL,                    \
		uint32_t: KIND_U32,                 \
		uint64_t: KIND_U64,                 \
		int32_t: KIND_I32,                  \
		int64_t: KIND_I64,                  \
		struct opt_bool: KIND_OPT_BOOL,     \
		struct opt_u16: KIND_OPT_U16,       \
		struct opt_u32: KIND_OPT_U32,       \
		struct opt_u64: KIND_OPT_U64,       \
		struct opt_i32: KIND_OPT_I32,       \
		struct opt_i64: KIND_OPT_I64,       \
		char *: KIND_STRING,                \
		const char *: KIND_STRING,          \
		struct oci_strings: KIND_STRINGS,   \
		struct oci_pairs: KIND_PAIRS)

#define AT(T, member)		  .offset = offsetof(struct T, member)
#define VALUE(T, member)	  .kind = KIND_OF(T, member), AT(T, member)
#define ENUM(T, member, table)	  .kind = KIND_ENUM, AT(T, member), .words = &(table)
#define CHAR(T, member, table)	  .kind = KIND_CHAR, AT(T, member), .words = &(table)
#define NUMBERS(T, member)	  .kind = KIND_NUMBERS, AT(T, member)
#define OBJECT(T, member, table)  .kind = KIND_OBJECT, AT(T, member), .object = &(table)
#define POINTER(T, member, table) .kind = KIND_POINTER, AT(T, member), .object = &(table)
#define OBJECTS(T, member, table) .kind = KIND_LIST, AT(T, member), .object = &(table)
#define MAP(T, member, table)	  .kind = KIND_MAP, AT(T, member), .object = &(table)
#define RANGE(low, high)	  .min = (low), .max = (high)

// Fills the structure at `out` (zeroed) from a JSON text that holds one such object. What it points
// to lives in `arena`.
int bind_parse(const struct object *object, const char *json, size_t len, struct arena *arena,
	       void *out, struct err *err);

// Writes the structure at `in` as an object: as the value of `key`, or alone where that is NULL.
void bind_write(const struct object *object, const void *in, struct json_writer *writer,
		const char *key);

// Its members alone, into an object that the caller has opened.
void bind_write_members(const struct object *object, const void *in, struct json_writer *writer);
