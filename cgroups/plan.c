#include "cgroups/plan.h"

#include "base/path.h"
#include "cgroups/resources.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char *const driver_names[] = {
	[CGROUP_CGROUPFS] = "cgroupfs",
	[CGROUP_SYSTEMD] = "systemd",
	[CGROUP_DISABLED] = "disabled",
};

const char *cgroup_driver_name(enum cgroup_driver driver)
{
	return driver_names[driver];
}

bool cgroup_driver_parse(const char *name, enum cgroup_driver *driver)
{
	for (size_t i = 0; i < ARRAY_SIZE(driver_names); i++) {
		if (str_eq(name, driver_names[i])) {
			*driver = (enum cgroup_driver)i;
			return true;
		}
	}
	return false;
}

// ---- paths ----

static bool has_dotdot(const char *path)
{
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && path[0] == '.' && path[1] == '.')
			return true;
		path += n + (path[n] == '/');
	}
	return false;
}

// Where a relative path counts from.
static const char *base_of(const struct cgroup_hierarchy *hierarchy, enum cgroup_layout layout,
			   struct arena *arena)
{
	const char *last = strrchr(hierarchy->own, '/');

	if (layout != CGROUP_UNIFIED || !last)
		return hierarchy->own;
	return arena_strndup(arena, hierarchy->own, (size_t)(last - hierarchy->own));
}

// The cleaned path below the mount point, with a leading slash.
static int path_below(const struct cgroup_hierarchy *hierarchy, enum cgroup_layout layout,
		      const char *wanted, struct arena *arena, const char **path, struct err *err)
{
	char clean[PATH_MAX];
	const char *whole = wanted;

	if (!path_is_abs(wanted))
		whole = arena_printf(arena, "%s/%s", base_of(hierarchy, layout, arena), wanted);
	if (path_clean(arena_printf(arena, "/%s", whole), clean, sizeof(clean)) < 0)
		return err_set(err, ENAMETOOLONG, "linux.cgroupsPath: too long");
	if (str_eq(clean, "/"))
		return err_set(err, EINVAL,
			       "linux.cgroupsPath: the root of a hierarchy is no place "
			       "for a container");
	*path = arena_strdup(arena, clean);
	return 0;
}

static int add_place(struct cgroup_plan *plan, const struct cgroup_hierarchy *hierarchy,
		     const char *wanted, struct arena *arena, struct err *err)
{
	const char *path = NULL;
	int ret = path_below(hierarchy, plan->layout, wanted, arena, &path, err);

	if (ret < 0)
		return ret;
	plan->places.v[plan->places.n++] = (struct place){
		.controllers = hierarchy->controllers,
		.dir = arena_printf(arena, "%s%s", hierarchy->mount_point, path),
		.root_len = strlen(hierarchy->mount_point),
		.v2 = hierarchy->v2,
	};
	return 0;
}

static int add_places(struct cgroup_plan *plan, const struct cgroup_host *host, const char *wanted,
		      struct arena *arena, struct err *err)
{
	if (host->hierarchies.n == 0 && !plan->rootless)
		return err_set(err, ENOENT,
			       "no cgroup hierarchy is mounted on this host (mount them at "
			       "/sys/fs/cgroup, or choose the cgroup manager `disabled`)");
	plan->places.v = arena_new(arena, struct place, host->hierarchies.n);
	for (size_t i = 0; i < host->hierarchies.n; i++) {
		int ret = add_place(plan, &host->hierarchies.v[i], wanted, arena, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static struct unit *plan_unit(const struct cgroup_host *host, const char *wanted,
			      const struct cgroup_options *options, struct arena *arena,
			      struct err *err)
{
	// On v1 the user's manager has no hierarchy but its own, which limits nothing.
	if (options->systemd.user && host->layout != CGROUP_UNIFIED) {
		err_set(err, ENOTSUP,
			"the user's systemd can't manage cgroups of version 1 (choose "
			"--cgroup-manager cgroupfs or disabled)");
		return NULL;
	}
	return unit_plan(wanted, options, arena, err);
}

int cgroup_plan_make(const struct cgroup_host *host, const struct oci_linux *linux,
		     const struct cgroup_options *options, struct arena *arena,
		     const struct cgroup_plan **plan, struct err *err)
{
	struct cgroup_plan *made = arena_new(arena, struct cgroup_plan, 1);
	const char *wanted = linux->cgroups_path;
	struct unit *unit = NULL;

	*made = (struct cgroup_plan){
		.driver = options->driver,
		.layout = host->layout,
		.rootless = options->rootless,
		.named = wanted && *wanted,
	};
	*plan = made;
	if (options->driver == CGROUP_DISABLED)
		return resources_plan(linux->resources, false, &made->places, arena, err);
	if (options->driver == CGROUP_SYSTEMD) {
		unit = plan_unit(host, linux->cgroups_path, options, arena, err);
		if (!unit)
			return -err->code;
		made->unit = unit;
		wanted = unit->path;
	}
	if (!wanted || !*wanted)
		wanted = options->id;
	if (has_dotdot(wanted))
		return err_set(err, EINVAL, "linux.cgroupsPath: may not contain `..`: %s", wanted);

	int ret = add_places(made, host, wanted, arena, err);
	if (ret < 0)
		return ret;

	// v1's device files may be written by the host's root alone; for v2 only the attempt can
	// tell.
	const bool devices = !options->rootless || host->layout == CGROUP_UNIFIED;
	ret = resources_plan(linux->resources, devices, &made->places, arena, err);
	if (ret < 0 || !unit)
		return ret;
	unit_set_limits(&unit->properties, arena, &made->places, !unit->user);
	return unit_set_annotations(&unit->properties, arena, options->annotations, err);
}

// ---- what it tells ----

void places_paths(const struct places *places, struct arena *arena, struct oci_strings *paths)
{
	paths->v = arena_new(arena, char *, places->n + 1);
	paths->n = places->n;
	for (size_t i = 0; i < places->n; i++)
		paths->v[i] = arena_printf(arena, "%s:%s",
					   places->v[i].v2 ? "" : places->v[i].controllers,
					   places->v[i].dir);
}

void cgroup_plan_paths(const struct cgroup_plan *plan, struct arena *arena,
		       struct oci_strings *paths)
{
	places_paths(&plan->places, arena, paths);
}

const char *cgroup_plan_path_in(const struct cgroup_plan *plan,
				const struct cgroup_hierarchy *hierarchy)
{
	for (size_t i = 0; i < plan->places.n; i++) {
		const struct place *place = &plan->places.v[i];

		if (place->v2 == hierarchy->v2 &&
		    (place->v2 || str_eq(place->controllers, hierarchy->options)))
			return place->dir;
	}
	return NULL;
}

static void print_place(const struct place *place, struct text *out)
{
	char line[DEVICE_LINE_MAX];

	text_printf(out, "mkdir %s\n", place->dir);
	if (place->enable)
		text_printf(out, "enable %s in %s\n", place->enable, place->dir);
	for (size_t i = 0; i < place->writes.n; i++)
		text_printf(out, "write %s/%s %s\n", place->dir, place->writes.v[i].file,
			    place->writes.v[i].value);
	for (size_t i = 0; place->v2 && place->devices && i < place->devices->n; i++)
		text_printf(out, "device %s %s %s\n", place->dir,
			    place->devices->v[i].allow ? "allow" : "deny",
			    device_line(&place->devices->v[i], line));
}

void cgroup_plan_print(const struct cgroup_plan *plan, struct text *out)
{
	text_printf(out, "cgroup driver %s\n", cgroup_driver_name(plan->driver));
	if (plan->unit) {
		text_printf(out, "unit %s in %s of %s manager\n", plan->unit->name,
			    plan->unit->slice, plan->unit->user ? "the user's" : "the system's");
		unit_properties_print(&plan->unit->properties, out);
	}
	for (size_t i = 0; i < plan->places.n; i++)
		print_place(&plan->places.v[i], out);
}
