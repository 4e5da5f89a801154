// json: JSON texts, in and out. The only user of yajl.
//
// Reading gives a tree in an arena. It is strict where the texts that we read decide what a
// container may do: one value and nothing behind it, no key twice in an object, no NUL in a string,
// well-formed UTF-8, bounded depth. Numbers stay as they were written, so that all of int64 and
// uint64 can be told apart from what merely looks like it; what a number or a key means is for
// oci-spec/bind.h to say.
//
// Writing appends to a struct text, compact or indented, without a tree in between.
//
// RFC 8259.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Arrays and objects within each other; config.json needs 8.
#define JSON_MAX_DEPTH 64

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_type type;
	uint32_t count;	   // children of an array or object
	char *key;	   // the name of an object's member, else NULL
	struct json *next; // the next child of the same parent
	union {
		bool truth;
		char *text; // a string, or a number as it was written
		struct json *first;
	};
};

// Parses `len` bytes into a tree that lives in `arena`. -EINVAL with the line and column, or the
// path of the object that has a key twice.
int json_parse(const char *text, size_t len, struct arena *arena, const struct json **root,
	       struct err *err);

// For messages: `a string`, `null`, ...
const char *json_type_name(enum json_type type);

// Starts as { .out = text, .indent = "\t" }; no indent means compact, on one line. Every function
// takes the member's name where the value stands in an object, and NULL where it stands in an array
// or alone.
struct json_writer {
	struct text *out;
	const char *indent;
	unsigned int depth;
	bool more; // a value stands before this one
};

void json_open_object(struct json_writer *writer, const char *key);
void json_open_array(struct json_writer *writer, const char *key);
void json_close_object(struct json_writer *writer);
void json_close_array(struct json_writer *writer);
void json_write_str(struct json_writer *writer, const char *key, const char *value);
void json_write_bool(struct json_writer *writer, const char *key, bool value);
void json_write_i64(struct json_writer *writer, const char *key, int64_t value);
void json_write_u64(struct json_writer *writer, const char *key, uint64_t value);
// `thousandths` of 1: 1234 is written as 1.234.
void json_write_milli(struct json_writer *writer, const char *key, uint64_t thousandths);
