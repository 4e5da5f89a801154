// plan: what is in a cgroup plan. Private to cgroups/.
#pragma once

#include "cgroups/cgroups.h"
#include "cgroups/place.h"
#include "cgroups/unit.h"

struct cgroup_plan {
	enum cgroup_driver driver;
	enum cgroup_layout layout;
	bool rootless;
	bool named; // by the spec, which then insists on it
	struct places places;
	const struct unit *unit; // of the systemd driver; NULL: none
};

// The paths of places, as cgroup_save() tells them.
void places_paths(const struct places *places, struct arena *arena, struct oci_strings *paths);
