// unit: the systemd unit that a container's cgroup belongs to: its name, its place, its properties.
// Private to cgroups/.
//
// All of it is pure. A unit is a scope, which lies in a slice, or, where linux.cgroupsPath says so,
// a slice itself. The properties are what systemd must know of the limits so that it doesn't undo
// them when it looks after the group the next time (`systemctl daemon-reload`); the limits
// themselves are written by moat, which knows them to the last digit.
//
// systemd.slice(5), systemd.resource-control(5), org.freedesktop.systemd1(5), and for the meaning
// of linux.cgroupsPath and of the annotations runc's docs/systemd.md.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "cgroups/cgroups.h"
#include "cgroups/place.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// One value of a D-Bus type.
struct unit_property {
	const char *name;
	const char *type;	    // one of b y n q i u x t d s as ay a(ss)
	uint64_t number;	    // of the integers (a negative one sign-extended) and of b
	double real;		    // of d
	struct oci_strings strings; // of s one, of as all, of a(ss) two for each entry
	const uint8_t *bytes;	    // of ay
	size_t byte_count;
	bool optional; // an older systemd has it not, or refuses the value
};

struct unit_properties {
	struct unit_property *v;
	size_t n, cap;
};

struct unit {
	const char *name;
	const char *slice; // that it lies in
	const char *path;  // of its cgroup in each hierarchy, below the mount point
	bool is_slice;
	bool user; // of the user's own manager
	struct unit_properties properties;
};

// The unit for linux.cgroupsPath (`slice:prefix:name`; NULL or empty: named by the id), with the
// properties that every unit gets. NULL, with the error -EINVAL: not such a path.
struct unit *unit_plan(const char *cgroups_path, const struct cgroup_options *options,
		       struct arena *arena, struct err *err);

// The unit whose cgroup is the absolute directory `dir`, of which no more is known than its name
// and whose it is. NULL: no such directory.
struct unit *unit_of_dir(const char *dir, struct arena *arena);

// So much of the directory `dir` of a unit is the group of the user's manager; 0: it is one of the
// system's.
size_t unit_manager_len(const char *dir);

// A scope of the user's manager for a process that is to be among that manager's own.
void unit_plan_entry(struct unit *unit, pid_t pid, struct arena *arena);

// The properties in the stead of older ones of the same name.
void unit_set(struct unit_properties *properties, struct arena *arena,
	      const struct unit_property *property);

// Sets what stands for the writes and for the device rules of the places; those that have no
// property, or a value that systemd doesn't take, are passed over. `devices`: the rules too.
void unit_set_limits(struct unit_properties *properties, struct arena *arena,
		     const struct places *places, bool devices);

// Sets what the annotations `org.systemd.property.NAME` ask for, which go before everything else.
// -EINVAL: not the name of a property, or no value; the error names the annotation.
int unit_set_annotations(struct unit_properties *properties, struct arena *arena,
			 const struct oci_pairs *annotations, struct err *err);

// One line each: `property NAME TYPE VALUE`.
void unit_properties_print(const struct unit_properties *properties, struct text *out);
