// Device rules: the list for v1, the program for v2. The program is run here, in an interpreter of
// the few instructions that it is made of, and compared with the rules themselves.
#include "cgroups/devices.h"
#include "tests/unit/tap.h"

#include "base/str.h"

#include <stdlib.h>

#define RULES(...)                                                               \
	{                                                                        \
		.devices = {                                                     \
			.v = (struct oci_device_rule[]){ __VA_ARGS__ },          \
			.n = sizeof((struct oci_device_rule[]){ __VA_ARGS__ }) / \
			     sizeof(struct oci_device_rule)                      \
		}                                                                \
	}

// What a parsed spec would point to.
static char r[] = "r", w[] = "w", m[] = "m", rw[] = "rw", rm[] = "rm", rx[] = "rx", rwm[] = "rwm";

static struct opt_i64 num(int64_t v)
{
	return (struct opt_i64){ .set = true, .v = v };
}

// ---- v1 ----

static void add_lines(const struct oci_resources *resources, struct text *out)
{
	scope_arena struct arena arena = { 0 };
	const struct device_rules *rules;
	struct device_list list;
	struct err err = { 0 };
	char line[DEVICE_LINE_MAX];

	if (device_rules_make(resources, &arena, &rules, &err) < 0 ||
	    device_list_make(rules, &arena, &list, &err) < 0) {
		text_str(out, err.msg);
		return;
	}
	text_printf(out, "%s", list.allow ? "allow" : "deny");
	for (size_t i = 0; i < list.n; i++)
		text_printf(out, "; %s", device_line(&list.v[i], line));
}

#define DEFAULTS                                                                    \
	"c *:* m; b *:* m; c 1:3 rwm; c 1:5 rwm; c 1:7 rwm; c 1:8 rwm; c 1:9 rwm; " \
	"c 5:0 rwm; c 5:2 rwm; c 136:* rwm; c 10:200 rwm"

static void check_lines(const struct oci_resources *resources, const char *want)
{
	scope_text struct text got = { 0 };

	add_lines(resources, &got);
	is_str(got.str, want);
}

static void test_list(void)
{
	check_lines(NULL, "deny; " DEFAULTS);
	const struct oci_resources deny = RULES({ .allow = false, .access = rwm });
	check_lines(&deny, "deny; " DEFAULTS);
	const struct oci_resources privileged =
		RULES({ .allow = true, .type = 'a', .access = rwm });
	check_lines(&privileged, "allow");
	const struct oci_resources merged = RULES({ true, 'b', num(8), num(0), r },
						  { true, 'b', num(8), num(0), w },
						  { true, 'b', num(9), num(-1), NULL });
	check_lines(&merged, "deny; b 8:0 rw; b 9:* rwm; " DEFAULTS);
	const struct oci_resources taken = RULES({ true, 'b', num(8), num(0), NULL },
						 { false, 'b', num(8), { 0 }, w });
	check_lines(&taken, "deny; b 8:0 rm; " DEFAULTS);
	const struct oci_resources hole = RULES({ true, 'b', num(8), { 0 }, rwm },
						{ false, 'b', num(8), num(1), w });
	check_lines(&hole, "linux.resources.devices: cgroup v1 can't make an exception (b 8:1 w) "
			   "within an exception (b 8:* rwm)");
	const struct oci_resources black = RULES({ .allow = true },
						 { false, 'c', num(10), num(229), NULL });
	check_lines(&black, "allow; c 10:229 rw");
	const struct oci_resources half = RULES({ true, 'a', num(8), num(0), r });
	check_lines(&half, "deny; b 8:0 r; c 8:0 r; " DEFAULTS);
	const struct oci_resources access = RULES({ true, 'c', num(1), num(1), rx });
	check_lines(&access, "linux.resources.devices[0].access: expected some of rwm: rx");
	const struct oci_resources type = RULES({ true, 'p', num(1), num(1), r });
	check_lines(&type, "linux.resources.devices[0].type: unknown: p");
	const struct oci_resources number = RULES({ true, 'c', num(-2), num(1), r });
	check_lines(&number, "linux.resources.devices[0]: no such device number");
}

// ---- v2 ----

// What the kernel would return for one access; -1 for a program that it wouldn't take.
static int run(const struct device_program *program, const struct bpf_cgroup_dev_ctx *ctx)
{
	uint64_t reg[11] = { 0 };

	for (size_t at = 0; at < program->n; at++) {
		const struct bpf_insn *insn = &program->v[at];
		uint64_t *to = &reg[insn->dst_reg];
		bool taken = false;

		switch (insn->code) {
		case BPF_LDX | BPF_MEM | BPF_W:
			*to = *(const uint32_t *)((const char *)ctx + insn->off);
			break;
		case BPF_ALU | BPF_MOV | BPF_X:
			*to = (uint32_t)reg[insn->src_reg];
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			*to = (uint32_t)*to & (uint32_t)insn->imm;
			break;
		case BPF_ALU | BPF_RSH | BPF_K:
			*to = (uint32_t)*to >> insn->imm;
			break;
		case BPF_ALU64 | BPF_MOV | BPF_K:
			*to = (uint64_t)insn->imm;
			break;
		case BPF_JMP | BPF_JNE | BPF_K:
			taken = *to != (uint64_t)insn->imm;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			taken = *to & (uint64_t)insn->imm;
			break;
		case BPF_JMP | BPF_JA:
			taken = true;
			break;
		case BPF_JMP | BPF_EXIT:
			return (int)reg[0];
		default:
			return -1;
		}
		if (taken)
			at += (size_t)insn->off;
	}
	return -1;
}

// The same by the words of the header.
static int judge(const struct device_rules *rules, char type, uint32_t major, uint32_t minor,
		 unsigned int access)
{
	for (unsigned int bit = 1; bit <= DEVICE_WRITE; bit <<= 1) {
		bool allow = false;

		for (size_t i = 0; i < rules->n; i++) {
			const struct device_rule *rule = &rules->v[i];

			if ((rule->type == 'a' || rule->type == type) && (rule->access & bit) &&
			    (rule->major == DEVICE_ANY || rule->major == major) &&
			    (rule->minor == DEVICE_ANY || rule->minor == minor))
				allow = rule->allow;
		}
		if ((access & bit) && !allow)
			return 0;
	}
	return 1;
}

// Every access to some devices. Returns how many verdicts differ.
static int differences(const struct oci_resources *resources)
{
	static const uint32_t numbers[] = { 0, 1, 3, 5, 8, 10, 136, 200 };
	scope_arena struct arena arena = { 0 };
	const struct device_rules *rules = NULL;
	struct device_program program;
	struct err err;
	int wrong = 0;

	if (device_rules_make(resources, &arena, &rules, &err) < 0)
		return -1;
	device_program_make(rules, &arena, &program);
	for (size_t i = 0; i < ARRAY_SIZE(numbers) * ARRAY_SIZE(numbers) * 2 * 7; i++) {
		const unsigned int access = 1 + i % 7, block = i / 7 % 2;
		const uint32_t major = numbers[i / 14 % 8], minor = numbers[i / 14 / 8];
		const struct bpf_cgroup_dev_ctx ctx = {
			.access_type = access << 16 |
				       (block ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR),
			.major = major,
			.minor = minor,
		};

		wrong += run(&program, &ctx) !=
			 judge(rules, block ? 'b' : 'c', major, minor, access);
	}
	return wrong;
}

static void test_program(void)
{
	const struct oci_resources none = { 0 };
	const struct oci_resources privileged =
		RULES({ .allow = true, .type = 'a', .access = rwm });
	const struct oci_resources hole =
		RULES({ true, 'b', num(8), { 0 }, rwm }, { false, 'b', num(8), num(1), w },
		      { true, 'c', { 0 }, num(5), rm }, { true, 'b', num(10), num(10), r },
		      { true, 'b', num(10), num(10), w });
	const struct oci_resources reset =
		RULES({ true, 'b', num(8), num(1), r }, { .allow = true },
		      { false, 'c', num(10), num(200), rw }, { false, 'b', { 0 }, num(3), m });

	is_int(differences(&none), 0);
	is_int(differences(&privileged), 0);
	is_int(differences(&hole), 0);
	is_int(differences(&reset), 0);
}

// Rules drawn at random, with the same seed each time.
static void test_random(void)
{
	static const char *const accesses[] = { "r", "w", "m", "rw", "rm", "wm", "rwm" };
	int wrong = 0;

	srandom(1);
	for (int round = 0; round < 60; round++) {
		struct oci_device_rule rules[6];
		const struct oci_resources resources = { .devices = { .v = rules, .n = 6 } };

		for (size_t i = 0; i < 6; i++) {
			char access[8];

			strcpy(access, accesses[random() % 7]);
			rules[i] = (struct oci_device_rule){
				.allow = random() % 2,
				.type = "abc"[random() % 3],
				.major = num((int64_t[]){ -1, 1, 8, 136 }[random() % 4]),
				.minor = num((int64_t[]){ -1, 0, 3, 200 }[random() % 4]),
				.access = strdup(access),
			};
		}
		wrong += differences(&resources);
		for (size_t i = 0; i < 6; i++)
			free(rules[i].access);
	}
	is_int(wrong, 0);
}

int main(void)
{
	test_list();
	test_program();
	test_random();
	return done();
}
