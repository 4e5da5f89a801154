// runtime: what the verbs share: the settings of the command line before the verb, and the verbs
// themselves.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "cgroups/cgroups.h"
#include "runtime/options.h"

#include <stdbool.h>

struct runtime {
	char *const *argv; // of the program
	const char *root;  // the state directory, absolute
	enum cgroup_driver cgroup_driver;
	bool rootless; // not the host's root: what root alone may do is left out or told
	bool debug;
	bool vm;	     // isolate as a microVM
	struct arena *arena; // lives as long as the program
};

// One verb. `run` gets the settings already parsed and returns the exit status of the program (0 or
// more), or a negative errno with err filled.
struct verb {
	const char *name;
	const char *usage;   // the positional arguments, as `ID [SIGNAL]`
	const char *summary; // for --help
	const struct option_row *options;
	size_t settings_size;
	bool passes_rest;	// options end at the first positional argument
	int min_args, max_args; // positional arguments; max -1: any number
	int failure_status;	// exit status when `run` fails; 0 means 1
	int (*run)(const struct runtime *rt, const void *settings, const struct option_rest *rest,
		   struct err *err);
};

extern const struct verb verb_create, verb_start, verb_run, verb_exec, verb_kill, verb_delete,
	verb_list, verb_ps, verb_state, verb_pause, verb_resume, verb_update, verb_events,
	verb_spec, verb_features, verb_check;
