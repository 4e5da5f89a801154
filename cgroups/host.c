// /proc/self/cgroup names the hierarchies, and nearly every host has them at /sys/fs/cgroup under
// their own names: one statfs(2) each confirms it. Only for one that isn't there is mountinfo read.

#include "cgroups/host.h"

#include "base/io.h"
#include "base/log.h"
#include "base/mountinfo.h"
#include "base/scope.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#define PROC_FILE_MAX	((size_t)16 * 1024 * 1024)
#define MAX_HIERARCHIES 64

struct reader {
	const struct host_sources *sources;
	struct arena *arena;
	struct cgroup_host *host;
	char *mountinfo; // NULL: not read yet
	struct err *err;
};

// ---- mountinfo ----

// True if the mount options name all the controllers of a line of /proc/self/cgroup.
static bool has_all(const char *options, const char *controllers)
{
	char name[64];

	while (*controllers) {
		size_t n = strcspn(controllers, ",");
		bool found = false;

		if (n >= sizeof(name))
			return false;
		memcpy(name, controllers, n);
		name[n] = '\0';
		for (const char *option = options; *option && !found;) {
			size_t len = strcspn(option, ",");

			found = len == n && memcmp(option, name, n) == 0;
			option += len + (option[len] != '\0');
		}
		if (!found)
			return false;
		controllers += n + (controllers[n] != '\0');
	}
	return true;
}

// Below a bind mount the paths of /proc/self/cgroup still count from the hierarchy's root: that is
// so in a container without a cgroup namespace.
static const char *below_root(const char *own, const char *root)
{
	const size_t len = strlen(root);

	if (str_eq(root, "/"))
		return own;
	if (strncmp(own, root, len) != 0 || (own[len] != '/' && own[len] != '\0'))
		return "/";
	return own[len] ? own + len : "/";
}

// Fills in mount_point and own from mountinfo. 1: found, 0: not mounted.
static int find_mount(struct reader *reader, struct cgroup_hierarchy *hierarchy)
{
	if (!reader->mountinfo) {
		int ret = io_read_file(AT_FDCWD, reader->sources->mountinfo, PROC_FILE_MAX,
				       &reader->mountinfo, NULL, reader->err);
		if (ret < 0)
			return ret;
	}

	char *text = arena_strdup(reader->arena, reader->mountinfo), *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct mount_line mount;

		if (!mountinfo_parse(line, &mount) || !str_eq(mount.type, "cgroup") ||
		    !has_all(mount.options, hierarchy->options))
			continue;
		hierarchy->mount_point = mount.mount_point;
		hierarchy->own = below_root(hierarchy->own, mount.root);
		return 1;
	}
	return 0;
}

// ---- /proc/self/cgroup ----

static bool is_mounted(const struct reader *reader, const char *mount_point, const char *own,
		       long magic)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", mount_point, str_eq(own, "/") ? "" : own);
	return reader->sources->magic(path) == magic;
}

static void add_hierarchy(struct reader *reader, const struct cgroup_hierarchy *hierarchy)
{
	struct cgroup_host *host = reader->host;

	if (host->hierarchies.n < MAX_HIERARCHIES)
		host->hierarchies.v[host->hierarchies.n++] = *hierarchy;
}

static int add_v1(struct reader *reader, const char *options, const char *own)
{
	struct cgroup_hierarchy hierarchy = {
		.name = str_starts(options, "name=") ? options + strlen("name=") : options,
		.options = options,
		.controllers = options,
		.own = own,
	};

	hierarchy.mount_point = arena_printf(reader->arena, "%s/%s", reader->sources->root,
					     hierarchy.name);
	if (!is_mounted(reader, hierarchy.mount_point, own, CGROUP_SUPER_MAGIC)) {
		int ret = find_mount(reader, &hierarchy);
		if (ret <= 0)
			return ret;
	}
	add_hierarchy(reader, &hierarchy);
	return 0;
}

static int add_v2(struct reader *reader, const char *name, const char *own)
{
	const char *root = reader->sources->root;
	scope_free char *controllers = NULL;
	struct cgroup_hierarchy hierarchy = {
		.name = name,
		.mount_point = *name ? arena_printf(reader->arena, "%s/%s", root, name) : root,
		.v2 = true,
	};

	// A v1 host need not have it. In a cgroup namespace that moat's group isn't in, and below a
	// bind mount, the path leads nowhere.
	if (is_mounted(reader, hierarchy.mount_point, own, CGROUP2_SUPER_MAGIC))
		hierarchy.own = own;
	else if (is_mounted(reader, hierarchy.mount_point, "/", CGROUP2_SUPER_MAGIC))
		hierarchy.own = "/";
	else
		return 0;

	const char *path = arena_printf(reader->arena, "%s/cgroup.controllers",
					hierarchy.mount_point);
	int ret = io_read_file(AT_FDCWD, path, PROC_FILE_MAX, &controllers, NULL, reader->err);
	if (ret < 0)
		return ret;
	controllers[strcspn(controllers, "\n")] = '\0';
	hierarchy.controllers = arena_strdup(reader->arena, controllers);
	add_hierarchy(reader, &hierarchy);
	return 0;
}

// `4:memory:/a/b`; v2's line is `0::/a/b`.
static int read_line(struct reader *reader, char *line)
{
	char *controllers = strchr(line, ':');
	char *colon = controllers ? strchr(controllers + 1, ':') : NULL;
	const bool unified = reader->host->layout == CGROUP_UNIFIED;

	if (!colon)
		return err_set(reader->err, EPROTO, "%s: unexpected line: %s",
			       reader->sources->self_cgroup, line);
	*controllers++ = '\0';
	*colon = '\0';
	const char *own = colon + 1;
	if (str_starts(own, "/..")) // outside moat's cgroup namespace
		own = "/";
	if (!*controllers)
		return add_v2(reader, unified ? "" : "unified", own);
	return unified ? 0 : add_v1(reader, controllers, own);
}

int host_read(const struct host_sources *sources, struct arena *arena,
	      const struct cgroup_host **host, struct err *err)
{
	scope_free char *text = NULL;
	char *save = NULL;
	struct reader reader = {
		.sources = sources,
		.arena = arena,
		.host = arena_new(arena, struct cgroup_host, 1),
		.err = err,
	};
	bool v2 = false;

	reader.host->hierarchies.v = arena_new(arena, struct cgroup_hierarchy, MAX_HIERARCHIES);
	reader.host->layout = sources->magic(sources->root) == CGROUP2_SUPER_MAGIC ?
				      CGROUP_UNIFIED :
				      CGROUP_LEGACY;
	int ret = io_read_file(AT_FDCWD, sources->self_cgroup, PROC_FILE_MAX, &text, NULL, err);
	char *lines = ret < 0 ? NULL : arena_strdup(arena, text);
	for (char *line = lines ? strtok_r(lines, "\n", &save) : NULL; line && ret == 0;
	     line = strtok_r(NULL, "\n", &save))
		ret = read_line(&reader, line);
	free(reader.mountinfo);
	if (ret < 0)
		return err_wrap(err, "find the cgroups of this host");

	for (size_t i = 0; i < reader.host->hierarchies.n; i++)
		v2 |= reader.host->hierarchies.v[i].v2;
	if (v2 && reader.host->layout == CGROUP_LEGACY)
		reader.host->layout = CGROUP_HYBRID;
	*host = reader.host;
	return 0;
}

static long magic_of(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) < 0 ? -1 : (long)fs.f_type;
}

int cgroup_host_detect(struct arena *arena, const struct cgroup_host **host, struct err *err)
{
	static const struct host_sources sources = {
		.root = "/sys/fs/cgroup",
		.self_cgroup = "/proc/self/cgroup",
		.mountinfo = "/proc/self/mountinfo",
		.magic = magic_of,
	};

	return host_read(&sources, arena, host, err);
}
