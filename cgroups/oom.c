// v1 signals an eventfd each time the group runs out of memory, and once more when the group is
// removed (Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control"). v2 counts in
// memory.events, and inotify tells that a count has changed; cgroup.events tells when nobody is
// left.

#include "base/scope.h"
#include "cgroups/place.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

struct cgroup_oom {
	const char *dir;
	bool v2;
	int fd;
	uint64_t kills; // v2: so many were counted when it was looked at last
};

// The number behind `key` in a file of `key value` lines. Returns 0 or -errno.
static int read_count(const char *dir, const char *file, const char *key, uint64_t *count)
{
	char text[512];
	int ret = place_read(dir, file, text, sizeof(text));
	const char *at = ret < 0 ? NULL : strstr(text, key);

	*count = 0;
	if (at)
		sscanf(at + strlen(key), " %" SCNu64, count);
	return ret < 0 ? ret : 0;
}

static int open_v1(struct cgroup_oom *oom)
{
	scope_fd int control = place_open(oom->dir, "memory.oom_control", O_RDONLY);
	char line[32];

	if (control < 0)
		return control;
	oom->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (oom->fd < 0)
		return -errno;
	snprintf(line, sizeof(line), "%d %d", oom->fd, control);
	return place_write(oom->dir, "cgroup.event_control", line);
}

static int open_v2(struct cgroup_oom *oom)
{
	static const char *const files[] = { "memory.events", "cgroup.events" };

	oom->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (oom->fd < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char path[PATH_MAX];

		if (snprintf(path, sizeof(path), "%s/%s", oom->dir, files[i]) >= (int)sizeof(path))
			return -ENAMETOOLONG;
		if (inotify_add_watch(oom->fd, path, IN_MODIFY) < 0)
			return -errno;
	}
	return read_count(oom->dir, "memory.events", "oom_kill ", &oom->kills);
}

int cgroup_oom_open(const struct cgroup *cgroup, struct arena *arena, struct cgroup_oom **oom,
		    struct err *err)
{
	const struct place *place = place_find(&cgroup->places, "memory", NULL);

	if (!place)
		place = place_find_v2(&cgroup->places);
	if (!place)
		return err_set(err, ENOTSUP, "watch for out of memory: no memory controller");

	struct cgroup_oom *made = arena_new(arena, struct cgroup_oom, 1);
	*made = (struct cgroup_oom){
		.dir = arena_strdup(arena, place->dir),
		.v2 = place->v2,
		.fd = -1,
	};
	int ret = place->v2 ? open_v2(made) : open_v1(made);
	if (ret < 0) {
		cgroup_oom_close(made);
		return err_sysn(err, ret == -ENOENT ? ENOTSUP : -ret,
				"watch for out of memory in %s", place->dir);
	}
	*oom = made;
	return 0;
}

int cgroup_oom_fd(const struct cgroup_oom *oom)
{
	return oom->fd;
}

static int read_v1(struct cgroup_oom *oom)
{
	uint64_t times, kills;

	if (read(oom->fd, &times, sizeof(times)) < 0)
		return errno == EAGAIN ? 0 : -errno;
	return read_count(oom->dir, "memory.oom_control", "oom_kill ", &kills) < 0 ? -ENODEV : 1;
}

static int read_v2(struct cgroup_oom *oom)
{
	_Alignas(struct inotify_event) char events[4096];
	const uint64_t before = oom->kills;
	uint64_t populated = 0;

	while (read(oom->fd, events, sizeof(events)) > 0)
		;
	if (read_count(oom->dir, "memory.events", "oom_kill ", &oom->kills) < 0)
		return -ENODEV;
	if (oom->kills > before)
		return 1;
	if (read_count(oom->dir, "cgroup.events", "populated ", &populated) < 0 || !populated)
		return -ENODEV;
	return 0;
}

int cgroup_oom_read(struct cgroup_oom *oom, struct err *err)
{
	int ret = oom->v2 ? read_v2(oom) : read_v1(oom);

	if (ret == -ENODEV)
		return err_set(err, ENODEV, "the cgroup %s has gone", oom->dir);
	return ret < 0 ? err_sysn(err, -ret, "watch for out of memory in %s", oom->dir) : ret;
}

void cgroup_oom_close(struct cgroup_oom *oom)
{
	replace_fd(&oom->fd, -1);
}
