// Plans for hosts of all layouts, as text.
#include "cgroups/cgroups.h"
#include "cgroups/resources.h"
#include "tests/unit/tap.h"

#include "base/str.h"

static struct cgroup_hierarchy v1(const char *name, const char *options, const char *own)
{
	static char mount_points[32][64];
	static size_t n;
	char *mount_point = mount_points[n++ % 32];

	snprintf(mount_point, sizeof(mount_points[0]), "/sys/fs/cgroup/%s", name);
	return (struct cgroup_hierarchy){ name, options, options, mount_point, own, false };
}

static struct cgroup_host legacy, hybrid, unified;
static struct cgroup_hierarchy legacy_list[14], hybrid_list[3], unified_list[1];

static void make_hosts(void)
{
	static const char *const names[] = {
		"memory",  "cpu,cpuacct", "cpuset",   "pids", "blkio",
		"hugetlb", "net_cls",	  "net_prio", "rdma", "freezer"
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		legacy_list[i] = v1(names[i], names[i], "/");
	legacy = (struct cgroup_host){ CGROUP_LEGACY, { legacy_list, ARRAY_SIZE(names) } };

	hybrid_list[0] = v1("memory", "memory", "/own/group");
	hybrid_list[1] = v1("systemd", "name=systemd", "/");
	hybrid_list[2] = (struct cgroup_hierarchy){ "unified", NULL,
						    "hugetlb", "/sys/fs/cgroup/unified",
						    "/own",    true };
	hybrid = (struct cgroup_host){ CGROUP_HYBRID, { hybrid_list, 3 } };

	unified_list[0] = (struct cgroup_hierarchy){ "",
						     NULL,
						     "cpuset cpu io memory hugetlb pids rdma",
						     "/sys/fs/cgroup",
						     "/user/me/shell",
						     true };
	unified = (struct cgroup_host){ CGROUP_UNIFIED, { unified_list, 1 } };
}

// The lines of a plan that hold `needle`, or the error.
static void check(const struct cgroup_host *host, const char *path,
		  const struct oci_resources *resources, const char *needle, const char *want)
{
	scope_arena struct arena arena = { 0 };
	scope_text struct text whole = { 0 }, got = { 0 };
	struct oci_resources copy = resources ? *resources : (struct oci_resources){ 0 };
	const struct oci_linux spec = {
		.cgroups_path = path ? arena_strdup(&arena, path) : NULL,
		.resources = resources ? &copy : NULL,
	};
	// Rootless on v1, so that the lines of the devices don't stand everywhere.
	const struct cgroup_options options = { .id = "id", .rootless = true };
	const struct cgroup_plan *plan = NULL;
	struct err err = { 0 };
	char *save = NULL;

	text_str(&got, "");
	if (cgroup_plan_make(host, &spec, &options, &arena, &plan, &err) < 0) {
		is_str(err.msg, want);
		return;
	}
	cgroup_plan_print(plan, &whole);
	for (char *line = strtok_r(whole.str, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (strstr(line, needle))
			text_printf(&got, "%s%s", got.len ? "\n" : "", line);
	}
	is_str(got.len ? got.str : "", want);
}

static void test_paths(void)
{
	check(&hybrid, "/a//b/./c/", NULL, "mkdir",
	      "mkdir /sys/fs/cgroup/memory/a/b/c\nmkdir /sys/fs/cgroup/systemd/a/b/c\n"
	      "mkdir /sys/fs/cgroup/unified/a/b/c");
	check(&hybrid, "a/b", NULL, "mkdir",
	      "mkdir /sys/fs/cgroup/memory/own/group/a/b\nmkdir /sys/fs/cgroup/systemd/a/b\n"
	      "mkdir /sys/fs/cgroup/unified/own/a/b");
	check(&hybrid, NULL, NULL, "memory", "mkdir /sys/fs/cgroup/memory/own/group/id");
	check(&hybrid, "", NULL, "memory", "mkdir /sys/fs/cgroup/memory/own/group/id");
	check(&unified, NULL, NULL, "mkdir", "mkdir /sys/fs/cgroup/user/me/id");
	check(&unified, "/c", NULL, "mkdir", "mkdir /sys/fs/cgroup/c");
	check(&unified, "/a/../b", NULL, "", "linux.cgroupsPath: may not contain `..`: /a/../b");
	check(&unified, "..", NULL, "", "linux.cgroupsPath: may not contain `..`: ..");
	check(&unified, "/", NULL, "",
	      "linux.cgroupsPath: the root of a hierarchy is no place for a container");
	check(&unified, "/a..b", NULL, "mkdir", "mkdir /sys/fs/cgroup/a..b");
}

static void test_drivers(void)
{
	scope_arena struct arena arena = { 0 };
	scope_text struct text text = { 0 };
	const struct oci_linux spec = { 0 };
	const struct cgroup_host none = { 0 };
	struct oci_device_rule rule = { .type = 'a' };
	struct oci_pids pids = { .limit = { .v = 9, .set = true } };
	const struct cgroup_plan *plan;
	struct cgroup_options options = { .driver = CGROUP_DISABLED, .id = "id" };
	enum cgroup_driver driver = CGROUP_CGROUPFS;
	struct oci_strings paths;
	struct err err;

	ok(cgroup_driver_parse("systemd", &driver) && driver == CGROUP_SYSTEMD, "a name's driver");
	ok(!cgroup_driver_parse("none", &driver), "no driver's name");
	is_int(cgroup_plan_make(&unified, &spec, &options, &arena, &plan, &err), 0);
	cgroup_plan_print(plan, &text);
	is_str(text.str, "cgroup driver disabled\n");
	ok(!cgroup_plan_path_in(plan, &unified_list[0]), "disabled: it lies nowhere");
	struct oci_resources limits = { .devices = { .v = &rule, .n = 1 } };
	const struct oci_linux limited = { .resources = &limits };
	is_int(cgroup_plan_make(&unified, &limited, &options, &arena, &plan, &err), 0);
	limits.pids = &pids;
	is_int(cgroup_plan_make(&unified, &limited, &options, &arena, &plan, &err), -ENOTSUP);
	is_str(err.msg, "linux.resources.pids: there is no cgroup to set it in (is the cgroup "
			"manager `disabled`?)");
	options.driver = CGROUP_CGROUPFS;
	is_int(cgroup_plan_make(&none, &spec, &options, &arena, &plan, &err), -ENOENT);
	is_str(err.msg,
	       "no cgroup hierarchy is mounted on this host (mount them at /sys/fs/cgroup, or "
	       "choose the cgroup manager `disabled`)");

	// Devices left open are no host for containers; v2 can always close them.
	is_int(cgroup_plan_make(&legacy, &spec, &options, &arena, &plan, &err), -ENOTSUP);
	is_str(err.msg, "linux.resources.devices: this host has no cgroup controller devices");
	options.rootless = true;
	is_int(cgroup_plan_make(&hybrid, &spec, &options, &arena, &plan, &err), 0);
	is_str(cgroup_plan_path_in(plan, &hybrid_list[1]), "/sys/fs/cgroup/systemd/id");
	is_str(cgroup_plan_path_in(plan, &hybrid_list[2]), "/sys/fs/cgroup/unified/own/id");
	ok(!cgroup_plan_path_in(plan, &legacy_list[1]), "it lies in no hierarchy that isn't there");
	cgroup_plan_paths(plan, &arena, &paths);
	is_int(paths.n, 3);
	is_str(paths.v[1], "name=systemd:/sys/fs/cgroup/systemd/id");
	is_str(paths.v[2], ":/sys/fs/cgroup/unified/own/id");
	ok(!paths.v[3], "the list ends");
}

static void test_memory(void)
{
	struct oci_memory memory = { .limit = { true, 1000 },
				     .swap = { true, 3000 },
				     .reservation = { true, 500 },
				     .kernel = { true, 7 },
				     .kernel_tcp = { true, 8 },
				     .swappiness = { true, 0 },
				     .disable_oom_killer = true,
				     .use_hierarchy = { true, true } };
	const struct oci_resources resources = { .memory = &memory };

	check(&legacy, "/c", &resources, "write",
	      "write /sys/fs/cgroup/memory/c/memory.use_hierarchy 1\n"
	      "write /sys/fs/cgroup/memory/c/memory.limit_in_bytes 1000\n"
	      "write /sys/fs/cgroup/memory/c/memory.memsw.limit_in_bytes 3000\n"
	      "write /sys/fs/cgroup/memory/c/memory.soft_limit_in_bytes 500\n"
	      "write /sys/fs/cgroup/memory/c/memory.kmem.limit_in_bytes 7\n"
	      "write /sys/fs/cgroup/memory/c/memory.kmem.tcp.limit_in_bytes 8\n"
	      "write /sys/fs/cgroup/memory/c/memory.swappiness 0\n"
	      "write /sys/fs/cgroup/memory/c/memory.oom_control 1");
	memory = (struct oci_memory){ .limit = { true, 1000 },
				      .swap = { true, 3000 },
				      .reservation = { true, 500 } };
	check(&unified, "/c", &resources, "memory",
	      "enable memory in /sys/fs/cgroup/c\n"
	      "write /sys/fs/cgroup/c/memory.swap.max 2000\n"
	      "write /sys/fs/cgroup/c/memory.max 1000\n"
	      "write /sys/fs/cgroup/c/memory.low 500");

	memory = (struct oci_memory){ .limit = { true, -1 } };
	check(&legacy, "/c", &resources, "write",
	      "write /sys/fs/cgroup/memory/c/memory.limit_in_bytes -1\n"
	      "write /sys/fs/cgroup/memory/c/memory.memsw.limit_in_bytes -1");
	check(&unified, "/c", &resources, "write",
	      "write /sys/fs/cgroup/c/memory.swap.max max\nwrite /sys/fs/cgroup/c/memory.max max");
	memory = (struct oci_memory){ .limit = { true, 1000 }, .swap = { true, 1000 } };
	check(&unified, "/c", &resources, "swap", "write /sys/fs/cgroup/c/memory.swap.max 0");

	memory = (struct oci_memory){ .limit = { true, 1000 }, .swap = { true, 999 } };
	check(&legacy, "/c", &resources, "",
	      "linux.resources.memory.swap: less than memory.limit, though it counts memory and swap together");
	memory = (struct oci_memory){ .limit = { true, -1 }, .swap = { true, 999 } };
	check(&legacy, "/c", &resources, "",
	      "linux.resources.memory.swap: limited, but memory.limit is not");
	memory = (struct oci_memory){ .swap = { true, 999 } };
	check(&unified, "/c", &resources, "", "linux.resources.memory.swap: needs memory.limit");
	memory = (struct oci_memory){ .limit = { true, -2 } };
	check(&legacy, "/c", &resources, "", "linux.resources.memory: a limit is -1 or more");
	memory = (struct oci_memory){ .swappiness = { true, 101 } };
	check(&legacy, "/c", &resources, "", "linux.resources.memory.swappiness: 0 to 100");
	memory = (struct oci_memory){ .limit = { true, 0 }, .check_before_update = true };
	check(&legacy, "/c", &resources, "write", "");
}

static void test_cpu(void)
{
	struct oci_cpu cpu = { .shares = { true, 1024 },
			       .quota = { true, 20000 },
			       .period = { true, 50000 },
			       .burst = { true, 0 },
			       .realtime_runtime = { true, 5 },
			       .realtime_period = { true, 6 },
			       .idle = { true, 1 },
			       .cpus = (char *)"0-1",
			       .mems = (char *)"0" };
	const struct oci_resources resources = { .cpu = &cpu };

	check(&legacy, "/c", &resources, "write",
	      "write /sys/fs/cgroup/cpu,cpuacct/c/cpu.shares 1024\n"
	      "write /sys/fs/cgroup/cpu,cpuacct/c/cpu.idle 1\n"
	      "write /sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us 50000\n"
	      "write /sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us 20000\n"
	      "write /sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_burst_us 0\n"
	      "write /sys/fs/cgroup/cpu,cpuacct/c/cpu.rt_period_us 6\n"
	      "write /sys/fs/cgroup/cpu,cpuacct/c/cpu.rt_runtime_us 5\n"
	      "write /sys/fs/cgroup/cpuset/c/cpuset.cpus 0-1\n"
	      "write /sys/fs/cgroup/cpuset/c/cpuset.mems 0");
	cpu = (struct oci_cpu){ .shares = { true, 512 },
				.quota = { true, -1 },
				.period = { true, 50000 },
				.burst = { true, 9 },
				.idle = { true, 0 },
				.cpus = (char *)"",
				.mems = (char *)"1" };
	check(&unified, "/c", &resources, "c",
	      "cgroup driver cgroupfs\n"
	      "mkdir /sys/fs/cgroup/c\n"
	      "enable cpu cpuset in /sys/fs/cgroup/c\n"
	      "write /sys/fs/cgroup/c/cpu.idle 0\n"
	      "write /sys/fs/cgroup/c/cpu.weight 59\n"
	      "write /sys/fs/cgroup/c/cpu.max max 50000\n"
	      "write /sys/fs/cgroup/c/cpu.max.burst 9\n"
	      "write /sys/fs/cgroup/c/cpuset.mems 1\n"
	      "device /sys/fs/cgroup/c deny a *:* rwm\n"
	      "device /sys/fs/cgroup/c allow c *:* m\n"
	      "device /sys/fs/cgroup/c allow b *:* m\n"
	      "device /sys/fs/cgroup/c allow c 1:3 rwm\n"
	      "device /sys/fs/cgroup/c allow c 1:5 rwm\n"
	      "device /sys/fs/cgroup/c allow c 1:7 rwm\n"
	      "device /sys/fs/cgroup/c allow c 1:8 rwm\n"
	      "device /sys/fs/cgroup/c allow c 1:9 rwm\n"
	      "device /sys/fs/cgroup/c allow c 5:0 rwm\n"
	      "device /sys/fs/cgroup/c allow c 5:2 rwm\n"
	      "device /sys/fs/cgroup/c allow c 136:* rwm\n"
	      "device /sys/fs/cgroup/c allow c 10:200 rwm");
	cpu = (struct oci_cpu){ .quota = { true, 7000 } };
	check(&unified, "/c", &resources, "write", "write /sys/fs/cgroup/c/cpu.max 7000");
	check(&hybrid, "/c", &resources, "",
	      "linux.resources.cpu: this host has no cgroup controller cpu");
}

// Fixed points of the published curve, and its ends.
static void test_weight(void)
{
	static const unsigned int want[][2] = {
		{ 0, 1 },	 { 2, 1 },	    { 3, 2 },	       { 256, 35 },
		{ 512, 59 },	 { 1024, 100 },	    { 2048, 174 },     { 10240, 639 },
		{ 65536, 3023 }, { 262143, 10000 }, { 262144, 10000 }, { 1u << 31, 10000 }
	};
	unsigned int last = 1;
	bool grows = true;

	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		is_int(resources_cpu_weight(want[i][0]), want[i][1]);
	for (uint64_t shares = 2; shares <= 262144; shares += 1 + shares / 50) {
		unsigned int weight = resources_cpu_weight(shares);

		grows &= weight >= last && weight <= 10000;
		last = weight;
	}
	ok(grows, "more shares are never less weight");
}

static void test_io(void)
{
	struct oci_throttle_device rate[] = { { 8, 0, 1000 }, { 8, 16, 0 } };
	struct oci_weight_device weight[] = { { 8, 0, { true, 300 }, { 0 } } };
	struct oci_block_io io = {
		.weight = { true, 500 },
		.weight_device = { weight, 1 },
		.throttle_read_bps_device = { rate, 2 },
		.throttle_write_iops_device = { rate, 1 },
	};
	const struct oci_resources resources = { .block_io = &io };

	check(&legacy, "/c", &resources, "write",
	      "write /sys/fs/cgroup/blkio/c/blkio.weight 500\n"
	      "write /sys/fs/cgroup/blkio/c/blkio.bfq.weight 500\n"
	      "write /sys/fs/cgroup/blkio/c/blkio.weight_device 8:0 300\n"
	      "write /sys/fs/cgroup/blkio/c/blkio.bfq.weight_device 8:0 300\n"
	      "write /sys/fs/cgroup/blkio/c/blkio.throttle.read_bps_device 8:0 1000\n"
	      "write /sys/fs/cgroup/blkio/c/blkio.throttle.read_bps_device 8:16 0\n"
	      "write /sys/fs/cgroup/blkio/c/blkio.throttle.write_iops_device 8:0 1000");
	check(&unified, "/c", &resources, "io",
	      "enable io in /sys/fs/cgroup/c\n"
	      "write /sys/fs/cgroup/c/io.bfq.weight 500\n"
	      "write /sys/fs/cgroup/c/io.weight 4950\n"
	      "write /sys/fs/cgroup/c/io.bfq.weight 8:0 300\n"
	      "write /sys/fs/cgroup/c/io.max 8:0 rbps=1000\n"
	      "write /sys/fs/cgroup/c/io.max 8:16 rbps=max\n"
	      "write /sys/fs/cgroup/c/io.max 8:0 wiops=1000");
	io = (struct oci_block_io){ .weight = { true, 5 } };
	check(&unified, "/c", &resources, "", "linux.resources.blockIO.weight: 10 to 1000");
	io = (struct oci_block_io){ .leaf_weight = { true, 50 } };
	check(&unified, "/c", &resources, "",
	      "linux.resources.blockIO.leafWeight: cgroup v2 has none");
}

static void test_others(void)
{
	struct oci_pids pids = { .limit = { true, 0 } };
	struct oci_hugepage_limit pages[] = { { (char *)"2MB", 4194304 } };
	struct oci_interface_priority priorities[] = { { (char *)"eth0", 5 } };
	struct oci_network network = { .class_id = { true, 9 }, .priorities = { priorities, 1 } };
	struct oci_rdma rdma[] = { { (char *)"mlx5_1", { true, 3 }, { true, 0 } } };
	struct oci_resources resources = { .pids = &pids,
					   .hugepage_limits = { pages, 1 },
					   .network = &network,
					   .rdma = { rdma, 1 } };

	check(&legacy, "/c", &resources, "write",
	      "write /sys/fs/cgroup/pids/c/pids.max max\n"
	      "write /sys/fs/cgroup/hugetlb/c/hugetlb.2MB.rsvd.limit_in_bytes 4194304\n"
	      "write /sys/fs/cgroup/hugetlb/c/hugetlb.2MB.limit_in_bytes 4194304\n"
	      "write /sys/fs/cgroup/net_cls/c/net_cls.classid 9\n"
	      "write /sys/fs/cgroup/net_prio/c/net_prio.ifpriomap eth0 5\n"
	      "write /sys/fs/cgroup/rdma/c/rdma.max mlx5_1 hca_handle=3\n"
	      "write /sys/fs/cgroup/rdma/c/rdma.max mlx5_1 hca_object=0");
	check(&unified, "/c", &resources, "",
	      "linux.resources.network.classID: this host has no cgroup controller net_cls");
	resources.network = NULL;
	pids.limit.v = -1;
	check(&unified, "/c", &resources, "write",
	      "write /sys/fs/cgroup/c/pids.max max\n"
	      "write /sys/fs/cgroup/c/hugetlb.2MB.rsvd.max 4194304\n"
	      "write /sys/fs/cgroup/c/hugetlb.2MB.max 4194304\n"
	      "write /sys/fs/cgroup/c/rdma.max mlx5_1 hca_handle=3\n"
	      "write /sys/fs/cgroup/c/rdma.max mlx5_1 hca_object=0");

	// On a hybrid host the controller that v1 hasn't got is v2's.
	resources = (struct oci_resources){ .hugepage_limits = { pages, 1 } };
	check(&hybrid, "/c", &resources, "hugetlb",
	      "enable hugetlb in /sys/fs/cgroup/unified/c\n"
	      "write /sys/fs/cgroup/unified/c/hugetlb.2MB.rsvd.max 4194304\n"
	      "write /sys/fs/cgroup/unified/c/hugetlb.2MB.max 4194304");
	pages[0].page_size = (char *)"../2MB";
	check(&hybrid, "/c", &resources, "",
	      "linux.resources.hugepageLimits: a page size is as 64KB, 2MB, 1GB");
}

static void test_unified(void)
{
	struct oci_pair pair = { (char *)"memory.high", (char *)"1G" };
	const struct oci_resources resources = { .unified = { &pair, 1 } };

	check(&unified, "/c", &resources, "memory",
	      "enable memory in /sys/fs/cgroup/c\nwrite /sys/fs/cgroup/c/memory.high 1G");
	check(&hybrid, "/c", &resources, "",
	      "linux.resources.unified: memory.high: on this host the controller memory is one of cgroup v1");
	check(&legacy, "/c", &resources, "",
	      "linux.resources.unified: memory.high: this host has no cgroup v2");
	pair.key = (char *)"misc.max";
	check(&unified, "/c", &resources, "",
	      "linux.resources.unified.misc.max: this host has no cgroup controller misc");
	pair.key = (char *)"cgroup.max.depth";
	check(&unified, "/c", &resources, "write", "write /sys/fs/cgroup/c/cgroup.max.depth 1G");
	pair.key = (char *)"../memory.max";
	check(&unified, "/c", &resources, "",
	      "linux.resources.unified: not the name of a cgroup v2 file: ../memory.max");
	pair.key = (char *)"memory";
	check(&unified, "/c", &resources, "",
	      "linux.resources.unified: not the name of a cgroup v2 file: memory");
}

int main(void)
{
	make_hosts();
	test_paths();
	test_drivers();
	test_memory();
	test_cpu();
	test_weight();
	test_io();
	test_others();
	test_unified();
	return done();
}
