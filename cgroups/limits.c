// What systemd is told of a container's limits. They are taken from the writes that are planned for
// the kernel's files, so that linux.resources and the files that its `unified` names are one
// matter, and creating and updating another.

#include "cgroups/unit.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_PERIOD_US 100000 // the kernel's
#define MAX_SET_MEMBERS	  8192
#define US_IN_S		  1000000

struct limits {
	struct unit_properties *properties;
	struct arena *arena;
	int64_t quota_us; // negative: none; 0: not told
	uint64_t period_us;
};

static void set_number(struct limits *limits, const char *name, uint64_t number, bool optional)
{
	const struct unit_property property = {
		.name = name, .type = "t", .number = number, .optional = optional
	};

	unit_set(limits->properties, limits->arena, &property);
}

// As the kernel reads it: `max`, -1, or a number that may end in K, M, G or T.
static bool parse_limit(const char *text, uint64_t *value)
{
	static const char units[] = "KMGT";
	char digits[24];
	const size_t len = strspn(text, "0123456789");

	*value = UINT64_MAX;
	if (str_eq(text, "max") || str_eq(text, "-1"))
		return true;
	if (len == 0 || len >= sizeof(digits))
		return false;
	memcpy(digits, text, len);
	digits[len] = '\0';
	if (str_to_u64(digits, value) < 0)
		return false;
	if (!text[len])
		return true;
	const char *unit = strchr(units, text[len] & ~0x20);
	return unit && !text[len + 1] &&
	       !__builtin_mul_overflow(*value, UINT64_C(1) << 10 * (unit - units + 1), value);
}

// ---- one file ----

struct file_row {
	const char *file, *property;
	void (*set)(struct limits *limits, const struct file_row *row, const char *value);
	uint64_t minimum;
	bool optional;
};

static void set_limit(struct limits *limits, const struct file_row *row, const char *value)
{
	uint64_t number;

	if (parse_limit(value, &number) && number >= row->minimum)
		set_number(limits, row->property, number, row->optional);
}

static void set_weight(struct limits *limits, const struct file_row *row, const char *value)
{
	set_limit(limits, row, str_starts(value, "default ") ? strchr(value, ' ') + 1 : value);
}

// The weight 0 is systemd's word for idle, since version 252.
static void set_idle(struct limits *limits, const struct file_row *row, const char *value)
{
	if (str_eq(value, "1"))
		set_number(limits, row->property, 0, true);
}

static void set_quota(struct limits *limits, const struct file_row *row, const char *value)
{
	uint64_t quota;

	(void)row;
	if (parse_limit(value, &quota))
		limits->quota_us = quota > INT64_MAX ? -1 : (int64_t)quota;
}

static void set_period(struct limits *limits, const struct file_row *row, const char *value)
{
	(void)row;
	str_to_u64(value, &limits->period_us);
}

// `QUOTA`, or `QUOTA PERIOD`.
static void set_quota_and_period(struct limits *limits, const struct file_row *row,
				 const char *value)
{
	const size_t len = strcspn(value, " ");

	set_quota(limits, row, arena_strndup(limits->arena, value, len));
	if (value[len])
		set_period(limits, row, value + len + 1);
}

// A list as `0-3,7` as a mask, the lowest first in the lowest byte.
static bool parse_set(const char *list, uint8_t mask[MAX_SET_MEMBERS / 8], size_t *bytes)
{
	*bytes = 0;
	while (*list) {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (end == list || first >= MAX_SET_MEMBERS)
			return false;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (last < first || last >= MAX_SET_MEMBERS || (*end && *end != ','))
			return false;
		for (unsigned long i = first; i <= last; i++)
			mask[i / 8] |= (uint8_t)(1u << i % 8);
		if (*bytes < last / 8 + 1)
			*bytes = last / 8 + 1;
		list = end + (*end == ',');
	}
	return *bytes > 0;
}

static void set_set(struct limits *limits, const struct file_row *row, const char *value)
{
	struct unit_property property = { .name = row->property, .type = "ay", .optional = true };
	uint8_t *mask = arena_alloc(limits->arena, MAX_SET_MEMBERS / 8);

	property.bytes = mask;
	if (parse_set(value, mask, &property.byte_count))
		unit_set(limits->properties, limits->arena, &property);
}

// Minimums are systemd's: it refuses the whole unit for a value below.
static const struct file_row rows[] = {
	{ "memory.max", "MemoryMax", set_limit, 1, false },
	{ "memory.high", "MemoryHigh", set_limit, 1, false },
	{ "memory.low", "MemoryLow", set_limit, 0, false },
	{ "memory.min", "MemoryMin", set_limit, 0, false },
	{ "memory.swap.max", "MemorySwapMax", set_limit, 0, false },
	{ "memory.zswap.max", "MemoryZSwapMax", set_limit, 0, true },
	{ "memory.limit_in_bytes", "MemoryLimit", set_limit, 1, true },
	{ "cpu.weight", "CPUWeight", set_weight, 1, false },
	{ "cpu.idle", "CPUWeight", set_idle, 0, false },
	{ "cpu.shares", "CPUShares", set_weight, 2, true },
	{ "cpu.max", NULL, set_quota_and_period, 0, false },
	{ "cpu.cfs_quota_us", NULL, set_quota, 0, false },
	{ "cpu.cfs_period_us", NULL, set_period, 0, false },
	{ "cpuset.cpus", "AllowedCPUs", set_set, 0, false },
	{ "cpuset.mems", "AllowedMemoryNodes", set_set, 0, false },
	{ "pids.max", "TasksMax", set_limit, 1, false },
	{ "io.weight", "IOWeight", set_weight, 1, false },
	{ "blkio.weight", "BlockIOWeight", set_weight, 10, true },
};

static void set_write(struct limits *limits, const struct place_write *write)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (str_eq(rows[i].file, write->file))
			rows[i].set(limits, &rows[i], write->value);
	}
}

// systemd takes the time in each second and keeps it as whole percents: rounded up, since a group
// below could not have what it was promised otherwise.
static void set_cpu_time(struct limits *limits)
{
	const uint64_t percent = US_IN_S / 100;
	uint64_t time = UINT64_MAX;

	if (limits->period_us)
		set_number(limits, "CPUQuotaPeriodUSec", limits->period_us, true);
	if (!limits->period_us && !limits->quota_us)
		return;
	if (!limits->period_us)
		limits->period_us = DEFAULT_PERIOD_US;
	if (limits->quota_us > 0 &&
	    !__builtin_mul_overflow((uint64_t)limits->quota_us, (uint64_t)US_IN_S, &time)) {
		time = (time + limits->period_us - 1) / limits->period_us;
		time = (time + percent - 1) / percent * percent;
	}
	set_number(limits, "CPUQuotaPerSecUSec", time, false);
}

// ---- devices ----

// An entry for a rule: 0, or -1 where systemd has no words for it.
static int device_entry(const struct device_rule *rule, struct arena *arena, char **entry)
{
	const char *kind = rule->type == 'b' ? "block" : "char";
	char line[DEVICE_LINE_MAX];

	if (rule->major == DEVICE_ANY && rule->minor != DEVICE_ANY)
		return -1;
	if (rule->major == DEVICE_ANY)
		entry[0] = arena_printf(arena, "%s-*", kind);
	else if (rule->minor == DEVICE_ANY)
		entry[0] = arena_printf(arena, "%s-%lld", kind, (long long)rule->major);
	else
		entry[0] = arena_printf(arena, "/dev/%s/%lld:%lld", kind, (long long)rule->major,
					(long long)rule->minor);
	entry[1] = arena_strdup(arena, strrchr(device_line(rule, line), ' ') + 1);
	return 0;
}

// Whatever systemd allows must be all that the container may have: it only ever closes more.
static bool device_entries(const struct device_rules *rules, struct arena *arena,
			   struct oci_strings *entries)
{
	struct device_list list;
	struct err ignored;

	if (device_list_make(rules, arena, &list, &ignored) < 0 || list.allow)
		return false;
	entries->v = arena_new(arena, char *, 2 * list.n);
	for (size_t i = 0; i < list.n; i++, entries->n += 2) {
		if (device_entry(&list.v[i], arena, entries->v + entries->n) < 0)
			return false;
	}
	return true;
}

static void set_devices(struct limits *limits, const struct device_rules *rules)
{
	struct unit_property allow = { .name = "DeviceAllow", .type = "a(ss)" };
	struct unit_property policy = { .name = "DevicePolicy", .type = "s" };
	const bool told = device_entries(rules, limits->arena, &allow.strings);

	// Where it can't be told, systemd shall leave the devices to moat alone.
	if (!told)
		allow.strings = (struct oci_strings){ 0 };
	policy.strings.v = arena_new(limits->arena, char *, 1);
	policy.strings.v[policy.strings.n++] = arena_strdup(limits->arena,
							    told ? "strict" : "auto");
	unit_set(limits->properties, limits->arena, &policy);
	unit_set(limits->properties, limits->arena, &allow);
}

void unit_set_limits(struct unit_properties *properties, struct arena *arena,
		     const struct places *places, bool devices)
{
	struct limits limits = { .properties = properties, .arena = arena };

	for (size_t i = 0; i < places->n; i++) {
		const struct place *place = &places->v[i];

		for (size_t k = 0; k < place->writes.n; k++)
			set_write(&limits, &place->writes.v[k]);
		if (place->devices && devices)
			set_devices(&limits, place->devices);
	}
	set_cpu_time(&limits);
}
