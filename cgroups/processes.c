// All processes of a cgroup: to be frozen, listed, signalled.

#include "base/scope.h"
#include "cgroups/backoff.h"
#include "cgroups/tree.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FREEZE_TIMEOUT_MS 5000

// v1's freezer works the same on a hybrid host; there v2's would freeze too, but engines look at
// v1's.
static const struct place *freezer_of(const struct cgroup *cgroup)
{
	const struct place *v1 = place_find(&cgroup->places, "freezer", NULL);

	return v1 ? v1 : place_find_v2(&cgroup->places);
}

// ---- freezing ----

static int write_state(const struct place *place, bool frozen)
{
	if (place->v2)
		return place_write(place->dir, "cgroup.freeze", frozen ? "1" : "0");
	return place_write(place->dir, "freezer.state", frozen ? "FROZEN" : "THAWED");
}

static int wait_v1(const struct place *place, bool frozen)
{
	struct backoff backoff = backoff_until(FREEZE_TIMEOUT_MS);
	unsigned int again_at = 16;
	char state[32];

	for (unsigned int tries = 1;; tries++) {
		int ret = place_read(place->dir, "freezer.state", state, sizeof(state));

		if (ret < 0)
			return ret;
		if (str_eq(state, frozen ? "FROZEN" : "THAWED"))
			return 0;
		if (!backoff_wait(&backoff))
			return -ETIMEDOUT;
		// A process that was forked at a bad moment can keep the group in FREEZING for
		// good, until it is thawed and frozen again. But each must come to run before it
		// counts as frozen, which takes longer on a busy host.
		if (frozen && tries == again_at) {
			again_at *= 2;
			write_state(place, false);
			write_state(place, true);
		}
	}
}

// cgroup.events tells by a POLLPRI that something in it has changed since it was read last.
static int wait_v2(const struct place *place, bool frozen)
{
	scope_fd int fd = place_open(place->dir, "cgroup.events", O_RDONLY);
	struct pollfd watch = { .fd = fd, .events = POLLPRI };
	char events[256];

	for (;;) {
		ssize_t n = fd < 0 ? fd : pread(fd, events, sizeof(events) - 1, 0);

		if (n < 0)
			return fd < 0 ? fd : -errno;
		events[n] = '\0';
		if (strstr(events, frozen ? "frozen 1" : "frozen 0"))
			return 0;
		int ready = poll(&watch, 1, FREEZE_TIMEOUT_MS);
		if (ready == 0)
			return -ETIMEDOUT;
		if (ready < 0 && errno != EINTR)
			return -errno;
	}
}

int cgroup_freeze(const struct cgroup *cgroup, bool frozen, struct err *err)
{
	const struct place *place = freezer_of(cgroup);
	const char *what = frozen ? "freeze" : "thaw";

	if (!place && cgroup->driver == CGROUP_DISABLED)
		return 0;
	if (!place)
		return err_set(err, ENOTSUP, "%s: the container has no cgroup with a freezer",
			       what);
	int ret = write_state(place, frozen);
	if (ret == 0)
		ret = place->v2 ? wait_v2(place, frozen) : wait_v1(place, frozen);
	if (ret == -ETIMEDOUT && frozen)
		write_state(place, false);
	return ret < 0 ? err_sysn(err, -ret, "%s the cgroup %s", what, place->dir) : 0;
}

int cgroup_frozen(const struct cgroup *cgroup, struct err *err)
{
	const struct place *place = freezer_of(cgroup);
	char state[32];

	if (!place)
		return 0;
	const char *file = place->v2 ? "cgroup.freeze" : "freezer.state";
	int ret = place_read(place->dir, file, state, sizeof(state));
	if (ret == -ENOENT || ret == -ENODEV)
		return 0;
	if (ret < 0)
		return err_sysn(err, -ret, "read %s/%s", place->dir, file);
	return !str_eq(state, place->v2 ? "0" : "THAWED");
}

// ---- listing ----

static int compare_pids(const void *a, const void *b)
{
	const pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

// A hierarchy that every process of the container is in. v1's can tell a process twice.
static int list_pids(const struct cgroup *cgroup, struct text *pids, struct err *err)
{
	const struct place *place = place_find(&cgroup->places, "pids", NULL);

	if (!place)
		place = place_find_v2(&cgroup->places);
	if (!place && cgroup->places.n > 0)
		place = &cgroup->places.v[0];
	if (!place)
		return 0;
	int ret = tree_pids(place->dir, pids, err);
	if (ret < 0 || !pids->str)
		return ret;
	qsort(pids->str, pids->len / sizeof(pid_t), sizeof(pid_t), compare_pids);
	return 0;
}

int cgroup_pids(const struct cgroup *cgroup, struct arena *arena, pid_t **pids, size_t *count,
		struct err *err)
{
	scope_text struct text list = { 0 };
	int ret = list_pids(cgroup, &list, err);
	const size_t n = list.len / sizeof(pid_t);

	*pids = arena_new(arena, pid_t, n);
	*count = 0;
	for (size_t i = 0; i < n; i++) {
		pid_t pid;

		memcpy(&pid, list.str + i * sizeof(pid), sizeof(pid));
		if (*count == 0 || (*pids)[*count - 1] != pid)
			(*pids)[(*count)++] = pid;
	}
	return ret;
}

// ---- signalling ----

static int signal_all(const struct cgroup *cgroup, int sig, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	pid_t *pids;
	size_t count;
	int ret = cgroup_pids(cgroup, &arena, &pids, &count, err);

	for (size_t i = 0; i < count && ret == 0; i++) {
		if (kill(pids[i], sig) < 0 && errno != ESRCH)
			ret = err_sys(err, "send signal %d to process %d", sig, pids[i]);
	}
	return ret;
}

// v2's one write kills all there is and all that is being forked. False: it can't be had.
static bool kill_v2(const struct cgroup *cgroup)
{
	const struct place *place = place_find_v2(&cgroup->places);

	return place && place_write(place->dir, "cgroup.kill", "1") == 0;
}

int cgroup_kill(const struct cgroup *cgroup, int sig, struct err *err)
{
	const struct place *freezer = freezer_of(cgroup);
	struct err ignored;
	int ret = 0;

	if (cgroup->places.n == 0)
		return 0;
	if (sig == SIGKILL && kill_v2(cgroup)) {
		if (!freezer || freezer->v2)
			return 0;
		// On a hybrid host somebody may be in the v1 hierarchies alone.
		write_state(freezer, false);
		return signal_all(cgroup, sig, err);
	}

	// Where freezing doesn't work out, what has been forked meanwhile is missed: better than
	// nothing.
	const bool was_frozen = cgroup_frozen(cgroup, &ignored) > 0;
	const bool froze = !was_frozen && freezer && cgroup_freeze(cgroup, true, &ignored) == 0;
	ret = signal_all(cgroup, sig, err);
	if (froze || (was_frozen && sig == SIGKILL && !freezer->v2))
		write_state(freezer, false);
	return ret;
}
