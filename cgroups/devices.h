// devices: which device nodes a container may make, read and write. Private to cgroups/.
//
// All of it is pure: rules in, lines for v1's devices.allow and devices.deny or a program for v2
// out. Everything is denied but for what the rules allow, and the default devices of the spec
// (config-linux.md, "Default Devices") are allowed whatever they say; so do other runtimes.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "oci-spec/types.h"

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

// The bits of `access`, as the kernel's BPF interface numbers them.
#define DEVICE_MKNOD 1u
#define DEVICE_READ  2u
#define DEVICE_WRITE 4u
#define DEVICE_ALL   (DEVICE_MKNOD | DEVICE_READ | DEVICE_WRITE)

#define DEVICE_ANY (-1)

struct device_rule {
	int64_t major, minor; // DEVICE_ANY: all
	unsigned int access;
	char type; // 'a' (both; then all numbers and all access are meant), 'b' or 'c'
	bool allow;
};

// Later rules override earlier ones; the first is for everything.
struct device_rules {
	struct device_rule *v;
	size_t n;
};

// The whole list for a container: all denied, `rules`, the default devices.
int device_rules_make(const struct oci_resources *resources, struct arena *arena,
		      const struct device_rules **rules, struct err *err);

// The same as v1's kernel keeps it: one default, and exceptions to it.
struct device_list {
	bool allow; // the default; the exceptions are the other way
	struct device_rule *v;
	size_t n;
};

// -ENOTSUP where a rule takes a part away from what an earlier one with a wildcard gave: v1 has no
// way to say that.
int device_list_make(const struct device_rules *rules, struct arena *arena,
		     struct device_list *list, struct err *err);

// One line as v1's files take it, `c 1:3 rwm`. Returns `line`.
#define DEVICE_LINE_MAX 64
const char *device_line(const struct device_rule *rule, char line[DEVICE_LINE_MAX]);

// The rules as a BPF_PROG_TYPE_CGROUP_DEVICE program: 1 to allow, 0 to deny. It looks from the last
// rule to the first and settles each kind of access asked for by the first that speaks of it.
struct device_program {
	struct bpf_insn *v;
	size_t n;
};
void device_program_make(const struct device_rules *rules, struct arena *arena,
			 struct device_program *program);
