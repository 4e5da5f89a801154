// The appliers on a tree of ordinary files, which take whatever is written: which file is touched,
// and what is read of it. What only a kernel does is in test-cgroups-live.
#include "cgroups/backoff.h"
#include "cgroups/plan.h"
#include "cgroups/restore.h"
#include "cgroups/tree.h"
#include "cgroups/unified.h"
#include "tests/unit/tap.h"

#include "base/io.h"
#include "base/scope.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/test-cgroups-apply.XXXXXX";
static struct arena arena;

static const char *in(const char *path)
{
	return arena_printf(&arena, "%s/%s", root, path);
}

static void make_dir(const char *path)
{
	mkdir(in(path), 0755);
}

static void put(const char *path, const char *content)
{
	scope_fd int fd = open(in(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (io_write_all(fd, content, strlen(content)) < 0)
		ok(false, "the test's own file is written");
}

static const char *get(const char *path)
{
	char *text = NULL;
	struct err err;

	if (io_read_file(AT_FDCWD, in(path), 4096, &text, NULL, &err) < 0)
		return "(none)";
	const char *copy = arena_strdup(&arena, text);
	free(text);
	return copy;
}

static struct place make_place(const char *controllers, const char *dir, bool v2)
{
	return (struct place){
		.controllers = controllers, .dir = in(dir), .root_len = strlen(root), .v2 = v2
	};
}

static void test_writes(void)
{
	struct place place = make_place("x", "w", false);
	struct err err = { 0 };

	make_dir("w");
	put("w/plain", "");
	put("w/second", "");
	put("w/both", "");
	place_add_write(&place, &arena, 0, "plain", "%d", 7);
	place_add_write(&place, &arena, WRITE_OPTIONAL, "missing", "1");
	place_add_write(&place, &arena, WRITE_OR_NEXT, "first", "a");
	place_add_write(&place, &arena, 0, "second", "b");
	place_add_write(&place, &arena, WRITE_OR_NEXT, "both", "c");
	place_add_write(&place, &arena, 0, "never", "d");
	is_int(place_write_all(&place, &err), 0);
	is_str(get("w/plain"), "7");
	is_str(get("w/second"), "b");
	is_str(get("w/both"), "c");
	is_str(get("w/never"), "(none)");

	place_add_write(&place, &arena, 0, "missing", "1");
	is_int(place_write_all(&place, &err), -ENOENT);
	is_str(err.msg,
	       arena_printf(&arena,
			    "write 1 to %s/w/missing: no such file or directory (does this "
			    "kernel have it?)",
			    root));
}

// What a place's file says, the write that is planned, and the write that brings it back.
static void test_restore(void)
{
	static const struct {
		const char *file, *content, *value, *back;
	} rows[] = {
		{ "memory.max", "max\n", "100", "max" },
		{ "cpu.max", "max 100000\n", "5000 10000", "max 100000" },
		{ "cpuset.cpus", "\n", "0-1", "\n" },
		{ "io.weight", "default 100\n8:0 50\n", "300", "default 100" },
		{ "io.max", "8:0 rbps=1 wbps=max\n8:16 rbps=2\n", "8:16 rbps=7", "8:16 rbps=2" },
		{ "io.max", "8:0 rbps=1 wbps=max\n", "8:16 rbps=7", "8:16 rbps=max" },
		{ "blkio.throttle.read_bps_device", "8:0 5\n", "8:0 7", "8:0 5" },
		{ "blkio.throttle.read_bps_device", "8:0 5\n", "8:16 7", "8:16 0" },
		{ "rdma.max", "", "mlx5_1 hca_handle=3", "mlx5_1 hca_handle=max" },
		{ "net_prio.ifpriomap", "lo 0\neth0 3\n", "eth0 5", "eth0 3" },
		{ "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", "1", "0" },
	};

	make_dir("old");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct place place = make_place("x", "old", false), back;

		put(arena_printf(&arena, "old/%s", rows[i].file), rows[i].content);
		place_add_write(&place, &arena, 0, rows[i].file, "%s", rows[i].value);
		place_add_write(&place, &arena, 0, "missing", "1");
		restore_plan(&place, &arena, &back);
		is_int(back.writes.n, 1);
		is_str(back.writes.v[0].value, rows[i].back);
	}
}

static void test_make(void)
{
	struct place place = make_place("x", "m/a/b/c", false);

	make_dir("m");
	is_int(tree_make(&place), 0);
	is_int(place.made, strlen(in("m")));
	struct place below = make_place("x", "m/a/b/d", false);
	is_int(tree_make(&below), 0);
	is_int(below.made, strlen(in("m/a/b")));
	struct place again = place;
	is_int(tree_make(&again), 1);
	is_int(again.made, strlen(in("m/a/b/c")));
	tree_unmake(&again);
	ok(access(in("m/a/b/c"), F_OK) == 0, "what was there before stays");
	tree_unmake(&place);
	ok(access(in("m/a/b/c"), F_OK) < 0 && access(in("m/a/b/d"), F_OK) == 0,
	   "a parent that another uses stays");
	tree_unmake(&below);
	ok(access(in("m/a/b"), F_OK) == 0 && access(in("m/a/b/d"), F_OK) < 0,
	   "who made the parent was the other");

	struct place lost = make_place("x", "nothere/a", false);
	lost.root_len = strlen(in("nothere"));
	is_int(tree_make(&lost), -ENOENT);
}

static void test_remove(void)
{
	struct err err;

	make_dir("r");
	make_dir("r/a");
	make_dir("r/a/b");
	make_dir("r/a/c");
	make_dir("r/d");
	is_int(tree_remove(in("r"), &err), 0);
	ok(access(in("r"), F_OK) < 0, "all levels are removed");
	is_int(tree_remove(in("r"), &err), 0);
}

// Deeper than any path name can say.
static void test_deep(void)
{
	char name[201] = { 0 };
	scope_fd int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct err err;

	memset(name, 'x', sizeof(name) - 1);
	for (int i = 0; i < 100; i++) {
		mkdirat(fd, name, 0755);
		replace_fd(&fd, openat(fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC));
	}
	ok(fd >= 0, "the tree is made");
	is_int(tree_remove(in(name), &err), 0);
}

static void test_pids(void)
{
	struct cgroup cgroup = { .places = { &(struct place){ 0 }, 1 } };
	struct err err = { 0 };
	pid_t *pids;
	size_t n;

	cgroup.places.v[0] = make_place("pids", "p", false);
	is_int(cgroup_pids(&cgroup, &arena, &pids, &n, &err), 0);
	is_int(n, 0);
	make_dir("p");
	make_dir("p/sub");
	put("p/cgroup.procs", "30\n7\n30\n");
	put("p/sub/cgroup.procs", "0\n12\n");
	is_int(cgroup_pids(&cgroup, &arena, &pids, &n, &err), 0);
	is_int(n, 3);
	ok(n == 3 && pids[0] == 7 && pids[1] == 12 && pids[2] == 30, "ascending, each once");
}

static void test_existing(void)
{
	struct place places[] = { make_place("freezer", "e", false) };
	struct cgroup_plan plan = { .places = { places, 1 } };
	struct cgroup *cgroup = NULL;
	struct err err = { 0 };

	make_dir("e");
	put("e/cgroup.procs", "");
	put("e/freezer.state", "FROZEN\n");
	is_int(cgroup_create(&plan, &cgroup, &err), -EBUSY);
	put("e/freezer.state", "THAWED\n");
	put("e/cgroup.procs", "5\n");
	is_int(cgroup_create(&plan, &cgroup, &err), -EEXIST);
	is_str(err.msg, arena_printf(&arena, "the cgroup %s/e holds processes already", root));
	put("e/cgroup.procs", "");
	is_int(cgroup_create(&plan, &cgroup, &err), 0);
	cgroup_close(&cgroup);
	ok(access(in("e"), F_OK) == 0, "closing removes nothing");
}

static void test_failure(void)
{
	struct place places[] = { make_place("a", "f1/x", false), make_place("b", "f2/y", false) };
	struct cgroup_plan plan = { .places = { places, 2 } };
	struct cgroup *cgroup = NULL;
	struct err err = { 0 };

	make_dir("f1");
	place_add_write(&places[1], &arena, 0, "limit", "1");
	is_int(cgroup_create(&plan, &cgroup, &err), -ENOENT);
	ok(!cgroup, "no cgroup");
	ok(access(in("f1"), F_OK) == 0 && access(in("f1/x"), F_OK) < 0 &&
		   access(in("f2"), F_OK) < 0,
	   "what was made is removed, and no more");
}

static void test_cpuset(void)
{
	struct place places[] = { make_place("cpuset", "c/new", false) };
	struct cgroup_plan plan = { .places = { places, 1 } };
	struct cgroup *cgroup = NULL;
	struct err err = { 0 };

	make_dir("c");
	make_dir("c/new");
	put("cpuset.cpus", "0-7\n");
	put("cpuset.mems", "0\n");
	for (int i = 0; i < 2; i++) {
		put(i ? "c/cpuset.cpus" : "c/cpuset.mems", "");
		put(i ? "c/new/cpuset.cpus" : "c/new/cpuset.mems", "");
	}
	put("c/new/cgroup.procs", "");
	is_int(cgroup_create(&plan, &cgroup, &err), 0);
	is_str(get("c/cpuset.cpus"), "0-7");
	is_str(get("c/new/cpuset.cpus"), "0-7");
	is_str(get("c/new/cpuset.mems"), "0");
	cgroup_close(&cgroup);

	put("c/new/cpuset.cpus", "3");
	put("cpuset.cpus", "0-9");
	is_int(cgroup_create(&plan, &cgroup, &err), 0);
	is_str(get("c/new/cpuset.cpus"), "3");
	cgroup_close(&cgroup);
}

static void test_unified(void)
{
	struct place places[] = { make_place("cpu io memory", "u/leaf", true) };
	struct err err = { 0 };

	make_dir("u");
	make_dir("u/leaf");
	put("cgroup.subtree_control", "");
	put("u/cgroup.subtree_control", "");
	put("u/cgroup.procs", "4\n");
	put("u/leaf/cgroup.controllers", "io\n");
	put("u/leaf/cgroup.type", "domain\n");
	is_int(unified_enable(&places[0], "cpu io memory", &err), 0);
	is_str(get("cgroup.subtree_control"), "+cpu +memory");
	is_str(get("u/cgroup.subtree_control"), "+cpu +memory");

	places[0].enable = "memory";
	is_int(unified_enable(&places[0], NULL, &err), -ENOTSUP);
	is_str(err.msg,
	       arena_printf(&arena,
			    "the cgroup %s/u/leaf lacks a controller: memory (the group above holds "
			    "processes, and such a group can give none)",
			    root));
	put("u/leaf/cgroup.type", "domain invalid\n");
	is_int(unified_enable(&places[0], NULL, &err), -EOPNOTSUPP);
	places[0].enable = NULL;
	is_int(unified_enable(&places[0], "cpu", &err), 0);
	ok(str_starts(get("u/leaf/cgroup.type"), "threaded"),
	   "without such controllers it joins the threads");
}

static struct cgroup *load_v2(const char *dir)
{
	char *path = arena_printf(&arena, ":%s", in(dir));
	const struct oci_strings paths = { &path, 1 };
	struct cgroup *cgroup = NULL;
	struct err err;

	is_int(cgroup_load(&paths, CGROUP_CGROUPFS, &cgroup, &err), 0);
	return cgroup;
}

// On v2 a change may need to know what it leaves alone.
static void test_update(void)
{
	struct oci_cpu cpu = { .period = { true, 50000 } };
	struct oci_memory memory = { .swap = { true, 3000 } };
	const struct oci_resources resources = { .cpu = &cpu, .memory = &memory };
	struct err err = { 0 };

	make_dir("n");
	scope_cgroup struct cgroup *cgroup = load_v2("n");
	put("n/cgroup.controllers", "cpu memory\n");
	put("n/cpu.max", "20000 10000\n");
	put("n/memory.max", "1000\n");
	put("n/memory.swap.max", "");
	is_int(cgroup_update(cgroup, &resources, &err), 0);
	is_str(get("n/cpu.max"), "20000 50000\n");
	is_str(get("n/memory.max"), "1000\n");
	is_str(get("n/memory.swap.max"), "2000");

	memory = (struct oci_memory){ .limit = { true, 400 }, .check_before_update = true };
	put("n/memory.current", "500\n");
	is_int(cgroup_update(cgroup, &resources, &err), -EBUSY);
	is_str(err.msg, "linux.resources.memory.limit: 400 is less than the 500 bytes in use");
	is_str(get("n/memory.max"), "1000\n");
	put("n/cgroup.controllers", "cpu\n");
	memory.check_before_update = false;
	is_int(cgroup_update(cgroup, &resources, &err), -ENOTSUP);
}

static void test_update_devices(void)
{
	static char read_only[] = "r";
	struct oci_device_rule rules[] = { { true, 'b', { true, 8 }, { true, 0 }, read_only },
					   { true, 'b', { true, 8 }, { true, 1 }, NULL } };
	const struct oci_resources resources = { .devices = { rules, 2 } };
	char *path = arena_printf(&arena, "devices:%s", in("d"));
	const struct oci_strings paths = { &path, 1 };
	scope_cgroup struct cgroup *cgroup = NULL;
	struct err err = { 0 };

	make_dir("d");
	put("d/devices.deny", "");
	put("d/devices.allow", "");
	put("d/devices.list", "c *:* m\nb *:* m\nc 1:3 rwm\nc 1:5 rwm\nc 1:7 rwm\nc 1:8 rwm\n"
			      "c 1:9 rwm\nc 5:0 rwm\nc 5:2 rwm\nc 136:* rwm\nc 10:200 rwm\n"
			      "b 8:0 rw\nb 8:1 rwm\n");
	is_int(cgroup_load(&paths, CGROUP_CGROUPFS, &cgroup, &err), 0);
	is_int(cgroup_update(cgroup, &resources, &err), 0);
	is_str(get("d/devices.deny"), "b 8:0 rw");
	is_str(get("d/devices.allow"), "b 8:0 r");

	put("d/devices.deny", "");
	put("d/devices.list", "a *:* rwm\n");
	is_int(cgroup_update(cgroup, &resources, &err), 0);
	is_str(get("d/devices.deny"), "a");
}

static void test_stats(void)
{
	struct cgroup_stats stats;
	struct err err = { 0 };

	make_dir("s");
	scope_cgroup struct cgroup *cgroup = load_v2("s");
	put("s/cpu.stat", "usage_usec 7\nuser_usec 4\nsystem_usec 3\nnr_periods 2\nnr_throttled 1\n"
			  "throttled_usec 9\n");
	put("s/memory.current", "100\n");
	put("s/memory.max", "max\n");
	put("s/memory.swap.current", "10\n");
	put("s/memory.swap.max", "20\n");
	put("s/memory.stat", "anon 5\nfile 6\nfile_mapped 1\n");
	put("s/pids.current", "2\n");
	put("s/pids.max", "max\n");
	put("s/io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n7:1 \n");
	put("s/hugetlb.2MB.current", "8\n");
	put("s/hugetlb.2MB.max", "max\n");
	put("s/hugetlb.2MB.rsvd.current", "1\n");
	put("s/hugetlb.2MB.events", "max 4\n");
	put("s/cpu.pressure", "some avg10=1.50 avg60=0.25 avg300=0.00 total=77\n"
			      "full avg10=0.00 avg60=0.00 avg300=0.00 total=66\n");
	is_int(cgroup_stats(cgroup, &arena, &stats, &err), 0);
	is_int(stats.cpu_total_ns, 7000);
	is_int(stats.cpu_kernel_ns, 3000);
	is_int(stats.cpu_throttled_ns, 9000);
	is_int(stats.memory.usage_bytes, 100);
	ok(stats.memory.limit_bytes == UINT64_MAX, "no limit");
	is_int(stats.swap.usage_bytes, 110);
	ok(stats.swap.limit_bytes == UINT64_MAX, "no limit of both together");
	is_int(stats.memory_cache_bytes, 6);
	is_int(stats.memory_raw.n, 3);
	is_str(stats.memory_raw.v[2].name, "file_mapped");
	is_int(stats.pids_current, 2);
	is_int(stats.pids_limit, 0);
	is_int(stats.io_service_bytes.n, 3);
	is_int(stats.io_serviced.v[1].value, 4);
	is_str(stats.io_serviced.v[1].op, "Write");
	is_int(stats.hugetlb.n, 1);
	is_str(stats.hugetlb.v[0].page_size, "2MB");
	is_int(stats.hugetlb.v[0].failcnt, 4);
	ok(stats.cpu_psi.present && !stats.io_psi.present, "pressure where there is a file");
	ok(stats.cpu_psi.some.avg10 == 1.5 && stats.cpu_psi.full.total_us == 66,
	   "pressure is read");
}

static void test_stats_v1(void)
{
	struct place places[] = { make_place("blkio", "v", false),
				  make_place("cpu,cpuacct", "v", false) };
	const struct cgroup cgroup = { .places = { places, 2 } };
	struct cgroup_stats stats;
	struct err err = { 0 };

	make_dir("v");
	put("v/blkio.bfq.io_serviced_recursive", "Total 0\n");
	put("v/blkio.throttle.io_service_bytes_recursive",
	    "254:0 Read 4096\n254:0 Total 4096\nTotal 4096\n");
	put("v/blkio.throttle.io_serviced_recursive", "254:0 Read 2\nTotal 2\n");
	put("v/cpuacct.stat", "user 3\nsystem 4\n");
	put("v/cpuacct.usage_percpu", "11 22 \n");
	is_int(cgroup_stats(&cgroup, &arena, &stats, &err), 0);
	is_int(stats.io_service_bytes.n, 2);
	is_str(stats.io_service_bytes.v[1].op, "Total");
	is_int(stats.io_serviced.n, 1);
	is_int(stats.cpu_user_ns, 3 * (1000000000 / sysconf(_SC_CLK_TCK)));
	is_int(stats.cpu_percpu_ns.n, 2);
	is_int(stats.cpu_percpu_ns.v[1], 22);
}

// inotify sees an ordinary file change as it sees the kernel's.
static void test_oom(void)
{
	scope_cgroup struct cgroup *cgroup = NULL;
	struct cgroup_oom *oom = NULL;
	struct err err = { 0 };

	make_dir("o");
	cgroup = load_v2("o");
	is_int(cgroup_oom_open(cgroup, &arena, &oom, &err), -ENOTSUP);
	put("o/cgroup.events", "populated 1\nfrozen 0\n");
	put("o/memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\noom_group_kill 0\n");
	is_int(cgroup_oom_open(cgroup, &arena, &oom, &err), 0);
	struct pollfd watch = { .fd = cgroup_oom_fd(oom), .events = POLLIN };
	is_int(poll(&watch, 1, 0), 0);

	put("o/memory.events", "max 10\noom 2\noom_kill 2\n");
	is_int(poll(&watch, 1, 0), 1);
	is_int(cgroup_oom_read(oom, &err), 0);
	is_int(poll(&watch, 1, 0), 0);
	put("o/memory.events", "max 10\noom 3\noom_kill 3\n");
	is_int(poll(&watch, 1, 0), 1);
	is_int(cgroup_oom_read(oom, &err), 1);
	put("o/cgroup.events", "populated 0\nfrozen 0\n");
	is_int(poll(&watch, 1, 0), 1);
	is_int(cgroup_oom_read(oom, &err), -ENODEV);
	cgroup_oom_close(oom);
}

static void test_load(void)
{
	char *bad = arena_strdup(&arena, "cpu:relative");
	const struct oci_strings paths = { &bad, 1 };
	struct cgroup *cgroup = NULL;
	struct err err = { 0 };

	is_int(cgroup_load(&paths, CGROUP_CGROUPFS, &cgroup, &err), -EINVAL);
	ok(!cgroup, "a path that is none is refused");
}

static void test_backoff(void)
{
	struct backoff backoff = backoff_until(2);
	int waits = 0;

	while (backoff_wait(&backoff))
		waits++;
	ok(waits >= 1 && waits < 10, "waiting has an end");
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int main(void)
{
	if (!mkdtemp(root))
		return 1;
	test_writes();
	test_restore();
	test_make();
	test_remove();
	test_deep();
	test_pids();
	test_existing();
	test_failure();
	test_cpuset();
	test_unified();
	test_update();
	test_update_devices();
	test_stats();
	test_stats_v1();
	test_oom();
	test_load();
	test_backoff();
	nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	arena_free(&arena);
	return done();
}
