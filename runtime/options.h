// options: command lines as tables.
//
// A verb declares a struct for its settings and one row for each option, naming the member that the
// option fills. Parsing, the messages about bad input and --help all come from the rows.
#pragma once

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum option_kind {
	OPTION_FLAG,   // bool: true when given; also --name=true|false
	OPTION_STRING, // const char *; an empty one counts as none: NULL
	OPTION_FILE,   // the same, but an empty one is an error
	OPTION_LIST,   // struct oci_strings: each occurrence adds one; in the arena
	OPTION_INT,    // int, not negative
};

struct option_row {
	const char *name; // long name; NULL ends the table
	char letter;	  // short name or 0
	enum option_kind kind;
	size_t offset;	   // of the member
	const char *value; // what stands for the value in --help; NULL for flags
	const char *help;
};

// What is on the command line: before options_parse() the word that precedes the options, and all
// behind it; afterwards the positional arguments.
struct option_rest {
	int argc;
	char **argv; // NULL-terminated
};

// Fills `settings` from the options in `rest`, and leaves the positional arguments there. With
// `permute`, options may follow positional arguments; without, the first positional argument ends
// the options, as for verbs that pass the rest on. Returns 1 when --help was asked for. -EINVAL:
// unknown option, missing or bad value.
int options_parse(const struct option_row *rows, bool permute, void *settings, struct arena *arena,
		  struct option_rest *rest, struct err *err);

// The value of a verb's --format: 1 for json, 0 for table, which NULL stands for, too. -EINVAL: another.
int options_wants_json(const char *format, struct err *err);

// The table of a verb without options.
extern const struct option_row no_options[];

// Prints the rows to standard output, one a line.
void options_help(const struct option_row *rows);
