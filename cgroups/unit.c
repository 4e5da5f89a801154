#include "cgroups/unit.h"

#include <stdio.h>
#include <string.h>

#define NAME_LEN_MAX 255

static const char name_characters[] =
	"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz:-_.\\@";

static int invalid(struct err *err, const char *problem, const char *what)
{
	return err_set(err, EINVAL, "linux.cgroupsPath: %s: %s", problem, what);
}

// ---- names of directories ----

static bool begins_as_file(const char *name)
{
	static const char *const controllers[] = { "cgroup", "cpu",    "cpuacct", "cpuset", "io",
						   "blkio",  "memory", "devices", "pids" };

	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++) {
		if (str_starts(name, controllers[i]) && name[strlen(controllers[i])] == '.')
			return true;
	}
	return false;
}

// A directory that could be taken for one of the kernel's files, as `memory.slice`, gets an
// underscore in front, and so that it can be told, one that has such a name already.
static const char *dir_name(const char *unit, struct arena *arena)
{
	if (*unit == '_' || *unit == '.' || begins_as_file(unit))
		return arena_printf(arena, "_%s", unit);
	return unit;
}

// ---- slices ----

static bool is_slice_name(const char *name)
{
	const size_t suffix = strlen(".slice"), len = strlen(name);

	if (!str_ends(name, ".slice") || len == suffix || len > NAME_LEN_MAX ||
	    name[strspn(name, name_characters)])
		return false;
	return name[0] != '-' && name[len - suffix - 1] != '-' && !strstr(name, "--");
}

// `a-b-c.slice` lies in a-b.slice, and that in a.slice; `-.slice` is the root. Returns the path
// with a leading slash, of the root "".
static int expand_slice(const char *slice, struct arena *arena, const char **path, struct err *err)
{
	const char *out = "";

	*path = out;
	if (str_eq(slice, "-.slice"))
		return 0;
	if (!is_slice_name(slice))
		return invalid(err, "not the name of a slice, as a-b.slice", slice);
	for (const char *dash = strchr(slice, '-'); dash; dash = strchr(dash + 1, '-')) {
		const char *above = arena_printf(arena, "%.*s.slice", (int)(dash - slice), slice);

		out = arena_printf(arena, "%s/%s", out, dir_name(above, arena));
	}
	*path = arena_printf(arena, "%s/%s", out, dir_name(slice, arena));
	return 0;
}

static const char *slice_above(const char *slice, struct arena *arena)
{
	const char *dash = strrchr(slice, '-');

	return dash ? arena_printf(arena, "%.*s.slice", (int)(dash - slice), slice) : "-.slice";
}

// ---- units ----

// What can't stand in the name of a unit becomes \xNN, as systemd-escape(1) has it.
static const char *escape(const char *part, struct arena *arena)
{
	scope_text struct text out = { 0 };

	for (; *part; part++) {
		if (strchr(name_characters, *part))
			text_add(&out, part, 1);
		else
			text_printf(&out, "\\x%02x", (unsigned char)*part);
	}
	return arena_strdup(arena, out.str ? out.str : "");
}

struct parts {
	const char *slice, *prefix, *name;
};

static int split(const char *path, struct arena *arena, struct parts *parts, struct err *err)
{
	char *slice = arena_strdup(arena, path), *prefix = strchr(slice, ':');
	char *name = prefix ? strchr(prefix + 1, ':') : NULL;

	if (!name || strchr(name + 1, ':'))
		return invalid(err, "the systemd cgroup driver takes slice:prefix:name", path);
	*prefix++ = '\0';
	*name++ = '\0';
	if (!*name)
		return invalid(err, "the unit has no name", path);
	if (strchr(prefix, '/') || strchr(name, '/') || str_eq(prefix, "..") || str_eq(name, ".."))
		return invalid(err, "`/` and `..` are no names for a unit", path);
	*parts = (struct parts){ slice, prefix, name };
	return 0;
}

static int plan_slice(struct unit *unit, const struct parts *parts, struct arena *arena,
		      struct err *err)
{
	unit->name = parts->name;
	unit->is_slice = true;
	unit->slice = slice_above(parts->name, arena);
	if (*parts->slice && !str_eq(parts->slice, unit->slice))
		return invalid(
			err, arena_printf(arena, "%s lies in %s, not in", parts->name, unit->slice),
			parts->slice);
	return expand_slice(unit->name, arena, &unit->path, err);
}

static int plan_scope(struct unit *unit, const struct parts *parts, struct arena *arena,
		      struct err *err)
{
	const char *suffix = *parts->prefix || !str_ends(parts->name, ".scope") ? ".scope" : "";
	const char *above;

	unit->slice = parts->slice;
	if (!*unit->slice)
		unit->slice = unit->user ? "user.slice" : "system.slice";
	unit->name = arena_printf(arena, "%s%s%s%s", escape(parts->prefix, arena),
				  *parts->prefix ? "-" : "", escape(parts->name, arena), suffix);
	if (strlen(unit->name) > NAME_LEN_MAX)
		return invalid(err, "the name of the unit is too long", unit->name);
	if (expand_slice(unit->slice, arena, &above, err) < 0)
		return -err->code;
	unit->path = arena_printf(arena, "%s/%s", above, dir_name(unit->name, arena));
	return 0;
}

static void set_text(struct unit *unit, struct arena *arena, const char *name, const char *type,
		     const char *value)
{
	const struct unit_property property = {
		.name = name,
		.type = type,
		.strings = { .v = arena_new(arena, char *, 1), .n = 1 },
	};

	property.strings.v[0] = arena_strdup(arena, value);
	unit_set(&unit->properties, arena, &property);
}

static void set_common(struct unit *unit, const char *id, struct arena *arena)
{
	// Without accounting there are no controllers, and they are costly to get later.
	static const struct unit_property common[] = {
		{ .name = "Delegate", .type = "b", .number = true }, // of a scope alone
		{ .name = "MemoryAccounting", .type = "b", .number = true },
		{ .name = "CPUAccounting", .type = "b", .number = true },
		{ .name = "IOAccounting", .type = "b", .number = true },
		{ .name = "TasksAccounting", .type = "b", .number = true },
		// It is stopped by who has started it.
		{ .name = "DefaultDependencies", .type = "b", .number = false },
	};

	set_text(unit, arena, "Description", "s", arena_printf(arena, "moat container %s", id));
	set_text(unit, arena, unit->is_slice ? "Wants" : "Slice", unit->is_slice ? "as" : "s",
		 unit->slice);
	for (size_t i = unit->is_slice; i < ARRAY_SIZE(common); i++)
		unit_set(&unit->properties, arena, &common[i]);
	// So that a unit that failed (a process was killed for want of memory, say) goes too.
	set_text(unit, arena, "CollectMode", "s", "inactive-or-failed");
	unit->properties.v[unit->properties.n - 1].optional = true;
}

struct unit *unit_plan(const char *cgroups_path, const struct cgroup_options *options,
		       struct arena *arena, struct err *err)
{
	struct unit *made = arena_new(arena, struct unit, 1);
	struct parts parts = { "", "moat", options->id };
	int ret = 0;

	made->user = options->systemd.user;
	if (cgroups_path && *cgroups_path)
		ret = split(cgroups_path, arena, &parts, err);
	if (ret == 0 && str_ends(parts.name, ".slice") && cgroups_path && *cgroups_path)
		ret = plan_slice(made, &parts, arena, err);
	else if (ret == 0)
		ret = plan_scope(made, &parts, arena, err);
	if (ret < 0)
		return NULL;
	if (options->systemd.group)
		made->path = arena_printf(arena, "%s%s", options->systemd.group, made->path);
	set_common(made, options->id, arena);
	return made;
}

// Above a unit of the system's manager there are slices alone; the user's manager is a service.
size_t unit_manager_len(const char *dir)
{
	const char *service = strstr(dir, ".service/");

	return service ? (size_t)(service - dir) + strlen(".service") : 0;
}

void unit_plan_entry(struct unit *unit, pid_t pid, struct arena *arena)
{
	*unit = (struct unit){
		.name = arena_printf(arena, "run-moat-%d.scope", pid),
		.user = true,
	};
	set_text(unit, arena, "Description", "s", "moat");
	set_text(unit, arena, "Slice", "s", "user.slice");
	set_text(unit, arena, "CollectMode", "s", "inactive-or-failed");
}

struct unit *unit_of_dir(const char *dir, struct arena *arena)
{
	const char *last = strrchr(dir, '/');

	if (!last || !last[1])
		return NULL;
	struct unit *unit = arena_new(arena, struct unit, 1);
	unit->name = arena_strdup(arena, last + (last[1] == '_' ? 2 : 1));
	unit->is_slice = str_ends(unit->name, ".slice");
	unit->user = unit_manager_len(dir) > 0;
	return unit;
}

// ---- properties ----

void unit_set(struct unit_properties *properties, struct arena *arena,
	      const struct unit_property *property)
{
	for (size_t i = 0; i < properties->n; i++) {
		if (str_eq(properties->v[i].name, property->name)) {
			properties->v[i] = *property;
			return;
		}
	}
	if (properties->n == properties->cap) {
		struct unit_property *old = properties->v;

		properties->cap = old ? 2 * properties->cap : 16;
		properties->v = arena_new(arena, struct unit_property, properties->cap);
		if (old)
			memcpy(properties->v, old, properties->n * sizeof(*old));
	}
	properties->v[properties->n++] = *property;
}

static void print_value(const struct unit_property *property, struct text *out)
{
	const char *type = property->type;

	for (size_t i = 0; i < property->strings.n; i++) {
		text_str(out, i ? " " : "");
		text_json(out, property->strings.v[i]);
	}
	for (size_t i = 0; i < property->byte_count; i++)
		text_printf(out, "%02x", property->bytes[i]);
	if (str_eq(type, "b"))
		text_str(out, property->number ? "true" : "false");
	else if (strchr("nix", *type))
		text_printf(out, "%lld", (long long)property->number);
	else if (strchr("yqut", *type))
		text_printf(out, "%llu", (unsigned long long)property->number);
	else if (str_eq(type, "d"))
		text_printf(out, "%g", property->real);
}

void unit_properties_print(const struct unit_properties *properties, struct text *out)
{
	for (size_t i = 0; i < properties->n; i++) {
		text_printf(out, "property %s %s ", properties->v[i].name, properties->v[i].type);
		print_value(&properties->v[i], out);
		text_str(out, "\n");
	}
}
