// steps: the list of system calls from the launcher's first to the program's execve, with arguments
// that still are what they mean. image.c turns it into what the launcher walks.
#pragma once

#include "process/plan.h"

enum step_arg_kind {
	STEP_END,
	STEP_NUMBER,
	STEP_BYTES,   // address of a copy of the bytes; strings are bytes that include their NUL
	STEP_STRINGS, // address of a NULL-terminated list of strings
	STEP_FILTER,  // address of a struct sock_fprog with the filter
	STEP_LISTENER, // address of a struct msghdr: the text, with the result of the call before as a descriptor
	STEP_RESULT, // the result of the call before
};

struct step_arg {
	enum step_arg_kind kind;
	union {
		uint64_t number;
		struct {
			const void *data;
			size_t len;
		} bytes;
		char *const *strings;
		const struct process_filter *filter;
	};
	const char *text; // how it is printed; NULL: as its kind is
};

struct step {
	const char *name; // for a report of its failure
	const char *call; // the system call's name
	long nr;
	uint64_t accept; // bit n: errno n is no failure
	struct step_arg args[6];
};

struct steps {
	struct step *v;
	size_t n;
};

// The list for `plan`, in the plan's arena. Pure. `channels` may be NULL: before they are known.
struct steps steps_make(const struct process_plan *plan, const struct process_channels *channels);

// The list that only executes a program, and says so on standard error if that can't be done. Pure.
// The steps go into `list`, and refer to the arguments.
#define STEPS_PROGRAM_MAX 3
struct steps steps_make_program(const char *path, char *const *argv, char *const *envp,
				struct step list[STEPS_PROGRAM_MAX]);
