// The figures of v1 and v2 in one form. Which file gives which figure is a table for each version;
// the files are small and read one by one, a file that isn't there tells nothing.

#include "base/scope.h"
#include "cgroups/place.h"

#include <dirent.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_IN_US 1000u
#define NS_IN_S	 UINT64_C(1000000000)

struct collector {
	const struct cgroup *cgroup;
	struct arena *arena;
	struct cgroup_stats *stats;
	struct err *err;
};

// A figure alone in its file, or behind its key in a file of `key value` lines.
struct figure {
	const char *file, *key; // key NULL: alone
	size_t offset;		// of the uint64_t in struct cgroup_stats
	uint64_t factor;	// to the unit of struct cgroup_stats; 0: clock ticks to nanoseconds
};

#define TO(member) offsetof(struct cgroup_stats, member)
#define USAGE(prefix, member, usage, max, limit)                     \
	{ prefix usage, NULL, TO(member.usage_bytes), 1 },           \
		{ prefix max, NULL, TO(member.max_usage_bytes), 1 }, \
	{                                                            \
		prefix limit, NULL, TO(member.limit_bytes), 1        \
	}
#define V1_USAGE(prefix, member)                                                            \
	USAGE(prefix, member, ".usage_in_bytes", ".max_usage_in_bytes", ".limit_in_bytes"), \
	{                                                                                   \
		prefix ".failcnt", NULL, TO(member.failcnt), 1                              \
	}

static const struct figure v1_cpuacct[] = {
	{ "cpuacct.usage", NULL, TO(cpu_total_ns), 1 },
	{ "cpuacct.stat", "user", TO(cpu_user_ns), 0 },
	{ "cpuacct.stat", "system", TO(cpu_kernel_ns), 0 },
};
static const struct figure v1_cpu[] = {
	{ "cpu.stat", "nr_periods", TO(cpu_periods), 1 },
	{ "cpu.stat", "nr_throttled", TO(cpu_throttled_periods), 1 },
	{ "cpu.stat", "throttled_time", TO(cpu_throttled_ns), 1 },
};
static const struct figure v1_memory[] = {
	V1_USAGE("memory", memory),
	V1_USAGE("memory.memsw", swap),
	V1_USAGE("memory.kmem", kernel),
	V1_USAGE("memory.kmem.tcp", kernel_tcp),
	{ "memory.stat", "cache", TO(memory_cache_bytes), 1 },
};
static const struct figure v2_cpu[] = {
	{ "cpu.stat", "usage_usec", TO(cpu_total_ns), NS_IN_US },
	{ "cpu.stat", "user_usec", TO(cpu_user_ns), NS_IN_US },
	{ "cpu.stat", "system_usec", TO(cpu_kernel_ns), NS_IN_US },
	{ "cpu.stat", "nr_periods", TO(cpu_periods), 1 },
	{ "cpu.stat", "nr_throttled", TO(cpu_throttled_periods), 1 },
	{ "cpu.stat", "throttled_usec", TO(cpu_throttled_ns), NS_IN_US },
};
static const struct figure v2_memory[] = {
	USAGE("memory", memory, ".current", ".peak", ".max"),
	{ "memory.events", "max", TO(memory.failcnt), 1 },
	USAGE("memory.swap", swap, ".current", ".peak", ".max"),
	{ "memory.swap.events", "fail", TO(swap.failcnt), 1 },
	{ "memory.stat", "file", TO(memory_cache_bytes), 1 },
};
static const struct figure both_pids[] = {
	{ "pids.current", NULL, TO(pids_current), 1 },
	{ "pids.max", NULL, TO(pids_limit), 1 },
};

// Where a controller is: on the unified layout it is taken to be there, and its files tell.
static const struct place *find(const struct collector *collector, const char *v1_name)
{
	const struct place *place = place_find(&collector->cgroup->places, v1_name, NULL);

	return place ? place : place_find_v2(&collector->cgroup->places);
}

// The whole of a file, or NULL where there is none (*ret 0) or it can't be read (*ret negative).
static char *read_text(struct collector *collector, const struct place *place, const char *file,
		       int *ret)
{
	char *text = NULL;

	*ret = place_read_all(place->dir, file, &text);
	if (*ret == -ENOENT || *ret == -ENODEV || *ret == -EOPNOTSUPP)
		*ret = 0;
	else if (*ret < 0)
		err_sysn(collector->err, -*ret, "read %s/%s", place->dir, file);
	return text;
}

static uint64_t to_number(const char *text)
{
	return str_starts(text, "max") ? UINT64_MAX : strtoull(text, NULL, 10);
}

// The text behind `key` and a blank at the start of a line; NULL: none.
static const char *behind_key(const char *text, const char *key)
{
	const size_t len = strlen(key);

	while (text && *text) {
		if (strncmp(text, key, len) == 0 && text[len] == ' ')
			return text + len + 1;
		text = strchr(text, '\n');
		text += text != NULL;
	}
	return NULL;
}

static uint64_t scale(uint64_t number, uint64_t factor)
{
	if (number == UINT64_MAX)
		return number;
	return factor ? number * factor : number * (NS_IN_S / (uint64_t)sysconf(_SC_CLK_TCK));
}

// Rows of one file stand together, so that it is read once.
static int collect(struct collector *collector, const struct place *place,
		   const struct figure *figures, size_t n)
{
	scope_free char *text = NULL;
	int ret = 0;

	for (size_t i = 0; i < n && ret == 0; i++) {
		if (i == 0 || !str_eq(figures[i].file, figures[i - 1].file)) {
			free(text);
			text = read_text(collector, place, figures[i].file, &ret);
		}
		const char *number = figures[i].key ? behind_key(text, figures[i].key) : text;
		if (number)
			*(uint64_t *)((char *)collector->stats + figures[i].offset) =
				scale(to_number(number), figures[i].factor);
	}
	return ret;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; text && *text; text++)
		n += *text == '\n';
	return n + 1;
}

// ---- cpu ----

static int collect_percpu(struct collector *collector, const struct place *place)
{
	int ret;
	scope_free char *text = read_text(collector, place, "cpuacct.usage_percpu", &ret);
	struct cgroup_stats *stats = collector->stats;
	size_t cap = 0;

	for (const char *c = text; c && *c; c++)
		cap += *c == ' ' || *c == '\n';
	stats->cpu_percpu_ns.v = arena_new(collector->arena, uint64_t, cap + 1);
	for (char *at = text, *end; at && stats->cpu_percpu_ns.n <= cap; at = end) {
		uint64_t value = strtoull(at, &end, 10);

		if (end == at)
			break;
		stats->cpu_percpu_ns.v[stats->cpu_percpu_ns.n++] = value;
	}
	return ret;
}

static int collect_cpu(struct collector *collector)
{
	const struct place *cpu = find(collector, "cpu"), *cpuacct = find(collector, "cpuacct");
	int ret = 0;

	if (cpu && cpu->v2)
		return collect(collector, cpu, v2_cpu, ARRAY_SIZE(v2_cpu));
	if (cpu)
		ret = collect(collector, cpu, v1_cpu, ARRAY_SIZE(v1_cpu));
	if (ret == 0 && cpuacct && !cpuacct->v2)
		ret = collect(collector, cpuacct, v1_cpuacct, ARRAY_SIZE(v1_cpuacct));
	if (ret == 0 && cpuacct && !cpuacct->v2)
		ret = collect_percpu(collector, cpuacct);
	return ret;
}

// ---- memory ----

static int collect_raw(struct collector *collector, const struct place *place)
{
	int ret;
	scope_free char *text = read_text(collector, place, "memory.stat", &ret);
	struct cgroup_stats *stats = collector->stats;
	char *save = NULL;

	stats->memory_raw.v = arena_new(collector->arena, struct cgroup_memory_field,
					count_lines(text));
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *blank = strchr(line, ' ');

		if (blank)
			stats->memory_raw.v[stats->memory_raw.n++] = (struct cgroup_memory_field){
				.name = arena_strndup(collector->arena, line,
						      (size_t)(blank - line)),
				.value = strtoull(blank + 1, NULL, 10),
			};
	}
	return ret;
}

static void add_unless_max(uint64_t *sum, uint64_t more)
{
	*sum = *sum == UINT64_MAX || more == UINT64_MAX ? UINT64_MAX : *sum + more;
}

static int collect_memory(struct collector *collector)
{
	const struct place *place = find(collector, "memory");
	struct cgroup_stats *stats = collector->stats;

	if (!place)
		return 0;
	int ret = place->v2 ? collect(collector, place, v2_memory, ARRAY_SIZE(v2_memory)) :
			      collect(collector, place, v1_memory, ARRAY_SIZE(v1_memory));
	if (ret == 0 && place->v2) {
		add_unless_max(&stats->swap.usage_bytes, stats->memory.usage_bytes);
		add_unless_max(&stats->swap.max_usage_bytes, stats->memory.max_usage_bytes);
		add_unless_max(&stats->swap.limit_bytes, stats->memory.limit_bytes);
	}
	return ret < 0 ? ret : collect_raw(collector, place);
}

// ---- pids ----

static int collect_pids(struct collector *collector)
{
	const struct place *place = find(collector, "pids");
	int ret = place ? collect(collector, place, both_pids, ARRAY_SIZE(both_pids)) : 0;

	if (collector->stats->pids_limit == UINT64_MAX)
		collector->stats->pids_limit = 0;
	return ret;
}

// ---- block devices ----

struct io_list {
	struct cgroup_blkio_entry *v;
	size_t n;
};

// `8:0 Read 4096`; the last line is a total of all devices.
static int collect_io_v1(struct collector *collector, const struct place *place, const char *file,
			 struct io_list *list)
{
	int ret;
	scope_free char *text = read_text(collector, place, file, &ret);
	char *save = NULL;

	list->v = arena_new(collector->arena, struct cgroup_blkio_entry, count_lines(text));
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		struct cgroup_blkio_entry entry = { 0 };
		char op[16];

		if (sscanf(line, "%" SCNu64 ":%" SCNu64 " %15s %" SCNu64, &entry.major,
			   &entry.minor, op, &entry.value) != 4)
			continue;
		entry.op = arena_strdup(collector->arena, op);
		list->v[list->n++] = entry;
	}
	return ret;
}

// `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`
static int collect_io_v2(struct collector *collector, const struct place *place,
			 struct io_list *bytes, struct io_list *ops)
{
	static const struct {
		const char *key, *op;
		bool bytes;
	} rows[] = {
		{ "rbytes=", "Read", true },	{ "wbytes=", "Write", true },
		{ "dbytes=", "Discard", true }, { "rios=", "Read", false },
		{ "wios=", "Write", false },	{ "dios=", "Discard", false },
	};
	int ret;
	scope_free char *text = read_text(collector, place, "io.stat", &ret);
	const size_t cap = 3 * count_lines(text);
	char *save = NULL;

	bytes->v = arena_new(collector->arena, struct cgroup_blkio_entry, cap);
	ops->v = arena_new(collector->arena, struct cgroup_blkio_entry, cap);
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		struct cgroup_blkio_entry entry = { 0 };

		if (sscanf(line, "%" SCNu64 ":%" SCNu64 " ", &entry.major, &entry.minor) != 2)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			const char *at = strstr(line, rows[i].key);
			struct io_list *list = rows[i].bytes ? bytes : ops;

			if (!at || at[-1] != ' ')
				continue;
			entry.op = rows[i].op;
			entry.value = strtoull(at + strlen(rows[i].key), NULL, 10);
			list->v[list->n++] = entry;
		}
	}
	return ret;
}

static int collect_io(struct collector *collector)
{
	// The first that counts anything: BFQ's figures are there where a device uses it.
	static const char *const files[][2] = {
		{ "blkio.bfq.io_service_bytes_recursive", "blkio.bfq.io_serviced_recursive" },
		{ "blkio.throttle.io_service_bytes_recursive",
		  "blkio.throttle.io_serviced_recursive" },
	};
	const struct place *place = find(collector, "blkio");
	struct io_list bytes = { 0 }, ops = { 0 };
	int ret = 0;

	if (place && place->v2)
		ret = collect_io_v2(collector, place, &bytes, &ops);
	for (size_t i = 0; place && !place->v2 && i < ARRAY_SIZE(files) && ret == 0 && !ops.n;
	     i++) {
		bytes = ops = (struct io_list){ 0 };
		ret = collect_io_v1(collector, place, files[i][0], &bytes);
		if (ret == 0)
			ret = collect_io_v1(collector, place, files[i][1], &ops);
	}
	collector->stats->io_service_bytes.v = bytes.v;
	collector->stats->io_service_bytes.n = bytes.n;
	collector->stats->io_serviced.v = ops.v;
	collector->stats->io_serviced.n = ops.n;
	return ret;
}

// ---- huge pages ----

#define MAX_PAGE_SIZES 16

static uint64_t page_figure(const struct place *place, const char *size, const char *what)
{
	char file[128];
	uint64_t value = 0;

	snprintf(file, sizeof(file), "hugetlb.%s.%s", size, what);
	place_read_u64(place->dir, file, &value);
	return value;
}

static uint64_t page_failures(const struct place *place, const char *size)
{
	char file[128], text[64];

	snprintf(file, sizeof(file), "hugetlb.%s.events", size);
	if (place_read(place->dir, file, text, sizeof(text)) < 0)
		return 0;
	const char *number = behind_key(text, "max");
	return number ? to_number(number) : 0;
}

// The page sizes are those that there are files for.
static int collect_hugetlb(struct collector *collector)
{
	const struct place *place = find(collector, "hugetlb");
	struct cgroup_stats *stats = collector->stats;
	DIR *dir = place ? opendir(place->dir) : NULL;
	struct dirent *entry;

	stats->hugetlb.v = arena_new(collector->arena, struct cgroup_hugetlb_usage, MAX_PAGE_SIZES);
	while (dir && (entry = readdir(dir)) && stats->hugetlb.n < MAX_PAGE_SIZES) {
		char size[32], what[32];

		if (sscanf(entry->d_name, "hugetlb.%31[^.].%31s", size, what) != 2 ||
		    !str_eq(what, place->v2 ? "current" : "usage_in_bytes"))
			continue;
		stats->hugetlb.v[stats->hugetlb.n++] = (struct cgroup_hugetlb_usage){
			.page_size = arena_strdup(collector->arena, size),
			.usage_bytes = page_figure(place, size, what),
			.max_bytes = place->v2 ? 0 : page_figure(place, size, "max_usage_in_bytes"),
			.failcnt = place->v2 ? page_failures(place, size) :
					       page_figure(place, size, "failcnt"),
		};
	}
	if (dir)
		closedir(dir);
	return 0;
}

// ---- pressure (Documentation/accounting/psi.rst) ----

static void parse_pressure(const char *text, const char *key, struct cgroup_psi *psi)
{
	const char *line = behind_key(text, key);

	if (line)
		sscanf(line, "avg10=%lf avg60=%lf avg300=%lf total=%" SCNu64, &psi->avg10,
		       &psi->avg60, &psi->avg300, &psi->total_us);
}

static int collect_pressure(struct collector *collector)
{
	const struct place *place = place_find_v2(&collector->cgroup->places);
	const struct {
		const char *file;
		struct cgroup_psi_pair *pair;
	} rows[] = {
		{ "cpu.pressure", &collector->stats->cpu_psi },
		{ "memory.pressure", &collector->stats->memory_psi },
		{ "io.pressure", &collector->stats->io_psi },
	};
	int ret = 0;

	for (size_t i = 0; place && i < ARRAY_SIZE(rows) && ret == 0; i++) {
		scope_free char *text = read_text(collector, place, rows[i].file, &ret);

		rows[i].pair->present = text && behind_key(text, "some");
		parse_pressure(text, "some", &rows[i].pair->some);
		parse_pressure(text, "full", &rows[i].pair->full);
	}
	return ret;
}

int cgroup_stats(const struct cgroup *cgroup, struct arena *arena, struct cgroup_stats *stats,
		 struct err *err)
{
	static int (*const steps[])(struct collector *) = {
		collect_cpu, collect_memory,  collect_pids,
		collect_io,  collect_hugetlb, collect_pressure,
	};
	struct collector collector = {
		.cgroup = cgroup, .arena = arena, .stats = stats, .err = err
	};

	*stats = (struct cgroup_stats){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		int ret = steps[i](&collector);
		if (ret < 0)
			return ret;
	}
	return 0;
}
