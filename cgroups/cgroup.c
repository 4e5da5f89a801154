#include "base/log.h"
#include "base/scope.h"
#include "cgroups/keeper.h"
#include "cgroups/manager.h"
#include "cgroups/plan.h"
#include "cgroups/tree.h"
#include "cgroups/unified.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- the object ----

static struct cgroup *cgroup_new(enum cgroup_driver driver, size_t places)
{
	struct arena arena = { 0 };
	struct cgroup *cgroup = arena_new(&arena, struct cgroup, 1);

	cgroup->driver = driver;
	cgroup->places.v = arena_new(&arena, struct place, places);
	cgroup->arena = arena; // it holds itself
	return cgroup;
}

void cgroup_close(struct cgroup **cgroup)
{
	if (!*cgroup)
		return;

	struct arena arena = (*cgroup)->arena;
	*cgroup = NULL;
	arena_free(&arena);
}

void cgroup_save(const struct cgroup *cgroup, struct arena *arena, struct oci_strings *paths)
{
	places_paths(&cgroup->places, arena, paths);
}

int cgroup_load(const struct oci_strings *paths, enum cgroup_driver driver, struct cgroup **cgroup,
		struct err *err)
{
	scope_cgroup struct cgroup *loaded = cgroup_new(driver, paths->n);
	bool v1 = false;

	for (size_t i = 0; i < paths->n; i++) {
		const char *dir = strchr(paths->v[i], ':');

		if (!dir || dir[1] != '/')
			return err_set(err, EINVAL, "not the path of a cgroup: %s", paths->v[i]);
		const bool v2 = dir == paths->v[i];
		v1 |= !v2;
		loaded->places.v[loaded->places.n++] = (struct place){
			.controllers = v2 ? NULL :
					    arena_strndup(&loaded->arena, paths->v[i],
							  (size_t)(dir - paths->v[i])),
			.dir = arena_strdup(&loaded->arena, dir + 1),
			.v2 = v2,
		};
	}
	if (driver == CGROUP_SYSTEMD && loaded->places.n > 0)
		loaded->unit = unit_of_dir(loaded->places.v[0].dir, &loaded->arena);
	struct place *v2 = place_find_v2(&loaded->places);
	if (v2)
		v2->root_len = strlen(v1 ? HYBRID_ROOT : UNIFIED_ROOT);
	*cgroup = take_ptr(&loaded);
	return 0;
}

// ---- making ----

// A cgroup that was there before moat: empty but for the keeper, and not frozen, which would hold up
// whoever joins.
static int check_unused(const struct place *place, pid_t keeper, struct err *err)
{
	const bool freezer = place_list_has(place->controllers, "freezer");
	char text[32], own[32];

	snprintf(own, sizeof(own), "%d", keeper);
	if (place_read(place->dir, "cgroup.procs", text, sizeof(text)) > 0 && !str_eq(text, own))
		return err_set(err, EEXIST, "the cgroup %s holds processes already", place->dir);
	if (!place->v2 && !freezer)
		return 0;
	if (place_read(place->dir, place->v2 ? "cgroup.freeze" : "freezer.state", text,
		       sizeof(text)) > 0 &&
	    !str_eq(text, place->v2 ? "0" : "THAWED"))
		return err_set(err, EBUSY, "the cgroup %s is frozen", place->dir);
	return 0;
}

// What the nearest group above has in `file`; *from tells how much of the place's path that is.
static int inherited(const struct place *place, const char *file, char *value, size_t size,
		     size_t *from, struct err *err)
{
	char dir[PATH_MAX];
	int ret = 0;

	snprintf(dir, sizeof(dir), "%s", place->dir);
	for (size_t len = strlen(dir); ret == 0 && len >= place->root_len;
	     len = (size_t)(strrchr(dir, '/') - dir)) {
		dir[len] = '\0';
		*from = len;
		// What moat has just made is empty without a look.
		if (len <= place->made && (ret = place_read(dir, file, value, size)) < 0)
			return err_sysn(err, -ret, "read %s/%s", dir, file);
	}
	return 0;
}

// A new v1 cpuset is empty, and nobody can join it before it has processors and memory nodes: it
// gets those of the nearest group above that has some, and so do all on the way.
static int fill_cpuset(const struct place *place, const char *file, struct err *err)
{
	char dir[PATH_MAX], value[4096] = "";
	const size_t len = strlen(place->dir);
	size_t end = len;
	int ret = inherited(place, file, value, sizeof(value), &end, err);

	while (ret == 0 && end < len) {
		end += 1 + strcspn(place->dir + end + 1, "/");
		snprintf(dir, sizeof(dir), "%.*s", (int)end, place->dir);
		ret = place_write(dir, file, value);
		if (ret < 0)
			err_sysn(err, -ret, "write %s to %s/%s", value, dir, file);
	}
	return ret;
}

static int fill_v1(const struct place *place, struct err *err)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };

	if (place_list_has(place->controllers, "cpuset")) {
		for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
			int ret = fill_cpuset(place, files[i], err);
			if (ret < 0)
				return ret;
		}
	}
	return place_write_all(place, err);
}

static int fill_v2(const struct place *place, const struct cgroup_plan *plan, bool fresh,
		   struct err *err)
{
	// On a hybrid host v1 does the work: v2's hierarchy is left as it is but for what a limit
	// needs.
	const char *wanted = plan->layout == CGROUP_UNIFIED ? place->controllers : NULL;
	int ret = unified_enable(place, wanted, err);

	if (ret == 0)
		ret = place_write_all(place, err);
	if (ret == 0 && place->devices) {
		ret = unified_attach_devices(place, fresh, err);
		// An ordinary user may not, and has no power over the host's devices either.
		if ((ret == -EPERM || ret == -EACCES) && plan->rootless)
			ret = 0;
	}
	return ret;
}

static bool is_denied(int code)
{
	return code == EACCES || code == EPERM || code == EROFS;
}

// Makes a place and fills it. 1: left out, because this user may not make it.
static int make_place(struct place *place, const struct cgroup_plan *plan, pid_t keeper,
		      struct err *err)
{
	int ret = tree_make(place);

	if (ret < 0 && plan->rootless && is_denied(-ret)) {
		if (place->needed || plan->named)
			return err_set(
				err, -ret,
				"make the cgroup %s: %s (an ordinary user needs one that was "
				"delegated, or no limits and no linux.cgroupsPath)",
				place->dir, err_text(-ret));
		log_debug("the cgroup %s is left out: %s", place->dir, err_text(-ret));
		return 1;
	}
	if (ret < 0)
		return err_sysn(err, -ret, "make the cgroup %s", place->dir);

	const bool fresh = ret == 0;
	ret = fresh ? 0 : check_unused(place, keeper, err);
	// systemd has made it just now, for moat.
	if (ret == 0 && !fresh && plan->unit)
		place->made = tree_parent_len(place->dir);
	if (ret == 0)
		ret = place->v2 ? fill_v2(place, plan, fresh, err) : fill_v1(place, err);
	if (ret < 0)
		tree_unmake(place);
	return ret;
}

static int start_unit(struct cgroup *cgroup, const struct unit *unit, struct err *err)
{
	struct unit *kept = arena_new(&cgroup->arena, struct unit, 1);

	*kept = (struct unit){
		.name = arena_strdup(&cgroup->arena, unit->name),
		.is_slice = unit->is_slice,
		.user = unit->user,
	};
	cgroup->unit = kept;
	if (!unit->is_slice) {
		cgroup->keeper = keeper_start(err);
		if (cgroup->keeper < 0)
			return cgroup->keeper;
	}
	int ret = manager_start_unit(unit, cgroup->keeper, err);
	if (ret < 0)
		keeper_end(&cgroup->keeper);
	return ret;
}

static void stop_unit(struct cgroup *cgroup)
{
	struct err err;

	cgroup_settle(cgroup);
	if (cgroup->unit && manager_stop_unit(cgroup->unit, &err) < 0)
		log_warn("%s", err.msg);
}

int cgroup_create(const struct cgroup_plan *plan, struct cgroup **cgroup, struct err *err)
{
	scope_cgroup struct cgroup *made = cgroup_new(plan->driver, plan->places.n);
	struct places *places = &made->places;

	if (plan->unit && start_unit(made, plan->unit, err) < 0)
		return -err->code;
	for (size_t i = 0; i < plan->places.n; i++) {
		struct place place = plan->places.v[i];
		int ret = make_place(&place, plan, made->keeper, err);

		if (ret < 0) {
			while (places->n > 0)
				tree_unmake(&places->v[--places->n]);
			stop_unit(made);
			return ret;
		}
		if (ret > 0)
			continue;
		places->v[places->n++] = (struct place){
			.controllers = arena_strdup(&made->arena, place.controllers),
			.dir = arena_strdup(&made->arena, place.dir),
			.root_len = place.root_len,
			.v2 = place.v2,
			.made = place.made,
		};
	}
	*cgroup = take_ptr(&made);
	return 0;
}

void cgroup_settle(struct cgroup *cgroup)
{
	keeper_end(&cgroup->keeper);
}

// ---- removing ----

int cgroup_delete(struct cgroup *cgroup, struct err *err)
{
	struct err first = { 0 };

	cgroup_settle(cgroup);
	if (cgroup->unit && manager_stop_unit(cgroup->unit, err) < 0)
		first = *err;
	for (size_t i = 0; i < cgroup->places.n; i++) {
		if (tree_remove(cgroup->places.v[i].dir, err) < 0 && !first.code)
			first = *err;
	}
	if (first.code)
		*err = first;
	return -first.code;
}

void cgroup_unmake(const struct cgroup *cgroup)
{
	for (size_t i = 0; i < cgroup->places.n; i++)
		if (cgroup->places.v[i].made)
			tree_unmake(&cgroup->places.v[i]);
}
