// mountinfo: the lines of /proc/PID/mountinfo, taken apart.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct mount_line {
	uint64_t id, parent; // as STATX_MNT_ID tells them
	char *root, *mount_point, *type, *options;
};

// Takes one line apart, in place: the strings are pieces of it, without the kernel's escapes. False
// if it is no such line.
bool mountinfo_parse(char *line, struct mount_line *mount);
