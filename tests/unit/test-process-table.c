// The table of a guest's processes.
#include "base/scope.h"
#include "runtime/process_table.h"
#include "tests/unit/tap.h"
#include "vm-mode/proto/figures.h"

#include <stdlib.h>
#include <sys/sysmacros.h>

#define NOW 1750000000 // 2025-06-15, 15:06:40 UTC

static struct arena arena;
static struct err err;

static const struct process_row rows[] = {
	{ .pid = 1, .age_ms = 61 * 1000, .cpu_ms = 3 * 1000, .command = "sh -c sleep 5 & wait" },
	{ .pid = 12, .ppid = 1, .uid = 4000000000, .tty = 0x8803, .command = "sleep 5" },
	{ .pid = 4194303,
	  .ppid = 12,
	  .uid = 1000,
	  .age_ms = UINT64_C(86400) * 40 * 1000,
	  .cpu_ms = UINT64_C(123) * 3600 * 1000 + 59000,
	  .command = "" },
};

// The table, or the error.
static const char *table(const char *a, const char *b, const char *c)
{
	static struct text out;
	char *const options[] = { (char *)a, (char *)b, (char *)c, NULL };

	text_free(&out);
	out = (struct text){ 0 };
	if (process_table(rows, ARRAY_SIZE(rows), options, NOW, &out, &err) < 0)
		return err.msg;
	return out.str;
}

static void test_columns(void)
{
	static const char full[] =
		"UID          PID    PPID  C STIME TTY          TIME CMD\n"
		"0              1       0  5 15:05 ?        00:00:03 sh -c sleep 5 & wait\n"
		"4000000000      12       1  0 15:06 pts/3    00:00:00 sleep 5\n"
		"1000     4194303      12 13 May06 ?        123:00:59 \n";

	is_str(table(NULL, NULL, NULL), full);
	is_str(table("-ef", NULL, NULL), full);
	is_str(table("-A", "-f", NULL), full);
	is_str(table("-e", "-o", "pid,args"), "    PID COMMAND\n      1 sh -c sleep 5 & wait\n"
					      "     12 sleep 5\n4194303 \n");
	is_str(table("-opid,user", NULL, NULL),
	       "    PID USER\n      1 0\n     12 4000000000\n4194303 1000\n");
}

static void test_refusals(void)
{
	is_str(table("aux", NULL, NULL),
	       "ps of a guest: option `aux`: only -e, -A, -f and -o are known");
	is_str(table("", NULL, NULL), "ps of a guest: option ``: only -e, -A, -f and -o are known");
	is_str(table("-", NULL, NULL),
	       "ps of a guest: option `-`: only -e, -A, -f and -o are known");
	is_str(table("-x", NULL, NULL),
	       "ps of a guest: option `-x`: only -e, -A, -f and -o are known");
	is_str(table("-efx", NULL, NULL),
	       "ps of a guest: option `-efx`: only -e, -A, -f and -o are known");
	is_str(table("-e", "-o", NULL), "ps of a guest: option `-o` wants a list of columns");
	is_str(table("-o", "pid,comm", NULL), "ps of a guest: no column `comm`");
	is_str(table("-o", "pid,,pid", NULL), "ps of a guest: no column ``");
	is_str(table("-o", "pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid,pid",
		     NULL),
	       "ps of a guest: too many columns");
}

// An answer of `n` processes with pids from `first` on, and commands of `len` bytes.
static int take(struct process_rows *told, uint32_t first, size_t n, size_t len)
{
	static char command[PROTO_COMMAND_MAX];
	scope_text struct text answer = { 0 };

	memset(command, 'x', sizeof(command));
	for (size_t i = 0; i < n; i++) {
		const struct proto_process process = { .pid = first + (uint32_t)i, .uid = 7 };

		proto_process_add(&answer, &process, command, len);
	}
	return process_rows_take(told, answer.str, answer.len, &arena, &err);
}

static void test_rows(void)
{
	scope_process_rows struct process_rows told = { 0 };

	is_int(take(&told, 1, 2, 3), 1);
	is_int(take(&told, 9, 1, 0), 1);
	is_int(take(&told, 0, 0, 0), 0);
	const struct process_row *row = (const void *)told.bytes.str;
	ok(told.n == 3 && told.last == 9 && row[1].pid == 2 && row[2].pid == 9 && row[2].uid == 7,
	   "three of two answers");
	is_str(row[1].command, "xxx");
	is_int(take(&told, 9, 1, 0), -EPROTO);
	is_str(err.msg, "the guest tells of its processes twice");
	is_int(take(&told, 2, 20, 0), -EPROTO);
}

// A guest that never comes to an end.
static void test_too_many(void)
{
	scope_process_rows struct process_rows told = { 0 };
	scope_process_rows struct process_rows talkative = { 0 };
	const uint32_t commands = PROCESS_COMMANDS_MAX_BYTES / PROTO_COMMAND_MAX;
	int ret = 1;

	for (uint32_t pid = 1; ret > 0 && pid <= PROCESS_ROWS_MAX; pid += 16)
		ret = take(&told, pid, 16, 0);
	ok(ret == 1 && told.n == PROCESS_ROWS_MAX, "as many as may be");
	is_int(take(&told, told.last + 1, 1, 0), -E2BIG);
	is_str(err.msg, "the guest tells of too many processes");
	is_int(take(&talkative, 1, commands, PROTO_COMMAND_MAX), 1);
	is_int(take(&talkative, talkative.last + 1, 1, 1), -E2BIG);
}

int main(void)
{
	setenv("TZ", "UTC", 1);
	test_rows();
	test_too_many();
	test_columns();
	test_refusals();
	arena_free(&arena);
	return done();
}
