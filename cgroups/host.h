// host: where the kernel tells what is mounted. Private to cgroups/, and apart so that tests can
// tell it otherwise.
#pragma once

#include "cgroups/cgroups.h"

struct host_sources {
	const char *root;	 // /sys/fs/cgroup
	const char *self_cgroup; // /proc/self/cgroup
	const char *mountinfo;	 // /proc/self/mountinfo
	// The magic number of the file system at `path`; -1 if there is none.
	long (*magic)(const char *path);
};

int host_read(const struct host_sources *sources, struct arena *arena,
	      const struct cgroup_host **host, struct err *err);
