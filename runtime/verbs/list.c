// list: all containers below the state directory.

#include "base/log.h"
#include "base/str.h"
#include "runtime/container.h"

#include <stdio.h>

struct settings {
	const char *format;
	bool quiet;
};

#define AT(member) offsetof(struct settings, member)
static const struct option_row options[] = {
	{ "format", 'f', OPTION_STRING, AT(format), "FORMAT", "table (default) or json" },
	{ "quiet", 'q', OPTION_FLAG, AT(quiet), NULL, "ids alone" },
	{ 0 },
};
#undef AT

struct row {
	struct container container;
	enum container_status status;
};

static void print_table(const struct row *rows, size_t n)
{
	int width = (int)strlen("ID");

	for (size_t i = 0; i < n; i++)
		if ((int)strlen(rows[i].container.state.id) > width)
			width = (int)strlen(rows[i].container.state.id);
	printf("%-*s  %-10s  %-10s  %-30s  %-30s  %s\n", width, "ID", "PID", "STATUS", "BUNDLE",
	       "CREATED", "OWNER");
	for (size_t i = 0; i < n; i++) {
		const struct container_state *state = &rows[i].container.state;

		printf("%-*s  %-10d  %-10s  %-30s  %-30s  %s\n", width, state->id,
		       rows[i].status == STATUS_STOPPED ? 0 : state->init.pid,
		       container_status_name(rows[i].status), state->bundle, state->created,
		       state->owner ? state->owner : "");
	}
}

static void print_json(const struct row *rows, size_t n)
{
	scope_text struct text json = { 0 };

	text_str(&json, "[");
	for (size_t i = 0; i < n; i++) {
		text_str(&json, i ? "," : "");
		state_write_oci(&rows[i].container.state, rows[i].status, true, &json);
	}
	text_str(&json, "]");
	puts(json.str);
}

// What is being created or deleted right now, or can't be read, is left out: the list is of what is
// there.
static size_t load_rows(const struct runtime *rt, const struct oci_strings *ids, struct row *rows)
{
	struct err err;
	size_t n = 0;

	for (size_t i = 0; i < ids->n; i++) {
		struct row *row = &rows[n];

		if (container_open(rt, ids->v[i], CONTAINER_LOOK, &row->container, &err) < 0) {
			if (err.code != ENOENT && err.code != EAGAIN)
				log_warn("%s", err.msg);
			continue;
		}
		if (container_status(&row->container, &row->status, &err) == 0)
			n++;
		container_close(&row->container);
	}
	return n;
}

static int run(const struct runtime *rt, const void *untyped, const struct option_rest *rest,
	       struct err *err)
{
	const struct settings *settings = untyped;
	const int json = options_wants_json(settings->format, err);
	struct oci_strings ids;

	(void)rest;
	if (json < 0)
		return json;
	if (container_ids(rt, &ids, err) < 0)
		return -err->code;
	struct row *rows = arena_new(rt->arena, struct row, ids.n + 1);
	size_t n = load_rows(rt, &ids, rows);
	if (settings->quiet)
		for (size_t i = 0; i < n; i++)
			puts(rows[i].container.state.id);
	else if (json)
		print_json(rows, n);
	else
		print_table(rows, n);
	return 0;
}

const struct verb verb_list = {
	.name = "list",
	.usage = "",
	.summary = "list containers",
	.options = options,
	.settings_size = sizeof(struct settings),
	.run = run,
};
