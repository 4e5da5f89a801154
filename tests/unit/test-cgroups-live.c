// The appliers on this host's own hierarchies. Needs root; leaves nothing behind.
#include "cgroups/place.h"
#include "cgroups/unified.h"
#include "tests/unit/tap.h"

#include "base/scope.h"
#include "base/sys.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct arena arena;
static const struct cgroup_host *host;
static char id[64];

// A step that has to succeed; shows the error otherwise.
static bool works(int ret, const struct err *err)
{
	if (ret < 0)
		printf("# %s\n", err->msg);
	return ok(ret >= 0, "it works");
}

static struct oci_memory memory = { .limit = { true, 64 << 20 }, .swap = { true, 64 << 20 } };
static struct oci_pids pids = { .limit = { true, 20 } };
static struct oci_cpu cpu;

static bool has(const char *controller)
{
	for (size_t i = 0; i < host->hierarchies.n; i++) {
		if (place_list_has(host->hierarchies.v[i].controllers, controller))
			return true;
	}
	return false;
}

// Limits for what this host has.
static struct oci_resources limits(void)
{
	return (struct oci_resources){
		.memory = has("memory") ? &memory : NULL,
		.pids = has("pids") ? &pids : NULL,
	};
}

static int create(struct oci_resources *resources, struct cgroup **cgroup, struct err *err)
{
	const struct oci_linux spec = { .resources = resources };
	const struct cgroup_options options = { .id = id };
	const struct cgroup_plan *plan;
	int ret = cgroup_plan_make(host, &spec, &options, &arena, &plan, err);

	return ret < 0 ? ret : cgroup_create(plan, cgroup, err);
}

// A child in the cgroup that waits to be killed, and does `work` first, with its result on *result.
static pid_t spawn_by(const struct cgroup *cgroup, bool clone_into, int (*work)(void), int *result)
{
	struct cgroup_join *join = NULL;
	struct err err = { 0 };
	int ends[2];

	if (cgroup_join_open(cgroup, NULL, &arena, &join, &err) < 0 || pipe2(ends, O_CLOEXEC) < 0) {
		printf("# %s\n", err.msg);
		return -1;
	}
	if (!clone_into && cgroup_join_by_write(join, &err) < 0) {
		printf("# %s\n", err.msg);
		return -1;
	}
	struct clone_args args = { .exit_signal = SIGCHLD };
	if (cgroup_join_fd(join) >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_join_fd(join);
	}
	pid_t pid = sys_clone3(&args);
	if (pid == 0) {
		int value = cgroup_join(join, &err);

		if (value == 0 && work)
			value = work();
		if (write(ends[1], &value, sizeof(value)) > 0)
			pause();
		_exit(1);
	}
	cgroup_join_close(join);
	close(ends[1]);
	if (read(ends[0], result, sizeof(*result)) != sizeof(*result))
		*result = -EPIPE;
	close(ends[0]);
	return pid;
}

static pid_t spawn(const struct cgroup *cgroup, int (*work)(void), int *result)
{
	return spawn_by(cgroup, true, work, result);
}

static bool exists_anywhere(void)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < host->hierarchies.n; i++) {
		const struct cgroup_hierarchy *h = &host->hierarchies.v[i];

		snprintf(path, sizeof(path), "%s%s/%s", h->mount_point,
			 str_eq(h->own, "/") ? "" : h->own, id);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

static char *limit_of(const struct cgroup *cgroup, const char *v1_file, const char *v2_file)
{
	static char text[64];
	const struct place *place = place_find(&cgroup->places, "memory", "memory");

	if (!place || place_read(place->dir, place->v2 ? v2_file : v1_file, text, sizeof(text)) < 0)
		strcpy(text, "(none)");
	return text;
}

// Only what the rules allow can be opened: null, but not the kernel's log.
static int open_devices(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC),
	    kmsg = open("/dev/kmsg", O_RDONLY | O_CLOEXEC);

	return null >= 0 && kmsg < 0 && errno == EPERM ? 0 : -EPERM;
}

static void test_life(void)
{
	struct oci_resources resources = limits();
	scope_cgroup struct cgroup *cgroup = NULL, *second = NULL;
	struct err err = { 0 };
	int result = -1, status;
	pid_t *list;
	size_t n;

	if (!works(create(&resources, &cgroup, &err), &err))
		return;
	const pid_t child = spawn(cgroup, open_devices, &result);
	is_int(result, 0);
	is_int(cgroup_pids(cgroup, &arena, &list, &n, &err), 0);
	ok(n == 1 && list[0] == child, "the child is in it");
	is_str(limit_of(cgroup, "memory.limit_in_bytes", "memory.max"),
	       resources.memory ? "67108864" : "(none)");

	is_int(create(&resources, &second, &err), -EEXIST);
	is_int(cgroup_freeze(cgroup, true, &err), 0);
	is_int(cgroup_frozen(cgroup, &err), 1);
	is_int(create(&resources, &second, &err), -EEXIST);
	is_int(cgroup_freeze(cgroup, false, &err), 0);
	is_int(cgroup_frozen(cgroup, &err), 0);

	// A signal to a frozen group comes through; on v1 only because it is thawed.
	is_int(cgroup_freeze(cgroup, true, &err), 0);
	is_int(cgroup_kill(cgroup, SIGKILL, &err), 0);
	is_int(waitpid(child, &status, 0), child);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "killed");
	is_int(cgroup_delete(cgroup, &err), 0);
	ok(!exists_anywhere(), "nothing is left");
	is_int(cgroup_delete(cgroup, &err), 0);
	is_int(cgroup_kill(cgroup, SIGTERM, &err), 0);
	is_int(cgroup_frozen(cgroup, &err), 0);
}

// What was saved is what is loaded; limits go up and down in whatever order the kernel wants.
static void test_update(void)
{
	if (!has("memory")) {
		skip("update", "no memory controller");
		return;
	}
	struct oci_resources resources = limits();
	scope_cgroup struct cgroup *made = NULL, *cgroup = NULL;
	struct oci_strings paths;
	struct err err = { 0 };

	if (!works(create(&resources, &made, &err), &err))
		return;
	cgroup_save(made, &arena, &paths);
	is_int(cgroup_load(&paths, CGROUP_CGROUPFS, &cgroup, &err), 0);

	const struct oci_memory before = memory;
	for (int64_t size = 256; size >= 16; size -= 240) {
		memory.limit.v = size << 20;
		memory.swap.v = (size + 1) << 20;
		ok(cgroup_update(cgroup, &resources, &err) == 0, size > 64 ? "raised" : "lowered");
		is_int(atoll(limit_of(cgroup, "memory.limit_in_bytes", "memory.max")), size << 20);
	}
	memory = before;
	is_int(cgroup_delete(cgroup, &err), 0);
	ok(!exists_anywhere(), "nothing is left");
}

static void test_failure(void)
{
	if (!has("cpuset")) {
		skip("a limit that the kernel refuses", "no cpuset controller");
		return;
	}
	struct oci_resources resources = { .cpu = &cpu };
	scope_cgroup struct cgroup *cgroup = NULL;
	struct err err = { 0 };
	static char impossible[] = "100000";

	cpu = (struct oci_cpu){ .cpus = impossible };
	ok(create(&resources, &cgroup, &err) < 0, "a limit that the kernel refuses");
	ok(strstr(err.msg, "cpuset.cpus"), "the error names the file");
	ok(!exists_anywhere(), "nothing is left");
}

// The container's own sub-groups: counted, entered, and removed with it.
static void test_below(void)
{
	struct oci_resources resources = { 0 };
	scope_cgroup struct cgroup *cgroup = NULL;
	struct cgroup_join *join = NULL;
	struct err err = { 0 };
	char path[PATH_MAX];
	static char inside[] = "/a/../a", missing[] = "b", outside[] = "../x", far[] = "/../../..";
	static char *const names[] = { inside, missing, outside, far };
	static const int want[] = { 0, -ENOENT, -EINVAL, -EINVAL };

	if (!works(create(&resources, &cgroup, &err), &err))
		return;
	for (size_t i = 0; i < cgroup->places.n; i++) {
		snprintf(path, sizeof(path), "%s/a", cgroup->places.v[i].dir);
		mkdir(path, 0755);
		snprintf(path, sizeof(path), "%s/a/b", cgroup->places.v[i].dir);
		mkdir(path, 0755);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct oci_strings subs = { (char **)&names[i], 1 };
		int ret = cgroup_join_open(cgroup, &subs, &arena, &join, &err);

		is_int(ret, want[i]);
		if (ret == 0)
			cgroup_join_close(join);
	}
	is_int(cgroup_delete(cgroup, &err), 0);
	ok(!exists_anywhere(), "nothing is left");
}

static int eat_memory(void)
{
	const size_t size = 32 << 20;
	volatile char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				    -1, 0);

	for (size_t i = 0; bytes != MAP_FAILED && i < size; i += 4096)
		bytes[i] = 1;
	return 0;
}

static void test_oom(void)
{
	if (!has("memory")) {
		skip("out of memory", "no memory controller");
		return;
	}
	struct oci_memory small = { .limit = { true, 4 << 20 }, .swap = { true, 4 << 20 } };
	struct oci_resources resources = { .memory = &small };
	scope_cgroup struct cgroup *cgroup = NULL;
	struct cgroup_oom *oom;
	struct err err = { 0 };
	int result = 0;

	if (!works(create(&resources, &cgroup, &err), &err))
		return;
	if (works(cgroup_oom_open(cgroup, &arena, &oom, &err), &err)) {
		struct pollfd watch = { .fd = cgroup_oom_fd(oom), .events = POLLIN };

		is_int(poll(&watch, 1, 0), 0);
		const pid_t child = spawn(cgroup, eat_memory, &result);
		is_int(result, -EPIPE);
		is_int(waitpid(child, NULL, 0), child);
		is_int(poll(&watch, 1, 5000), 1);
		is_int(cgroup_oom_read(oom, &err), 1);
		is_int(cgroup_delete(cgroup, &err), 0);
		is_int(poll(&watch, 1, 5000), 1);
		is_int(cgroup_oom_read(oom, &err), -ENODEV);
		cgroup_oom_close(oom);
	}
	is_int(cgroup_delete(cgroup, &err), 0);
}

static int open_kmsg(void)
{
	scope_fd int fd = open("/dev/kmsg", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : 0;
}

// What the kernel makes of a v2 program, on a group of its own, whether or not v1 has a devices
// controller.
static void test_program(void)
{
	const struct cgroup_hierarchy *v2 = NULL;
	const struct oci_resources none = { 0 };
	struct oci_device_rule every = { .allow = true };
	const struct oci_resources all = { .devices = { &every, 1 } };
	struct err err = { 0 };
	int result = -1;

	for (size_t i = 0; i < host->hierarchies.n; i++)
		v2 = host->hierarchies.v[i].v2 ? &host->hierarchies.v[i] : v2;
	if (!v2) {
		skip("device programs", "no cgroup v2 is mounted");
		return;
	}
	struct place place = { .dir = arena_printf(&arena, "%s/%s", v2->mount_point, id),
			       .v2 = true };
	const struct cgroup cgroup = { .places = { &place, 1 } };
	is_int(mkdir(place.dir, 0755), 0);
	is_int(device_rules_make(&none, &arena, &place.devices, &err), 0);
	works(unified_attach_devices(&place, true, &err), &err);
	pid_t child = spawn(&cgroup, open_devices, &result);
	is_int(result, 0);
	is_int(cgroup_kill(&cgroup, SIGKILL, &err), 0);
	is_int(waitpid(child, NULL, 0), child);

	// Attached in the old one's stead: with both in force nothing would be allowed.
	is_int(device_rules_make(&all, &arena, &place.devices, &err), 0);
	works(unified_attach_devices(&place, false, &err), &err);
	child = spawn_by(&cgroup, false, open_kmsg, &result);
	is_int(result, 0);
	is_int(cgroup_kill(&cgroup, SIGKILL, &err), 0);
	is_int(waitpid(child, NULL, 0), child);
	is_int(rmdir(place.dir), 0);
}

static void test_sub_of(void)
{
	struct oci_resources resources = { 0 };
	scope_cgroup struct cgroup *cgroup = NULL;
	struct err err = { 0 };
	const char *sub = "unset";
	char path[PATH_MAX], pid[16];
	int result = 0;

	if (!works(create(&resources, &cgroup, &err), &err))
		return;
	const struct place *place = place_find_v2(&cgroup->places);
	const pid_t child = spawn(cgroup, NULL, &result);
	is_int(cgroup_sub_of(cgroup, child, &arena, &sub, &err), 0);
	ok(!sub, "in the cgroup itself");
	if (place) {
		snprintf(path, sizeof(path), "%s/init", place->dir);
		snprintf(pid, sizeof(pid), "%d", child);
		mkdir(path, 0755);
		is_int(place_write(path, "cgroup.procs", pid), 0);
		is_int(cgroup_sub_of(cgroup, child, &arena, &sub, &err), 0);
		is_str(sub, "init");
		is_int(cgroup_sub_of(cgroup, getpid(), &arena, &sub, &err), -EINVAL);
	}
	is_int(cgroup_kill(cgroup, SIGKILL, &err), 0);
	is_int(waitpid(child, NULL, 0), child);
	is_int(cgroup_delete(cgroup, &err), 0);
	ok(!exists_anywhere(), "nothing is left");
}

int main(void)
{
	struct err err = { 0 };

	snprintf(id, sizeof(id), "moat-unit-%d", getpid());
	if (geteuid() != 0) {
		skip("cgroups on this host", "needs root");
		return done();
	}
	if (cgroup_host_detect(&arena, &host, &err) < 0 || host->hierarchies.n == 0) {
		skip("cgroups on this host", "none are mounted");
		return done();
	}
	if (access("/sys/fs/cgroup", W_OK) < 0) {
		skip("cgroups on this host", "/sys/fs/cgroup is read-only");
		return done();
	}
	test_life();
	test_update();
	test_failure();
	test_below();
	test_oom();
	test_program();
	test_sub_of();
	arena_free(&arena);
	return done();
}
