// The launcher, really run: with lists of its own, and as the end of process_enter().
#include "base/io.h"
#include "base/proc.h"
#include "base/scope.h"
#include "process/image.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NUMBER(value)                                            \
	{                                                        \
		.kind = STEP_NUMBER, .number = (uint64_t)(value) \
	}
#define STRING(str)                                                \
	{                                                          \
		.kind = STEP_BYTES, .bytes = {(str), sizeof(str) } \
	}
#define STRINGS(...)                                        \
	{                                                   \
		.kind = STEP_STRINGS, .strings = (char *[]) \
		{                                           \
			__VA_ARGS__, NULL                   \
		}                                           \
	}
#define RESULT                      \
	{                           \
		.kind = STEP_RESULT \
	}
#define ACCEPT(code) (UINT64_C(1) << (code))

// What came out of a process that became the launcher.
struct outcome {
	int status;		      // as a shell tells it
	char out[8192];		      // its standard output and error
	struct process_report report; // code 0: none
	struct err err;		      // code 0: the launcher was reached
};

struct run {
	const struct steps *steps; // run these, or
	struct process_plan *plan; // prepare and enter this
	void (*before)(void);	   // in the process, first
	int notify_fd;		   // where the seccomp listener goes; 0: nowhere
};

static void child(const struct run *run, int report_fd, struct err *err)
{
	char *const argv[] = { (char *)"moat-launcher", NULL }, *const envp[] = { NULL };
	const struct process_channels channels = {
		.report_fd = report_fd,
		.notify_fd = run->notify_fd ? run->notify_fd : -1,
		.notify_msg = run->notify_fd ? "{\"pid\":1}" : NULL,
	};

	if (run->before)
		run->before();
	if (run->plan) {
		if (process_make_cwd(run->plan, err) == 0 && process_prepare(run->plan, err) == 0)
			process_enter(run->plan, &channels, err);
		return;
	}
	scope_text struct text image = { 0 };
	image_compose(run->steps, &channels, &image);
	int fd = image_open(&image, err);
	if (fd < 0)
		return;
	fcntl(report_fd, F_SETFD, 0);
	execveat(fd, "", argv, envp, AT_EMPTY_PATH);
	err_sys(err, "execveat");
}

static void run(const struct run *run, struct outcome *outcome)
{
	int out[2], report[2], failure[2];

	memset(outcome, 0, sizeof(*outcome));
	fflush(stdout);
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0 ||
	    pipe2(failure, O_CLOEXEC) < 0)
		abort();
	pid_t pid = fork();
	if (pid == 0) {
		struct err err = { 0 };

		dup2(out[1], 1);
		dup2(out[1], 2);
		child(run, report[1], &err);
		_exit(write(failure[1], &err, sizeof(err)) < 0 ? 98 : 99);
	}
	close(out[1]);
	close(report[1]);
	close(failure[1]);
	if (io_read_all(out[0], outcome->out, sizeof(outcome->out) - 1) < 0 ||
	    io_read_all(report[0], &outcome->report, sizeof(outcome->report)) < 0 ||
	    io_read_all(failure[0], &outcome->err, sizeof(outcome->err)) < 0)
		abort();
	close(out[0]);
	close(report[0]);
	close(failure[0]);
	outcome->status = proc_wait(pid);
}

static void run_steps(struct step *list, size_t count, struct outcome *outcome)
{
	const struct steps steps = { .v = list, .n = count };

	run(&(struct run){ .steps = &steps }, outcome);
}

static void test_walk(void)
{
	struct step list[] = {
		{
			"open",
			"openat",
			SYS_openat,
			ACCEPT(ENOENT),
			{ NUMBER(AT_FDCWD), STRING("/nowhere"), NUMBER(O_RDONLY) },
		},
		{
			"open",
			"openat",
			SYS_openat,
			0,
			{ NUMBER(AT_FDCWD), STRING("/"), NUMBER(O_PATH | O_DIRECTORY) },
		},
		{
			"fchdir",
			"fchdir",
			SYS_fchdir,
			0,
			{ RESULT },
		},
		{
			"exec nowhere",
			"execve",
			SYS_execve,
			ACCEPT(ENOENT),
			{ STRING("nowhere/sh"), STRINGS((char *)"sh"), STRINGS(NULL) },
		},
		{
			"exec sh",
			"execve",
			SYS_execve,
			0,
			{ STRING("bin/sh"),
			  STRINGS((char *)"sh", (char *)"-c", (char *)"echo $0 $X; pwd; exit 7",
				  (char *)"zero"),
			  STRINGS((char *)"X=y z") },
		},
	};
	struct outcome outcome;

	run_steps(list, ARRAY_SIZE(list), &outcome);
	is_str(outcome.err.msg, "");
	is_str(outcome.report.step, "");
	is_str(outcome.out, "zero y z\n/\n");
	is_int(outcome.status, 7);
}

static void test_failing_step(void)
{
	struct step list[] = {
		{ "harmless", "getpid", SYS_getpid, 0, { { 0 } } },
		{ "chdir /nowhere", "chdir", SYS_chdir, ACCEPT(EACCES), { STRING("/nowhere") } },
		{ "exec sh",
		  "execve",
		  SYS_execve,
		  0,
		  { STRING("/bin/sh"), STRINGS((char *)"sh", (char *)"-c", (char *)"echo no"),
		    STRINGS(NULL) } },
	};
	struct outcome outcome;
	char longname[400];

	run_steps(list, ARRAY_SIZE(list), &outcome);
	is_int(outcome.report.code, ENOENT);
	is_str(outcome.report.step, "chdir /nowhere");
	is_str(outcome.out, "");
	is_int(outcome.status, 1);

	memset(longname, 'x', sizeof(longname) - 1);
	longname[sizeof(longname) - 1] = '\0';
	list[1].name = longname;
	run_steps(list, ARRAY_SIZE(list), &outcome);
	is_int(strlen(outcome.report.step), sizeof(outcome.report.step) - 1);

	// A list without an execve.
	run_steps(list, 1, &outcome);
	is_int(outcome.report.code, 0);
	is_int(outcome.status, 1);
}

// The image can't be changed, not even by root through /proc/PID/exe.
static void test_image_is_sealed(void)
{
	struct step list[] = { { "pause", "pause", SYS_getpid, 0, { { 0 } } } };
	const struct steps steps = { .v = list, .n = 1 };
	const struct process_channels channels = { .report_fd = -1, .notify_fd = -1 };
	scope_text struct text image = { 0 };
	struct err err;
	struct stat st;

	image_compose(&steps, &channels, &image);
	scope_fd int fd = image_open(&image, &err);
	ok(fd >= 0 && fstat(fd, &st) == 0 && (size_t)st.st_size == image.len, "the image is whole");
	ok(pwrite(fd, "x", 1, 0) < 0 && errno == EPERM, "no writing");
	ok(ftruncate(fd, 0) < 0 && errno == EPERM, "no truncating");
	ok(fcntl(fd, F_GETFD) & FD_CLOEXEC, "close-on-exec");
}

static void hostile_habits(void)
{
	sigset_t all;

	signal(SIGPIPE, SIG_IGN);
	syscall(SYS_rt_sigaction, 32, (uint64_t[4]){ (uint64_t)SIG_IGN }, NULL,
		sizeof(uint64_t)); // the C library's own
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	// Two descriptors to be preserved, one of which would not be by itself, and one that nobody
	// closes.
	for (int fd = 3; fd <= 5; fd++) {
		if (dup2(1, fd) < 0)
			abort();
	}
	fcntl(3, F_SETFD, FD_CLOEXEC);
}

static struct process_plan *make(const struct oci_process *process, struct arena *arena)
{
	const struct process_env env = { .caps = process_caps_grantable(false), .preserve_fds = 2 };
	struct process_plan *plan;
	struct err err;

	if (process_plan_make(process, NULL, &env, arena, &plan, &err) < 0)
		abort();
	return plan;
}

static void test_enter(void)
{
	scope_arena struct arena arena = { 0 };
	char *argv[] = {
		(char *)"sh", (char *)"-c",
		(char *)"grep -E '^(Uid|Gid|Groups|Umask|Cap...|NoNewPrivs|Sig(Blk|Ign)):' /proc/self/status;"
			"tr '\\0' ' ' </proc/$$/environ; pwd; ulimit -Sf; ulimit -Hs; for i in 3 4 5 6 7 8 9 10; do [ ! -e /proc/self/fd/$i ] || echo fd $i; done",
		NULL
	};
	char *envp[] = { (char *)"A=1", (char *)"PATH=/nowhere:/bin:/usr/bin", (char *)"A=2",
			 NULL };
	uint32_t gids[] = { 4, 20 };
	// Too low for anybody but the launcher and a shell.
	struct oci_rlimit limits[] = { { (char *)"RLIMIT_FSIZE", 0, 0 },
				       { (char *)"RLIMIT_STACK", 100 * 1024, 100 * 1024 } };
	char *kill_cap[] = { (char *)"CAP_KILL", NULL };
	struct oci_capabilities caps = {
		.bounding = { kill_cap, 1 },
		.permitted = { kill_cap, 1 },
		.inheritable = { kill_cap, 1 },
		.effective = { kill_cap, 1 },
		.ambient = { kill_cap, 1 },
	};
	struct oci_process process = {
		.cwd = (char *)"/usr/lib",
		.args = { argv, 3 },
		.env = { envp, 3 },
		.user = { .uid = 12345,
			  .gid = 54321,
			  .umask = { true, 027 },
			  .additional_gids = { gids, 2 } },
		.rlimits = { limits, 2 },
		.no_new_privileges = true,
		.capabilities = &caps,
	};
	struct outcome outcome;

	if (geteuid() != 0) {
		skip("process_enter", "not root");
		return;
	}
	run(&(struct run){ .plan = make(&process, &arena), .before = hostile_habits }, &outcome);
	is_str(outcome.err.msg, "");
	is_str(outcome.report.step, "");
	is_str(outcome.out, "Umask:\t0027\n"
			    "Uid:\t12345\t12345\t12345\t12345\n"
			    "Gid:\t54321\t54321\t54321\t54321\n"
			    "Groups:\t4 20 \n"
			    "SigBlk:\t0000000000000000\n"
			    "SigIgn:\t0000000000000000\n"
			    "CapInh:\t0000000000000020\n"
			    "CapPrm:\t0000000000000020\n"
			    "CapEff:\t0000000000000020\n"
			    "CapBnd:\t0000000000000020\n"
			    "CapAmb:\t0000000000000020\n"
			    "NoNewPrivs:\t1\n"
			    "A=2 PATH=/nowhere:/bin:/usr/bin HOME=/ "
			    "/usr/lib\n0\n100\n"
			    "fd 3\nfd 4\n");
	is_int(outcome.status, 0);
}

// A user namespace as an ordinary user gets it: one user and group, and no say about the other
// groups.
static void map_only(unsigned int id)
{
	const unsigned int uid = geteuid(), gid = getegid();
	char map[64];
	struct err err;

	if (unshare(CLONE_NEWUSER) < 0)
		_exit(77);
	snprintf(map, sizeof(map), "%u %u 1", id, uid);
	if (io_write_str(AT_FDCWD, "/proc/self/uid_map", map, &err) < 0 ||
	    io_write_str(AT_FDCWD, "/proc/self/setgroups", "deny", &err) < 0)
		_exit(78);
	snprintf(map, sizeof(map), "%u %u 1", id, gid);
	if (io_write_str(AT_FDCWD, "/proc/self/gid_map", map, &err) < 0)
		_exit(79);
}

static void map_root(void)
{
	map_only(0);
}

static void map_user(void)
{
	map_only(1000);
}

static void test_user_namespace(void)
{
	scope_arena struct arena arena = { 0 };
	char *argv[] = { (char *)"/bin/sh", (char *)"-c",
			 (char *)"id -u; id -g; grep -E '^Cap(Prm|Amb|Bnd)' /proc/self/status",
			 NULL };
	char *envp[] = { (char *)"PATH=/usr/bin:/bin", NULL };
	uint32_t gids[] = { 1 };
	char *caps[] = { (char *)"CAP_KILL", NULL };
	struct oci_capabilities capabilities = { .bounding = { caps, 1 },
						 .permitted = { caps, 1 } };
	struct oci_process process = { .cwd = (char *)"/",
				       .args = { argv, 3 },
				       .env = { envp, 1 },
				       .capabilities = &capabilities };
	const struct process_env env = { .caps = process_caps_grantable(true), .userns = true };
	struct process_plan *plan;
	struct outcome outcome;
	struct err err;

	if (process_plan_make(&process, NULL, &env, &arena, &plan, &err) < 0)
		abort();
	run(&(struct run){ .plan = plan, .before = map_root }, &outcome);
	if (outcome.status == 77) {
		skip("in a user namespace", "there are none to be had");
		return;
	}
	is_str(outcome.report.step, "");
	is_str(outcome.out,
	       "0\n0\nCapPrm:\t0000000000000020\nCapBnd:\t0000000000000020\nCapAmb:\t0000000000000000\n");

	process.user.additional_gids.v = gids;
	process.user.additional_gids.n = 1;
	run(&(struct run){ .plan = plan, .before = map_root }, &outcome);
	process_report_err(&outcome.report, &err);
	is_str(err.msg,
	       "setgroups: operation not permitted (does the user namespace deny setgroups?)");

	// No user 0: the capabilities reach the launcher another way, and go no further than they
	// should.
	process.user.additional_gids.n = 0;
	process.user.uid = process.user.gid = 1000;
	run(&(struct run){ .plan = plan, .before = map_user }, &outcome);
	is_str(outcome.report.step, "");
	is_str(outcome.out,
	       "1000\n1000\nCapPrm:\t0000000000000000\nCapBnd:\t0000000000000020\nCapAmb:\t0000000000000000\n");

	process.user.uid = 5;
	run(&(struct run){ .plan = plan, .before = map_user }, &outcome);
	process_report_err(&outcome.report, &err);
	is_str(err.msg, "setuid 5: invalid argument (is the user mapped in the user namespace?)");
}

// Without no_new_privs and CAP_SYS_ADMIN the profile need allow no more than capset and execve of
// what we do; with the one or the other not even capset.
static void test_seccomp(void)
{
	scope_arena struct arena arena = { 0 };
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)"echo started; umask 0", NULL };
	char *envp[] = { (char *)"PATH=/usr/bin:/bin", NULL };
	char *ours[] = { (char *)"setresuid", (char *)"setresgid",
			 (char *)"setgroups", (char *)"prctl",
			 (char *)"umask",     (char *)"fcntl",
			 (char *)"capset",    NULL };
	char *caps[] = { (char *)"CAP_SYS_ADMIN", NULL };
	struct oci_seccomp_rule rule = { .names = { ours, 6 }, .action = OCI_SECCOMP_KILL_PROCESS };
	struct oci_seccomp profile = { .default_action = OCI_SECCOMP_ALLOW,
				       .syscalls = { &rule, 1 } };
	struct oci_capabilities capabilities = { .permitted = { caps, 1 },
						 .effective = { caps, 1 } };
	struct oci_process process = { .cwd = (char *)"/",
				       .args = { argv, 3 },
				       .env = { envp, 1 } };
	struct process_filter filter;
	const struct process_env env = { .caps = process_caps_grantable(true),
					 .userns = true,
					 .filter = &filter };
	struct process_plan *plan;
	struct outcome outcome;
	struct err err;
	const int killed = 128 + SIGSYS;

	if (process_filter_load(&profile, -1, &arena, &filter, &err) < 0)
		abort();
	for (int i = 0; i < 3; i++) {
		process.no_new_privileges = i == 1;
		process.capabilities = i == 2 ? &capabilities : NULL;
		if (process_plan_make(&process, NULL, &env, &arena, &plan, &err) < 0)
			abort();
		run(&(struct run){ .plan = plan, .before = map_root }, &outcome);
		if (outcome.status == 77) {
			skip("seccomp", "there are no user namespaces to be had");
			return;
		}
		is_str(outcome.err.msg, "");
		is_str(outcome.report.step, "");
		is_str(outcome.out, "started\n"); // and no further than its own umask
		is_int(outcome.status, killed);
		rule.names.n = 7;
		if (process_filter_load(&profile, -1, &arena, &filter, &err) < 0)
			abort();
	}
}

static void test_listener(void)
{
	scope_arena struct arena arena = { 0 };
	char *argv[] = { (char *)"/bin/true", NULL };
	char *names[] = { (char *)"swapoff", NULL };
	struct oci_seccomp_rule rule = { .names = { names, 1 }, .action = OCI_SECCOMP_NOTIFY };
	struct oci_seccomp profile = {
		.default_action = OCI_SECCOMP_ALLOW,
		.syscalls = { &rule, 1 },
		.listener_path = (char *)"/run/listener",
	};
	struct oci_process process = { .cwd = (char *)"/", .args = { argv, 1 } };
	struct process_filter filter;
	const struct process_env env = { .caps = process_caps_grantable(true),
					 .userns = true,
					 .filter = &filter };
	struct process_plan *plan;
	struct outcome outcome;
	struct err err;
	char msg[64] = "";
	int pair[2], listener = -1;

	if (process_filter_load(&profile, -1, &arena, &filter, &err) < 0 ||
	    process_plan_make(&process, NULL, &env, &arena, &plan, &err) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	run(&(struct run){ .plan = plan, .before = map_root, .notify_fd = pair[1] }, &outcome);
	close(pair[1]);
	if (outcome.status == 77) {
		skip("the seccomp listener", "there are no user namespaces to be had");
		return;
	}
	is_str(outcome.err.msg, "");
	is_str(outcome.report.step, "");
	is_int(io_recv_fds(pair[0], msg, sizeof(msg), &listener, 1), strlen("{\"pid\":1}"));
	is_str(msg, "{\"pid\":1}");
	// It is a listener, and nobody is left to listen to.
	ok(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &(uint64_t){ 0 }) < 0 && errno == ENOENT,
	   "a seccomp listener came");
	close(listener);
	close(pair[0]);
}

static void test_home(void)
{
	scope_arena struct arena arena = { 0 };
	char *argv[] = { (char *)"/bin/sh", (char *)"-c",
			 (char *)"[ $HOME = $(awk -F: '$3 == 0 { print $6; exit }' /etc/passwd) ]",
			 NULL };
	char *envp[] = { (char *)"HOME=", (char *)"PATH=/usr/bin:/bin", NULL };
	struct oci_process process = { .cwd = (char *)"/",
				       .args = { argv, 3 },
				       .env = { envp, 2 } };
	struct outcome outcome;

	if (geteuid() != 0) {
		skip("HOME from /etc/passwd", "not root");
		return;
	}
	run(&(struct run){ .plan = make(&process, &arena) }, &outcome);
	is_str(outcome.out, "");
	is_int(outcome.status, 0);
}

static void is_failing(const char *program, const char *cwd, const char *want)
{
	scope_arena struct arena arena = { 0 };
	char *argv[] = { (char *)program, NULL };
	char *envp[] = { (char *)"PATH=/usr:/bin:/etc", NULL };
	struct oci_process process = {
		.cwd = (char *)cwd, .args = { argv, 1 }, .env = { envp, 1 }, .user.uid = 12345
	};
	struct outcome outcome;
	struct err err;

	run(&(struct run){ .plan = make(&process, &arena) }, &outcome);
	if (outcome.report.code)
		process_report_err(&outcome.report, &err);
	is_str(outcome.report.code ? err.msg : outcome.err.msg, want);
	is_str(outcome.out, "");
}

static void test_programs(void)
{
	if (geteuid() != 0) {
		skip("programs that can't be executed", "not root");
		return;
	}
	is_failing("no-such-program", "/",
		   "exec: \"no-such-program\": executable file not found in $PATH");
	is_failing("passwd-", "/", "exec: \"passwd-\": executable file not found in $PATH");
	is_failing("", "/", "exec: \"\": executable file not found in $PATH");
	is_failing("/no/such", "/", "exec: \"/no/such\": stat /no/such: no such file or directory");
	is_failing("./no-such", "/usr",
		   "exec: \"./no-such\": stat ./no-such: no such file or directory");
	is_failing("/etc/passwd", "/", "exec: \"/etc/passwd\": permission denied");
	is_failing("/etc", "/", "exec: \"/etc\": is a directory");
	is_failing("local", "/", "exec: \"local\": executable file not found in $PATH");
	is_failing("/bin/true", "/etc/passwd",
		   "process.cwd: open directory /etc/passwd: not a directory");

	char script[] = "/tmp/moat-test-XXXXXX";
	scope_fd int fd = mkostemp(script, O_CLOEXEC);
	char want[256];
	if (fd < 0)
		abort();
	fchmod(fd, 0755);
	if (write(fd, "#!/no/such/interpreter\n", 23) < 0)
		abort();
	snprintf(want, sizeof(want), "exec %s: no such file or directory", script);
	replace_fd(&fd, -1);
	is_failing(script, "/", want);
	if (truncate(script, 0) < 0 || truncate(script, 20) < 0)
		abort();
	snprintf(want, sizeof(want), "exec %s: exec format error", script);
	is_failing(script, "/", want);
	chmod(script, 0700);
	snprintf(want, sizeof(want), "exec %s: permission denied", script);
	is_failing(script, "/", want);
	unlink(script);
}

// What root may execute and the user may not is passed over, as execvp(3) does.
static void test_next_program(void)
{
	scope_arena struct arena arena = { 0 };
	char dir[] = "/tmp/moat-test-XXXXXX", program[64], path[64];
	char *argv[] = { (char *)"echo", (char *)"next", NULL };
	char *envp[] = { path, NULL };
	struct oci_process process = {
		.cwd = (char *)"/", .args = { argv, 2 }, .env = { envp, 1 }, .user.uid = 12345
	};
	struct outcome outcome;

	if (geteuid() != 0) {
		skip("a program that only root may execute", "not root");
		return;
	}
	if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
		abort();
	snprintf(program, sizeof(program), "%s/echo", dir);
	snprintf(path, sizeof(path), "PATH=%s:/nowhere:/bin:/usr/bin", dir);
	close(open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0700));
	run(&(struct run){ .plan = make(&process, &arena) }, &outcome);
	is_str(outcome.err.msg, "");
	is_str(outcome.report.step, "");
	is_str(outcome.out, "next\n");
	// Where no other is found, the error is about the first.
	snprintf(path, sizeof(path), "PATH=%s:/nowhere", dir);
	run(&(struct run){ .plan = make(&process, &arena) }, &outcome);
	is_int(outcome.report.code, EACCES);
	is_str(outcome.report.step + strlen("exec "), program);
	unlink(program);
	rmdir(dir);
}

// A pid namespace whose memory files can't be executed.
static void forbid_memfd_exec(void)
{
	struct err err;

	if (unshare(CLONE_NEWPID) < 0)
		_exit(77);
	pid_t pid = fork();
	if (pid > 0)
		_exit(proc_wait(pid));
	if (io_write_str(AT_FDCWD, "/proc/sys/vm/memfd_noexec", "2", &err) < 0)
		_exit(77);
}

static void test_without_memfd(void)
{
	struct step list[] = {
		{ "exec sh",
		  "execve",
		  SYS_execve,
		  0,
		  { STRING("/bin/sh"), STRINGS((char *)"sh", (char *)"-c", (char *)"exit 3"),
		    STRINGS(NULL) } },
	};
	const struct steps steps = { .v = list, .n = 1 };
	struct outcome outcome;

	if (geteuid() != 0) {
		skip("vm.memfd_noexec=2", "not root");
		return;
	}
	run(&(struct run){ .steps = &steps, .before = forbid_memfd_exec }, &outcome);
	if (outcome.status == 77) {
		skip("vm.memfd_noexec=2", "no such sysctl of a pid namespace");
		return;
	}
	is_str(outcome.err.msg, "");
	is_int(outcome.status, 3);
}

int main(void)
{
	// What make or a shell has left open would take the numbers that the tests speak of.
	close_range(3, ~0U, 0);
	test_walk();
	test_failing_step();
	test_image_is_sealed();
	test_enter();
	test_user_namespace();
	test_seccomp();
	test_listener();
	test_home();
	test_programs();
	test_next_program();
	test_without_memfd();
	return done();
}
