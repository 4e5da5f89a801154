// The table of a guest's processes.
#include "base/scope.h"
#include "runtime/process_table.h"
#include "tests/unit/tap.h"

#include <stdlib.h>
#include <sys/sysmacros.h>

#define NOW 1750000000 // 2025-06-15, 15:06:40 UTC

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

int main(void)
{
	setenv("TZ", "UTC", 1);
	test_columns();
	test_refusals();
	return done();
}
