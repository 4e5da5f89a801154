#include "vm-mode/journal.h"

#include "base/io.h"
#include "base/scope.h"
#include "base/str.h"
#include "vm-mode/proto/proto.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#define JOURNAL_MAX_BYTES ((size_t)16 * 1024)

static const char *const names[VM_STAGES] = {
	[VM_STAGE_VMM] = "vmm",		[VM_STAGE_MACHINE] = "machine",
	[VM_STAGE_ENTERED] = "entered", [VM_STAGE_CONSOLE] = "console",
	[VM_STAGE_INIT] = "init",	[VM_STAGE_AGENT] = "agent",
	[VM_STAGE_CREATED] = "created", [VM_STAGE_STARTING] = "starting",
	[VM_STAGE_STARTED] = "started",
};

const char *vm_stage_name(enum vm_stage stage)
{
	return names[stage];
}

// ---- writing ----

void journal_add_stage(int fd, enum vm_stage stage, uint64_t us)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "stage %s %" PRIu64 "\n", names[stage], us);

	if (fd >= 0)
		io_write_all(fd, line, (size_t)len);
}

void journal_add_error(int fd, const char *message)
{
	scope_text struct text text = { 0 };

	text_printf(&text, "error\n%s", message);
	if (fd >= 0)
		io_write_all(fd, text.str, text.len);
}

// ---- reading ----

static void parse_stage(const char *line, struct journal *journal)
{
	char name[16];
	uint64_t us;

	if (sscanf(line, "stage %15[a-z] %" SCNu64 "\n", name, &us) != 2)
		return;
	for (size_t i = 0; i < VM_STAGES; i++)
		if (str_eq(name, names[i]))
			journal->stage_us[i] = us;
}

void journal_parse(const char *text, struct journal *journal)
{
	static const char error[] = "error\n";
	const char *end;

	*journal = (struct journal){ 0 };
	for (const char *line = text; (end = strchr(line, '\n')); line = end + 1) {
		if (str_starts(line, error)) {
			snprintf(journal->error, sizeof(journal->error), "%s", end + 1);
			break;
		}
		parse_stage(line, journal);
	}
	for (char *c = journal->error; *c; c++)
		if (!proto_is_text(*c))
			*c = '?';
}

int journal_read(int dirfd, struct journal *journal, struct err *err)
{
	scope_free char *text = NULL;

	if (io_read_file(dirfd, JOURNAL_FILE, JOURNAL_MAX_BYTES, &text, NULL, err) < 0)
		return -err->code;
	journal_parse(text, journal);
	return 0;
}
