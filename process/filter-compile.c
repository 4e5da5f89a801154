#include "process/filter.h"

#include "base/io.h"
#include "base/log.h"
#include "base/scope.h"
#include "process/filter-compact.h"

#include <ctype.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARCH_PREFIX "SCMP_ARCH_"

#define MAX_ARGS 6

static const char *const archs[] = {
	"SCMP_ARCH_X86",     "SCMP_ARCH_X86_64",   "SCMP_ARCH_X32",	    "SCMP_ARCH_ARM",
	"SCMP_ARCH_AARCH64", "SCMP_ARCH_MIPS",	   "SCMP_ARCH_MIPS64",	    "SCMP_ARCH_MIPS64N32",
	"SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",
	"SCMP_ARCH_PPC64",   "SCMP_ARCH_PPC64LE",  "SCMP_ARCH_S390",	    "SCMP_ARCH_S390X",
	"SCMP_ARCH_PARISC",  "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64",
};

const char *const *process_filter_archs(size_t *count)
{
	*count = ARRAY_SIZE(archs);
	return archs;
}

static void release(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

#define scope_filter __attribute__((cleanup(release)))

// libseccomp spells the names as the spec does, but for the prefix and the case. 0: unknown.
static uint32_t arch_of(const char *name)
{
	char lower[32];
	size_t i = 0;

	if (!str_starts(name, ARCH_PREFIX))
		return 0;
	for (name += strlen(ARCH_PREFIX); i < sizeof(lower) - 1 && name[i]; i++)
		lower[i] = (char)tolower((unsigned char)name[i]);
	lower[i] = '\0';
	return seccomp_arch_resolve_name(lower);
}

static uint32_t action_of(enum oci_seccomp_action action, struct opt_u32 ret)
{
	const uint32_t code = ret.set ? ret.v : EPERM;

	switch (action) {
	case OCI_SECCOMP_KILL_THREAD:
		return SCMP_ACT_KILL_THREAD;
	case OCI_SECCOMP_KILL_PROCESS:
		return SCMP_ACT_KILL_PROCESS;
	case OCI_SECCOMP_TRAP:
		return SCMP_ACT_TRAP;
	case OCI_SECCOMP_ERRNO:
		return SCMP_ACT_ERRNO(code);
	case OCI_SECCOMP_TRACE:
		return SCMP_ACT_TRACE(code);
	case OCI_SECCOMP_ALLOW:
		return SCMP_ACT_ALLOW;
	case OCI_SECCOMP_LOG:
		return SCMP_ACT_LOG;
	case OCI_SECCOMP_NOTIFY:
		return SCMP_ACT_NOTIFY;
	}
	abort();
}

static enum scmp_compare compare_of(enum oci_seccomp_op op)
{
	static const enum scmp_compare compare[] = {
		[OCI_SECCOMP_NE] = SCMP_CMP_NE,
		[OCI_SECCOMP_LT] = SCMP_CMP_LT,
		[OCI_SECCOMP_LE] = SCMP_CMP_LE,
		[OCI_SECCOMP_EQ] = SCMP_CMP_EQ,
		[OCI_SECCOMP_GE] = SCMP_CMP_GE,
		[OCI_SECCOMP_GT] = SCMP_CMP_GT,
		[OCI_SECCOMP_MASKED_EQ] = SCMP_CMP_MASKED_EQ,
	};

	return compare[op];
}

// One system call of a rule. libseccomp takes one condition for an argument; where the rule has
// more, engines have come to rely on each being a rule of its own, any of which is enough.
static int add_call(scmp_filter_ctx ctx, uint32_t action, int nr, const struct scmp_arg_cmp *args,
		    unsigned int count)
{
	unsigned int seen = 0;
	bool twice = false;

	for (unsigned int i = 0; i < count; i++) {
		twice |= seen >> args[i].arg & 1;
		seen |= 1U << args[i].arg;
	}
	if (!twice)
		return seccomp_rule_add_array(ctx, action, nr, count, args);
	for (unsigned int i = 0; i < count; i++) {
		int ret = seccomp_rule_add_array(ctx, action, nr, 1, &args[i]);

		if (ret < 0 && ret != -EEXIST)
			return ret;
	}
	return 0;
}

static int add_rule(scmp_filter_ctx ctx, const struct oci_seccomp_rule *rule,
		    uint32_t default_action, struct err *err)
{
	const uint32_t action = action_of(rule->action, rule->errno_ret);
	struct scmp_arg_cmp args[64];

	// libseccomp refuses these.
	if (action == default_action)
		return 0;
	if (rule->args.n > ARRAY_SIZE(args))
		return err_set(err, E2BIG, "linux.seccomp: a rule with %zu conditions",
			       rule->args.n);
	for (size_t i = 0; i < rule->args.n; i++) {
		const struct oci_seccomp_arg *arg = &rule->args.v[i];

		if (arg->index >= MAX_ARGS)
			return err_set(err, EINVAL,
				       "linux.seccomp: system calls have no argument %u",
				       arg->index);
		args[i] = (struct scmp_arg_cmp){ arg->index, compare_of(arg->op), arg->value,
						 arg->value_two };
	}
	for (size_t i = 0; i < rule->names.n; i++) {
		const char *name = rule->names.v[i];
		int nr = seccomp_syscall_resolve_name(name);

		if (nr == __NR_SCMP_ERROR) {
			log_debug("linux.seccomp: unknown system call %s is left out", name);
			continue;
		}
		int ret = add_call(ctx, action, nr, args, (unsigned int)rule->args.n);
		if (ret < 0 && ret != -EEXIST)
			return err_sysn(err, -ret, "linux.seccomp: rule for %s", name);
	}
	return 0;
}

static int add_archs(scmp_filter_ctx ctx, const struct oci_strings *list, struct err *err)
{
	for (size_t i = 0; i < list->n; i++) {
		uint32_t arch = arch_of(list->v[i]);

		if (!arch)
			return err_set(err, EINVAL,
				       "linux.seccomp.architectures: unknown architecture %s",
				       list->v[i]);
		int ret = seccomp_arch_add(ctx, arch);
		if (ret < 0 && ret != -EEXIST)
			return err_sysn(err, -ret, "linux.seccomp.architectures: %s", list->v[i]);
	}
	return 0;
}

// Does the default deny? A tracer is thought to know what to do with system calls to come.
static bool denies(const struct oci_seccomp *profile)
{
	switch (profile->default_action) {
	case OCI_SECCOMP_ALLOW:
	case OCI_SECCOMP_LOG:
	case OCI_SECCOMP_TRACE:
		return false;
	case OCI_SECCOMP_ERRNO:
		return !(profile->default_errno_ret.set && profile->default_errno_ret.v == ENOSYS);
	default:
		return true;
	}
}

// The highest number of a system call that the profile names; UINT32_MAX where the filter isn't for
// this architecture, or no name is known: nothing is above it.
static uint32_t highest(scmp_filter_ctx ctx, const struct oci_seccomp *profile, uint32_t arch)
{
	int max = -1;

	if (seccomp_arch_exist(ctx, arch) < 0)
		return UINT32_MAX;
	for (size_t i = 0; i < profile->syscalls.n; i++) {
		const struct oci_strings *names = &profile->syscalls.v[i].names;

		for (size_t j = 0; j < names->n; j++) {
			int nr = seccomp_syscall_resolve_name_arch(arch, names->v[j]);

			max = nr > max ? nr : max;
		}
	}
	return (uint32_t)max;
}

// The architectures of the filter, and how far the profile goes. libseccomp has an architecture for
// x32, the kernel tells it from x86_64 by the number.
static size_t find_archs(scmp_filter_ctx ctx, const struct oci_seccomp *profile,
			 struct compact_arch found[ARRAY_SIZE(archs)])
{
	const bool limited = denies(profile);
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(archs); i++) {
		uint32_t arch = arch_of(archs[i]);

		if (arch == SCMP_ARCH_X32 || seccomp_arch_exist(ctx, arch) < 0)
			continue;
		found[count++] = (struct compact_arch){
			.audit = arch,
			.last = limited ? highest(ctx, profile, arch) : UINT32_MAX,
			.last_x32 = limited && arch == SCMP_ARCH_X86_64 ?
					    highest(ctx, profile, SCMP_ARCH_X32) :
					    UINT32_MAX,
		};
	}
	return count;
}

// libseccomp's program, in `arena`.
static int export(scmp_filter_ctx ctx, struct arena *arena, struct sock_fprog *program,
		  struct err *err)
{
	scope_fd int fd = memfd_create("moat-seccomp", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "memfd_create");
	int ret = seccomp_export_bpf(ctx, fd);
	if (ret < 0)
		return err_sysn(err, -ret, "seccomp_export_bpf");
	off_t size = lseek(fd, 0, SEEK_END);
	if (size < 0 || (size_t)size > BPF_MAXINSNS * sizeof(*program->filter))
		return err_set(err, E2BIG, "the filter has more than %d instructions",
			       BPF_MAXINSNS);
	program->filter = arena_alloc(arena, (size_t)size);
	program->len = (unsigned short)((size_t)size / sizeof(*program->filter));
	if (pread(fd, program->filter, (size_t)size, 0) != size)
		return err_sys(err, "read libseccomp's program");
	return 0;
}

int filter_compile(const struct oci_seccomp *profile, struct arena *arena,
		   struct process_filter *filter, struct err *err)
{
	const uint32_t default_action = action_of(profile->default_action,
						  profile->default_errno_ret);
	struct compact_arch found[ARRAY_SIZE(archs)];
	struct sock_fprog program, compact;

	scope_filter scmp_filter_ctx ctx = seccomp_init(default_action);
	if (!ctx)
		return err_set(
			err, EINVAL,
			"linux.seccomp: libseccomp can't make a filter with this default action");
	if (add_archs(ctx, &profile->architectures, err) < 0)
		return -err->code;
	for (size_t i = 0; i < profile->syscalls.n; i++) {
		if (add_rule(ctx, &profile->syscalls.v[i], default_action, err) < 0)
			return -err->code;
	}
	if (export(ctx, arena, &program, err) < 0 ||
	    compact_program(&program, found, find_archs(ctx, profile, found), arena, &compact,
			    err) < 0)
		return err_wrap(err, "linux.seccomp");
	filter->program = compact.filter;
	filter->count = compact.len;
	return 0;
}
