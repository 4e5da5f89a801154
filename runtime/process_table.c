#include "runtime/process_table.h"

#include "base/scope.h"
#include "vm-mode/proto/figures.h"

#include <stdio.h>
#include <sys/sysmacros.h>

#define MS_IN_S	    1000
#define MINUTE	    60
#define HOUR	    (60 * MINUTE)
#define DAY	    (24 * HOUR)
#define CELL_SIZE   32
#define COLUMNS_MAX 16

// Linux's Documentation/admin-guide/devices.txt: pseudo-terminals, 256 each.
#define PTS_MAJOR_FIRST 136
#define PTS_MAJOR_LAST	143
#define PTS_PER_MAJOR	256

void process_rows_free(struct process_rows *rows)
{
	text_free(&rows->bytes);
}

int process_rows_take(struct process_rows *rows, const char *answer, size_t len,
		      struct arena *arena, struct err *err)
{
	const uint32_t before = rows->last;
	struct proto_process process;
	const char *command;

	for (size_t at = 0, taken; at < len; at += taken) {
		taken = proto_process_read(answer + at, len - at, &process, &command);
		if (taken == 0 || process.pid <= rows->last)
			return err_set(err, EPROTO, "the guest tells of its processes twice");
		rows->command_bytes += process.command_len;
		if (rows->n == PROCESS_ROWS_MAX || rows->command_bytes > PROCESS_COMMANDS_MAX_BYTES)
			return err_set(err, E2BIG, "the guest tells of too many processes");
		const struct process_row row = {
			.pid = process.pid,
			.ppid = process.ppid,
			.uid = process.uid,
			.tty = process.tty,
			.age_ms = process.age_ms,
			.cpu_ms = process.cpu_ms,
			.command = arena_strndup(arena, command, process.command_len),
		};
		text_add(&rows->bytes, (const char *)&row, sizeof(row));
		rows->n++;
		rows->last = process.pid;
	}
	return rows->last > before;
}

struct cell {
	char text[CELL_SIZE];
};

static void put_uid(const struct process_row *row, time_t now, struct cell *cell)
{
	(void)now;
	snprintf(cell->text, CELL_SIZE, "%u", row->uid);
}

static void put_pid(const struct process_row *row, time_t now, struct cell *cell)
{
	(void)now;
	snprintf(cell->text, CELL_SIZE, "%u", row->pid);
}

static void put_ppid(const struct process_row *row, time_t now, struct cell *cell)
{
	(void)now;
	snprintf(cell->text, CELL_SIZE, "%u", row->ppid);
}

// Of one processor, over its life, in percent.
static void put_usage(const struct process_row *row, time_t now, struct cell *cell)
{
	(void)now;
	snprintf(cell->text, CELL_SIZE, "%.0f",
		 row->age_ms ? (double)row->cpu_ms * 100 / (double)row->age_ms : 0);
}

static void put_start(const struct process_row *row, time_t now, struct cell *cell)
{
	const uint64_t age_s = row->age_ms / MS_IN_S;
	const time_t start = age_s < (uint64_t)now ? now - (time_t)age_s : 0;
	struct tm when;

	localtime_r(&start, &when);
	strftime(cell->text, CELL_SIZE, age_s < DAY ? "%H:%M" : "%b%d", &when);
}

static void put_tty(const struct process_row *row, time_t now, struct cell *cell)
{
	const unsigned int family = major(row->tty);

	(void)now;
	if (family >= PTS_MAJOR_FIRST && family <= PTS_MAJOR_LAST)
		snprintf(cell->text, CELL_SIZE, "pts/%u",
			 (family - PTS_MAJOR_FIRST) * PTS_PER_MAJOR + minor(row->tty));
	else
		snprintf(cell->text, CELL_SIZE, "?");
}

static void put_time(const struct process_row *row, time_t now, struct cell *cell)
{
	const uint64_t s = row->cpu_ms / MS_IN_S;

	(void)now;
	snprintf(cell->text, CELL_SIZE, "%02llu:%02u:%02u", (unsigned long long)(s / HOUR),
		 (unsigned int)(s % HOUR / MINUTE), (unsigned int)(s % MINUTE));
}

static const struct column {
	const char *name, *heading;
	int width; // below 0: to the left
	void (*put)(const struct process_row *row, time_t now,
		    struct cell *cell); // NULL: the command
} columns[] = {
	{ "uid", "UID", -8, put_uid }, { "user", "USER", -8, put_uid },
	{ "pid", "PID", 7, put_pid },  { "ppid", "PPID", 7, put_ppid },
	{ "c", "C", 2, put_usage },    { "stime", "STIME", 5, put_start },
	{ "tty", "TTY", -8, put_tty }, { "time", "TIME", 8, put_time },
	{ "cmd", "CMD", -1, NULL },    { "args", "COMMAND", -1, NULL },
};

struct layout {
	const struct column *columns[COLUMNS_MAX];
	size_t n;
};

static const struct column *find_column(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (strlen(columns[i].name) == len && memcmp(columns[i].name, name, len) == 0)
			return &columns[i];
	return NULL;
}

static int add_columns(struct layout *layout, const char *list, struct err *err)
{
	for (const char *name = list; *name;) {
		const size_t len = strcspn(name, ",");
		const struct column *column = find_column(name, len);

		if (!column)
			return err_set(err, ENOTSUP, "ps of a guest: no column `%.*s`", (int)len,
				       name);
		if (layout->n == COLUMNS_MAX)
			return err_set(err, ENOTSUP, "ps of a guest: too many columns");
		layout->columns[layout->n++] = column;
		name += len + (name[len] == ',');
	}
	return 0;
}

static int choose(struct layout *layout, char *const *options, struct err *err)
{
	for (; *options; options++) {
		const char *option = *options;
		const bool dashed = option[0] == '-' && option[1];
		const char *rest = dashed ? option + 1 + strspn(option + 1, "eAf") : option;

		if (!dashed || (*rest && *rest != 'o'))
			return err_set(
				err, ENOTSUP,
				"ps of a guest: option `%s`: only -e, -A, -f and -o are known",
				option);
		if (!*rest)
			continue;
		const char *list = rest[1] ? rest + 1 : *++options;
		if (!list)
			return err_set(err, EINVAL,
				       "ps of a guest: option `%s` wants a list of columns",
				       option);
		if (add_columns(layout, list, err) < 0)
			return -err->code;
	}
	return layout->n ? 0 : add_columns(layout, "uid,pid,ppid,c,stime,tty,time,cmd", err);
}

static void add_cell(const struct layout *layout, size_t i, const char *content, struct text *out)
{
	const bool last = i + 1 == layout->n;
	const int width = layout->columns[i]->width;

	// What is to the left needs no blanks at the end of a line.
	text_printf(out, "%*s%s", last && width < 0 ? 0 : width, content, last ? "\n" : " ");
}

int process_table(const struct process_row *rows, size_t n, char *const *options, time_t now,
		  struct text *out, struct err *err)
{
	struct layout layout = { .n = 0 };

	if (choose(&layout, options, err) < 0)
		return -err->code;
	for (size_t i = 0; i < layout.n; i++)
		add_cell(&layout, i, layout.columns[i]->heading, out);
	for (size_t row = 0; row < n; row++) {
		for (size_t i = 0; i < layout.n; i++) {
			const struct column *column = layout.columns[i];
			struct cell cell;

			if (column->put)
				column->put(&rows[row], now, &cell);
			add_cell(&layout, i, column->put ? cell.text : rows[row].command, out);
		}
	}
	return 0;
}
