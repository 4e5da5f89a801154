// Figures as bytes, for one moat to tell another: one walk over them says what the form is, and either
// writes it or reads it. Numbers are eight bytes, little-endian as all that moat runs on; a text or a list
// is its length and what it consists of.

#include "cgroups/cgroups.h"

#include <ctype.h>

#define NAME_MAX_BYTES 64
#define PERCENT	       100 // the most that an average is
#define HUNDREDTHS     100 // it has two decimal places

struct walk {
	struct text *out; // writing; NULL: reading
	const char *at;
	size_t left;
	struct arena *arena;
	bool failed;
};

static void walk_bytes(struct walk *walk, void *bytes, size_t len)
{
	if (walk->out) {
		text_add(walk->out, bytes, len);
		return;
	}
	if (len > walk->left)
		walk->failed = true;
	if (walk->failed)
		return;
	memcpy(bytes, walk->at, len);
	walk->at += len;
	walk->left -= len;
}

static void walk_number(struct walk *walk, uint64_t *number)
{
	walk_bytes(walk, number, sizeof(*number));
}

static void walk_average(struct walk *walk, double *average)
{
	uint64_t hundredths = walk->out ? (uint64_t)(*average * HUNDREDTHS + 0.5) : 0;

	walk_number(walk, &hundredths);
	walk->failed |= hundredths > PERCENT * HUNDREDTHS;
	*average = (double)hundredths / HUNDREDTHS;
}

// The kernel's names, which go into JSON as they are.
static bool is_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '_' && name[i] != '.')
			return false;
	return true;
}

// None (NULL) is as good as an empty one.
static void walk_name(struct walk *walk, const char **name)
{
	uint64_t len = walk->out && *name ? strlen(*name) : 0;

	walk_number(walk, &len);
	if (walk->out) {
		text_add(walk->out, len ? *name : "", len);
		return;
	}
	if (len > NAME_MAX_BYTES || len > walk->left || !is_name(walk->at, len))
		walk->failed = true;
	if (walk->failed)
		return;
	*name = len ? arena_strndup(walk->arena, walk->at, len) : NULL;
	walk->at += len;
	walk->left -= len;
}

// How many there are, in *n: of items with at least one number each.
static void walk_count(struct walk *walk, size_t *n)
{
	uint64_t count = *n;

	walk_number(walk, &count);
	if (!walk->out && count > walk->left / sizeof(uint64_t))
		walk->failed = true;
	*n = walk->failed ? 0 : count;
}

// Reading makes room for the items.
#define WALK_LIST(walk, list, type, item)                                      \
	do {                                                                   \
		walk_count(walk, &(list)->n);                                  \
		if (!(walk)->out)                                              \
			(list)->v = arena_new((walk)->arena, type, (list)->n); \
		for (size_t i = 0; i < (list)->n && !(walk)->failed; i++)      \
			item(walk, &(list)->v[i]);                             \
	} while (0)

static void walk_usage(struct walk *walk, struct cgroup_memory_usage *usage)
{
	walk_number(walk, &usage->usage_bytes);
	walk_number(walk, &usage->max_usage_bytes);
	walk_number(walk, &usage->limit_bytes);
	walk_number(walk, &usage->failcnt);
}

static void walk_field(struct walk *walk, struct cgroup_memory_field *field)
{
	walk_name(walk, &field->name);
	walk_number(walk, &field->value);
	walk->failed |= !field->name;
}

static void walk_entry(struct walk *walk, struct cgroup_blkio_entry *entry)
{
	walk_number(walk, &entry->major);
	walk_number(walk, &entry->minor);
	walk_number(walk, &entry->value);
	walk_name(walk, &entry->op);
}

static void walk_hugetlb(struct walk *walk, struct cgroup_hugetlb_usage *usage)
{
	walk_name(walk, &usage->page_size);
	walk_number(walk, &usage->usage_bytes);
	walk_number(walk, &usage->max_bytes);
	walk_number(walk, &usage->failcnt);
	walk->failed |= !usage->page_size;
}

static void walk_psi(struct walk *walk, struct cgroup_psi_pair *pair)
{
	struct cgroup_psi *const both[] = { &pair->some, &pair->full };
	uint64_t present = pair->present;

	walk_number(walk, &present);
	pair->present = present != 0;
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		walk_average(walk, &both[i]->avg10);
		walk_average(walk, &both[i]->avg60);
		walk_average(walk, &both[i]->avg300);
		walk_number(walk, &both[i]->total_us);
	}
}

static void walk_stats(struct walk *walk, struct cgroup_stats *stats)
{
	uint64_t *const numbers[] = {
		&stats->cpu_total_ns,	    &stats->cpu_kernel_ns,	   &stats->cpu_user_ns,
		&stats->cpu_periods,	    &stats->cpu_throttled_periods, &stats->cpu_throttled_ns,
		&stats->memory_cache_bytes, &stats->pids_current,	   &stats->pids_limit,
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		walk_number(walk, numbers[i]);
	walk_usage(walk, &stats->memory);
	walk_usage(walk, &stats->swap);
	walk_usage(walk, &stats->kernel);
	walk_usage(walk, &stats->kernel_tcp);
	walk_psi(walk, &stats->cpu_psi);
	walk_psi(walk, &stats->memory_psi);
	walk_psi(walk, &stats->io_psi);
	WALK_LIST(walk, &stats->cpu_percpu_ns, uint64_t, walk_number);
	WALK_LIST(walk, &stats->memory_raw, struct cgroup_memory_field, walk_field);
	WALK_LIST(walk, &stats->io_service_bytes, struct cgroup_blkio_entry, walk_entry);
	WALK_LIST(walk, &stats->io_serviced, struct cgroup_blkio_entry, walk_entry);
	WALK_LIST(walk, &stats->hugetlb, struct cgroup_hugetlb_usage, walk_hugetlb);
}

void cgroup_stats_pack(const struct cgroup_stats *stats, struct text *out)
{
	struct walk walk = { .out = out };
	// Not written to: the walk only reads where it writes.
	struct cgroup_stats copy = *stats;

	walk_stats(&walk, &copy);
}

int cgroup_stats_unpack(const char *bytes, size_t len, struct arena *arena,
			struct cgroup_stats *stats, struct err *err)
{
	struct walk walk = { .at = bytes, .left = len, .arena = arena };

	*stats = (struct cgroup_stats){ 0 };
	walk_stats(&walk, stats);
	if (walk.failed || walk.left)
		return err_set(err, EPROTO, "these are no figures of a cgroup");
	return 0;
}
