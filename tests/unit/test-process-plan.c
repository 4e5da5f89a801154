// Plans of process objects, as text; and what is refused.
#include "base/str.h"
#include "process/process.h"
#include "tests/unit/tap.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <unistd.h>

#define STRINGS(...)                                                     \
	{                                                                \
		.v = (char *[]){ __VA_ARGS__, NULL },                    \
		.n = sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *), \
	}

#define BIT(cap) (UINT64_C(1) << (cap))

// Few, so that the lists are short.
static const uint64_t some_caps = BIT(CAP_CHOWN) | BIT(CAP_KILL) | BIT(CAP_NET_RAW);

static const struct process_env plain_env = { .caps = some_caps };

static struct oci_process plain(void)
{
	static char *args[] = { (char *)"sh", (char *)"-c", (char *)"true", NULL };
	static char *env[] = { (char *)"PATH=/bin", NULL };

	return (struct oci_process){
		.cwd = (char *)"/",
		.args = { args, 3 },
		.env = { env, 1 },
	};
}

static void is_plan(const struct oci_process *process, const struct oci_linux *linux,
		    const struct process_env *env, const char *want)
{
	scope_arena struct arena arena = { 0 };
	scope_text struct text got = { 0 };
	struct process_plan *plan;
	struct err err;

	if (process_plan_make(process, linux, env, &arena, &plan, &err) < 0) {
		is_str(err.msg, "no error");
		return;
	}
	process_plan_print(plan, &got);
	is_str(got.str, want);
}

static void is_refused(const struct oci_process *process, const struct oci_linux *linux,
		       const char *want)
{
	scope_arena struct arena arena = { 0 };
	struct process_plan *plan;
	struct err err;

	is_int(process_plan_make(process, linux, &plain_env, &arena, &plan, &err), -EINVAL);
	is_str(err.msg, want);
}

static void test_plain(void)
{
	struct oci_process process = plain();

	is_plan(&process, NULL, &plain_env,
		"not dumpable: prctl(PR_SET_DUMPABLE, 0)\n"
		"keep capabilities: prctl(PR_SET_KEEPCAPS, 1)\n"
		"drop from the bounding set: prctl(PR_CAPBSET_DROP, CAP_CHOWN)\n"
		"drop from the bounding set: prctl(PR_CAPBSET_DROP, CAP_KILL)\n"
		"drop from the bounding set: prctl(PR_CAPBSET_DROP, CAP_NET_RAW)\n"
		"clear ambient capabilities: prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)\n"
		"setgroups: setgroups(0, [])\n"
		"setgid 0: setresgid(0, 0, 0)\n"
		"setuid 0: setresuid(0, 0, 0)\n"
		"umask: umask(0022)\n"
		"capabilities: capset({version 3}, {effective 0, permitted 0, inheritable 0})\n"
		"exec sh: execve(\"sh\", [\"sh\", \"-c\", \"true\"], [1 variables])\n");
}

static void test_user(void)
{
	struct oci_process process = plain();
	struct oci_capabilities caps = {
		.bounding = STRINGS((char *)"CAP_CHOWN", (char *)"CAP_KILL",
				    (char *)"CAP_SYS_BOOT"),
		.permitted = STRINGS((char *)"CAP_CHOWN", (char *)"CAP_KILL",
				     (char *)"CAP_WHATEVER"),
		.effective = STRINGS((char *)"CAP_CHOWN", (char *)"CAP_NET_RAW"),
		.inheritable = STRINGS((char *)"CAP_KILL", (char *)"CAP_NET_RAW"),
		.ambient = STRINGS((char *)"CAP_KILL", (char *)"CAP_CHOWN"),
	};
	struct process_env env = plain_env;
	struct oci_rlimit limits[] = {
		{ .type = (char *)"RLIMIT_CORE", .hard = UINT64_MAX, .soft = 0 },
		{ .type = (char *)"RLIMIT_NPROC", .hard = 20, .soft = 10 },
	};
	struct oci_personality personality = { .domain = (char *)"LINUX32" };
	struct oci_linux linux = { .personality = &personality };

	env.userns = true;
	process.capabilities = &caps;
	process.user.uid = 1000;
	process.user.gid = 100;
	process.user.additional_gids.v = (uint32_t[]){ 4, 20 };
	process.user.additional_gids.n = 2;
	process.user.umask.set = true;
	process.user.umask.v = 077;
	process.rlimits.v = limits;
	process.rlimits.n = 2;
	process.no_new_privileges = true;
	process.apparmor_profile = (char *)"moat-default";
	process.selinux_label = (char *)"system_u:system_r:container_t:s0";
	is_plan(&process, &linux, &env,
		"not dumpable: prctl(PR_SET_DUMPABLE, 0)\n"
		"personality: personality(8)\n"
		"AppArmor profile moat-default: openat(-1, \"apparmor/exec\", O_WRONLY | O_CLOEXEC, 0)\n"
		"AppArmor profile moat-default: write(result, \"exec moat-default\", 17)\n"
		"SELinux label system_u:system_r:container_t:s0: openat(-1, \"exec\", O_WRONLY | O_CLOEXEC, 0)\n"
		"SELinux label system_u:system_r:container_t:s0: write(result, \"system_u:system_r:container_t:s0\", 32)\n"
		"set RLIMIT_CORE: prlimit64(0, RLIMIT_CORE, {0, 18446744073709551615}, 0)\n"
		"set RLIMIT_NPROC: prlimit64(0, RLIMIT_NPROC, {10, 20}, 0)\n"
		"keep capabilities: prctl(PR_SET_KEEPCAPS, 1)\n"
		"drop from the bounding set: prctl(PR_CAPBSET_DROP, CAP_NET_RAW)\n"
		"clear ambient capabilities: prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)\n"
		"setgroups: setgroups(2, [4, 20])\n"
		"setgid 100: setresgid(100, 100, 100)\n"
		"setuid 1000: setresuid(1000, 1000, 1000)\n"
		"umask: umask(0077)\n"
		"capabilities: capset({version 3}, {effective 0x1, permitted 0x21, inheritable 0x20})\n"
		"raise ambient capabilities: prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL)\n"
		"no_new_privs: prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)\n"
		"exec sh: execve(\"sh\", [\"sh\", \"-c\", \"true\"], [1 variables])\n");
}

static void test_seccomp(void)
{
	static const uint64_t program[3];
	struct oci_process process = plain();
	struct process_filter filter = { .program = program, .count = 3, .flags = 4 };
	struct process_env env = plain_env;
	struct oci_capabilities caps = {
		.effective = STRINGS((char *)"CAP_SYS_ADMIN"),
		.permitted = STRINGS((char *)"CAP_SYS_ADMIN"),
	};

	// Without no_new_privs, before CAP_SYS_ADMIN goes.
	env.caps = BIT(CAP_CHOWN) | BIT(CAP_SYS_ADMIN);
	env.filter = &filter;
	filter.notify = true;
	is_plan(&process, NULL, &env,
		"not dumpable: prctl(PR_SET_DUMPABLE, 0)\n"
		"keep capabilities: prctl(PR_SET_KEEPCAPS, 1)\n"
		"drop from the bounding set: prctl(PR_CAPBSET_DROP, CAP_CHOWN)\n"
		"drop from the bounding set: prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN)\n"
		"clear ambient capabilities: prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)\n"
		"setgroups: setgroups(0, [])\n"
		"setgid 0: setresgid(0, 0, 0)\n"
		"setuid 0: setresuid(0, 0, 0)\n"
		"umask: umask(0022)\n"
		"capabilities, and CAP_SYS_ADMIN for seccomp: capset({version 3}, {effective 0x200000, permitted 0x200000, inheritable 0})\n"
		"seccomp: seccomp(SECCOMP_SET_MODE_FILTER, 4, [3 instructions])\n"
		"send the seccomp listener: sendmsg(-1, \"\", MSG_NOSIGNAL)\n"
		"capabilities: capset({version 3}, {effective 0, permitted 0, inheritable 0})\n"
		"exec sh: execve(\"sh\", [\"sh\", \"-c\", \"true\"], [1 variables])\n");
	// It stays: last.
	filter.notify = false;
	process.capabilities = &caps;
	is_plan(&process, NULL, &env,
		"not dumpable: prctl(PR_SET_DUMPABLE, 0)\n"
		"keep capabilities: prctl(PR_SET_KEEPCAPS, 1)\n"
		"drop from the bounding set: prctl(PR_CAPBSET_DROP, CAP_CHOWN)\n"
		"drop from the bounding set: prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN)\n"
		"clear ambient capabilities: prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)\n"
		"setgroups: setgroups(0, [])\n"
		"setgid 0: setresgid(0, 0, 0)\n"
		"setuid 0: setresuid(0, 0, 0)\n"
		"umask: umask(0022)\n"
		"capabilities: capset({version 3}, {effective 0x200000, permitted 0x200000, inheritable 0})\n"
		"seccomp: seccomp(SECCOMP_SET_MODE_FILTER, 4, [3 instructions])\n"
		"exec sh: execve(\"sh\", [\"sh\", \"-c\", \"true\"], [1 variables])\n");
	// no_new_privs: last.
	process.capabilities = NULL;
	process.no_new_privileges = true;
	is_plan(&process, NULL, &env,
		"not dumpable: prctl(PR_SET_DUMPABLE, 0)\n"
		"keep capabilities: prctl(PR_SET_KEEPCAPS, 1)\n"
		"drop from the bounding set: prctl(PR_CAPBSET_DROP, CAP_CHOWN)\n"
		"drop from the bounding set: prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN)\n"
		"clear ambient capabilities: prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)\n"
		"setgroups: setgroups(0, [])\n"
		"setgid 0: setresgid(0, 0, 0)\n"
		"setuid 0: setresuid(0, 0, 0)\n"
		"umask: umask(0022)\n"
		"capabilities: capset({version 3}, {effective 0, permitted 0, inheritable 0})\n"
		"no_new_privs: prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)\n"
		"seccomp: seccomp(SECCOMP_SET_MODE_FILTER, 4, [3 instructions])\n"
		"exec sh: execve(\"sh\", [\"sh\", \"-c\", \"true\"], [1 variables])\n");
}

static void test_refused(void)
{
	struct oci_process process = plain();
	struct oci_rlimit limits[] = {
		{ .type = (char *)"RLIMIT_NOFILE", .hard = 10, .soft = 10 },
		{ .type = (char *)"RLIMIT_CORE", .hard = 10, .soft = 10 },
		{ .type = (char *)"RLIMIT_NOFILE", .hard = 10, .soft = 10 },
	};
	struct oci_personality personality = { .domain = (char *)"SOLARIS" };
	struct oci_linux linux = { .personality = &personality };

	process.rlimits.v = limits;
	process.rlimits.n = 3;
	is_refused(&process, NULL, "process.rlimits: RLIMIT_NOFILE stands twice");
	limits[1].soft = 11;
	is_refused(&process, NULL,
		   "process.rlimits: RLIMIT_CORE: the soft limit is above the hard one");
	limits[1].type = (char *)"RLIMIT_LUCK";
	is_refused(&process, NULL, "process.rlimits: unknown limit RLIMIT_LUCK");
	process = plain();
	is_refused(&process, &linux, "linux.personality.domain: unknown domain SOLARIS");
	personality.domain = (char *)"LINUX";
	personality.flags = (struct oci_strings)STRINGS((char *)"FAST");
	is_refused(&process, &linux, "linux.personality.flags: unknown flag FAST");
	process.env = (struct oci_strings)STRINGS((char *)"A=1", (char *)"B");
	is_refused(&process, NULL, "process.env: invalid environment variable: B");
	process.env = (struct oci_strings)STRINGS((char *)"=1");
	is_refused(&process, NULL, "process.env: invalid environment variable: =1");
	struct oci_id_mapping mapping = { .container_id = 10, .size = 5 };
	uint32_t gids[] = { 14, 15 };
	linux = (struct oci_linux){ .uid_mappings = { &mapping, 1 },
				    .gid_mappings = { &mapping, 1 } };
	process = plain();
	is_refused(&process, &linux, "process.user.uid: linux.uidMappings has no user 0");
	process.user.uid = 14;
	process.user.gid = 15;
	is_refused(&process, &linux, "process.user.gid: linux.gidMappings has no group 15");
	process.user.gid = 10;
	process.user.additional_gids.v = gids;
	process.user.additional_gids.n = 2;
	is_refused(&process, &linux,
		   "process.user.additionalGids: linux.gidMappings has no group 15");
	process = plain();
	process.args.n = 0;
	is_refused(&process, NULL, "process.args: no program to run");
}

// The parent only ever raises them.
static void test_limits(void)
{
	scope_arena struct arena arena = { 0 };
	struct oci_process process = plain();
	struct oci_rlimit limits[] = { { .type = (char *)"RLIMIT_NOFILE", .hard = 9, .soft = 8 } };
	const bool may_raise = process_caps_grantable(false) >> CAP_SYS_RESOURCE & 1;
	struct process_plan *plan;
	struct rlimit before, after;
	struct err err = { 0 };

	process.rlimits.v = limits;
	process.rlimits.n = 1;
	getrlimit(RLIMIT_NOFILE, &before);
	is_int(process_plan_make(&process, NULL, &plain_env, &arena, &plan, &err), 0);
	is_int(process_limit(plan, getpid(), &err), 0);
	getrlimit(RLIMIT_NOFILE, &after);
	ok(before.rlim_cur == after.rlim_cur && before.rlim_max == after.rlim_max,
	   "a low limit waits for the launcher");

	limits[0].hard = limits[0].soft = before.rlim_max + 1;
	is_int(process_plan_make(&process, NULL, &plain_env, &arena, &plan, &err), 0);
	if (may_raise && process_limit(plan, getpid(), &err) == 0) {
		getrlimit(RLIMIT_NOFILE, &after);
		ok(after.rlim_max == before.rlim_max + 1 && after.rlim_cur == before.rlim_cur,
		   "a high limit is made possible");
	} else if (!may_raise) {
		char want[128];

		snprintf(
			want, sizeof(want),
			"raising a hard limit needs CAP_SYS_RESOURCE: raise RLIMIT_NOFILE to %llu: operation not permitted",
			(unsigned long long)before.rlim_max + 1);
		is_int(process_limit(plan, getpid(), &err), -EPERM);
		is_str(err.msg, want);
	}
}

static void test_report(void)
{
	static const struct {
		struct process_report report;
		const char *want;
	} cases[] = {
		{ { ENOENT, "exec /bin/x" }, "exec /bin/x: no such file or directory" },
		{ { EACCES, "exec /bin/x" }, "exec /bin/x: permission denied" },
		{ { ENOEXEC, "exec /bin/x" }, "exec /bin/x: exec format error" },
		{ { EINVAL, "setgid 5" },
		  "setgid 5: invalid argument (is the group mapped in the user namespace?)" },
		{ { ENOMEM, "seccomp" }, "seccomp: cannot allocate memory" },
	};
	struct process_report unterminated;
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		is_int(process_report_err(&cases[i].report, &err), -cases[i].report.code);
		is_str(err.msg, cases[i].want);
	}
	unterminated.code = EPERM;
	memset(unterminated.step, 'x', sizeof(unterminated.step));
	process_report_err(&unterminated, &err);
	is_int(strlen(err.msg), sizeof(unterminated.step) + strlen(": operation not permitted"));
}

static void test_names(void)
{
	is_str(process_cap_name(CAP_CHOWN), "CAP_CHOWN");
	is_str(process_cap_name(CAP_LAST_CAP), "CAP_CHECKPOINT_RESTORE");
	ok(!process_cap_name(CAP_LAST_CAP + 1), "no name for what comes later");
	ok(process_caps_grantable(true) >> CAP_CHECKPOINT_RESTORE & 1,
	   "all capabilities in a user namespace");
	ok((process_caps_grantable(false) & ~process_caps_grantable(true)) == 0,
	   "what we have is among all");
}

int main(void)
{
	test_plain();
	test_user();
	test_seccomp();
	test_refused();
	test_limits();
	test_report();
	test_names();
	return done();
}
