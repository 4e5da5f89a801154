#include "cgroups/devices.h"

#include "base/str.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

// Making any node is harmless, since only opening it gives access. The spec's /dev/console is a
// terminal of the container's own, so the host's (5:1) isn't among them.
static const struct device_rule default_rules[] = {
	{ DEVICE_ANY, DEVICE_ANY, DEVICE_MKNOD, 'c', true },
	{ DEVICE_ANY, DEVICE_ANY, DEVICE_MKNOD, 'b', true },
	{ 1, 3, DEVICE_ALL, 'c', true },	    // null
	{ 1, 5, DEVICE_ALL, 'c', true },	    // zero
	{ 1, 7, DEVICE_ALL, 'c', true },	    // full
	{ 1, 8, DEVICE_ALL, 'c', true },	    // random
	{ 1, 9, DEVICE_ALL, 'c', true },	    // urandom
	{ 5, 0, DEVICE_ALL, 'c', true },	    // tty
	{ 5, 2, DEVICE_ALL, 'c', true },	    // ptmx
	{ 136, DEVICE_ANY, DEVICE_ALL, 'c', true }, // pts
	{ 10, 200, DEVICE_ALL, 'c', true },	    // net/tun
};

static const struct device_rule all_denied = { DEVICE_ANY, DEVICE_ANY, DEVICE_ALL, 'a', false };

static int parse_access(const char *text, unsigned int *access)
{
	*access = 0;
	for (; text && *text; text++) {
		switch (*text) {
		case 'm':
			*access |= DEVICE_MKNOD;
			break;
		case 'r':
			*access |= DEVICE_READ;
			break;
		case 'w':
			*access |= DEVICE_WRITE;
			break;
		default:
			return -EINVAL;
		}
	}
	if (*access == 0)
		*access = DEVICE_ALL;
	return 0;
}

// The kernel keeps 12 bits of a major and 20 of a minor number; BPF compares with 31 bits.
static int parse_number(struct opt_i64 number, int64_t *value)
{
	*value = number.set ? number.v : DEVICE_ANY;
	return *value < DEVICE_ANY || *value > INT32_MAX ? -EINVAL : 0;
}

static bool is_everything(const struct device_rule *rule)
{
	return rule->major == DEVICE_ANY && rule->minor == DEVICE_ANY && rule->access == DEVICE_ALL;
}

static int add_rule(const struct oci_device_rule *from, size_t index, struct device_rules *rules,
		    struct err *err)
{
	struct device_rule rule = { .allow = from->allow, .type = from->type ? from->type : 'a' };

	if (!strchr("abc", rule.type))
		return err_set(err, EINVAL, "linux.resources.devices[%zu].type: unknown: %c", index,
			       rule.type);
	if (parse_access(from->access, &rule.access) < 0)
		return err_set(err, EINVAL,
			       "linux.resources.devices[%zu].access: expected some of rwm: %s",
			       index, from->access);
	if (parse_number(from->major, &rule.major) < 0 ||
	    parse_number(from->minor, &rule.minor) < 0)
		return err_set(err, EINVAL, "linux.resources.devices[%zu]: no such device number",
			       index);

	if (rule.type != 'a' || is_everything(&rule)) {
		rules->v[rules->n++] = rule;
		return 0;
	}
	rule.type = 'b';
	rules->v[rules->n++] = rule;
	rule.type = 'c';
	rules->v[rules->n++] = rule;
	return 0;
}

int device_rules_make(const struct oci_resources *resources, struct arena *arena,
		      const struct device_rules **rules, struct err *err)
{
	const size_t given = resources ? resources->devices.n : 0;
	struct device_rules *all = arena_new(arena, struct device_rules, 1);

	all->v = arena_new(arena, struct device_rule, 1 + 2 * given + ARRAY_SIZE(default_rules));
	all->v[all->n++] = all_denied;
	for (size_t i = 0; i < given; i++) {
		int ret = add_rule(&resources->devices.v[i], i, all, err);
		if (ret < 0)
			return ret;
	}
	memcpy(all->v + all->n, default_rules, sizeof(default_rules));
	all->n += ARRAY_SIZE(default_rules);
	*rules = all;
	return 0;
}

// ---- v1 ----

static bool covers_number(int64_t wide, int64_t narrow)
{
	return wide == DEVICE_ANY || wide == narrow;
}

static bool covers(const struct device_rule *wide, const struct device_rule *narrow)
{
	return wide->type == narrow->type && covers_number(wide->major, narrow->major) &&
	       covers_number(wide->minor, narrow->minor);
}

static bool meets_number(int64_t a, int64_t b)
{
	return a == DEVICE_ANY || b == DEVICE_ANY || a == b;
}

static bool meets(const struct device_rule *a, const struct device_rule *b)
{
	return a->type == b->type && meets_number(a->major, b->major) &&
	       meets_number(a->minor, b->minor) && (a->access & b->access);
}

// An exception more: joined to the one for the same devices, because the kernel grants an access
// only when a single exception has all of its kinds.
static void list_add(struct device_list *list, const struct device_rule *rule)
{
	for (size_t i = 0; i < list->n; i++) {
		struct device_rule *old = &list->v[i];

		if (old->type == rule->type && old->major == rule->major &&
		    old->minor == rule->minor) {
			old->access |= rule->access;
			return;
		}
	}
	list->v[list->n++] = *rule;
}

// Takes a rule that agrees with the default out of the exceptions.
static int list_take(struct device_list *list, const struct device_rule *rule, struct err *err)
{
	char a[DEVICE_LINE_MAX], b[DEVICE_LINE_MAX];
	size_t kept = 0;

	for (size_t i = 0; i < list->n; i++) {
		struct device_rule *old = &list->v[i];

		if (covers(rule, old))
			old->access &= ~rule->access;
		else if (meets(rule, old))
			return err_set(err, ENOTSUP,
				       "linux.resources.devices: cgroup v1 can't make an exception "
				       "(%s) within an exception (%s)",
				       device_line(rule, a), device_line(old, b));
		if (old->access)
			list->v[kept++] = *old;
	}
	list->n = kept;
	return 0;
}

int device_list_make(const struct device_rules *rules, struct arena *arena,
		     struct device_list *list, struct err *err)
{
	*list = (struct device_list){ .v = arena_new(arena, struct device_rule, rules->n) };
	for (size_t i = 0; i < rules->n; i++) {
		const struct device_rule *rule = &rules->v[i];
		int ret = 0;

		if (rule->type == 'a') {
			list->allow = rule->allow;
			list->n = 0;
		} else if (rule->allow != list->allow) {
			list_add(list, rule);
		} else {
			ret = list_take(list, rule, err);
		}
		if (ret < 0)
			return ret;
	}
	return 0;
}

static const char *number_text(int64_t number, char text[24])
{
	if (number == DEVICE_ANY)
		return "*";
	snprintf(text, 24, "%" PRId64, number);
	return text;
}

const char *device_line(const struct device_rule *rule, char line[DEVICE_LINE_MAX])
{
	char major[24], minor[24];

	snprintf(line, DEVICE_LINE_MAX, "%c %s:%s %s%s%s", rule->type,
		 number_text(rule->major, major), number_text(rule->minor, minor),
		 rule->access & DEVICE_READ ? "r" : "", rule->access & DEVICE_WRITE ? "w" : "",
		 rule->access & DEVICE_MKNOD ? "m" : "");
	return line;
}

// ---- v2 ----

// What each register holds all the way.
enum {
	CTX = BPF_REG_1,
	ACCESS = BPF_REG_2,
	TYPE = BPF_REG_3,
	MAJOR = BPF_REG_4,
	MINOR = BPF_REG_5
};

static void emit(struct device_program *program, struct bpf_insn insn)
{
	program->v[program->n++] = insn;
}

static struct bpf_insn load(unsigned int reg, size_t offset)
{
	return (struct bpf_insn){ .code = BPF_LDX | BPF_MEM | BPF_W,
				  .dst_reg = reg,
				  .src_reg = CTX,
				  .off = (int16_t)offset };
}

static struct bpf_insn alu(unsigned int op, unsigned int reg, int32_t imm)
{
	return (struct bpf_insn){ .code = (uint8_t)(BPF_ALU | op | BPF_K),
				  .dst_reg = reg,
				  .imm = imm };
}

static struct bpf_insn copy(unsigned int to, unsigned int from)
{
	return (struct bpf_insn){ .code = BPF_ALU | BPF_MOV | BPF_X,
				  .dst_reg = to,
				  .src_reg = from };
}

static struct bpf_insn jump(unsigned int op, unsigned int reg, int32_t imm, int16_t over)
{
	return (struct bpf_insn){
		.code = (uint8_t)(BPF_JMP | op | BPF_K), .dst_reg = reg, .off = over, .imm = imm
	};
}

static void emit_return(struct device_program *program, bool allow)
{
	emit(program, (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K,
					 .dst_reg = BPF_REG_0,
					 .imm = allow });
	emit(program, (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT });
}

// The verdict of a rule that speaks of the device: for all access, or for a part of it.
static void emit_verdict(struct device_program *program, const struct device_rule *rule)
{
	if (rule->access == DEVICE_ALL) {
		emit_return(program, rule->allow);
	} else if (rule->allow) {
		// What is left to be settled; nothing: allowed.
		emit(program, alu(BPF_AND, ACCESS, (int32_t)(DEVICE_ALL & ~rule->access)));
		emit(program, jump(BPF_JNE, ACCESS, 0, 2));
		emit_return(program, true);
	} else {
		emit(program, jump(BPF_JSET, ACCESS, (int32_t)rule->access, 1));
		emit(program, jump(BPF_JA, 0, 0, 2));
		emit_return(program, false);
	}
}

static void emit_rule(struct device_program *program, const struct device_rule *rule)
{
	size_t tests[3], n = 0;

	if (rule->type != 'a') {
		tests[n++] = program->n;
		emit(program,
		     jump(BPF_JNE, TYPE,
			  rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR, 0));
	}
	if (rule->major != DEVICE_ANY) {
		tests[n++] = program->n;
		emit(program, jump(BPF_JNE, MAJOR, (int32_t)rule->major, 0));
	}
	if (rule->minor != DEVICE_ANY) {
		tests[n++] = program->n;
		emit(program, jump(BPF_JNE, MINOR, (int32_t)rule->minor, 0));
	}
	emit_verdict(program, rule);
	for (size_t i = 0; i < n; i++)
		program->v[tests[i]].off = (int16_t)(program->n - tests[i] - 1);
}

void device_program_make(const struct device_rules *rules, struct arena *arena,
			 struct device_program *program)
{
	*program =
		(struct device_program){ .v = arena_new(arena, struct bpf_insn, 6 + 7 * rules->n) };

	// The context is one word of access << 16 | type, then major and minor.
	emit(program, load(ACCESS, offsetof(struct bpf_cgroup_dev_ctx, access_type)));
	emit(program, copy(TYPE, ACCESS));
	emit(program, alu(BPF_AND, TYPE, 0xffff));
	emit(program, alu(BPF_RSH, ACCESS, 16));
	emit(program, load(MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major)));
	emit(program, load(MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor)));

	// The first rule is for everything. What stands before another such rule never counts, and
	// the kernel refuses a program with code that can't be reached.
	for (size_t i = rules->n; i-- > 0;) {
		emit_rule(program, &rules->v[i]);
		if (rules->v[i].type == 'a')
			break;
	}
}
