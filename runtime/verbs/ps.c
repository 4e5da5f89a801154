// ps: the processes of a container.

#include "base/scope.h"
#include "base/str.h"
#include "runtime/container.h"
#include "runtime/payload.h"
#include "runtime/process_table.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

struct settings {
	const char *format;
};

#define AT(member) offsetof(struct settings, member)
static const struct option_row options[] = {
	{ "format", 'f', OPTION_STRING, AT(format), "FORMAT", "table (default) or json" },
	{ 0 },
};
#undef AT

struct pids {
	pid_t *v; // ascending
	size_t n;
};

static bool pids_have(const struct pids *pids, long pid)
{
	for (size_t i = 0; i < pids->n; i++)
		if (pids->v[i] == pid)
			return true;
	return false;
}

static void print_json(const struct pids *pids)
{
	putchar('[');
	for (size_t i = 0; i < pids->n; i++)
		printf("%s%d", i ? "," : "", pids->v[i]);
	puts("]");
}

// Starts the system's ps with its output in a pipe.
static FILE *start_ps(char *const *ps_options, struct arena *arena, pid_t *child, struct err *err)
{
	static char *const defaults[] = { (char *)"-ef", NULL };
	char *const *given = *ps_options ? ps_options : defaults;
	size_t n = 0;
	int ends[2];

	while (given[n])
		n++;
	char **argv = arena_new(arena, char *, n + 2);
	argv[0] = arena_strdup(arena, "ps");
	memcpy(argv + 1, given, n * sizeof(*argv));
	if (pipe2(ends, O_CLOEXEC) < 0) {
		err_sys(err, "pipe");
		return NULL;
	}
	*child = fork();
	if (*child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(ends[1]);
	FILE *lines = *child < 0 ? NULL : fdopen(ends[0], "r");
	if (!lines) {
		err_sys(err, "start ps");
		close(ends[0]);
	}
	return lines;
}

// The number of the column PID in ps's heading; -1: none.
static int pid_column(const char *heading)
{
	int column = 0;

	for (const char *s = heading; *s; column++) {
		s += strspn(s, " ");
		size_t len = strcspn(s, " \n");
		if (len == 3 && str_starts(s, "PID"))
			return column;
		s += len;
		s += strspn(s, "\n");
	}
	return -1;
}

static long number_in_column(const char *line, int column)
{
	for (; column > 0; column--) {
		line += strspn(line, " ");
		line += strcspn(line, " \n");
	}
	return strtol(line, NULL, 10);
}

static int print_table(const struct pids *pids, char *const *ps_options, struct arena *arena,
		       struct err *err)
{
	scope_free char *line = NULL;
	size_t cap = 0;
	pid_t child;
	scope_file FILE *lines = start_ps(ps_options, arena, &child, err);

	if (!lines)
		return -err->code;
	int column = getline(&line, &cap, lines) > 0 ? pid_column(line) : -1;
	if (column >= 0) {
		fputs(line, stdout);
		while (getline(&line, &cap, lines) > 0)
			if (pids_have(pids, number_in_column(line, column)))
				fputs(line, stdout);
	}
	int status = proc_wait(child);
	if (status != 0)
		return err_set(err, EIO, "ps: exit status %d%s", status,
			       status == 127 ? " (is it installed?)" : "");
	if (column < 0)
		return err_set(err, EINVAL, "ps: its output has no column PID");
	return 0;
}

// The host's ps knows nothing of the guest's processes.
static int print_guest_table(const struct container *container, char *const *ps_options,
			     struct arena *arena, struct err *err)
{
	scope_text struct text table = { 0 };
	struct process_row *rows = NULL;
	size_t n = 0;

	if (payload_verbs_of(container)->processes(container, arena, &rows, &n, err) < 0 ||
	    process_table(rows, n, ps_options, time(NULL), &table, err) < 0)
		return -err->code;
	fputs(table.str, stdout);
	return 0;
}

static int find_pids(const struct container *container, struct arena *arena, struct pids *pids,
		     struct err *err)
{
	const struct payload_verbs *verbs = payload_verbs_of(container);

	if (verbs->pids)
		return verbs->pids(container, arena, &pids->v, &pids->n, err);
	if (!container->cgroup)
		return err_set(err, ENOTSUP, "container %s has no cgroup, which ps needs",
			       container->state.id);
	return cgroup_pids(container->cgroup, arena, &pids->v, &pids->n, err);
}

static int run(const struct runtime *rt, const void *untyped, const struct option_rest *rest,
	       struct err *err)
{
	const struct settings *settings = untyped;
	const int json = options_wants_json(settings->format, err);
	scope_container struct container container = { .dirfd = -1 };
	struct pids pids = { 0 };

	if (json < 0)
		return json;
	if (container_open(rt, rest->argv[0], CONTAINER_LOOK, &container, err) < 0 ||
	    container_open_cgroup(&container, err) < 0)
		return -err->code;
	if (!json && payload_verbs_of(&container)->processes)
		return print_guest_table(&container, rest->argv + 1, rt->arena, err);
	if (find_pids(&container, rt->arena, &pids, err) < 0)
		return -err->code;
	if (!json)
		return print_table(&pids, rest->argv + 1, rt->arena, err);
	print_json(&pids);
	return 0;
}

const struct verb verb_ps = {
	.name = "ps",
	.usage = "ID [PS OPTION...]",
	.summary = "list the processes of a container",
	.options = options,
	.settings_size = sizeof(struct settings),
	.passes_rest = true,
	.min_args = 1,
	.max_args = -1,
	.run = run,
};
