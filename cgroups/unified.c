#include "cgroups/unified.h"

#include "base/log.h"
#include "base/scope.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LIST_MAX     512
#define MAX_PROGRAMS 64 // as many as the kernel lets attach to one group

// ---- controllers ----

// The names of `wanted` that `had` lacks, each with a plus, as cgroup.subtree_control takes them.
static size_t missing(const char *wanted, const char *had, char out[LIST_MAX])
{
	size_t len = 0;

	out[0] = '\0';
	while (wanted && *wanted) {
		size_t n = strcspn(wanted, " ");
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int)n, wanted);
		if (n > 0 && n < sizeof(name) && !place_list_has(had, name) &&
		    len + n + 3 < LIST_MAX)
			len += (size_t)snprintf(out + len, LIST_MAX - len, "%s+%s", len ? " " : "",
						name);
		wanted += n + (wanted[n] == ' ');
	}
	return len;
}

static void enable_in(const char *dir, char *names)
{
	char *save = NULL;

	// All at once, or each for itself, so that one that can't be enabled doesn't hold up the
	// rest.
	if (place_write(dir, "cgroup.subtree_control", names) == 0)
		return;
	for (char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		int ret = place_write(dir, "cgroup.subtree_control", name);
		if (ret < 0)
			log_debug("write %s to %s/cgroup.subtree_control: %s", name, dir,
				  err_text(-ret));
	}
}

// Below a threaded group a new one is of no use before it is made threaded too, and then it can
// have no controller that works by process (memory, io, …).
static int leave_domain(const struct place *place, struct err *err)
{
	char type[64];
	int ret = place_read(place->dir, "cgroup.type", type, sizeof(type));

	if (ret < 0 || !str_eq(type, "domain invalid"))
		return 0;
	if (place->enable)
		return err_set(err, EOPNOTSUPP,
			       "the cgroup %s lies below a threaded one, where %s can't be had",
			       place->dir, place->enable);
	ret = place_write(place->dir, "cgroup.type", "threaded");
	return ret < 0 ? err_sysn(err, -ret, "make the cgroup %s threaded", place->dir) : 0;
}

static const char *why_missing(const struct place *place)
{
	char parent[PATH_MAX], procs[16];

	snprintf(parent, sizeof(parent), "%s", place->dir);
	*strrchr(parent, '/') = '\0';
	if (strlen(parent) > place->root_len &&
	    place_read(parent, "cgroup.procs", procs, sizeof(procs)) > 0)
		return "the group above holds processes, and such a group can give none";
	return "a group above has not got it";
}

int unified_enable(const struct place *place, const char *wanted, struct err *err)
{
	char had[LIST_MAX], lack[LIST_MAX], dir[PATH_MAX];
	const size_t len = strlen(place->dir);
	int ret;

	if (!wanted && !place->enable)
		return 0;
	ret = place_read(place->dir, "cgroup.controllers", had, sizeof(had));
	if (ret < 0)
		return err_sysn(err, -ret, "read %s/cgroup.controllers", place->dir);
	if (!missing(place->enable, had, lack) && !missing(wanted, had, lack))
		return 0;

	ret = leave_domain(place, err);
	if (ret < 0)
		return ret;
	for (size_t end = place->root_len; end < len && end < sizeof(dir);
	     end += 1 + strcspn(place->dir + end + 1, "/")) {
		char names[LIST_MAX];

		memcpy(dir, place->dir, end);
		dir[end] = '\0';
		if (missing(wanted, had, names))
			enable_in(dir, names);
		if (missing(place->enable, had, names))
			enable_in(dir, names);
	}

	ret = place_read(place->dir, "cgroup.controllers", had, sizeof(had));
	if (ret < 0)
		return err_sysn(err, -ret, "read %s/cgroup.controllers", place->dir);
	if (missing(place->enable, had, lack))
		return err_set(err, ENOTSUP, "the cgroup %s lacks a controller: %s (%s)",
			       place->dir, lack + 1, why_missing(place));
	return 0;
}

// ---- devices ----

static int sys_bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int load_program(const struct device_program *program)
{
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.insns = (uintptr_t)program->v,
		.insn_cnt = (uint32_t)program->n,
		.license = (uintptr_t) "Apache-2.0",
		.prog_name = "moat_devices",
	};

	return sys_bpf(BPF_PROG_LOAD, &attr);
}

// The programs attached to the group itself.
static int query_programs(int dirfd, uint32_t ids[MAX_PROGRAMS], uint32_t *count)
{
	union bpf_attr attr = {
		.query.target_fd = (uint32_t)dirfd,
		.query.attach_type = BPF_CGROUP_DEVICE,
		.query.prog_ids = (uintptr_t)ids,
		.query.prog_cnt = MAX_PROGRAMS,
	};

	if (sys_bpf(BPF_PROG_QUERY, &attr) < 0)
		return -1;
	*count = attr.query.prog_cnt;
	return 0;
}

static int open_program(uint32_t id)
{
	union bpf_attr attr = { .prog_id = id };

	return sys_bpf(BPF_PROG_GET_FD_BY_ID, &attr);
}

static int attach_program(int dirfd, int program, int replaced)
{
	union bpf_attr attr = {
		.target_fd = (uint32_t)dirfd,
		.attach_bpf_fd = (uint32_t)program,
		.attach_type = BPF_CGROUP_DEVICE,
		.attach_flags = BPF_F_ALLOW_MULTI | (replaced < 0 ? 0 : BPF_F_REPLACE),
		.replace_bpf_fd = replaced < 0 ? 0 : (uint32_t)replaced,
	};

	return sys_bpf(BPF_PROG_ATTACH, &attr);
}

static int detach_program(int dirfd, uint32_t id)
{
	scope_fd int program = open_program(id);
	union bpf_attr attr = {
		.target_fd = (uint32_t)dirfd,
		.attach_bpf_fd = (uint32_t)program,
		.attach_type = BPF_CGROUP_DEVICE,
	};

	return program < 0 ? -1 : sys_bpf(BPF_PROG_DETACH, &attr);
}

// Every program must allow an access, so the old ones have to go: one is exchanged in one step,
// several after the new one is in force, so that at no time there is none.
static int exchange_programs(int dirfd, int program)
{
	uint32_t ids[MAX_PROGRAMS] = { 0 }, count = 0;

	if (query_programs(dirfd, ids, &count) < 0)
		return -1;
	if (count == 1) {
		scope_fd int old = open_program(ids[0]);
		if (old >= 0 && attach_program(dirfd, program, old) == 0)
			return 0;
	}
	if (attach_program(dirfd, program, -1) < 0)
		return -1;
	for (uint32_t i = 0; i < count; i++) {
		if (detach_program(dirfd, ids[i]) < 0)
			return -1;
	}
	return 0;
}

int unified_attach_devices(const struct place *place, bool fresh, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct device_program program;

	device_program_make(place->devices, &arena, &program);
	scope_fd int loaded = load_program(&program);
	if (loaded < 0)
		return err_sys(err, "load the device program of %s", place->dir);
	scope_fd int dir = open(place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, "open the cgroup %s", place->dir);
	if ((fresh ? attach_program(dir, loaded, -1) : exchange_programs(dir, loaded)) < 0)
		return err_sys(err, "attach the device program to %s", place->dir);
	return 0;
}
