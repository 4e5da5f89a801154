#include "base/scope.h"
#include "base/sys.h"
#include "cgroups/manager.h"
#include "cgroups/place.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct join_place {
	const char *dir; // for the error
	int fd; // the file that takes a "0"; of the v2 one that is cloned into, the directory
};

struct cgroup_join {
	struct join_place *v; // to be joined by a write
	size_t n;
	struct join_place v2; // to be cloned into
};

static bool lists_meet(const char *list, size_t len, const char *controllers)
{
	char name[64];

	for (size_t i = 0, n; i < len; i += n + 1) {
		n = strcspn(list + i, ",:");
		snprintf(name, sizeof(name), "%.*s", (int)n, list + i);
		if (n < sizeof(name) && place_list_has(controllers, name))
			return true;
	}
	return false;
}

// The length of the list of controllers that a sub begins with; 0: it has none.
static size_t list_length(const char *sub)
{
	const size_t len = strcspn(sub, ":/");

	return sub[len] == ':' ? len : 0;
}

// Each controller that a sub names must be one of the container's.
static int check_sub(const struct cgroup *cgroup, const char *sub, struct err *err)
{
	const size_t len = list_length(sub);

	if (*sub == ':')
		return err_set(err, EINVAL, "the cgroup %s: a controller is missing", sub);
	for (size_t i = 0, n; len > 0 && i <= len; i += n + 1) {
		bool known = false;

		n = strcspn(sub + i, ",:");
		for (size_t j = 0; j < cgroup->places.n; j++) {
			const struct place *place = &cgroup->places.v[j];

			known |= !place->v2 && lists_meet(sub + i, n, place->controllers);
		}
		if (!known)
			return err_set(err, EINVAL,
				       "the cgroup %s: the container has no v1 controller `%.*s`",
				       sub, (int)n, sub + i);
	}
	return 0;
}

// The path below that is meant for this place, the last one if there are several; NULL: none.
static const char *sub_for(const struct place *place, const struct oci_strings *subs)
{
	for (size_t i = subs ? subs->n : 0; i-- > 0;) {
		const char *sub = subs->v[i];
		const size_t len = list_length(sub);

		if (len == 0)
			return sub;
		if (!place->v2 && lists_meet(sub, len, place->controllers))
			return sub + len + 1;
	}
	return NULL;
}

static int open_sub(const struct place *place, const char *sub, struct err *err)
{
	scope_fd int dir = open(place->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	if (dir < 0)
		return err_sys(err, "open the cgroup %s", place->dir);
	if (!sub)
		return take_fd(&dir);
	sub += strspn(sub, "/");
	int fd = sys_openat2(dir, *sub ? sub : ".", &how);
	if (fd < 0 && errno == EXDEV)
		return err_set(err, EINVAL, "the cgroup %s leads out of the container's", sub);
	return fd < 0 ? err_sys(err, "open the cgroup %s/%s", place->dir, sub) : fd;
}

// Opened by the parent: the child may be in another mount namespace, and another user, by the time
// it joins.
static int open_tasks(const struct place *place, const char *sub, struct err *err)
{
	int tasks;

	if (!sub) {
		tasks = place_open(place->dir, "tasks", O_WRONLY);
		return tasks < 0 ? err_sysn(err, -tasks, "open the cgroup %s", place->dir) : tasks;
	}
	scope_fd int dir = open_sub(place, sub, err);
	if (dir < 0)
		return dir;
	tasks = openat(dir, "tasks", O_WRONLY | O_CLOEXEC);
	return tasks < 0 ? err_sys(err, "open the cgroup %s/%s", place->dir, sub) : tasks;
}

static int open_place(struct cgroup_join *join, const struct place *place, const char *sub,
		      struct err *err)
{
	int fd = place->v2 ? open_sub(place, sub, err) : open_tasks(place, sub, err);

	if (fd < 0)
		return fd;
	if (!place->v2) {
		join->v[join->n++] = (struct join_place){ place->dir, fd };
		return 0;
	}
	join->v2 = (struct join_place){ place->dir, fd };
	// Nobody knows what was done to a group that moat hasn't made.
	return place->made == strlen(place->dir) ? cgroup_join_by_write(join, err) : 0;
}

// The v2 path in /proc/PID/cgroup, `0::/a/b`.
static char *v2_path(char *text)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (str_starts(line, "0::"))
			return line + strlen("0::");
	}
	return NULL;
}

// The kernel moves a process for those alone who may write to the nearest group above both places,
// and to a user that is only so among what systemd has given to the user's manager. From elsewhere,
// as a login session, that manager first takes moat in, so that its children are born there.
static int enter_manager(const struct cgroup *cgroup, struct err *err)
{
	const struct place *place = place_find_v2(&cgroup->places);
	scope_arena struct arena arena = { 0 };
	scope_free char *text = NULL;
	struct unit entry;

	if (!place || !cgroup->unit || !cgroup->unit->user)
		return 0;
	const char *root = arena_strndup(&arena, place->dir, place->root_len);
	const char *manager = place->dir + place->root_len;
	const size_t len = unit_manager_len(manager);
	int ret = place_read_all("/proc/self", "cgroup", &text);
	if (ret < 0)
		return err_sysn(err, -ret, "read /proc/self/cgroup");
	const char *own = v2_path(text);
	if ((own && strncmp(own, manager, len) == 0 && (own[len] == '/' || !own[len])) ||
	    access(arena_printf(&arena, "%s/cgroup.procs", root), W_OK) == 0)
		return 0;
	unit_plan_entry(&entry, getpid(), &arena);
	return manager_start_unit(&entry, getpid(), err);
}

int cgroup_join_open(const struct cgroup *cgroup, const struct oci_strings *subs,
		     struct arena *arena, struct cgroup_join **join, struct err *err)
{
	struct cgroup_join *made = arena_new(arena, struct cgroup_join, 1);

	if (enter_manager(cgroup, err) < 0)
		return -err->code;
	made->v2.fd = -1;
	made->v = arena_new(arena, struct join_place, cgroup->places.n);
	for (size_t i = 0; subs && i < subs->n; i++)
		if (check_sub(cgroup, subs->v[i], err) < 0)
			return -err->code;
	for (size_t i = 0; i < cgroup->places.n; i++) {
		const struct place *place = &cgroup->places.v[i];

		if (open_place(made, place, sub_for(place, subs), err) < 0) {
			cgroup_join_close(made);
			return -err->code;
		}
	}
	*join = made;
	return 0;
}

void cgroup_join_close(struct cgroup_join *join)
{
	replace_fd(&join->v2.fd, -1);
	for (size_t i = 0; i < join->n; i++)
		replace_fd(&join->v[i].fd, -1);
}

int cgroup_join_fd(const struct cgroup_join *join)
{
	return join->v2.fd;
}

int cgroup_join_by_write(struct cgroup_join *join, struct err *err)
{
	if (join->v2.fd < 0)
		return 0;
	int procs = openat(join->v2.fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (procs < 0)
		return err_sys(err, "open the cgroup %s", join->v2.dir);
	join->v[join->n++] = (struct join_place){ join->v2.dir, procs };
	replace_fd(&join->v2.fd, -1);
	return 0;
}

int cgroup_join(const struct cgroup_join *join, struct err *err)
{
	for (size_t i = 0; i < join->n; i++)
		if (write(join->v[i].fd, "0", 1) < 0)
			return err_sys(err, "join the cgroup %s", join->v[i].dir);
	return 0;
}

// ---- where a process is ----

int cgroup_sub_of(const struct cgroup *cgroup, pid_t pid, struct arena *arena, const char **sub,
		  struct err *err)
{
	const struct place *place = place_find_v2(&cgroup->places);
	scope_free char *text = NULL;
	char proc[32];

	*sub = NULL;
	if (!place)
		return 0;
	snprintf(proc, sizeof(proc), "/proc/%d", pid);
	int ret = place_read_all(proc, "cgroup", &text);
	if (ret < 0)
		return err_sysn(err, -ret, "read %s/cgroup", proc);

	const char *path = v2_path(text), *own = place->dir + place->root_len;
	const size_t len = strlen(own);
	if (!path || strncmp(path, own, len) != 0 || (path[len] && path[len] != '/'))
		return err_set(err, EINVAL, "process %d is not in the container's cgroup %s", pid,
			       own);
	if (path[len])
		*sub = arena_strdup(arena, path + len + 1);
	return 0;
}
