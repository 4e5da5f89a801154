#include "process/filter-compact.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// What is in the accumulator, so far as it is known.
enum content { ARGUMENT, NUMBER, ARCH };

// What a walk did at an instruction.
enum { REACHED = 1, TAKEN = 2, NOT_TAKEN = 4 };

// Every way that the program can go for one architecture and number, whatever the arguments are.
struct walk {
	const struct sock_fprog *program;
	uint32_t arch, nr;
	uint8_t seen[BPF_MAXINSNS]; // bit n: the walk came by with content n
	uint8_t ways[BPF_MAXINSNS];
	uint32_t verdict;      // the first that was found
	bool decided, depends; // one was found; it isn't the only one
	bool foreign;	       // an instruction that no seccomp program has
};

// Numbers from `first` to before the next range's, and the verdict on them.
struct range {
	uint32_t first;
	bool depends; // on arguments; there is no verdict
	uint32_t verdict;
};

// A program that grows.
struct output {
	struct sock_filter *code; // BPF_MAXINSNS
	size_t count;		  // more than that: it didn't fit
};

// Stands for the place of libseccomp's instructions until that is known.
#define TO_REST UINT32_MAX

static void emit(struct output *out, struct sock_filter insn)
{
	if (out->count < BPF_MAXINSNS)
		out->code[out->count] = insn;
	out->count++;
}

#define EMIT_JUMP(out, op, k, jt, jf)                                                        \
	emit((out), (struct sock_filter)BPF_JUMP(BPF_JMP | (op) | BPF_K, (k), (uint8_t)(jt), \
						 (uint8_t)(jf)))
#define EMIT_STMT(out, code, k) emit((out), (struct sock_filter)BPF_STMT((code), (k)))

// Makes the jump at `from` lead to what comes next.
static void set_jump(struct output *out, size_t from)
{
	if (from < BPF_MAXINSNS)
		out->code[from].k = (uint32_t)(out->count - from - 1);
}

// ---- walking ----

static bool is_condition(const struct sock_filter *insn)
{
	return BPF_CLASS(insn->code) == BPF_JMP && BPF_OP(insn->code) != BPF_JA;
}

static bool load(const struct sock_filter *insn, enum content *content)
{
	if (insn->k == offsetof(struct seccomp_data, nr))
		*content = NUMBER;
	else if (insn->k == offsetof(struct seccomp_data, arch))
		*content = ARCH;
	else
		*content = ARGUMENT;
	return insn->code == (BPF_LD | BPF_W | BPF_ABS);
}

// Which ways a condition can go. Architectures must only be compared for equality, so that those
// that aren't listed are all alike; numbers only with constants, so that those between two
// constants are.
static uint8_t ways_of(struct walk *walk, const struct sock_filter *insn, enum content content)
{
	const uint32_t known = content == NUMBER ? walk->nr : walk->arch;
	const uint16_t op = BPF_OP(insn->code);

	if (content == ARGUMENT)
		return TAKEN | NOT_TAKEN;
	if (op == BPF_JEQ)
		return known == insn->k ? TAKEN : NOT_TAKEN;
	if (content == NUMBER && op == BPF_JGT)
		return known > insn->k ? TAKEN : NOT_TAKEN;
	if (content == NUMBER && op == BPF_JGE)
		return known >= insn->k ? TAKEN : NOT_TAKEN;
	walk->foreign = true;
	return 0;
}

static void decide(struct walk *walk, uint32_t verdict)
{
	if (!walk->decided)
		walk->verdict = verdict;
	walk->depends |= walk->verdict != verdict;
	walk->decided = true;
}

static void walk_from(struct walk *walk, size_t pc, enum content content)
{
	while (pc < walk->program->len && !walk->foreign && !(walk->seen[pc] & 1 << content)) {
		const struct sock_filter *insn = &walk->program->filter[pc];

		walk->seen[pc] |= (uint8_t)(1 << content);
		walk->ways[pc] |= REACHED;
		if (insn->code == (BPF_RET | BPF_K)) {
			decide(walk, insn->k);
			return;
		}
		if (insn->code == (BPF_JMP | BPF_JA)) {
			pc += 1 + insn->k;
		} else if (is_condition(insn)) {
			uint8_t ways = ways_of(walk, insn, content);

			walk->foreign |= BPF_SRC(insn->code) != BPF_K;
			walk->ways[pc] |= ways;
			if (ways == (TAKEN | NOT_TAKEN))
				walk_from(walk, pc + 1 + insn->jt, content);
			pc += 1 + (ways & NOT_TAKEN ? insn->jf : insn->jt);
		} else if (BPF_CLASS(insn->code) == BPF_LD) {
			walk->foreign |= !load(insn, &content);
			pc++;
		} else {
			walk->foreign |= content != ARGUMENT ||
					 insn->code != (BPF_ALU | BPF_AND | BPF_K);
			pc++;
		}
	}
}

// Only as much is cleared as the program is long: this is called for every number at which it may
// change its mind.
static void walk_program(struct walk *walk, uint32_t arch, uint32_t nr)
{
	memset(walk->seen, 0, walk->program->len);
	memset(walk->ways, 0, walk->program->len);
	walk->arch = arch;
	walk->nr = nr;
	walk->decided = walk->depends = walk->foreign = false;
	walk_from(walk, 0, ARGUMENT);
}

// ---- ranges ----

static int by_value(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

// All numbers at which the verdict may change, in order, the first of them 0; a few are more than
// once. Returns how many.
static size_t borders_of(const struct sock_fprog *program, const struct compact_arch *arch,
			 uint32_t *borders)
{
	size_t count = 0;

	borders[count++] = 0;
	borders[count++] = COMPACT_X32_BIT;
	borders[count++] = arch->last + 1; // or 0
	borders[count++] = arch->last_x32 + 1;
	for (size_t i = 0; i < program->len; i++) {
		if (is_condition(&program->filter[i])) {
			borders[count++] = program->filter[i].k;
			borders[count++] = program->filter[i].k + 1;
		}
	}
	qsort(borders, count, sizeof(*borders), by_value);
	return count;
}

static bool is_new(const struct compact_arch *arch, uint32_t nr)
{
	return nr > (nr >= COMPACT_X32_BIT ? arch->last_x32 : arch->last);
}

// Adds up in `ways` what the walks for numbers whose verdict depends on arguments did. Returns the
// number of ranges; 0: a foreign instruction.
static size_t ranges_of(const struct sock_fprog *program, const struct compact_arch *arch,
			const uint32_t *borders, size_t count, struct range *ranges, uint8_t *ways)
{
	struct walk walk = { .program = program };
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		struct range range = { .first = borders[i], .verdict = SECCOMP_RET_ERRNO | ENOSYS };

		if (!is_new(arch, borders[i])) {
			walk_program(&walk, arch->audit, borders[i]);
			if (walk.foreign || !walk.decided)
				return 0;
			range.depends = walk.depends;
			range.verdict = walk.depends ? 0 : walk.verdict;
			for (size_t pc = 0; walk.depends && pc < program->len; pc++)
				ways[pc] |= walk.ways[pc];
		}
		if (n == 0 || ranges[n - 1].depends != range.depends ||
		    ranges[n - 1].verdict != range.verdict)
			ranges[n++] = range;
	}
	return n;
}

// How far a condition can jump.
static bool is_far(size_t distance)
{
	return distance > UINT8_MAX;
}

// ---- the search tree ----

// A tree of so many ranges is one block: its nodes, then its leaves, which nodes share, all within
// a condition's reach.
#define BLOCK_RANGES 120

struct block {
	size_t leaves_at; // where the leaves begin
	const struct range *leaves[BLOCK_RANGES];
	size_t leaf_count;
};

static size_t leaf_of(struct block *block, const struct range *range)
{
	size_t i = 0;

	while (i < block->leaf_count && (block->leaves[i]->depends != range->depends ||
					 block->leaves[i]->verdict != range->verdict))
		i++;
	if (i == block->leaf_count)
		block->leaves[block->leaf_count++] = range;
	return block->leaves_at + i;
}

// The nodes over two ranges or more: a tree of n ranges has n - 1.
static void emit_nodes(struct output *out, struct block *block, const struct range *ranges,
		       size_t count)
{
	const size_t half = count / 2, here = out->count + 1;
	const size_t below = half > 1 ? here : leaf_of(block, &ranges[0]);
	const size_t above = count - half > 1 ? here + half - 1 : leaf_of(block, &ranges[half]);

	EMIT_JUMP(out, BPF_JGE, ranges[half].first, above - here, below - here);
	if (half > 1)
		emit_nodes(out, block, ranges, half);
	if (count - half > 1)
		emit_nodes(out, block, ranges + half, count - half);
}

static void emit_block(struct output *out, const struct range *ranges, size_t count)
{
	struct block block = { .leaves_at = out->count + count - 1 };

	if (count > 1)
		emit_nodes(out, &block, ranges, count);
	else
		leaf_of(&block, ranges);
	for (size_t i = 0; i < block.leaf_count; i++) {
		if (block.leaves[i]->depends)
			EMIT_STMT(out, BPF_JMP | BPF_JA, TO_REST);
		else
			EMIT_STMT(out, BPF_RET | BPF_K, block.leaves[i]->verdict);
	}
}

// The accumulator holds the number.
static void emit_tree(struct output *out, const struct range *ranges, size_t count)
{
	const size_t half = count / 2, jump = out->count + 1;

	if (count <= BLOCK_RANGES) {
		emit_block(out, ranges, count);
		return;
	}
	EMIT_JUMP(out, BPF_JGE, ranges[half].first, 0, 1);
	EMIT_STMT(out, BPF_JMP | BPF_JA, 0);
	emit_tree(out, ranges, half);
	set_jump(out, jump);
	emit_tree(out, ranges + half, count - half);
}

// ---- what is left of libseccomp's instructions ----

struct rest {
	const struct sock_fprog *program;
	const uint8_t *ways;
	size_t at[BPF_MAXINSNS]; // where in the output an instruction is, counted from the rest's beginning
	bool wide[BPF_MAXINSNS]; // a condition whose jumps are too far for one instruction
};

// Instructions that only lead on to another are left out: jumps, and conditions that always go the
// same way.
static bool leads_on(const struct rest *rest, size_t pc)
{
	const struct sock_filter *insn = &rest->program->filter[pc];
	const uint8_t both = TAKEN | NOT_TAKEN;

	return BPF_CLASS(insn->code) == BPF_JMP &&
	       (!is_condition(insn) || (rest->ways[pc] & both) != both);
}

static size_t follow(const struct rest *rest, size_t pc)
{
	while (leads_on(rest, pc)) {
		const struct sock_filter *insn = &rest->program->filter[pc];

		if (!is_condition(insn))
			pc += 1 + insn->k;
		else
			pc += 1 + (rest->ways[pc] & TAKEN ? insn->jt : insn->jf);
	}
	return pc;
}

static bool is_kept(const struct rest *rest, size_t pc)
{
	return (rest->ways[pc] & REACHED) && !leads_on(rest, pc);
}

static size_t next_kept(const struct rest *rest, size_t pc)
{
	do
		pc++;
	while (pc < rest->program->len && !is_kept(rest, pc));
	return pc;
}

// A statement falls through to what follows it; where that isn't what came next, over a jump.
static bool needs_jump(const struct rest *rest, size_t pc)
{
	return BPF_CLASS(rest->program->filter[pc].code) != BPF_RET &&
	       follow(rest, pc + 1) != next_kept(rest, pc);
}

// Places all instructions, counting with the conditions that are known to be wide. True when that
// made others so.
static bool place(struct rest *rest)
{
	size_t at = 0;
	bool changed = false;

	for (size_t pc = 0; pc < rest->program->len; pc++) {
		if (!is_kept(rest, pc))
			continue;
		rest->at[pc] = at;
		if (is_condition(&rest->program->filter[pc]))
			at += rest->wide[pc] ? 3 : 1;
		else
			at += needs_jump(rest, pc) ? 2 : 1;
	}
	for (size_t pc = 0; pc < rest->program->len; pc++) {
		const struct sock_filter *insn = &rest->program->filter[pc];

		if (!is_kept(rest, pc) || !is_condition(insn) || rest->wide[pc])
			continue;
		rest->wide[pc] =
			is_far(rest->at[follow(rest, pc + 1 + insn->jt)] - rest->at[pc] - 1) ||
			is_far(rest->at[follow(rest, pc + 1 + insn->jf)] - rest->at[pc] - 1);
		changed |= rest->wide[pc];
	}
	return changed;
}

static void emit_rest(struct output *out, const struct rest *rest)
{
	for (size_t pc = 0; pc < rest->program->len; pc++) {
		const struct sock_filter *insn = &rest->program->filter[pc];

		if (!is_kept(rest, pc))
			continue;
		if (!is_condition(insn)) {
			emit(out, *insn);
			if (needs_jump(rest, pc))
				EMIT_STMT(out, BPF_JMP | BPF_JA,
					  (uint32_t)(rest->at[follow(rest, pc + 1)] - rest->at[pc] -
						     2));
			continue;
		}
		size_t yes = rest->at[follow(rest, pc + 1 + insn->jt)] - rest->at[pc] - 1;
		size_t no = rest->at[follow(rest, pc + 1 + insn->jf)] - rest->at[pc] - 1;
		if (rest->wide[pc]) {
			EMIT_JUMP(out, BPF_OP(insn->code), insn->k, 0, 1);
			EMIT_STMT(out, BPF_JMP | BPF_JA, (uint32_t)(yes - 1));
			EMIT_STMT(out, BPF_JMP | BPF_JA, (uint32_t)(no - 2));
		} else {
			EMIT_JUMP(out, BPF_OP(insn->code), insn->k, yes, no);
		}
	}
}

static void add_rest(struct output *out, const struct sock_fprog *program, const uint8_t *ways,
		     struct arena *arena)
{
	struct rest *rest = arena_new(arena, struct rest, 1);
	const size_t start = out->count;

	rest->program = program;
	rest->ways = ways;
	while (place(rest))
		;
	for (size_t i = 0; i < start && i < BPF_MAXINSNS; i++) {
		if (out->code[i].code == (BPF_JMP | BPF_JA) && out->code[i].k == TO_REST)
			out->code[i].k = (uint32_t)(start + rest->at[follow(rest, 0)] - i - 1);
	}
	emit_rest(out, rest);
}

// ---- the whole ----

int compact_program(const struct sock_fprog *program, const struct compact_arch *archs,
		    size_t arch_count, struct arena *arena, struct sock_fprog *out, struct err *err)
{
	static const struct compact_arch other = { .last = UINT32_MAX, .last_x32 = UINT32_MAX };
	const size_t max_borders = 4 + 2 * (size_t)program->len;
	uint32_t *borders = arena_new(arena, uint32_t, max_borders);
	struct range *ranges = arena_new(arena, struct range, max_borders);
	uint8_t *ways = arena_new(arena, uint8_t, program->len);
	struct output made = { .code = arena_new(arena, struct sock_filter, BPF_MAXINSNS) };
	size_t count, n;

	EMIT_STMT(&made, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	for (size_t i = 0; i < arch_count; i++) {
		count = borders_of(program, &archs[i], borders);
		n = ranges_of(program, &archs[i], borders, count, ranges, ways);
		if (n == 0)
			return err_set(err, ENOTSUP,
				       "libseccomp's program has an unknown instruction");
		EMIT_JUMP(&made, BPF_JEQ, archs[i].audit, 1, 0);
		const size_t jump = made.count;
		EMIT_STMT(&made, BPF_JMP | BPF_JA, 0);
		EMIT_STMT(&made, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
		emit_tree(&made, ranges, n);
		set_jump(&made, jump);
	}
	count = borders_of(program, &other, borders);
	n = ranges_of(program, &other, borders, count, ranges, ways);
	if (n != 1 || ranges[0].depends)
		return err_set(err, ENOTSUP,
			       "libseccomp's program has more architectures than we know");
	EMIT_STMT(&made, BPF_RET | BPF_K, ranges[0].verdict);
	add_rest(&made, program, ways, arena);
	if (made.count > BPF_MAXINSNS)
		return err_set(err, E2BIG, "the filter has %zu instructions, the kernel takes %d",
			       made.count, BPF_MAXINSNS);
	*out = (struct sock_fprog){ .len = (unsigned short)made.count, .filter = made.code };
	return 0;
}
