#include "base/log.h"
#include "base/scope.h"
#include "cgroups/manager.h"
#include "cgroups/place.h"
#include "cgroups/resources.h"
#include "cgroups/restore.h"
#include "cgroups/unified.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// What is to be changed, completed by what stands there now. v2 keeps two of the spec's limits in
// one file, or one as the difference of two: who changes one must know the other.
struct change {
	struct oci_resources resources;
	struct oci_memory memory;
	struct oci_cpu cpu;
};

static int current_limit(const struct place *place, int64_t *limit, struct err *err)
{
	uint64_t value = 0;
	int ret = place_read_u64(place->dir, "memory.max", &value);

	if (ret < 0)
		return err_sysn(err, -ret, "read %s/memory.max", place->dir);
	*limit = value > INT64_MAX ? -1 : (int64_t)value;
	return 0;
}

static int complete_memory(struct change *change, const struct place *v2, struct err *err)
{
	change->memory = *change->resources.memory;
	change->resources.memory = &change->memory;
	if (change->memory.swap.v > 0 && !change->memory.limit.v &&
	    place_list_has(v2->controllers, "memory"))
		return current_limit(v2, &change->memory.limit.v, err);
	return 0;
}

static int complete_cpu(struct change *change, const struct place *v2, struct err *err)
{
	struct oci_cpu *cpu = &change->cpu;
	char text[64];

	*cpu = *change->resources.cpu;
	change->resources.cpu = cpu;
	if (!cpu->period.v == !cpu->quota.v || !place_list_has(v2->controllers, "cpu"))
		return 0;
	int ret = place_read(v2->dir, "cpu.max", text, sizeof(text));
	if (ret < 0)
		return err_sysn(err, -ret, "read %s/cpu.max", v2->dir);
	const size_t len = strcspn(text, " ");
	if (cpu->quota.v)
		return text[len] ? str_to_u64(text + len + 1, &cpu->period.v) : 0;
	text[len] = '\0';
	if (str_to_i64(text, &cpu->quota.v) < 0)
		cpu->quota.v = -1;
	return 0;
}

// v1 has a file for each, but systemd is told of both in one.
static int complete_cpu_v1(struct change *change, const struct place *v1, struct err *err)
{
	struct oci_cpu *cpu = &change->cpu;
	int ret = 0;

	*cpu = *change->resources.cpu;
	change->resources.cpu = cpu;
	if (!cpu->period.v == !cpu->quota.v)
		return 0;
	if (!cpu->period.v) {
		ret = place_read_u64(v1->dir, "cpu.cfs_period_us", &cpu->period.v);
	} else {
		uint64_t quota = 0;

		ret = place_read_u64(v1->dir, "cpu.cfs_quota_us", &quota);
		cpu->quota.v = quota > INT64_MAX ? -1 : (int64_t)quota;
	}
	return ret < 0 ? err_sysn(err, -ret, "read the CPU time of %s", v1->dir) : 0;
}

// memory.checkBeforeUpdate (config-linux.md, "Memory").
static int check_usage(const struct cgroup *cgroup, const struct oci_memory *memory,
		       struct err *err)
{
	const struct place *place = place_find(&cgroup->places, "memory", "memory");
	uint64_t usage = 0;

	if (!memory || !memory->check_before_update || memory->limit.v <= 0 || !place)
		return 0;
	int ret = place_read_u64(place->dir, place->v2 ? "memory.current" : "memory.usage_in_bytes",
				 &usage);
	if (ret < 0)
		return err_sysn(err, -ret, "read the memory usage of %s", place->dir);
	if (usage > (uint64_t)memory->limit.v)
		return err_set(err, EBUSY,
			       "linux.resources.memory.limit: %" PRId64 " is less than the %" PRIu64
			       " bytes in use",
			       memory->limit.v, usage);
	return 0;
}

static int look_at_v2(struct cgroup *cgroup, struct place *v2, struct err *err)
{
	char controllers[512];
	int ret = place_read(v2->dir, "cgroup.controllers", controllers, sizeof(controllers));

	if (ret < 0)
		return err_sysn(err, -ret, "read %s/cgroup.controllers", v2->dir);
	v2->controllers = arena_strdup(&cgroup->arena, controllers);
	return 0;
}

static bool has_line(const char *text, const char *line)
{
	const size_t len = strlen(line);

	while (text && *text) {
		const size_t n = strcspn(text, "\n");

		if (n == len && memcmp(text, line, n) == 0)
			return true;
		text += n + (text[n] != '\0');
	}
	return false;
}

static bool has_write(const struct place *place, const char *value)
{
	for (size_t i = 0; i < place->writes.n; i++) {
		if (str_eq(place->writes.v[i].value, value))
			return true;
	}
	return false;
}

// The plan closes all v1 devices before it opens some, which the kernel refuses once there are
// groups below, and which would fail whoever opens one meanwhile. From one list of exceptions to
// another only the differences are written. (A group that may do everything shows no exceptions.)
static int narrow_device_writes(struct place *place, struct arena *arena, struct err *err)
{
	const struct place planned = *place;
	scope_free char *now = NULL;
	char *save = NULL;

	if (planned.writes.n == 0 || !str_eq(planned.writes.v[0].file, "devices.deny"))
		return 0;
	int ret = place_read_all(place->dir, "devices.list", &now);
	if (ret < 0)
		return err_sysn(err, -ret, "read %s/devices.list", place->dir);
	if (str_starts(now, "a "))
		return 0;

	const char *list = arena_strdup(arena, now);
	place->writes.n = place->writes.cap = 0;
	place->writes.v = NULL;
	// First what goes: the kernel joins an exception to one for the same device.
	for (char *line = strtok_r(now, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!has_write(&planned, line))
			place_add_write(place, arena, 0, "devices.deny", "%s", line);
	}
	for (size_t i = 1; i < planned.writes.n; i++) {
		if (!has_line(list, planned.writes.v[i].value))
			place_add_write(place, arena, 0, "devices.allow", "%s",
					planned.writes.v[i].value);
	}
	return 0;
}

static int write_place(const struct place *place, struct err *err)
{
	int ret = place_write_all(place, err);

	return ret == 0 && place->v2 && place->devices ? unified_attach_devices(place, false, err) :
							 ret;
}

static void write_back(struct place *back, struct arena *arena)
{
	struct err err;

	if ((place_changes_devices(back) && narrow_device_writes(back, arena, &err) < 0) ||
	    place_write_all(back, &err) < 0)
		log_warn("the update has failed, and can't be undone: %s", err.msg);
}

static struct places plan_back(const struct places *places, struct arena *arena)
{
	struct places before = { .v = arena_new(arena, struct place, places->n), .n = places->n };

	for (size_t i = 0; i < places->n; i++)
		restore_plan(&places->v[i], arena, &before.v[i]);
	return before;
}

static int tell_systemd(struct cgroup *cgroup, const struct places *places, bool devices,
			struct err *err)
{
	struct unit_properties properties = { 0 };

	if (!cgroup->unit)
		return 0;
	unit_set_limits(&properties, &cgroup->arena, places, devices && !cgroup->unit->user);
	return properties.n ? manager_change_unit(cgroup->unit, &properties, err) : 0;
}

static void tell_systemd_back(struct cgroup *cgroup, const struct places *before)
{
	struct err err;

	if (tell_systemd(cgroup, before, false, &err) < 0)
		log_warn("the update has failed, and can't be undone: %s", err.msg);
}

// Makes the changes of all places, or none. Device rules come last, because v2's have no old value
// that could be written back.
static int write_places(struct cgroup *cgroup, const struct places *before, struct err *err)
{
	struct place **done = arena_new(&cgroup->arena, struct place *, before->n);
	size_t n = 0;
	int ret = 0;

	for (int devices = 0; devices <= 1; devices++) {
		for (size_t i = 0; i < before->n && ret == 0; i++) {
			const struct place *place = &cgroup->places.v[i];

			if (place_changes_devices(place) != devices)
				continue;
			done[n++] = &before->v[i];
			ret = write_place(place, err);
		}
	}
	if (ret < 0)
		tell_systemd_back(cgroup, before);
	while (ret < 0 && n > 0)
		write_back(done[--n], &cgroup->arena);
	return ret;
}

int cgroup_update(struct cgroup *cgroup, const struct oci_resources *resources, struct err *err)
{
	struct change change = { .resources = *resources };
	struct place *v2 = place_find_v2(&cgroup->places);
	const struct place *v1_cpu = place_find(&cgroup->places, "cpu", NULL);
	int ret;

	cgroup->before.n = 0;
	if (cgroup->places.n == 0)
		return 0;
	for (size_t i = 0; i < cgroup->places.n; i++) {
		cgroup->places.v[i].writes.n = 0;
		cgroup->places.v[i].devices = NULL;
	}
	if (v2 && (ret = look_at_v2(cgroup, v2, err)) < 0)
		return ret;
	if (v2 && resources->memory && (ret = complete_memory(&change, v2, err)) < 0)
		return ret;
	if (v1_cpu && cgroup->unit && resources->cpu)
		ret = complete_cpu_v1(&change, v1_cpu, err);
	else
		ret = v2 && resources->cpu ? complete_cpu(&change, v2, err) : 0;
	if (ret < 0)
		return ret;

	ret = check_usage(cgroup, resources->memory, err);
	if (ret == 0)
		ret = resources_plan(&change.resources, resources->devices.n > 0, &cgroup->places,
				     &cgroup->arena, err);
	struct place *devices = place_find(&cgroup->places, "devices", NULL);
	if (ret == 0 && devices)
		ret = narrow_device_writes(devices, &cgroup->arena, err);
	if (ret < 0)
		return ret;
	cgroup->before = plan_back(&cgroup->places, &cgroup->arena);
	// First, so that what systemd writes now, in round numbers, is written over.
	ret = tell_systemd(cgroup, &cgroup->places, true, err);
	return ret < 0 ? ret : write_places(cgroup, &cgroup->before, err);
}

void cgroup_update_undo(struct cgroup *cgroup)
{
	tell_systemd_back(cgroup, &cgroup->before);
	for (size_t i = cgroup->before.n; i > 0; i--)
		write_back(&cgroup->before.v[i - 1], &cgroup->arena);
	cgroup->before.n = 0;
}
