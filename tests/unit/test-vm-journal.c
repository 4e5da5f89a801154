// The journal of a VM: what is written is read, and nothing else is.
#include "base/scope.h"
#include "base/str.h"
#include "tests/unit/tap.h"
#include "vm-mode/journal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct journal journal;
static struct err err;

static void test_parse(void)
{
	journal_parse("", &journal);
	ok(journal.stage_us[VM_STAGE_VMM] == 0 && !*journal.error, "nothing yet");
	journal_parse("stage vmm 4000\nstage started 9\nstage machine 7", &journal);
	is_int((long long)journal.stage_us[VM_STAGE_VMM], 4000);
	is_int((long long)journal.stage_us[VM_STAGE_STARTED], 9);
	is_int((long long)journal.stage_us[VM_STAGE_MACHINE], 0); // still being written

	journal_parse("stage lunch 1\nstage\n\nstage vmm\nstage vmm x\nstage agent 3\nerror",
		      &journal);
	ok(journal.stage_us[VM_STAGE_VMM] == 0 && journal.stage_us[VM_STAGE_AGENT] == 3,
	   "what is no stage is none");
	is_str(journal.error, "");

	journal_parse("stage vmm 1\nerror\nguest: gone\nstage agent 3\n\x1b[2J\r", &journal);
	is_str(journal.error, "guest: gone\nstage agent 3\n?[2J?");
	is_int((long long)journal.stage_us[VM_STAGE_AGENT], 0);
}

static void test_file(void)
{
	char dir[] = "/tmp/moat-test-XXXXXX";
	static const char zeros[17 * 1024];

	if (!mkdtemp(dir))
		abort();
	scope_fd int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	is_int(journal_read(dirfd, &journal, &err), -ENOENT);
	scope_fd int fd = openat(dirfd, JOURNAL_FILE, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC,
				 0600);
	for (int stage = 0; stage < VM_STAGES; stage++)
		journal_add_stage(fd, stage, (uint64_t)stage + 1);
	journal_add_error(fd, "guest: it has gone");
	is_int(journal_read(dirfd, &journal, &err), 0);
	for (int stage = 0; stage < VM_STAGES; stage++)
		is_int((long long)journal.stage_us[stage], stage + 1);
	is_str(journal.error, "guest: it has gone");
	journal_add_stage(-1, VM_STAGE_VMM, 1);
	journal_add_error(-1, "to nowhere");

	is_int(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
	is_int(journal_read(dirfd, &journal, &err), -EFBIG);
	unlinkat(dirfd, JOURNAL_FILE, 0);
	rmdir(dir);
}

int main(void)
{
	test_parse();
	test_file();
	return done();
}
