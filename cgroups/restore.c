#include "cgroups/restore.h"

#include "base/scope.h"

#include <stdlib.h>
#include <string.h>

// The line of `text` that begins with the first word of `value`; NULL: none. Cuts the text there.
static const char *find_line(char *text, const char *value)
{
	const size_t key = strcspn(value, " ");
	char *save = NULL;

	for (char *line = value[key] ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, value, key) == 0 && line[key] == ' ')
			return line;
	return NULL;
}

// What stood in the file, as it is to be written there. Some have a line for each device or
// interface (`8:0 rbps=1048576`), and none for those without a limit.
static const char *old_value(const struct place_write *write, const char *content,
			     struct arena *arena)
{
	const char *value = write->value, *equals = strchr(value, '=');
	const char *line = find_line(arena_strdup(arena, content), value);

	if (line)
		return line;
	if (equals)
		return arena_printf(arena, "%.*s=max", (int)(equals - value), value);
	if (strcspn(value, ":") < strcspn(value, " "))
		return arena_printf(arena, "%.*s 0", (int)strcspn(value, " "), value);
	if (str_starts(content, "oom_kill_disable "))
		content += strlen("oom_kill_disable ");
	// Nothing at all is written as an empty line.
	return *content == '\n' || !*content ?
		       "\n" :
		       arena_strndup(arena, content, strcspn(content, "\n"));
}

// The whole list, as a plan has it: whoever writes it makes a difference of it. A group that may do
// everything doesn't tell its exceptions.
static void restore_devices(const struct place *place, struct arena *arena, struct place *back)
{
	scope_free char *list = NULL;
	char *save = NULL;

	if (place_read_all(place->dir, "devices.list", &list) < 0 || str_starts(list, "a "))
		return;
	place_add_write(back, arena, 0, "devices.deny", "a");
	for (char *line = strtok_r(list, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		place_add_write(back, arena, 0, "devices.allow", "%s", line);
}

void restore_plan(const struct place *place, struct arena *arena, struct place *back)
{
	*back = (struct place){ .dir = place->dir, .root_len = place->root_len, .v2 = place->v2 };
	// Backwards: what could be written only after another change is changed back before that.
	for (size_t i = place->writes.n; i-- > 0;) {
		const struct place_write *write = &place->writes.v[i];
		scope_free char *content = NULL;

		if (str_starts(write->file, "devices."))
			continue;
		if (place_read_all(place->dir, write->file, &content) == 0)
			place_add_write(back, arena, write->flags & WRITE_LINKED, write->file, "%s",
					old_value(write, content, arena));
	}
	if (place_changes_devices(place) && !place->v2)
		restore_devices(place, arena, back);
}
