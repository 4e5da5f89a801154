#include "base/mountinfo.h"

#include "base/str.h"

#include <string.h>

static int octal(const char *text)
{
	int value = 0;

	for (int i = 0; i < 3; i++) {
		if (text[i] < '0' || text[i] > '7')
			return -1;
		value = value * 8 + text[i] - '0';
	}
	return value;
}

// The kernel writes blanks and backslashes in a path as \040.
static void unescape(char *text)
{
	char *to = text;

	while (*text) {
		int byte = *text == '\\' ? octal(text + 1) : -1;

		*to++ = byte < 0 ? *text : (char)byte;
		text += byte < 0 ? 1 : 4;
	}
	*to = '\0';
}

// `36 35 0:31 /root /mount/point rw,relatime shared:1 - type source options`
// (proc_pid_mountinfo(5)).
bool mountinfo_parse(char *line, struct mount_line *mount)
{
	enum { ID, PARENT, DEVICE, ROOT, MOUNT_POINT, OPTIONS, TAGS, MAX_FIELDS = 32 };
	char *fields[MAX_FIELDS], *save = NULL;
	size_t n = 0, dash = TAGS;

	for (char *field = strtok_r(line, " ", &save); field && n < MAX_FIELDS;
	     field = strtok_r(NULL, " ", &save))
		fields[n++] = field;
	while (dash < n && !str_eq(fields[dash], "-"))
		dash++;
	if (dash + 3 >= n)
		return false;

	*mount = (struct mount_line){
		.root = fields[ROOT],
		.mount_point = fields[MOUNT_POINT],
		.type = fields[dash + 1],
		.options = fields[dash + 3],
	};
	if (str_to_u64(fields[ID], &mount->id) < 0 ||
	    str_to_u64(fields[PARENT], &mount->parent) < 0)
		return false;
	unescape(mount->root);
	unescape(mount->mount_point);
	return true;
}
