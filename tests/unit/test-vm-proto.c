// What an agent may say to the host.
#include "base/str.h"
#include "tests/unit/tap.h"
#include "vm-mode/proto/figures.h"
#include "vm-mode/proto/proto.h"

static struct err err;

static int check(enum proto_type type, const void *payload, size_t len)
{
	const struct proto_header header = { .type = type, .len = (uint32_t)len };

	err = (struct err){ 0 };
	return proto_check(&header, payload, &err);
}

static void test_lengths(void)
{
	static const struct {
		enum proto_type type;
		uint32_t len;
	} good[] = {
		{ PROTO_HELLO, sizeof(struct proto_hello) },
		{ PROTO_READY, 0 },
		{ PROTO_STARTED, 0 },
		{ PROTO_FAILED, 5 },
		{ PROTO_FAILED, sizeof(struct proto_failure) },
		{ PROTO_EXIT, sizeof(struct proto_exit) },
		{ PROTO_DONE, 0 },
		{ PROTO_PIDS, 0 },
		{ PROTO_PIDS, PROTO_TO_HOST_MAX },
		{ PROTO_FIGURES, 1 },
		{ PROTO_FIGURES, PROTO_TO_HOST_MAX },
		{ PROTO_OOM, 0 },
		{ PROTO_PROCESSES, 0 },
		{ PROTO_PROCESSES, PROTO_TO_HOST_MAX },
		{ PROTO_BALLOONED, sizeof(struct proto_ballooned) },
	},
	  bad[] = {
		  { PROTO_HELLO, sizeof(struct proto_hello) - 1 },
		  { PROTO_READY, 1 },
		  { PROTO_FAILED, 4 },
		  { PROTO_FAILED, sizeof(struct proto_failure) + 1 },
		  { PROTO_EXIT, 0 },
		  { PROTO_PIDS, PROTO_TO_HOST_MAX + 4 },
		  { PROTO_FIGURES, 0 },
		  { PROTO_FIGURES, PROTO_TO_HOST_MAX + 1 },
		  { PROTO_PROCESSES, PROTO_TO_HOST_MAX + 1 },
		  { PROTO_BALLOONED, sizeof(struct proto_ballooned) - 1 },
		  { PROTO_TABLE, 0 },
		  { PROTO_BALLOON, sizeof(struct proto_balloon) },
		  { PROTO_OOM, UINT32_MAX },
		  { PROTO_CONFIG, 0 },
		  { PROTO_START, 0 },
		  { 0, 0 },
		  { PROTO_BALLOONED + 1, 0 },
	  };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		is_int(check(good[i].type, NULL, good[i].len), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		is_int(check(bad[i].type, NULL, bad[i].len), -EPROTO);
	is_str(err.msg, "the agent has sent a frame of unknown type 75");
	check(PROTO_EXIT, NULL, 3);
	is_str(err.msg, "the agent's EXIT has 3 bytes, not 8 to 8");
}

static int check_failure(int32_t code, const char *text, size_t len)
{
	struct proto_failure failure = { .code = code };

	memcpy(failure.message, text, len);
	return check(PROTO_FAILED, &failure, offsetof(struct proto_failure, message) + len);
}

static void test_failure(void)
{
	is_int(check_failure(2, "a\tb\nc", 6), 0);
	// C1 controls begin so, as ä does.
	is_int(check_failure(2, "c \xc2\x9b", 5), -EPROTO);
	is_int(check_failure(0, "a", 2), -EPROTO);
	is_int(check_failure(-2, "a", 2), -EPROTO);
	is_int(check_failure(4096, "a", 2), -EPROTO);
	is_int(check_failure(2, "ab", 2), -EPROTO);
	is_int(check_failure(2, "a\0b", 4), -EPROTO);
	is_int(check_failure(2, "\033[2J", 5), -EPROTO);
	is_int(check_failure(2, "\x7f", 2), -EPROTO);
}

static int check_exit(uint32_t status, uint32_t signal)
{
	const struct proto_exit end = { status, signal };

	return check(PROTO_EXIT, &end, sizeof(end));
}

static void test_others(void)
{
	struct proto_hello hello = { .version = PROTO_VERSION };
	uint32_t pids[2] = { 1, 2 };

	is_int(check_exit(255, 0), 0);
	is_int(check_exit(137, 9), 0);
	is_int(check_exit(256, 0), -EPROTO);
	is_int(check_exit(0, 9), -EPROTO);
	is_int(check_exit(193, 65), -EPROTO);
	is_int(check(PROTO_HELLO, &hello, sizeof(hello)), 0);
	hello.version++;
	is_int(check(PROTO_HELLO, &hello, sizeof(hello)), -EPROTO);
	is_int(check(PROTO_PIDS, pids, 8), 0);
	is_int(check(PROTO_PIDS, pids, 7), -EPROTO);
}

static void add(struct text *answer, uint32_t pid, const char *command, size_t len)
{
	const struct proto_process process = { .pid = pid, .ppid = 1, .cpu_ms = 7 };

	proto_process_add(answer, &process, command, len);
}

static void test_processes(void)
{
	const size_t head = sizeof(struct proto_process);
	static char endless[PROTO_COMMAND_MAX + 100];
	scope_text struct text answer = { 0 };
	struct proto_process process;
	const char *command;

	add(&answer, 1, "sleep 1000", 10);
	add(&answer, 2, "a\n\033\tb\0\x7f\xc3\xa4", 9);
	add(&answer, 9, "", 0);
	is_int(check(PROTO_PROCESSES, answer.str, answer.len), 0);
	is_int((long long)proto_process_read(answer.str, answer.len, &process, &command),
	       (long long)head + 10);
	ok(process.pid == 1 && process.cpu_ms == 7 && process.command_len == 10 &&
		   memcmp(command, "sleep 1000", 10) == 0,
	   "the first is the first");
	const char *second = answer.str + head + 10;
	is_int((long long)proto_process_read(second, answer.len - head - 10, &process, &command),
	       (long long)head + 9);
	ok(memcmp(command, "a???b????", 9) == 0, "what is no text becomes some");

	// Whole ones only, and in order.
	for (size_t len = 1; len < answer.len; len++)
		if (len != head + 10 && len != head + 10 + head + 9)
			is_int(check(PROTO_PROCESSES, answer.str, len), -EPROTO);
	memset(endless, 'x', sizeof(endless));
	text_free(&answer);
	add(&answer, 3, endless, sizeof(endless));
	is_int((long long)answer.len, (long long)head + PROTO_COMMAND_MAX);
	is_int(check(PROTO_PROCESSES, answer.str, answer.len), 0);
	add(&answer, 3, "x", 1);
	is_int(check(PROTO_PROCESSES, answer.str, answer.len), -EPROTO);
	text_free(&answer);
	add(&answer, 0, "x", 1);
	is_int(check(PROTO_PROCESSES, answer.str, answer.len), -EPROTO);
	text_free(&answer);
	add(&answer, 1, "x", 1);
	answer.str[head] = '\033';
	is_int(check(PROTO_PROCESSES, answer.str, answer.len), -EPROTO);
	memcpy(answer.str, &(struct proto_process){ .pid = 1, .command_len = UINT32_MAX }, head);
	is_int(check(PROTO_PROCESSES, answer.str, answer.len), -EPROTO);
}

int main(void)
{
	test_lengths();
	test_failure();
	test_others();
	test_processes();
	return done();
}
