// The hooks' contract, with shell scripts as hooks.
#include "process/hooks.h"

#include "base/str.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char dir[] = "/tmp/test-hooks.XXXXXX";
static const char state[] = "{\"id\":\"c1\"}";

// A hook that runs `script` with sh; "$1" in it is the test's directory.
#define HOOK(script)                                                                   \
	{                                                                              \
		.path = (char *)"/bin/sh", .args = {                                   \
			.v = (char *[]){ (char *)"sh", (char *)"-c", (char *)(script), \
					 (char *)"hook", dir, NULL },                  \
			.n = 5,                                                        \
		}                                                                      \
	}

static int run(struct oci_hook *hooks, size_t n, struct err *err)
{
	const struct oci_hook_list list = { .v = hooks, .n = n };

	*err = (struct err){ 0 };
	return hooks_run("createRuntime", &list, state, sizeof(state) - 1, err);
}

// What a hook has left in the file `name`, and removes it.
static const char *left(const char *name)
{
	static char buf[512];
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);
	buf[n < 0 ? 0 : n] = '\0';
	if (fd >= 0)
		close(fd);
	unlink(path);
	return buf;
}

static void test_contract(void)
{
	struct oci_hook all[] = {
		HOOK("cat >$1/state; cat </dev/stdin >$1/again"),
		HOOK("env -u PWD -u SHLVL -u _ >$1/env; ls /proc/self/fd | tr '\\n' ' ' >$1/fds"),
		HOOK("echo $PPID $(ps -o pgid= -p $$) $$ >$1/ids"),
	};
	struct err err;
	char ids[64], env_var[] = "A=b c";
	int leak = open("/dev/null", O_RDONLY); // NOLINT(android-cloexec-open): on purpose
	int ppid = 0, pgid = 0, pid = 0;

	all[1].env.v = (char *[]){ env_var, NULL };
	all[1].env.n = 1;
	is_int(run(all, 3, &err), 0);
	is_str(left("state"), state);
	is_str(left("env"), "A=b c\n");
	is_str(left("fds"), "0 1 2 3 "); // 3 is the directory that ls reads
	snprintf(ids, sizeof(ids), "%s", left("ids"));
	sscanf(ids, "%d %d %d", &ppid, &pgid, &pid);
	is_int(ppid, getpid());
	is_int(pgid, pid);
	close(leak);
	left("again");
}

static void test_failures(void)
{
	struct oci_hook second[] = { HOOK("true"), HOOK("echo out; echo why >&2; exit 3"),
				     HOOK("touch $1/third") };
	struct oci_hook killed[] = { HOOK("kill -TERM $$") };
	struct oci_hook absent[] = { { .path = (char *)"/nonexistent/hook" } };
	struct err err;

	is_int(run(second, 3, &err), -EIO);
	is_str(err.msg, "hook createRuntime[1] /bin/sh: exit status 3: out\nwhy");
	ok(access(dir, F_OK) == 0 && *left("third") == '\0',
	   "the hook after a failure does not run");
	is_int(run(killed, 1, &err), -EIO);
	is_str(err.msg, "hook createRuntime[0] /bin/sh: killed by signal 15 (Terminated)");
	is_int(run(absent, 1, &err), -ENOENT);
	is_str(err.msg,
	       "hook createRuntime[0] /nonexistent/hook: start it: no such file or directory");
}

static void test_output(void)
{
	struct oci_hook chatty[] = { HOOK(
		"head -c 300000 /dev/zero | tr '\\0' x; echo; echo the end; exit 1") };
	struct oci_hook deaf[] = { HOOK("exec <&-; exit 0") };
	struct oci_hook daemon[] = { HOOK("sleep 100 & echo $! >$1/pid") };
	struct err err;

	is_int(run(chatty, 1, &err), -EIO);
	ok(str_ends(err.msg, "xxx\nthe end") && strlen(err.msg) < ERR_MSG_MAX - 1,
	   "the output's end is kept");
	is_int(run(deaf, 1, &err), 0);

	time_t before = time(NULL);
	is_int(run(daemon, 1, &err), 0);
	ok(time(NULL) - before < 50, "what a hook leaves in the background is not waited for");
	kill(atoi(left("pid")), SIGKILL);
}

static void test_timeout(void)
{
	struct oci_hook slow[] = { HOOK("sleep 100 & echo $! >$1/pid; echo begun; wait") };
	struct err err;

	slow[0].timeout = (struct opt_i32){ .set = true, .v = 1 };
	is_int(run(slow, 1, &err), -ETIMEDOUT);
	is_str(err.msg,
	       "hook createRuntime[0] /bin/sh: still running after 1 seconds, killed: begun");
	// The group's second process has been adopted by this one.
	pid_t left_over = atoi(left("pid"));
	int status = 0;
	is_int(waitpid(left_over, &status, 0), left_over);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	   "a timeout ends what the hook started too");
}

static void test_all(void)
{
	struct oci_hook hooks[] = { HOOK("exit 1"), HOOK("touch $1/x; echo ran >$1/second") };
	const struct oci_hook_list list = { .v = hooks, .n = 2 };

	hooks_run_all("poststop", &list, state, sizeof(state) - 1);
	is_str(left("second"), "ran\n");
	left("x");
}

// Inside the container the same holds, though there the launcher stands between.
static void test_inside(void)
{
	struct oci_hook all[] = { HOOK("cat >$1/state; ls /proc/self/fd | tr '\\n' ' ' >$1/fds"),
				  HOOK("echo why; exit 3") };
	struct oci_hook absent[] = { { .path = (char *)"/nonexistent/hook" } };
	char path[64];
	struct oci_hook broken[] = { { .path = path } };
	struct err err = { 0 };

	is_int(hooks_run_inside("startContainer", &(struct oci_hook_list){ .v = all, .n = 2 },
				state, sizeof(state) - 1, &err),
	       -EIO);
	is_str(err.msg, "hook startContainer[1] /bin/sh: exit status 3: why");
	is_str(left("state"), state);
	is_str(left("fds"), "0 1 2 3 ");
	is_int(hooks_run_inside("startContainer", &(struct oci_hook_list){ .v = absent, .n = 1 },
				state, sizeof(state) - 1, &err),
	       -ENOENT);
	is_str(err.msg,
	       "hook startContainer[0] /nonexistent/hook: start it: no such file or directory");

	snprintf(path, sizeof(path), "%s/broken", dir);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700));
	is_int(hooks_run_inside("startContainer", &(struct oci_hook_list){ .v = broken, .n = 1 },
				state, sizeof(state) - 1, &err),
	       -EIO);
	ok(str_ends(err.msg, "/broken: exit status 1: it can't be executed"),
	   "a file that is no program");
	left("broken");
}

// The kernel reaps the hook, and nobody learns how it ended.
static void test_not_waited_for(void)
{
	struct oci_hook hook[] = { HOOK("exit 3") };
	struct err err;

	signal(SIGCHLD, SIG_IGN);
	is_int(run(hook, 1, &err), -ECHILD);
	signal(SIGCHLD, SIG_DFL);
}

int main(void)
{
	if (!mkdtemp(dir) || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return 1;
	test_contract();
	test_failures();
	test_output();
	test_timeout();
	test_all();
	test_inside();
	test_not_waited_for();
	ok(rmdir(dir) == 0, "nothing is left over");
	return done();
}
