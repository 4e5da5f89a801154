#include "base/arena.h"
#include "base/err.h"
#include "base/io.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/scope.h"
#include "base/str.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_err(void)
{
	struct err err;

	is_int(err_set(&err, EINVAL, "cause %d", 7), -EINVAL);
	is_str(err.msg, "cause 7");
	is_int(err_wrap(&err, "step %s", "mounts"), -EINVAL);
	is_str(err.msg, "step mounts: cause 7");
	is_int(err_sysn(&err, ENOENT, "open %s", "/x"), -ENOENT);
	is_str(err.msg, "open /x: no such file or directory");

	char big[ERR_MSG_MAX + 10];
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_set(&err, EINVAL, "%s", big);
	err_wrap(&err, "outer");
	ok(strlen(err.msg) == ERR_MSG_MAX - 1 && str_starts(err.msg, "outer: xxx"),
	   "a long message is cut, not overrun");
}

static void test_numbers(void)
{
	uint64_t u = 5;
	int64_t i = 5;
	uint32_t w = 5;
	int n = 5;

	is_int(str_to_u64("18446744073709551615", &u), 0);
	ok(u == UINT64_MAX, "the largest u64");
	is_int(str_to_u64("18446744073709551616", &u), -ERANGE);
	is_int(str_to_u64("", &u), -EINVAL);
	is_int(str_to_u64("-1", &u), -EINVAL);
	is_int(str_to_u64("1x", &u), -EINVAL);
	is_int(str_to_i64("-9223372036854775808", &i), 0);
	ok(i == INT64_MIN, "the smallest i64");
	is_int(str_to_i64("9223372036854775808", &i), -ERANGE);
	is_int(str_to_u32("4294967296", &w), -ERANGE);
	is_int(str_to_int("-2147483649", &n), -ERANGE);
	ok(w == 5 && n == 5, "a failed conversion leaves the value alone");
}

static void test_text(void)
{
	scope_text struct text text = { 0 };

	text_json(&text, "a\"b\\c\n\x01 \xc3\xa4 \xff");
	is_str(text.str, "\"a\\\"b\\\\c\\n\\u0001 \xc3\xa4 \\ufffd\"");
	for (int i = 0; i < 1000; i++)
		text_printf(&text, "%d", i % 10);
	is_int((long long)strlen(text.str), (long long)text.len);
}

static void test_arena(void)
{
	scope_arena struct arena arena = { 0 };

	char *a = arena_strndup(&arena, "hello", 3);
	char *b = arena_alloc(&arena, 100000);
	is_str(a, "hel");
	ok(b[0] == 0 && b[99999] == 0, "memory comes zeroed");
	is_str(arena_printf(&arena, "%s-%d", a, 4), "hel-4");
}

static void test_clean(void)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "/", "/" },	     { "//a//b/", "/a/b" }, { "/a/./b", "/a/b" },
		{ "/a/../b", "/b" }, { "/..", "/" },	    { "/../../a", "/a" },
		{ "a/../b", "b" },   { "..", ".." },	    { "../a", "../a" },
		{ "a/..", "." },     { "", "." },	    { "../../a/..", "../.." },
		{ "/a/b/..", "/a" },
	};
	char out[64];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		path_clean(cases[i].in, out, sizeof(out));
		is_str(out, cases[i].out);
	}
	is_int(path_clean("/aaaa", out, 5), -ENAMETOOLONG);
}

static void test_in_root(void)
{
	char dir[] = "/tmp/moat-test-XXXXXX";
	struct err err = { 0 };
	const char *name;

	if (!mkdtemp(dir)) {
		ok(false, "a temporary directory");
		return;
	}
	scope_fd int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	symlinkat("/../../../etc", root, "up");
	symlinkat("nowhere", root, "dangling");
	scope_fd int made = path_mkdirs_in_root(root, "/up/x/y", 0755, &err);
	ok(made < 0, "a link to a directory that is missing inside is not made");
	mkdirat(root, "etc", 0755);
	scope_fd int inside = path_mkdirs_in_root(root, "/up/x/y", 0755, &err);
	ok(inside >= 0, "the same link resolves inside the root once its target is there");
	is_int(faccessat(root, "etc/x/y", F_OK, 0), 0);
	is_int(path_mkdirs_in_root(root, "dangling/z", 0755, &err), -ENOENT);
	scope_fd int parent = path_parent_in_root(root, "/etc/x/new/file", 0755, &name, &err);
	ok(parent >= 0 && str_eq(name, "file"), "the parent is made and the name told");
	is_int(path_parent_in_root(root, "/", 0755, &name, &err), -EINVAL);
	is_int(path_open_in_root(root, "../../etc/passwd", O_RDONLY, 0), -1);
	is_int(io_replace_file(root, "state", 0600, "one", 3, &err), 0);
	is_int(io_replace_file(root, "state", 0600, "two!", 4, &err), 0);
	scope_free char *data = NULL;
	size_t len;
	is_int(io_read_file(root, "state", 4, &data, &len, &err), 0);
	is_str(data, "two!");
	scope_free char *more = NULL;
	is_int(io_read_file(root, "state", 3, &more, &len, &err), -EFBIG);
	unlinkat(root, "state", 0);
	unlinkat(root, "up", 0);
	unlinkat(root, "dangling", 0);
	unlinkat(root, "etc/x/new", AT_REMOVEDIR);
	unlinkat(root, "etc/x/y", AT_REMOVEDIR);
	unlinkat(root, "etc/x", AT_REMOVEDIR);
	unlinkat(root, "etc", AT_REMOVEDIR);
	is_int(rmdir(dir), 0);
}

static void test_proc(void)
{
	struct proc_id id;
	struct err err;
	int gate[2];

	if (pipe2(gate, O_CLOEXEC) < 0) {
		ok(false, "a pipe");
		return;
	}
	pid_t pid = fork();
	if (pid == 0) {
		char byte;

		close(gate[1]);
		_exit(read(gate[0], &byte, 1) == 0 ? 42 : 1);
	}
	close(gate[0]);
	is_int(proc_identify(pid, &id, &err), 0);
	ok(proc_alive(&id), "a child that waits is alive");
	scope_fd int pidfd = proc_pidfd(&id, &err);
	ok(pidfd >= 0, "and has a pidfd");
	struct proc_id other = { .pid = pid, .start_time = id.start_time + 1 };
	ok(!proc_alive(&other), "the same pid with another start time is somebody else");
	is_int(proc_pidfd(&other, &err), -ESRCH);
	close(gate[1]);
	is_int(proc_wait(pid), 42);
	ok(!proc_alive(&id), "a child that was waited for is not alive");
	is_int(proc_identify(pid, &id, &err), -ESRCH);
}

static void test_fds(void)
{
	int pair[2], got[2], sent;
	char data[8];

	is_int(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	sent = open("/dev/null", O_RDONLY | O_CLOEXEC);
	is_int(io_send_fds(pair[0], "hi", 2, &sent, 1), 0);
	is_int(io_recv_fds(pair[1], data, sizeof(data), got, 2), 2);
	ok(got[0] >= 0 && got[1] == -1, "one descriptor came, the other slot is empty");
	ok(fcntl(got[0], F_GETFD) == FD_CLOEXEC, "what comes is close-on-exec");
	close(got[0]);
	close(sent);
	close(pair[0]);
	is_int(io_recv_fds(pair[1], data, sizeof(data), got, 2), 0);
	close(pair[1]);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

// In a child, which has descriptors that can be closed.
static void test_close_fds(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		const int keep[] = { 12, -1, 9, 10, 2 };

		for (int fd = 7; fd < 14; fd++)
			dup2(STDERR_FILENO, fd);
		_exit(proc_close_fds(8, keep, ARRAY_SIZE(keep)) == 0 && is_open(7) && !is_open(8) &&
				      is_open(9) && is_open(10) && !is_open(11) && is_open(12) &&
				      !is_open(13) ?
			      0 :
			      1);
	}
	is_int(proc_wait(pid), 0);
}

int main(void)
{
	test_err();
	test_numbers();
	test_text();
	test_arena();
	test_clean();
	test_in_root();
	test_proc();
	test_fds();
	test_close_fds();
	return done();
}
