#include "runtime/options.h"

#include "base/str.h"
#include "oci-spec/types.h"

#include <getopt.h>
#include <stdio.h>

const struct option_row no_options[] = { { 0 } };

#define MAX_OPTIONS 64

// What getopt_long returns for the row i: beyond every character.
#define ROW_VALUE 256

static size_t rows_count(const struct option_row *rows)
{
	size_t n = 0;

	while (rows[n].name)
		n++;
	return n;
}

static void list_add(struct oci_strings *list, const char *value, struct arena *arena)
{
	char **grown = arena_new(arena, char *, list->n + 2);

	if (list->n)
		memcpy(grown, list->v, list->n * sizeof(*grown));
	grown[list->n++] = arena_strdup(arena, value);
	list->v = grown;
}

static int store(const struct option_row *row, void *settings, const char *value,
		 struct arena *arena, struct err *err)
{
	void *member = (char *)settings + row->offset;

	switch (row->kind) {
	case OPTION_FLAG:
		if (value && !str_eq(value, "true") && !str_eq(value, "false"))
			return err_set(err, EINVAL, "option --%s: `%s` is neither true nor false",
				       row->name, value);
		*(bool *)member = !value || str_eq(value, "true");
		return 0;
	case OPTION_FILE:
		if (!*value)
			return err_set(err, EINVAL, "option --%s: the file's name is empty",
				       row->name);
		*(const char **)member = value;
		return 0;
	case OPTION_STRING:
		*(const char **)member = *value ? value : NULL;
		return 0;
	case OPTION_LIST:
		list_add(member, value, arena);
		return 0;
	case OPTION_INT:
		if (str_to_int(value, member) < 0 || *(int *)member < 0)
			return err_set(err, EINVAL,
				       "option --%s: `%s` is not a number of 0 or more", row->name,
				       value);
		return 0;
	}
	return 0;
}

// The tables that getopt_long(3) wants.
static void translate(const struct option_row *rows, size_t n, bool permute, struct option *longs,
		      char *shorts)
{
	if (!permute)
		*shorts++ = '+';
	*shorts++ = ':';
	for (size_t i = 0; i < n; i++) {
		longs[i] = (struct option){
			.name = rows[i].name,
			.has_arg = rows[i].kind == OPTION_FLAG ? optional_argument :
								 required_argument,
			.val = ROW_VALUE + (int)i,
		};
		if (!rows[i].letter)
			continue;
		*shorts++ = rows[i].letter;
		if (rows[i].kind != OPTION_FLAG)
			*shorts++ = ':';
	}
	longs[n] = (struct option){ .name = "help", .val = 'h' };
	longs[n + 1] = (struct option){ 0 };
	*shorts++ = 'h';
	*shorts = '\0';
}

static const struct option_row *find_row(const struct option_row *rows, size_t n, int found)
{
	if (found >= ROW_VALUE)
		return &rows[found - ROW_VALUE];
	for (size_t i = 0; i < n; i++)
		if (rows[i].letter == found)
			return &rows[i];
	return NULL;
}

int options_parse(const struct option_row *rows, bool permute, void *settings, struct arena *arena,
		  struct option_rest *rest, struct err *err)
{
	struct option longs[MAX_OPTIONS + 2];
	char shorts[2 * MAX_OPTIONS + 4];
	size_t n = rows_count(rows);
	int found;

	translate(rows, n, permute, longs, shorts);
	opterr = 0;
	optind = 0;
	// Words with one dash are long options first, as for programs in Go: `-bundle`.
	while ((found = getopt_long_only(rest->argc, rest->argv, shorts, longs, NULL)) != -1) {
		const struct option_row *row = find_row(rows, n, found);

		if (row) {
			int ret = store(row, settings, optarg, arena, err);
			if (ret < 0)
				return ret;
		} else if (found == 'h') {
			return 1;
		} else if (found == ':') {
			return err_set(err, EINVAL, "option %s needs a value",
				       rest->argv[optind - 1]);
		} else if (optopt && optopt < ROW_VALUE) {
			return err_set(err, EINVAL, "unknown option -%c", optopt);
		} else {
			return err_set(err, EINVAL, "unknown option %s", rest->argv[optind - 1]);
		}
	}
	rest->argc -= optind;
	rest->argv += optind;
	return 0;
}

void options_help(const struct option_row *rows)
{
	for (; rows->name; rows++) {
		char left[64];

		snprintf(left, sizeof(left), "%s%c%s --%s%s%s", rows->letter ? "-" : " ",
			 rows->letter ? rows->letter : ' ', rows->letter ? "," : " ", rows->name,
			 rows->value ? " " : "", rows->value ? rows->value : "");
		printf("  %-36s %s\n", left, rows->help);
	}
	printf("  -h, --help                           this text\n");
}

int options_wants_json(const char *format, struct err *err)
{
	if (!format || str_eq(format, "table"))
		return 0;
	return str_eq(format, "json") ?
		       1 :
		       err_set(err, EINVAL, "option --format: `%s` is neither table nor json",
			       format);
}
