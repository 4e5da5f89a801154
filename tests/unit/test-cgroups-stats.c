// Figures of a cgroup as bytes, and what is no such bytes.
#include "base/scope.h"
#include "cgroups/cgroups.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <stdlib.h>

static struct err err;

static uint64_t percpu[] = { 5, 6 };
static struct cgroup_memory_field raw[] = { { "anon", 1 }, { "zswpin", UINT64_MAX } };
static struct cgroup_blkio_entry bytes[] = { { 8, 0, 4096, "Read" }, { 8, 16, 1, NULL } };
static struct cgroup_hugetlb_usage hugetlb[] = { { "2MB", 1, 2, 3 } };
static const struct cgroup_stats full = {
	.cpu_total_ns = 1,
	.cpu_kernel_ns = 2,
	.cpu_user_ns = 3,
	.cpu_percpu_ns = { .v = percpu, .n = 2 },
	.cpu_periods = 4,
	.cpu_throttled_periods = 5,
	.cpu_throttled_ns = 6,
	.memory = { 7, 8, 9, 10 },
	.swap = { 11, 12, UINT64_MAX, 13 },
	.kernel = { 14, 15, 16, 17 },
	.kernel_tcp = { 18, 19, 20, 21 },
	.memory_cache_bytes = 22,
	.memory_raw = { .v = raw, .n = 2 },
	.pids_current = 23,
	.pids_limit = 24,
	.io_service_bytes = { .v = bytes, .n = 2 },
	.hugetlb = { .v = hugetlb, .n = 1 },
	.cpu_psi = { true, { 0.07, 12.34, 100, 25 }, { 0, 0.01, 0, 26 } },
	.io_psi = { true, { 1, 2, 3, 27 }, { 4, 5, 6, 28 } },
};

// All figures as text: two that are equal here are equal.
static void show(const struct cgroup_stats *s, struct text *out)
{
	const struct cgroup_memory_usage *usages[] = { &s->memory, &s->swap, &s->kernel,
						       &s->kernel_tcp };
	const struct cgroup_psi_pair *pairs[] = { &s->cpu_psi, &s->memory_psi, &s->io_psi };

	text_printf(out, "%lu %lu %lu %lu %lu %lu %lu %lu %lu", s->cpu_total_ns, s->cpu_kernel_ns,
		    s->cpu_user_ns, s->cpu_periods, s->cpu_throttled_periods, s->cpu_throttled_ns,
		    s->memory_cache_bytes, s->pids_current, s->pids_limit);
	for (size_t i = 0; i < ARRAY_SIZE(usages); i++)
		text_printf(out, " (%lu %lu %lu %lu)", usages[i]->usage_bytes,
			    usages[i]->max_usage_bytes, usages[i]->limit_bytes, usages[i]->failcnt);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		text_printf(out, " psi %d %.2f %.2f %.2f %lu %.2f %.2f %.2f %lu", pairs[i]->present,
			    pairs[i]->some.avg10, pairs[i]->some.avg60, pairs[i]->some.avg300,
			    pairs[i]->some.total_us, pairs[i]->full.avg10, pairs[i]->full.avg60,
			    pairs[i]->full.avg300, pairs[i]->full.total_us);
	for (size_t i = 0; i < s->cpu_percpu_ns.n; i++)
		text_printf(out, " cpu %lu", s->cpu_percpu_ns.v[i]);
	for (size_t i = 0; i < s->memory_raw.n; i++)
		text_printf(out, " %s %lu", s->memory_raw.v[i].name, s->memory_raw.v[i].value);
	for (size_t i = 0; i < s->io_service_bytes.n; i++)
		text_printf(out, " %lu:%lu %s %lu", s->io_service_bytes.v[i].major,
			    s->io_service_bytes.v[i].minor,
			    s->io_service_bytes.v[i].op ? s->io_service_bytes.v[i].op : "-",
			    s->io_service_bytes.v[i].value);
	text_printf(out, " serviced %zu", s->io_serviced.n);
	for (size_t i = 0; i < s->hugetlb.n; i++)
		text_printf(out, " %s %lu %lu %lu", s->hugetlb.v[i].page_size,
			    s->hugetlb.v[i].usage_bytes, s->hugetlb.v[i].max_bytes,
			    s->hugetlb.v[i].failcnt);
}

static int unpack(const char *packed, size_t len)
{
	scope_arena struct arena arena = { 0 };
	struct cgroup_stats stats;
	// Of exactly that size, so that reading beyond it shows.
	scope_free char *copy = malloc(len + !len);

	memcpy(copy, packed, len);
	return cgroup_stats_unpack(copy, len, &arena, &stats, &err);
}

static void test_and_back(const struct cgroup_stats *stats)
{
	scope_arena struct arena arena = { 0 };
	scope_text struct text packed = { 0 }, before = { 0 }, after = { 0 };
	struct cgroup_stats read;

	cgroup_stats_pack(stats, &packed);
	is_int(cgroup_stats_unpack(packed.str, packed.len, &arena, &read, &err), 0);
	show(stats, &before);
	show(&read, &after);
	is_str(after.str, before.str);
}

static void test_wrong(void)
{
	scope_text struct text packed = { 0 };
	size_t refused = 0, harmless = 0;

	cgroup_stats_pack(&full, &packed);
	for (size_t len = 0; len < packed.len; len++)
		refused += unpack(packed.str, len) == -EPROTO;
	is_int((long long)refused, (long long)packed.len);
	text_add(&packed, "x", 1);
	is_int(unpack(packed.str, packed.len), -EPROTO);
	is_str(err.msg, "these are no figures of a cgroup");
	// Any one byte may be another: then it is refused, or some figure is.
	for (size_t at = 0; at + 1 < packed.len; at++) {
		packed.str[at] ^= 0x80;
		const int ret = unpack(packed.str, packed.len - 1);
		harmless += ret == 0 || ret == -EPROTO;
		packed.str[at] ^= 0x80;
	}
	is_int((long long)harmless, (long long)packed.len - 1);
}

// The packed figures, with the first `from` in them made `to`.
static int unpack_with(const char *from, const char *to)
{
	scope_text struct text packed = { 0 };

	cgroup_stats_pack(&full, &packed);
	memcpy(memmem(packed.str, packed.len, from, strlen(from)), to, strlen(from));
	return unpack(packed.str, packed.len);
}

int main(void)
{
	static const struct cgroup_stats none;

	test_and_back(&full);
	test_and_back(&none);
	test_wrong();
	is_int(unpack_with("anon", "file"), 0);
	is_int(unpack_with("anon", "a\"on"), -EPROTO);
	is_int(unpack_with("Read", "R\nad"), -EPROTO);
	is_int(unpack_with("2MB", "2 B"), -EPROTO);
	return done();
}
