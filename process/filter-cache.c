#include "process/filter.h"

#include "base/io.h"
#include "base/log.h"
#include "base/scope.h"

#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// To be changed with whatever changes what comes out of filter_compile(), or the file below.
#define CACHE_FORMAT 2

#define CACHE_MAGIC UINT64_C(0x31746c6674616f6d) // "moatflt1"

// A file of the cache, named by the digest: this, then the program. Both are for the machine that
// wrote them.
struct cache_head {
	uint64_t magic;
	uint8_t digest[DIGEST_BYTES]; // again: a file under another's name is as bad as a damaged one
	uint64_t count;
	uint64_t sum; // of the program, against damage; who can write here needs no collision
};

_Static_assert(sizeof(struct sock_filter) == sizeof(uint64_t),
	       "an instruction is summed up as a word");

static uint64_t sum_of(const struct sock_filter *program, size_t count)
{
	uint64_t sum = count;

	for (size_t i = 0; i < count; i++) {
		uint64_t word;

		memcpy(&word, &program[i], sizeof(word));
		sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 32;
	}
	return sum;
}

static void add_number(struct digest *digest, uint64_t number)
{
	digest_add(digest, &number, sizeof(number));
}

// With its length, or where one ends would be a matter of opinion.
static void add_strings(struct digest *digest, const struct oci_strings *list)
{
	add_number(digest, list->n);
	for (size_t i = 0; i < list->n; i++) {
		size_t len = strlen(list->v[i]);

		add_number(digest, len);
		digest_add(digest, list->v[i], len);
	}
}

static void add_optional(struct digest *digest, struct opt_u32 number)
{
	add_number(digest, number.set);
	add_number(digest, number.v);
}

void filter_digest(const struct oci_seccomp *profile, uint8_t digest[DIGEST_BYTES])
{
	const struct scmp_version *version = seccomp_version();
	struct digest sum;

	digest_start(&sum);
	add_number(&sum, CACHE_FORMAT);
	add_number(&sum, version->major);
	add_number(&sum, version->minor);
	add_number(&sum, version->micro);
	add_number(&sum, seccomp_arch_native());
	add_number(&sum, profile->default_action);
	add_optional(&sum, profile->default_errno_ret);
	add_strings(&sum, &profile->architectures);
	add_number(&sum, profile->syscalls.n);
	for (size_t i = 0; i < profile->syscalls.n; i++) {
		const struct oci_seccomp_rule *rule = &profile->syscalls.v[i];

		add_strings(&sum, &rule->names);
		add_number(&sum, rule->action);
		add_optional(&sum, rule->errno_ret);
		add_number(&sum, rule->args.n);
		for (size_t j = 0; j < rule->args.n; j++) {
			add_number(&sum, rule->args.v[j].index);
			add_number(&sum, rule->args.v[j].op);
			add_number(&sum, rule->args.v[j].value);
			add_number(&sum, rule->args.v[j].value_two);
		}
	}
	digest_end(&sum, digest);
}

static void name_of(const uint8_t digest[DIGEST_BYTES], char name[2 * DIGEST_BYTES + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		name[2 * i] = digits[digest[i] >> 4];
		name[2 * i + 1] = digits[digest[i] & 15];
	}
	name[2 * DIGEST_BYTES] = '\0';
}

// Written by us, or by nobody.
static bool is_ours(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == geteuid() &&
	       !(st->st_mode & (S_IWGRP | S_IWOTH));
}

bool filter_cache_get(int dirfd, const uint8_t digest[DIGEST_BYTES], struct arena *arena,
		      struct process_filter *filter)
{
	char name[2 * DIGEST_BYTES + 1];
	struct cache_head head;
	struct stat st;

	name_of(digest, name);
	scope_fd int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (fstat(fd, &st) < 0 || !is_ours(&st) ||
	    io_read_all(fd, &head, sizeof(head)) != sizeof(head) || head.magic != CACHE_MAGIC ||
	    memcmp(head.digest, digest, DIGEST_BYTES) != 0 || head.count == 0 ||
	    head.count > BPF_MAXINSNS ||
	    (uint64_t)st.st_size != sizeof(head) + head.count * sizeof(struct sock_filter)) {
		log_debug("seccomp cache: %s is not as it was written", name);
		return false;
	}
	struct sock_filter *program = arena_new(arena, struct sock_filter, head.count);
	if (io_read_all(fd, program, head.count * sizeof(*program)) !=
		    (ssize_t)(head.count * sizeof(*program)) ||
	    sum_of(program, head.count) != head.sum) {
		log_debug("seccomp cache: %s is damaged", name);
		return false;
	}
	filter->program = program;
	filter->count = (uint16_t)head.count;
	return true;
}

void filter_cache_put(int dirfd, const uint8_t digest[DIGEST_BYTES],
		      const struct process_filter *filter)
{
	char name[2 * DIGEST_BYTES + 1];
	scope_text struct text file = { 0 };
	struct cache_head head = {
		.magic = CACHE_MAGIC,
		.count = filter->count,
		.sum = sum_of(filter->program, filter->count),
	};
	struct err err;

	name_of(digest, name);
	memcpy(head.digest, digest, DIGEST_BYTES);
	text_add(&file, (const char *)&head, sizeof(head));
	text_add(&file, (const char *)filter->program, filter->count * sizeof(struct sock_filter));
	if (io_replace_file(dirfd, name, 0600, file.str, file.len, &err) < 0)
		log_debug("seccomp cache: %s", err.msg);
}
