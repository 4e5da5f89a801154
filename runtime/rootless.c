#include "runtime/rootless.h"

#include "base/io.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// The initial user namespace's inode number, which is the same in every kernel (its proc_ns.h).
#define INITIAL_USER_NS 0xEFFFFFFDU

#define RANGES_MAX_BYTES ((size_t)4 * 1024 * 1024)

bool rootless_detect(void)
{
	struct stat st;

	return geteuid() != 0 ||
	       (stat("/proc/self/ns/user", &st) == 0 && st.st_ino != INITIAL_USER_NS);
}

// ---- ranges of ids ----

// `name:first:count`, where the name may be a user id.
static bool parse_range(char *line, const char *name, const char *id, struct oci_id_mapping *range)
{
	char *fields[3];

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		fields[i] = strsep(&line, ":");
	if (!fields[2] || line || (!(name && str_eq(fields[0], name)) && !str_eq(fields[0], id)))
		return false;
	return str_to_u32(fields[1], &range->host_id) == 0 &&
	       str_to_u32(fields[2], &range->size) == 0 && range->size > 0;
}

// Id 0 is `own`; what `file` gives to the caller follows it.
static void map_ids(const char *file, uint32_t own, struct oci_id_mappings *map,
		    struct arena *arena)
{
	const struct passwd *entry = getpwuid(geteuid());
	const char *id = arena_printf(arena, "%u", geteuid());
	scope_free char *text = NULL;
	struct err err;
	uint32_t next = 1;
	size_t lines = 0;

	if (io_read_file(AT_FDCWD, file, RANGES_MAX_BYTES, &text, NULL, &err) < 0)
		log_debug("%s", err.msg);
	for (const char *at = text; at && *at; at++)
		lines += *at == '\n';
	map->v = arena_new(arena, struct oci_id_mapping, lines + 2);
	map->v[0] = (struct oci_id_mapping){ .host_id = own, .size = 1 };
	map->n = 1;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		struct oci_id_mapping *range = &map->v[map->n];

		if (!parse_range(line, entry ? entry->pw_name : NULL, id, range) ||
		    range->size > UINT32_MAX - next)
			continue;
		range->container_id = next;
		next += range->size;
		map->n++;
	}
}

static bool has_id(const struct oci_id_mappings *map, uint32_t id)
{
	for (size_t i = 0; i < map->n; i++)
		if (id >= map->v[i].container_id && id - map->v[i].container_id < map->v[i].size)
			return true;
	return false;
}

// ---- the spec ----

static void add_user_namespace(struct oci_linux *linux, struct arena *arena)
{
	const size_t n = linux->namespaces.n;
	struct oci_namespace *namespaces = arena_new(arena, struct oci_namespace, n + 1);

	if (n)
		memcpy(namespaces, linux->namespaces.v, n * sizeof(*namespaces));
	namespaces[n] = (struct oci_namespace){ .type = OCI_NS_USER };
	linux->namespaces.v = namespaces;
	linux->namespaces.n = n + 1;
}

// Engines and `moat spec` give terminals to the group tty, which the caller may have no id for.
static void drop_tty_group(struct oci_mount *mount, const struct oci_id_mappings *gids,
			   struct arena *arena)
{
	char **kept = arena_new(arena, char *, mount->options.n + 1);
	size_t n = 0;
	uint32_t gid;

	for (size_t i = 0; i < mount->options.n; i++) {
		char *option = mount->options.v[i];

		if (!str_starts(option, "gid=") || str_to_u32(option + strlen("gid="), &gid) < 0 ||
		    has_id(gids, gid))
			kept[n++] = option;
	}
	mount->options.v = kept;
	mount->options.n = n;
}

static void adapt_mounts(struct oci_spec *spec, struct arena *arena)
{
	struct oci_mount *mounts = arena_new(arena, struct oci_mount, spec->mounts.n + 1);

	for (size_t i = 0; i < spec->mounts.n; i++) {
		mounts[i] = spec->mounts.v[i];
		if (mounts[i].type && str_eq(mounts[i].type, "devpts"))
			drop_tty_group(&mounts[i], &spec->linux->gid_mappings, arena);
	}
	spec->mounts.v = mounts;
}

const struct oci_spec *rootless_extend(const struct oci_spec *spec, struct arena *arena)
{
	if (geteuid() == 0)
		return spec;
	for (size_t i = 0; i < spec->linux->namespaces.n; i++)
		if (spec->linux->namespaces.v[i].type == OCI_NS_USER)
			return spec;

	struct oci_spec *extended = arena_new(arena, struct oci_spec, 1);
	*extended = *spec;
	extended->linux = arena_new(arena, struct oci_linux, 1);
	*extended->linux = *spec->linux;
	add_user_namespace(extended->linux, arena);
	if (extended->linux->uid_mappings.n == 0)
		map_ids("/etc/subuid", geteuid(), &extended->linux->uid_mappings, arena);
	if (extended->linux->gid_mappings.n == 0)
		map_ids("/etc/subgid", getegid(), &extended->linux->gid_mappings, arena);
	adapt_mounts(extended, arena);
	return extended;
}
