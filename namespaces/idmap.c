#include "namespaces/idmap.h"

#include "base/io.h"
#include "base/run.h"
#include "base/scope.h"
#include "base/str.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Users and groups are mapped alike, but for these names, and for setgroups(2): who maps the own
// group without a right to must give it up, since dropping a group could be a way around a file
// mode that denies that group.
struct side {
	const char *file, *helper, *field;
	const struct oci_id_mappings *map;
	bool give_up_setgroups;
};

static bool is_own_id(const struct oci_id_mappings *map, uint32_t id)
{
	return map->n == 1 && map->v[0].size == 1 && map->v[0].host_id == id;
}

static struct side gid_side(const struct ns_plan *plan)
{
	return (struct side){ "gid_map", "newgidmap", "linux.gidMappings", plan->gid_mappings,
			      is_own_id(plan->gid_mappings, getegid()) };
}

static struct side uid_side(const struct ns_plan *plan)
{
	return (struct side){ "uid_map", "newuidmap", "linux.uidMappings", plan->uid_mappings,
			      false };
}

static int write_direct(const struct side *side, int proc, struct err *err)
{
	scope_text struct text lines = { 0 };

	for (size_t i = 0; i < side->map->n; i++)
		text_printf(&lines, "%u %u %u\n", side->map->v[i].container_id,
			    side->map->v[i].host_id, side->map->v[i].size);
	return io_write_file(proc, side->file, lines.str, lines.len, err);
}

// newuidmap PID then three numbers a mapping. The directories are fixed: moat's caller has no say
// in what is run with privileges.
static int write_by_helper(const struct side *side, pid_t pid, struct err *err)
{
	static const char *const dirs[] = { "/usr/bin", "/usr/sbin", "/bin", "/usr/local/bin" };
	scope_text struct text words = { 0 };
	char path[64], *envp[] = { NULL };
	size_t count = 2 + side->map->n * 3, at = 0;
	int ret = -ENOENT;

	text_printf(&words, "%s %d", side->helper, pid);
	for (size_t i = 0; i < side->map->n; i++)
		text_printf(&words, " %u %u %u", side->map->v[i].container_id,
			    side->map->v[i].host_id, side->map->v[i].size);
	scope_free char **argv = calloc(count + 1, sizeof(*argv));
	if (!argv)
		return err_set(err, ENOMEM, "%s: out of memory", side->helper);
	for (char *rest = words.str; rest;)
		argv[at++] = strsep(&rest, " ");

	for (size_t i = 0; i < ARRAY_SIZE(dirs) && ret == -ENOENT; i++) {
		struct run run = {
			.path = path, .exec_fd = -1, .argv = argv, .envp = envp, .stdin_fd = -1
		};

		snprintf(path, sizeof(path), "%s/%s", dirs[i], side->helper);
		ret = run_program(&run, err);
	}
	if (ret == -ENOENT)
		return err_set(err, EPERM,
			       "%s: not permitted, and there is no %s (an ordinary user can map no "
			       "more than the own id without it)",
			       side->field, side->helper);
	return ret < 0 ? err_wrap(err, "%s: %s", side->field, path) : 0;
}

// A write that isn't permitted leaves the mapping as it was: there is no need to know beforehand
// who may write what.
static int write_side(const struct side *side, pid_t pid, int proc, struct err *err)
{
	int ret = write_direct(side, proc, err);

	if (ret == -EPERM && side->give_up_setgroups) {
		ret = io_write_str(proc, "setgroups", "deny", err);
		if (ret == 0)
			ret = write_direct(side, proc, err);
	}
	if (ret == -EPERM)
		return write_by_helper(side, pid, err);
	return ret < 0 ? err_wrap(err, "%s", side->field) : 0;
}

int idmap_write(const struct ns_plan *plan, pid_t pid, struct err *err)
{
	const struct side gids = gid_side(plan), uids = uid_side(plan);
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	scope_fd int proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return err_sys(err, "open %s", path);
	int ret = write_side(&gids, pid, proc, err);
	return ret < 0 ? ret : write_side(&uids, pid, proc, err);
}

static bool maps_alike(const struct oci_id_mapping *have, const struct oci_id_mappings *want)
{
	for (size_t i = 0; i < want->n; i++)
		if (have->container_id == want->v[i].container_id &&
		    have->host_id == want->v[i].host_id && have->size == want->v[i].size)
			return true;
	return false;
}

static int expect_side(const struct side *side, int proc, struct err *err)
{
	scope_free char *text = NULL;
	struct oci_id_mapping have;
	size_t lines = 0;
	int used;

	if (side->map->n == 0)
		return 0;
	int ret = io_read_file(proc, side->file, 64 * 1024, &text, NULL, err);
	if (ret < 0)
		return ret;
	for (const char *at = text;
	     sscanf(at, "%u %u %u%n", &have.container_id, &have.host_id, &have.size, &used) == 3;
	     at += used, lines++)
		if (!maps_alike(&have, side->map))
			break;
	if (lines != side->map->n)
		return err_set(err, EINVAL,
			       "%s: the user namespace to be joined has another mapping",
			       side->field);
	return 0;
}

int idmap_expect(const struct ns_plan *plan, int proc, struct err *err)
{
	const struct side gids = gid_side(plan), uids = uid_side(plan);
	int ret = expect_side(&gids, proc, err);

	return ret < 0 ? ret : expect_side(&uids, proc, err);
}

static uint32_t root_id(const struct oci_id_mappings *map)
{
	for (size_t i = 0; i < map->n; i++)
		if (map->v[i].container_id == 0)
			return 0;
	return map->n > 0 ? map->v[0].container_id : 0;
}

int idmap_become_root(const struct ns_plan *plan, struct err *err)
{
	const gid_t gid = root_id(plan->gid_mappings);
	const uid_t uid = root_id(plan->uid_mappings);

	// Not permitted where setgroups was given up; the groups then stay as they are.
	if (setgroups(0, NULL) < 0 && errno != EPERM)
		return err_sys(err, "setgroups");
	if (setresgid(gid, gid, gid) < 0)
		return err_sys(err, "become group %u of the user namespace", gid);
	if (setresuid(uid, uid, uid) < 0)
		return err_sys(err, "become user %u of the user namespace", uid);
	return 0;
}
