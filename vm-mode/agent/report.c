#include "vm-mode/agent/report.h"

#include "base/io.h"
#include "base/scope.h"
#include "vm-mode/agent/agent.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PROC_FILE_MAX ((size_t)1024 * 1024)

// ---- processes ----

// The pid in the innermost namespace: the last word of the line NSpid. 0: it has gone.
static uint32_t pid_inside(pid_t pid)
{
	scope_free char *status = NULL;
	char path[48];
	struct err ignored;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (io_read_file(AT_FDCWD, path, PROC_FILE_MAX, &status, NULL, &ignored) < 0)
		return 0;
	char *line = strstr(status, "\nNSpid:");
	if (!line)
		return 0;
	line++;
	line[strcspn(line, "\n")] = '\0';
	const char *last = strrchr(line, '\t');
	return last ? (uint32_t)strtoul(last + 1, NULL, 10) : 0;
}

int report_pids(const struct agent *agent, struct text *pids, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	size_t count = 0;
	pid_t *all = NULL;

	if (agent->container.cgroup &&
	    cgroup_pids(agent->container.cgroup, &arena, &all, &count, err) < 0)
		return -err->code;
	for (size_t i = 0; i < count && pids->len < PROTO_TO_HOST_MAX; i++) {
		const uint32_t pid = pid_inside(all[i]);

		if (pid)
			text_add(pids, (const char *)&pid, sizeof(pid));
	}
	return 0;
}

// ---- figures ----

// The number behind `key` in a file of lines `key number`; 0 where there is none.
static uint64_t find_number(const char *text, const char *key)
{
	const size_t len = strlen(key);

	for (const char *line = text; line && *line;
	     line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, key, len) == 0)
			return strtoull(line + len, NULL, 10);
	return 0;
}

static int read_proc(const char *path, char **text, struct err *err)
{
	return io_read_file(AT_FDCWD, path, PROC_FILE_MAX, text, NULL, err);
}

static int report_memory(struct proto_figures *figures, struct err *err)
{
	scope_free char *info = NULL, *vmstat = NULL;
	const struct {
		const char *key;
		uint64_t *bytes;
	} rows[] = {
		{ "MemTotal:", &figures->memory_total },
		{ "MemFree:", &figures->memory_free },
		{ "MemAvailable:", &figures->memory_available },
		{ "Cached:", &figures->memory_cached },
		{ "SwapTotal:", &figures->swap_total },
		{ "SwapFree:", &figures->swap_free },
	};

	if (read_proc("/proc/meminfo", &info, err) < 0 ||
	    read_proc("/proc/vmstat", &vmstat, err) < 0)
		return -err->code;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		*rows[i].bytes = find_number(info, rows[i].key) * 1024;
	figures->oom_kills = find_number(vmstat, "oom_kill ");
	return 0;
}

// proc(5), /proc/stat: user nice system idle iowait irq softirq ..., in clock ticks.
static int report_cpu(struct proto_figures *figures, struct err *err)
{
	scope_free char *stat = NULL;
	const uint64_t tick_us = 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t v[7] = { 0 };

	if (read_proc("/proc/stat", &stat, err) < 0)
		return -err->code;
	sscanf(stat,
	       "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
	       " %" SCNu64,
	       &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6]);
	figures->cpu_user_us = (v[0] + v[1]) * tick_us;
	figures->cpu_system_us = (v[2] + v[5] + v[6]) * tick_us;
	figures->cpu_idle_us = (v[3] + v[4]) * tick_us;
	return 0;
}

int report_figures(const struct agent *agent, struct proto_figures *figures, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	size_t count = 0;
	pid_t *all;

	if (report_memory(figures, err) < 0 || report_cpu(figures, err) < 0)
		return -err->code;
	if (agent->container.cgroup &&
	    cgroup_pids(agent->container.cgroup, &arena, &all, &count, err) < 0)
		return -err->code;
	figures->pids = count;
	return 0;
}
