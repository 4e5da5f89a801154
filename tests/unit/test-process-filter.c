// Seccomp profiles, compiled and then asked, by a little machine for classic BPF; and the cache.
#include "base/io.h"
#include "base/scope.h"
#include "process/filter-compact.h"
#include "process/filter.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STRINGS(...)                                                     \
	{                                                                \
		.v = (char *[]){ __VA_ARGS__, NULL },                    \
		.n = sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *), \
	}
#define LIST_OF(type, ...)                                                                        \
	{                                                                                         \
		.v = (type[]){ __VA_ARGS__ }, .n = sizeof((type[]){ __VA_ARGS__ }) / sizeof(type) \
	}

#define ERRNO(code) (SECCOMP_RET_ERRNO | (code))

static bool jumps(const struct sock_filter *insn, uint32_t a)
{
	switch (BPF_OP(insn->code)) {
	case BPF_JEQ:
		return a == insn->k;
	case BPF_JGT:
		return a > insn->k;
	case BPF_JGE:
		return a >= insn->k;
	case BPF_JSET:
		return a & insn->k;
	default:
		abort();
	}
}

// What the kernel would say. Knows the instructions that seccomp programs consist of.
static uint32_t ask(const struct process_filter *filter, const struct seccomp_data *data)
{
	const struct sock_filter *program = filter->program;
	uint32_t a = 0;

	for (size_t i = 0; i < filter->count; i++) {
		const struct sock_filter *insn = &program[i];

		switch (BPF_CLASS(insn->code)) {
		case BPF_LD:
			if (insn->code != (BPF_LD | BPF_W | BPF_ABS) ||
			    insn->k > sizeof(*data) - sizeof(a))
				abort();
			memcpy(&a, (const char *)data + insn->k, sizeof(a));
			break;
		case BPF_ALU:
			if (insn->code != (BPF_ALU | BPF_AND | BPF_K))
				abort();
			a &= insn->k;
			break;
		case BPF_JMP:
			if (BPF_OP(insn->code) == BPF_JA)
				i += insn->k;
			else
				i += jumps(insn, a) ? insn->jt : insn->jf;
			break;
		case BPF_RET:
			return insn->k;
		default:
			abort();
		}
	}
	abort();
}

// The verdict on a system call of this machine.
static uint32_t verdict(const struct process_filter *filter, int nr, uint64_t arg0, uint64_t arg1)
{
	const struct seccomp_data data = { .nr = nr,
					   .arch = seccomp_arch_native(),
					   .args = { arg0, arg1 } };

	return ask(filter, &data);
}

static bool load(const struct oci_seccomp *profile, int dirfd, struct arena *arena,
		 struct process_filter *filter)
{
	struct err err;

	if (process_filter_load(profile, dirfd, arena, filter, &err) == 0)
		return true;
	is_str(err.msg, "");
	return false;
}

static const struct oci_seccomp_rule allow_some = {
	.names = { .v = (char *[]){ (char *)"read", (char *)"no_such_call", (char *)"getpid",
				    NULL },
		   .n = 3 },
	.action = OCI_SECCOMP_ALLOW,
};

static void test_actions(void)
{
	scope_arena struct arena arena = { 0 };
	struct oci_seccomp_rule rules[] = {
		allow_some,
		{ .names = STRINGS((char *)"mkdir", (char *)"mkdirat"),
		  .action = OCI_SECCOMP_ERRNO,
		  .errno_ret = { true, EXDEV } },
		{ .names = STRINGS((char *)"chroot"), .action = OCI_SECCOMP_KILL_THREAD },
		{ .names = STRINGS((char *)"reboot"), .action = OCI_SECCOMP_KILL_PROCESS },
		{ .names = STRINGS((char *)"ptrace"), .action = OCI_SECCOMP_TRAP },
		{ .names = STRINGS((char *)"acct"),
		  .action = OCI_SECCOMP_TRACE,
		  .errno_ret = { true, 7 } },
		{ .names = STRINGS((char *)"sync"), .action = OCI_SECCOMP_LOG },
		{ .names = STRINGS((char *)"mount"), .action = OCI_SECCOMP_NOTIFY },
		// What the default says anyway.
		{ .names = STRINGS((char *)"getuid"),
		  .action = OCI_SECCOMP_ERRNO,
		  .errno_ret = { true, EACCES } },
		// For the stub to see how far the profile goes.
		{ .names = STRINGS((char *)"close_range"), .action = OCI_SECCOMP_ALLOW },
	};
	const struct oci_seccomp profile = {
		.default_action = OCI_SECCOMP_ERRNO,
		.default_errno_ret = { true, EACCES },
		.syscalls = { .v = rules, .n = ARRAY_SIZE(rules) },
		.listener_path = (char *)"/run/listener",
	};
	struct process_filter filter;

	if (!load(&profile, -1, &arena, &filter))
		return;
	is_int(verdict(&filter, SYS_read, 0, 0), SECCOMP_RET_ALLOW);
	is_int(verdict(&filter, SYS_getpid, 0, 0), SECCOMP_RET_ALLOW);
	is_int(verdict(&filter, SYS_mkdirat, 0, 0), ERRNO(EXDEV));
	is_int(verdict(&filter, SYS_chroot, 0, 0), SECCOMP_RET_KILL_THREAD);
	is_int(verdict(&filter, SYS_reboot, 0, 0), SECCOMP_RET_KILL_PROCESS);
	is_int(verdict(&filter, SYS_ptrace, 0, 0), SECCOMP_RET_TRAP);
	is_int(verdict(&filter, SYS_acct, 0, 0), SECCOMP_RET_TRACE | 7);
	is_int(verdict(&filter, SYS_sync, 0, 0), SECCOMP_RET_LOG);
	is_int(verdict(&filter, SYS_mount, 0, 0), SECCOMP_RET_USER_NOTIF);
	is_int(verdict(&filter, SYS_getuid, 0, 0), ERRNO(EACCES));
	is_int(verdict(&filter, SYS_write, 0, 0), ERRNO(EACCES));
	// The last that is named, and the first that is newer than that.
	is_int(verdict(&filter, SYS_close_range, 0, 0), SECCOMP_RET_ALLOW);
	is_int(verdict(&filter, SYS_close_range + 1, 0, 0), ERRNO(ENOSYS));
	is_int(verdict(&filter, 5000, 0, 0), ERRNO(ENOSYS));
	is_int(filter.flags, SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_NEW_LISTENER);
	ok(filter.notify, "there is a listener");
}

static void test_stub(void)
{
	static const struct {
		enum oci_seccomp_action action;
		struct opt_u32 errno_ret;
		uint32_t known, new; // verdicts on write and on a system call to come
	} cases[] = {
		{ OCI_SECCOMP_ERRNO, { 0 }, ERRNO(EPERM), ERRNO(ENOSYS) },
		{ OCI_SECCOMP_ERRNO, { true, ENOSYS }, ERRNO(ENOSYS), ERRNO(ENOSYS) },
		{ OCI_SECCOMP_KILL_PROCESS, { 0 }, SECCOMP_RET_KILL_PROCESS, ERRNO(ENOSYS) },
		{ OCI_SECCOMP_TRAP, { 0 }, SECCOMP_RET_TRAP, ERRNO(ENOSYS) },
		{ OCI_SECCOMP_LOG, { 0 }, SECCOMP_RET_LOG, SECCOMP_RET_LOG },
		{ OCI_SECCOMP_TRACE, { true, 3 }, SECCOMP_RET_TRACE | 3, SECCOMP_RET_TRACE | 3 },
	};
	struct oci_seccomp_rule rules[] = {
		allow_some,
		{ .names = STRINGS((char *)"close_range"), .action = OCI_SECCOMP_ALLOW },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		scope_arena struct arena arena = { 0 };
		const struct oci_seccomp profile = {
			.default_action = cases[i].action,
			.default_errno_ret = cases[i].errno_ret,
			.syscalls = { .v = rules, .n = ARRAY_SIZE(rules) },
		};
		struct process_filter filter;

		if (!load(&profile, -1, &arena, &filter))
			continue;
		is_int(verdict(&filter, SYS_write, 0, 0), cases[i].known);
		is_int(verdict(&filter, SYS_close_range + 1, 0, 0), cases[i].new);
		is_int(verdict(&filter, SYS_read, 0, 0), SECCOMP_RET_ALLOW);
	}
}

static void test_args(void)
{
	scope_arena struct arena arena = { 0 };
	struct oci_seccomp_rule rules[] = {
		{ .names = STRINGS((char *)"personality"),
		  .action = OCI_SECCOMP_ALLOW,
		  .args = LIST_OF(struct oci_seccomp_arg,
				  { .index = 0, .value = 8, .op = OCI_SECCOMP_EQ }) },
		{ .names = STRINGS((char *)"personality"),
		  .action = OCI_SECCOMP_ALLOW,
		  .args = LIST_OF(struct oci_seccomp_arg,
				  { .index = 0, .value = 0xffffffff, .op = OCI_SECCOMP_EQ }) },
		// Both at once.
		{ .names = STRINGS((char *)"lseek"),
		  .action = OCI_SECCOMP_ALLOW,
		  .args = LIST_OF(
			  struct oci_seccomp_arg, { .index = 0, .value = 3, .op = OCI_SECCOMP_GE },
			  { .index = 1, .value = UINT64_C(1) << 32, .op = OCI_SECCOMP_LT }) },
		// Two conditions on one argument: any of them.
		{ .names = STRINGS((char *)"dup"),
		  .action = OCI_SECCOMP_ALLOW,
		  .args = LIST_OF(struct oci_seccomp_arg,
				  { .index = 0, .value = 5, .op = OCI_SECCOMP_EQ },
				  { .index = 0, .value = 9, .op = OCI_SECCOMP_EQ }) },
		{ .names = STRINGS((char *)"unshare"),
		  .action = OCI_SECCOMP_ALLOW,
		  .args = LIST_OF(struct oci_seccomp_arg, { .index = 0,
							    .value = 0x7e020000,
							    .value_two = 0,
							    .op = OCI_SECCOMP_MASKED_EQ }) },
		{ .names = STRINGS((char *)"socket"),
		  .action = OCI_SECCOMP_ALLOW,
		  .args = LIST_OF(struct oci_seccomp_arg,
				  { .index = 0, .value = 40, .op = OCI_SECCOMP_NE }) },
		{ .names = STRINGS((char *)"close_range"), .action = OCI_SECCOMP_ALLOW },
	};
	const struct oci_seccomp profile = {
		.default_action = OCI_SECCOMP_ERRNO,
		.syscalls = { .v = rules, .n = ARRAY_SIZE(rules) },
	};
	struct process_filter filter;

	if (!load(&profile, -1, &arena, &filter))
		return;
	is_int(verdict(&filter, SYS_personality, 8, 0), SECCOMP_RET_ALLOW);
	is_int(verdict(&filter, SYS_personality, 0xffffffff, 0), SECCOMP_RET_ALLOW);
	is_int(verdict(&filter, SYS_personality, 9, 0), ERRNO(EPERM));
	is_int(verdict(&filter, SYS_personality, UINT64_C(1) << 32 | 8, 0), ERRNO(EPERM));
	is_int(verdict(&filter, SYS_lseek, 3, 100), SECCOMP_RET_ALLOW);
	is_int(verdict(&filter, SYS_lseek, 2, 100), ERRNO(EPERM));
	is_int(verdict(&filter, SYS_lseek, 3, UINT64_C(1) << 32), ERRNO(EPERM));
	is_int(verdict(&filter, SYS_dup, 5, 0), SECCOMP_RET_ALLOW);
	is_int(verdict(&filter, SYS_dup, 9, 0), SECCOMP_RET_ALLOW);
	is_int(verdict(&filter, SYS_dup, 7, 0), ERRNO(EPERM));
	is_int(verdict(&filter, SYS_unshare, 0x400, 0), SECCOMP_RET_ALLOW);
	is_int(verdict(&filter, SYS_unshare, 0x20000, 0), ERRNO(EPERM));
	is_int(verdict(&filter, SYS_socket, 2, 0), SECCOMP_RET_ALLOW);
	is_int(verdict(&filter, SYS_socket, 40, 0), ERRNO(EPERM));
}

static void test_archs(void)
{
#ifdef __x86_64__
	scope_arena struct arena arena = { 0 };
	struct oci_seccomp_rule rules[] = {
		{ .names = STRINGS((char *)"getpid", (char *)"write"),
		  .action = OCI_SECCOMP_ALLOW },
	};
	struct oci_seccomp profile = {
		.default_action = OCI_SECCOMP_ERRNO,
		.architectures = STRINGS((char *)"SCMP_ARCH_X86_64", (char *)"SCMP_ARCH_X86",
					 (char *)"SCMP_ARCH_X32"),
		.syscalls = { .v = rules, .n = ARRAY_SIZE(rules) },
	};
	// getpid is 39 on x86_64 and 20 on x86.
	const struct {
		uint32_t arch;
		int nr;
		uint32_t all, only; // verdict with the three architectures, and with x86_64 only
	} cases[] = {
		{ AUDIT_ARCH_X86_64, 39, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW },
		{ AUDIT_ARCH_X86_64, 20, ERRNO(EPERM), ERRNO(EPERM) },
		{ AUDIT_ARCH_X86_64, 40, ERRNO(ENOSYS), ERRNO(ENOSYS) },
		{ AUDIT_ARCH_X86_64, 0x40000000 + 39, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_THREAD },
		{ AUDIT_ARCH_X86_64, 0x40000000 + 20, ERRNO(EPERM), SECCOMP_RET_KILL_THREAD },
		{ AUDIT_ARCH_X86_64, 0x40000000 + 40, ERRNO(ENOSYS), SECCOMP_RET_KILL_THREAD },
		{ AUDIT_ARCH_I386, 20, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_THREAD },
		{ AUDIT_ARCH_I386, 4, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_THREAD },
		{ AUDIT_ARCH_I386, 19, ERRNO(EPERM), SECCOMP_RET_KILL_THREAD },
		{ AUDIT_ARCH_I386, 21, ERRNO(ENOSYS), SECCOMP_RET_KILL_THREAD },
		{ AUDIT_ARCH_AARCH64, 20, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_KILL_THREAD },
	};
	struct process_filter all, only;

	if (!load(&profile, -1, &arena, &all))
		return;
	profile.architectures.n = 1;
	if (!load(&profile, -1, &arena, &only))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct seccomp_data data = { .nr = cases[i].nr, .arch = cases[i].arch };

		is_int(ask(&all, &data), cases[i].all);
		is_int(ask(&only, &data), cases[i].only);
	}
#else
	skip("architectures", "the test speaks of x86_64");
#endif
}

// A sequence of numbers that is the same in every run.
static uint32_t next_random(void)
{
	static uint64_t state = 1;

	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(state >> 33);
}

static uint64_t random_value(void)
{
	static const uint64_t values[] = {
		0, 1, 2, 3, 0xffffffff, UINT64_C(1) << 32, UINT64_C(3) << 32 | 1, UINT64_MAX
	};

	return values[next_random() % ARRAY_SIZE(values)];
}

static void add_random_rule(scmp_filter_ctx ctx)
{
	static const uint32_t actions[] = { SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(1), SCMP_ACT_ERRNO(2),
					    SCMP_ACT_LOG, SCMP_ACT_TRAP };
	struct scmp_arg_cmp args[6];
	unsigned int count = next_random() % 4 ? 0 : 1 + next_random() % 3;
	int nr = (int)(next_random() % 440), run = next_random() % 3 ? 1 : 20;

	for (unsigned int i = 0; i < count; i++)
		args[i] =
			(struct scmp_arg_cmp){ i,
					       (enum scmp_compare)(SCMP_CMP_NE + next_random() % 7),
					       random_value(), random_value() };
	const uint32_t action = actions[next_random() % ARRAY_SIZE(actions)];
	// What libseccomp refuses isn't in its program then.
	for (int i = 0; i < run; i++)
		seccomp_rule_add_array(ctx, action, nr + i, count, args);
}

static struct sock_fprog export(scmp_filter_ctx ctx, struct arena *arena)
{
	scope_fd int fd = memfd_create("test", MFD_CLOEXEC);
	struct sock_fprog program;

	if (seccomp_export_bpf(ctx, fd) < 0)
		abort();
	off_t size = lseek(fd, 0, SEEK_END);
	program.filter = arena_alloc(arena, (size_t)size);
	program.len = (unsigned short)((size_t)size / sizeof(struct sock_filter));
	if (pread(fd, program.filter, (size_t)size, 0) != size)
		abort();
	return program;
}

// The first system call on which the two programs differ; -1: none does.
static int difference(const struct sock_fprog *a, const struct sock_fprog *b)
{
	static const uint32_t arch_list[] = { AUDIT_ARCH_X86_64, AUDIT_ARCH_I386,
					      AUDIT_ARCH_AARCH64, 0 };
	const struct process_filter first = { .program = a->filter, .count = a->len };
	const struct process_filter second = { .program = b->filter, .count = b->len };

	for (int i = 0; i < (int)ARRAY_SIZE(arch_list) * 2 * 500; i++) {
		struct seccomp_data data = {
			.arch = arch_list[i / 1000],
			.nr = i % 500 + (i / 500 % 2 ? 0x40000000 : 0),
		};

		for (int tries = 0; tries < 3; tries++) {
			for (size_t j = 0; j < ARRAY_SIZE(data.args); j++)
				data.args[j] = random_value();
			if (ask(&first, &data) != ask(&second, &data))
				return data.nr;
		}
	}
	return -1;
}

static bool compact(scmp_filter_ctx ctx, struct arena *arena, struct sock_fprog *plain,
		    struct sock_fprog *small)
{
	static const struct compact_arch all[] = {
		{ AUDIT_ARCH_X86_64, UINT32_MAX, UINT32_MAX },
		{ AUDIT_ARCH_I386, UINT32_MAX, UINT32_MAX },
	};
	struct err err;

	*plain = export(ctx, arena);
	if (compact_program(plain, all, ARRAY_SIZE(all), arena, small, &err) == 0)
		return true;
	is_str(err.msg, "");
	return false;
}

// What comes out says the same as what went in, for programs of all shapes.
static void test_compact_random(void)
{
#ifdef __x86_64__
	size_t differ = 0;

	for (int trial = 0; trial < 8; trial++) {
		scope_arena struct arena arena = { 0 };
		scmp_filter_ctx ctx = seccomp_init(trial % 2 ? SCMP_ACT_ERRNO(38) : SCMP_ACT_ALLOW);
		struct sock_fprog plain, small;

		seccomp_arch_add(ctx, SCMP_ARCH_X86);
		if (trial % 3 == 0)
			seccomp_arch_add(ctx, SCMP_ARCH_X32);
		seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 1 + trial / 2 % 2);
		for (int i = 0; i < 1 + 4 * trial; i++)
			add_random_rule(ctx);
		if (compact(ctx, &arena, &plain, &small)) {
			int nr = difference(&plain, &small);

			if (nr >= 0)
				printf("# trial %d: system call %d\n", trial, nr);
			differ += nr >= 0;
		}
		seccomp_release(ctx);
	}
	is_int(differ, 0);
#else
	skip("programs made small", "the test speaks of x86_64");
#endif
}

// Conditions on arguments beyond the reach of one jump, and more ranges than one block of the tree
// has.
static void test_compact_large(void)
{
#ifdef __x86_64__
	scope_arena struct arena arena = { 0 };
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(1));
	struct sock_fprog plain, small;

	seccomp_arch_add(ctx, SCMP_ARCH_X86);
	for (int nr = 0; nr < 440; nr += 2)
		seccomp_rule_add(ctx, nr % 3 ? SCMP_ACT_ALLOW : SCMP_ACT_LOG, nr, 0);
	for (uint64_t value = 0; value < 40; value++)
		seccomp_rule_add(ctx, SCMP_ACT_ALLOW, 101, 2, SCMP_A0(SCMP_CMP_EQ, value),
				 SCMP_A1(SCMP_CMP_GT, value << 30));
	seccomp_rule_add(ctx, SCMP_ACT_ALLOW, 103, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, 3, 1));
	if (compact(ctx, &arena, &plain, &small)) {
		is_int(difference(&plain, &small), -1);
		ok(small.len > 512, "it is large");
	}
	seccomp_release(ctx);
#else
	skip("large programs made small", "the test speaks of x86_64");
#endif
}

// A jump that leads over others, which go, can become too far for a condition.
static void test_compact_far(void)
{
	static const struct compact_arch arch = { AUDIT_ARCH_X86_64, UINT32_MAX, UINT32_MAX };
	scope_arena struct arena arena = { 0 };
	struct sock_filter insns[512] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 1000),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1),
		BPF_STMT(BPF_JMP | BPF_JA, 2 * 200 + 1),
	};
	struct sock_fprog program = { .filter = insns, .len = 6 }, small;
	struct err err;

	for (uint32_t i = 2; i < 202; i++) {
		insns[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, i, 0,
								    1);
		insns[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, i);
	}
	insns[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 2000);
	insns[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 3000);
	is_int(compact_program(&program, &arch, 1, &arena, &small, &err), 0);
	is_int(difference(&program, &small), -1);
}

static void test_compact_foreign(void)
{
	scope_arena struct arena arena = { 0 };
	static struct sock_filter masks_number[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_K, 2),
	};
	static struct sock_filter other_arch[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_K, 2),
	};
	static const struct compact_arch arch = { AUDIT_ARCH_X86_64, UINT32_MAX, UINT32_MAX };
	struct sock_fprog program = { .len = 4, .filter = masks_number }, small;
	struct err err;

	is_int(compact_program(&program, &arch, 1, &arena, &small, &err), -ENOTSUP);
	// Tells numbers apart before it has looked at the architecture.
	program.filter = other_arch;
	is_int(compact_program(&program, &arch, 1, &arena, &small, &err), -ENOTSUP);
	is_str(err.msg, "libseccomp's program has more architectures than we know");
}

static void is_refused(const struct oci_seccomp *profile, const char *want)
{
	scope_arena struct arena arena = { 0 };
	struct process_filter filter;
	struct err err = { 0 };

	is_int(process_filter_load(profile, -1, &arena, &filter, &err), -EINVAL);
	is_str(err.msg, want);
}

static void test_refused(void)
{
	struct oci_seccomp_rule notify = { .names = STRINGS((char *)"mkdir"),
					   .action = OCI_SECCOMP_NOTIFY };
	struct oci_seccomp_rule sendmsg = { .names = STRINGS((char *)"sendmsg"),
					    .action = OCI_SECCOMP_NOTIFY };
	struct oci_seccomp profile = { .default_action = OCI_SECCOMP_ALLOW };

	profile.flags = (struct oci_strings)STRINGS((char *)"SECCOMP_FILTER_FLAG_FAST");
	is_refused(&profile, "linux.seccomp.flags: unknown flag SECCOMP_FILTER_FLAG_FAST");
	profile.flags.n = 0;
	profile.architectures = (struct oci_strings)STRINGS((char *)"SCMP_ARCH_PDP11");
	is_refused(&profile, "linux.seccomp.architectures: unknown architecture SCMP_ARCH_PDP11");
	profile.architectures = (struct oci_strings)STRINGS((char *)"X86");
	is_refused(&profile, "linux.seccomp.architectures: unknown architecture X86");
	profile.architectures.n = 0;
	profile.syscalls.v = &notify;
	profile.syscalls.n = 1;
	is_refused(&profile, "linux.seccomp: SCMP_ACT_NOTIFY without a listenerPath");
	profile.listener_path = (char *)"/run/listener";
	profile.syscalls.v = &sendmsg;
	is_refused(
		&profile,
		"linux.seccomp: SCMP_ACT_NOTIFY can't be used for sendmsg, which starting the container takes");
	profile.default_action = OCI_SECCOMP_NOTIFY;
	is_refused(
		&profile,
		"linux.seccomp.defaultAction: SCMP_ACT_NOTIFY can't be the default: nobody would be there to start "
		"the container");
}

static void test_flags(void)
{
	struct oci_seccomp_rule notify = { .names = STRINGS((char *)"mkdir"),
					   .action = OCI_SECCOMP_NOTIFY };
	struct oci_seccomp profile = {
		.flags = STRINGS((char *)"SECCOMP_FILTER_FLAG_TSYNC",
				 (char *)"SECCOMP_FILTER_FLAG_LOG",
				 (char *)"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"),
		.listener_path = (char *)"/run/listener",
	};
	uint32_t flags;
	bool has_notify;
	struct err err;

	is_int(filter_flags(&profile, &flags, &has_notify, &err), 0);
	is_int(flags, SECCOMP_FILTER_FLAG_LOG);
	ok(!has_notify, "nobody is notified");
	profile.syscalls.v = &notify;
	profile.syscalls.n = 1;
	is_int(filter_flags(&profile, &flags, &has_notify, &err), 0);
	is_int(flags, SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_NEW_LISTENER | 1 << 5);
	ok(has_notify, "somebody is notified");
	ok(process_filter_flag_supported("SECCOMP_FILTER_FLAG_LOG"), "LOG is supported");
	ok(!process_filter_flag_supported("SECCOMP_FILTER_FLAG_FAST"), "FAST is not");
}

static void name_of(const uint8_t digest[DIGEST_BYTES], char name[2 * DIGEST_BYTES + 1])
{
	for (size_t i = 0; i < DIGEST_BYTES; i++)
		snprintf(name + 2 * i, 3, "%02x", digest[i]);
}

// Damages the entry, loads, and looks that the damage went unnoticed by the caller and is gone.
static void test_damage(const struct oci_seccomp *profile, int dirfd,
			const struct process_filter *want,
			void (*damage)(int dirfd, const char *name), const char *what)
{
	scope_arena struct arena arena = { 0 };
	char name[2 * DIGEST_BYTES + 1];
	uint8_t digest[DIGEST_BYTES];
	struct process_filter filter;
	struct stat before, after;

	filter_digest(profile, digest);
	name_of(digest, name);
	damage(dirfd, name);
	fstatat(dirfd, name, &before, AT_SYMLINK_NOFOLLOW);
	if (!load(profile, dirfd, &arena, &filter))
		return;
	ok(filter.count == want->count && memcmp(filter.program, want->program,
						 want->count * sizeof(struct sock_filter)) == 0,
	   what);
	fstatat(dirfd, name, &after, AT_SYMLINK_NOFOLLOW);
	ok(before.st_ino != after.st_ino && S_ISREG(after.st_mode), "it was replaced");
}

static void flip_byte(int dirfd, const char *name)
{
	scope_fd int fd = openat(dirfd, name, O_RDWR | O_CLOEXEC);
	char byte = 0;

	if (pread(fd, &byte, 1, 150) != 1)
		abort();
	byte ^= 4;
	if (pwrite(fd, &byte, 1, 150) != 1)
		abort();
}

static void cut(int dirfd, const char *name)
{
	scope_fd int fd = openat(dirfd, name, O_RDWR | O_CLOEXEC);

	if (ftruncate(fd, 100) < 0)
		abort();
}

static void empty(int dirfd, const char *name)
{
	scope_fd int fd = openat(dirfd, name, O_RDWR | O_TRUNC | O_CLOEXEC);
}

static void open_to_all(int dirfd, const char *name)
{
	if (fchmodat(dirfd, name, 0666, 0) < 0)
		abort();
}

static void make_link(int dirfd, const char *name)
{
	if (renameat(dirfd, name, dirfd, "elsewhere") < 0 ||
	    symlinkat("elsewhere", dirfd, name) < 0)
		abort();
}

static void test_cache(void)
{
	scope_arena struct arena arena = { 0 };
	struct oci_seccomp_rule rules[] = { allow_some };
	struct oci_seccomp profile = {
		.default_action = OCI_SECCOMP_ERRNO,
		.syscalls = { .v = rules, .n = 1 },
	};
	struct process_filter first, second, other;
	uint8_t digest[DIGEST_BYTES], changed[DIGEST_BYTES];
	char name[2 * DIGEST_BYTES + 1], other_name[2 * DIGEST_BYTES + 1];
	char path[] = "/tmp/moat-test-XXXXXX";

	if (!mkdtemp(path))
		abort();
	scope_fd int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	filter_digest(&profile, digest);
	ok(!filter_cache_get(dirfd, digest, &arena, &second), "nothing is there at first");
	load(&profile, dirfd, &arena, &first);
	ok(filter_cache_get(dirfd, digest, &arena, &second), "then it is");
	ok(second.count == first.count &&
		   memcmp(second.program, first.program, first.count * 8) == 0,
	   "the same program");
	ok(load(&profile, dirfd, &arena, &second) && second.flags == first.flags,
	   "the flags are with it");

	test_damage(&profile, dirfd, &first, flip_byte, "a byte flipped");
	test_damage(&profile, dirfd, &first, cut, "cut");
	test_damage(&profile, dirfd, &first, empty, "empty");
	test_damage(&profile, dirfd, &first, open_to_all, "writable by all");
	test_damage(&profile, dirfd, &first, make_link, "a link");
	unlinkat(dirfd, "elsewhere", 0);

	// One profile's filter under another's name.
	name_of(digest, name);
	rules[0].names.v = (char *[]){ (char *)"reboot", NULL };
	rules[0].names.n = 1;
	filter_digest(&profile, changed);
	ok(memcmp(digest, changed, sizeof(digest)) != 0, "another profile has another digest");
	load(&profile, dirfd, &arena, &other);
	name_of(changed, other_name);
	renameat(dirfd, name, dirfd, other_name);
	ok(!filter_cache_get(dirfd, changed, &arena, &second),
	   "a filter under another's name is not taken");
	unlinkat(dirfd, other_name, 0);
	rmdir(path);

	// A cache that can't be written.
	scope_fd int nowhere = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ok(load(&profile, nowhere, &arena, &second), "no cache, no harm");
}

// The digest tells apart what strings put together would not.
static void test_digest(void)
{
	struct oci_seccomp_rule rules[] = { { .names = STRINGS((char *)"read", (char *)"write") } };
	struct oci_seccomp profile = { .syscalls = { .v = rules, .n = 1 } };
	uint8_t first[DIGEST_BYTES], second[DIGEST_BYTES], abc[DIGEST_BYTES];
	// RFC 7693's "abc", with 256 bits.
	static const uint8_t want[DIGEST_BYTES] = {
		0xbd, 0xdd, 0x81, 0x3c, 0x63, 0x42, 0x39, 0x72, 0x31, 0x71, 0xef,
		0x3f, 0xee, 0x98, 0x57, 0x9b, 0x94, 0x96, 0x4e, 0x3b, 0xb1, 0xcb,
		0x3e, 0x42, 0x72, 0x62, 0xc8, 0xc0, 0x68, 0xd5, 0x23, 0x19,
	};
	struct digest digest;

	filter_digest(&profile, first);
	rules[0].names.v = (char *[]){ (char *)"readwrite", (char *)"", NULL };
	filter_digest(&profile, second);
	ok(memcmp(first, second, sizeof(first)) != 0, "where names end matters");
	digest_start(&digest);
	digest_add(&digest, "ab", 2);
	digest_add(&digest, "c", 1);
	digest_end(&digest, abc);
	ok(memcmp(abc, want, sizeof(abc)) == 0, "BLAKE2b of abc");
}

int main(void)
{
	test_actions();
	test_stub();
	test_args();
	test_archs();
	test_compact_random();
	test_compact_large();
	test_compact_far();
	test_compact_foreign();
	test_refused();
	test_flags();
	test_cache();
	test_digest();
	return done();
}
