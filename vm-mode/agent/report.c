#include "vm-mode/agent/report.h"

#include "base/io.h"
#include "base/scope.h"
#include "vm-mode/agent/agent.h"
#include "vm-mode/agent/job.h"
#include "vm-mode/proto/figures.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PROC_FILE_MAX ((size_t)1024 * 1024)
#define MS_IN_S	      UINT64_C(1000)
#define NS_IN_MS      1000000

// A process of the container, by two of its pids.
struct member {
	pid_t pid;	 // the agent's
	uint32_t inside; // the container's
};

struct members {
	struct arena arena;
	struct member *v;
	size_t n;
	size_t depth; // of the container's pid namespace: which of a process's pids is the container's
};

static void members_free(struct members *members)
{
	arena_free(&members->arena);
}

#define scope_members __attribute__((cleanup(members_free)))

// The whole of /proc/PID/NAME, or NULL: it has gone.
static char *read_of(pid_t pid, const char *name, size_t *len)
{
	char *text = NULL, path[48];
	struct err ignored;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	if (io_read_file(AT_FDCWD, path, PROC_FILE_MAX, &text, len, &ignored) < 0)
		return NULL;
	return text;
}

// What follows `key` in /proc/PID/status; NULL: nothing.
static const char *find_line(const char *status, const char *key)
{
	const char *line = status ? strstr(status, key) : NULL;

	return line ? line + strlen(key) : NULL;
}

// proc(5): NSpid has a process's pids, from the outermost namespace that is in view to its own. Returns how
// many they are, and in *pid the one at `index`, 0 where there are not so many.
static size_t read_nspid(const char *status, size_t index, uint32_t *pid)
{
	const char *at = find_line(status, "\nNSpid:");
	size_t n = 0;
	char *end;

	*pid = 0;
	for (; at && *at == '\t'; at = end, n++) {
		const unsigned long number = strtoul(at, &end, 10);

		if (n == index)
			*pid = (uint32_t)number;
	}
	return n;
}

static uint32_t pid_inside(const struct members *members, pid_t pid)
{
	scope_free char *status = read_of(pid, "status", NULL);
	uint32_t inside;

	read_nspid(status, members->depth, &inside);
	return inside;
}

static int compare_members(const void *a, const void *b)
{
	const struct member *first = a, *second = b;

	return (first->inside > second->inside) - (first->inside < second->inside);
}

// By ascending pid of the container's.
static int find_members(const struct agent *agent, struct members *members, struct err *err)
{
	size_t count = 0;
	pid_t *all = NULL, init = 0;
	uint32_t ignored;

	if (!agent->container.cgroup)
		return 0;
	if (job_find_init(agent, &init, err) < 0 ||
	    cgroup_pids(agent->container.cgroup, &members->arena, &all, &count, err) < 0)
		return -err->code;
	scope_free char *status = read_of(init, "status", NULL);
	const size_t pids = read_nspid(status, 0, &ignored);
	members->depth = pids ? pids - 1 : 0;
	members->v = arena_new(&members->arena, struct member, count);
	for (size_t i = 0; i < count; i++) {
		const struct member member = { all[i], pid_inside(members, all[i]) };

		if (member.inside)
			members->v[members->n++] = member;
	}
	if (members->n)
		qsort(members->v, members->n, sizeof(*members->v), compare_members);
	return 0;
}

int report_pids(const struct agent *agent, struct text *pids, struct err *err)
{
	scope_members struct members members = { 0 };

	if (find_members(agent, &members, err) < 0)
		return -err->code;
	for (size_t i = 0; i < members.n && pids->len < PROTO_TO_HOST_MAX; i++)
		text_add(pids, (const char *)&members.v[i].inside, sizeof(members.v[i].inside));
	return 0;
}

// ---- a process ----

static uint64_t ticks_to_ms(uint64_t ticks)
{
	return ticks * MS_IN_S / (uint64_t)sysconf(_SC_CLK_TCK);
}

static uint64_t uptime_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * MS_IN_S + (uint64_t)now.tv_nsec / NS_IN_MS;
}

// proc(5), /proc/PID/stat, behind the name, which may hold anything: state ppid pgrp session tty_nr tpgid
// flags, four numbers of page faults, utime stime, two of children, priority nice num_threads itrealvalue
// starttime.
static bool read_stat(const char *stat, struct proto_process *process, pid_t *parent)
{
	const char *behind = stat ? strrchr(stat, ')') : NULL;
	uint64_t user, system, start;
	int32_t tty;

	if (!behind || sscanf(behind + 1,
			      " %*c %d %*d %*d %" SCNd32 " %*d %*u %*u %*u %*u %*u %" SCNu64
			      " %" SCNu64 " %*d %*d %*d %*d %*d %*d %" SCNu64,
			      parent, &tty, &user, &system, &start) != 5)
		return false;
	const uint64_t now = uptime_ms(), born = ticks_to_ms(start);
	process->tty = (uint32_t)tty;
	process->cpu_ms = ticks_to_ms(user + system);
	process->age_ms = now > born ? now - born : 0;
	return true;
}

static uint32_t effective_uid(const char *status)
{
	const char *line = find_line(status, "\nUid:");
	uint32_t uid = 0;

	if (line)
		sscanf(line, "%*u %" SCNu32, &uid);
	return uid;
}

// The arguments with blanks between them; of a process without any (a zombie), its name in brackets.
static void add_process(const struct proto_process *process, pid_t pid, const char *stat,
			struct text *processes)
{
	size_t len = 0;
	scope_free char *command = read_of(pid, "cmdline", &len);
	const char *name = strchr(stat, '('), *end = strrchr(stat, ')');
	char bracketed[32];

	while (command && len > 0 && !command[len - 1])
		len--;
	for (size_t i = 0; command && i < len; i++)
		if (!command[i])
			command[i] = ' ';
	if (command && len > 0) {
		proto_process_add(processes, process, command, len);
		return;
	}
	snprintf(bracketed, sizeof(bracketed), "[%.*s]", name && end ? (int)(end - name - 1) : 0,
		 name ? name + 1 : "");
	proto_process_add(processes, process, bracketed, strlen(bracketed));
}

static void report_process(const struct members *members, const struct member *member,
			   struct text *processes)
{
	scope_free char *stat = read_of(member->pid, "stat", NULL);
	scope_free char *status = read_of(member->pid, "status", NULL);
	struct proto_process process = { .pid = member->inside, .uid = effective_uid(status) };
	pid_t parent = 0;

	if (!status || !read_stat(stat, &process, &parent))
		return; // it has gone
	process.ppid = parent ? pid_inside(members, parent) : 0;
	add_process(&process, member->pid, stat, processes);
}

int report_processes(const struct agent *agent, uint32_t after, struct text *processes,
		     struct err *err)
{
	const size_t most = sizeof(struct proto_process) + PROTO_COMMAND_MAX;
	scope_members struct members members = { 0 };

	if (find_members(agent, &members, err) < 0)
		return -err->code;
	for (size_t i = 0; i < members.n && processes->len + most <= PROTO_TO_HOST_MAX; i++) {
		if (members.v[i].inside <= after)
			continue;
		after = members.v[i].inside; // no pid twice, if one was used again meanwhile
		report_process(&members, &members.v[i], processes);
	}
	return 0;
}

// ---- figures ----

int report_figures(const struct agent *agent, struct text *figures, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct cgroup_stats stats = { 0 };

	if (!agent->container.cgroup)
		return err_set(err, ESRCH, "there is no container");
	if (cgroup_stats(agent->container.cgroup, &arena, &stats, err) < 0)
		return -err->code;
	cgroup_stats_pack(&stats, figures);
	if (figures->len > PROTO_TO_HOST_MAX)
		return err_set(err, E2BIG, "the container's figures are too many");
	return 0;
}
