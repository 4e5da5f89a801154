// Plans of the systemd driver: the unit, where it lies, and its properties, as text.
#include "cgroups/cgroups.h"
#include "cgroups/unit.h"
#include "tests/unit/tap.h"

#include "base/str.h"

static struct cgroup_hierarchy legacy_list[] = {
	{ "memory", "memory", "memory", "/sys/fs/cgroup/memory", "/own", false },
	{ "cpu,cpuacct", "cpu,cpuacct", "cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct", "/own",
	  false },
	{ "cpuset", "cpuset", "cpuset", "/sys/fs/cgroup/cpuset", "/", false },
	{ "pids", "pids", "pids", "/sys/fs/cgroup/pids", "/", false },
	{ "blkio", "blkio", "blkio", "/sys/fs/cgroup/blkio", "/", false },
	{ "devices", "devices", "devices", "/sys/fs/cgroup/devices", "/", false },
};
static struct cgroup_hierarchy unified_list[] = {
	{ "", NULL, "cpuset cpu io memory pids", "/sys/fs/cgroup", "/user/me/shell", true },
};
static const struct cgroup_host legacy = { CGROUP_LEGACY,
					   { legacy_list, ARRAY_SIZE(legacy_list) } };
static const struct cgroup_host unified = { CGROUP_UNIFIED,
					    { unified_list, ARRAY_SIZE(unified_list) } };

struct wish {
	const struct cgroup_host *host; // NULL: unified
	const char *path;
	const struct oci_resources *resources;
	const struct oci_pairs *annotations;
	struct cgroup_systemd systemd;
};

// The lines of a plan that hold `needle`, or the error.
static void check(const struct wish *wish, const char *needle, const char *want)
{
	scope_arena struct arena arena = { 0 };
	scope_text struct text whole = { 0 }, got = { 0 };
	struct oci_resources copy = wish->resources ? *wish->resources :
						      (struct oci_resources){ 0 };
	const struct oci_linux spec = {
		.cgroups_path = wish->path ? arena_strdup(&arena, wish->path) : NULL,
		.resources = &copy,
	};
	const struct cgroup_options options = {
		.driver = CGROUP_SYSTEMD,
		.id = "id",
		.systemd = wish->systemd,
		.annotations = wish->annotations,
	};
	const struct cgroup_plan *plan = NULL;
	struct err err = { 0 };
	char *save = NULL;

	text_str(&got, "");
	if (cgroup_plan_make(wish->host ? wish->host : &unified, &spec, &options, &arena, &plan,
			     &err) < 0) {
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

#define check_path(wanted, needle, want) \
	check(&(const struct wish){ .path = (wanted) }, needle, want)

static void test_units(void)
{
	const struct wish user = { .systemd = { .user = true,
						.group = "/user.slice/user@7.service" } };

	check_path(NULL, "unit ", "unit moat-id.scope in system.slice of the system's manager");
	check_path("", "unit ", "unit moat-id.scope in system.slice of the system's manager");
	check_path(":docker:ab", "unit ",
		   "unit docker-ab.scope in system.slice of the system's manager");
	check_path("a.slice::ab", "unit ", "unit ab.scope in a.slice of the system's manager");
	check_path("a.slice::ab.scope", "unit ",
		   "unit ab.scope in a.slice of the system's manager");
	check_path("a.slice:x:ab.scope", "unit ",
		   "unit x-ab.scope.scope in a.slice of the system's manager");
	check_path("a.slice:cri:a+b c", "unit ",
		   "unit cri-a\\x2bb\\x20c.scope in a.slice of the system's manager");
	check_path(":x:a-b.slice", "unit ", "unit a-b.slice in a.slice of the system's manager");
	check_path("-.slice:x:a.slice", "unit ", "unit a.slice in -.slice of the system's manager");
	check(&user, "unit ", "unit moat-id.scope in user.slice of the user's manager");
	check(&user, "mkdir",
	      "mkdir /sys/fs/cgroup/user.slice/user@7.service/user.slice/moat-id.scope");
}

static void test_paths(void)
{
	const struct wish v1 = { .host = &legacy, .path = "a-b.slice:x:y" };

	check_path("-.slice::x", "mkdir", "mkdir /sys/fs/cgroup/x.scope");
	check_path("a.slice::x", "mkdir", "mkdir /sys/fs/cgroup/a.slice/x.scope");
	check_path("a-b-c.slice:p:x", "mkdir",
		   "mkdir /sys/fs/cgroup/a.slice/a-b.slice/a-b-c.slice/p-x.scope");
	check_path("::a-b.slice", "mkdir", "mkdir /sys/fs/cgroup/a.slice/a-b.slice");
	// The root of each v1 hierarchy, wherever moat itself may be.
	check(&v1, "pids/", "mkdir /sys/fs/cgroup/pids/a.slice/a-b.slice/x-y.scope");
	check(&v1, "memory/", "mkdir /sys/fs/cgroup/memory/a.slice/a-b.slice/x-y.scope");
	// Directories that would look like the kernel's files.
	check_path("cpu-x.slice::memory", "mkdir",
		   "mkdir /sys/fs/cgroup/_cpu.slice/cpu-x.slice/_memory.scope");
	check_path("a.slice:_:x", "mkdir", "mkdir /sys/fs/cgroup/a.slice/__-x.scope");
	check_path("a.slice::.x", "mkdir", "mkdir /sys/fs/cgroup/a.slice/_.x.scope");
}

static void test_bad_paths(void)
{
	const struct wish user_on_v1 = { .host = &legacy, .systemd = { .user = true } };
	static const char *const slices[] = { "a",	  "a.scope",	".slice",    "-a.slice",
					      "a-.slice", "a--b.slice", "a/b.slice", "../a.slice",
					      "--.slice", "a b.slice" };

	check_path("/a/b", "",
		   "linux.cgroupsPath: the systemd cgroup driver takes slice:prefix:name: /a/b");
	check_path("a:b", "",
		   "linux.cgroupsPath: the systemd cgroup driver takes slice:prefix:name: a:b");
	check_path("a.slice:b:c:d", "",
		   "linux.cgroupsPath: the systemd cgroup driver takes slice:prefix:name: "
		   "a.slice:b:c:d");
	check_path("a.slice:b:", "", "linux.cgroupsPath: the unit has no name: a.slice:b:");
	check_path("a.slice:b:../c", "",
		   "linux.cgroupsPath: `/` and `..` are no names for a unit: a.slice:b:../c");
	check_path("a.slice:b/d:c", "",
		   "linux.cgroupsPath: `/` and `..` are no names for a unit: a.slice:b/d:c");
	check_path("a.slice:b:..", "",
		   "linux.cgroupsPath: `/` and `..` are no names for a unit: a.slice:b:..");
	check_path("b.slice::a-c.slice", "",
		   "linux.cgroupsPath: a-c.slice lies in a.slice, not in: b.slice");
	for (size_t i = 0; i < ARRAY_SIZE(slices); i++) {
		char path[64], want[128];

		snprintf(path, sizeof(path), "%s:b:c", slices[i]);
		snprintf(want, sizeof(want),
			 "linux.cgroupsPath: not the name of a slice, as a-b.slice: %s", slices[i]);
		check_path(path, "", want);
	}
	check(&user_on_v1, "",
	      "the user's systemd can't manage cgroups of version 1 (choose --cgroup-manager "
	      "cgroupfs or disabled)");
}

static void test_common(void)
{
	check_path(NULL, "property",
		   "property Description s \"moat container id\"\n"
		   "property Slice s \"system.slice\"\n"
		   "property Delegate b true\n"
		   "property MemoryAccounting b true\n"
		   "property CPUAccounting b true\n"
		   "property IOAccounting b true\n"
		   "property TasksAccounting b true\n"
		   "property DefaultDependencies b false\n"
		   "property CollectMode s \"inactive-or-failed\"\n"
		   "property DevicePolicy s \"strict\"\n"
		   "property DeviceAllow a(ss) \"char-*\" \"m\" \"block-*\" \"m\" "
		   "\"/dev/char/1:3\" \"rwm\" \"/dev/char/1:5\" \"rwm\" \"/dev/char/1:7\" \"rwm\" "
		   "\"/dev/char/1:8\" \"rwm\" \"/dev/char/1:9\" \"rwm\" \"/dev/char/5:0\" \"rwm\" "
		   "\"/dev/char/5:2\" \"rwm\" \"char-136\" \"rwm\" \"/dev/char/10:200\" \"rwm\"");
	check_path("::a-b.slice", "Wants", "property Wants as \"a.slice\"");
	check_path("::a-b.slice", "Delegate", "");
	check_path("::a-b.slice", "property Slice", "");
}

static void test_memory(void)
{
	struct oci_memory memory = { .limit = { true, 1000 },
				     .swap = { true, 3000 },
				     .reservation = { true, 500 } };
	const struct oci_resources resources = { .memory = &memory };
	const struct wish v2 = { .resources = &resources };
	const struct wish v1 = { .host = &legacy, .resources = &resources };

	check(&v2, "property Memory",
	      "property MemoryAccounting b true\n"
	      "property MemorySwapMax t 2000\n"
	      "property MemoryMax t 1000\n"
	      "property MemoryLow t 500");
	check(&v1, "property Memory",
	      "property MemoryAccounting b true\nproperty MemoryLimit t 1000");
	memory = (struct oci_memory){ .limit = { true, -1 } };
	check(&v2, "property MemoryMax", "property MemoryMax t 18446744073709551615");
	check(&v2, "property MemorySwapMax", "property MemorySwapMax t 18446744073709551615");
	check(&v1, "property MemoryLimit", "property MemoryLimit t 18446744073709551615");
}

static void test_cpu(void)
{
	struct oci_cpu cpu = { .shares = { true, 512 },
			       .quota = { true, 25500 },
			       .period = { true, 100000 },
			       .cpus = (char *)"0-3,9",
			       .mems = (char *)"1" };
	const struct oci_resources resources = { .cpu = &cpu };
	const struct wish v2 = { .resources = &resources };
	const struct wish v1 = { .host = &legacy, .resources = &resources };

	check(&v2, "property CPU",
	      "property CPUAccounting b true\n"
	      "property CPUWeight t 59\n"
	      "property CPUQuotaPeriodUSec t 100000\n"
	      "property CPUQuotaPerSecUSec t 260000");
	check(&v2, "property Allowed",
	      "property AllowedCPUs ay 0f02\nproperty AllowedMemoryNodes ay 02");
	check(&v1, "property CPU",
	      "property CPUAccounting b true\n"
	      "property CPUShares t 512\n"
	      "property CPUQuotaPeriodUSec t 100000\n"
	      "property CPUQuotaPerSecUSec t 260000");
	cpu = (struct oci_cpu){ .quota = { true, 20000 } };
	check(&v2, "CPUQuota", "property CPUQuotaPerSecUSec t 200000");
	cpu = (struct oci_cpu){ .quota = { true, -1 }, .period = { true, 5000 } };
	check(&v2, "CPUQuota",
	      "property CPUQuotaPeriodUSec t 5000\n"
	      "property CPUQuotaPerSecUSec t 18446744073709551615");
	cpu = (struct oci_cpu){ .idle = { true, 1 }, .shares = { true, 512 } };
	check(&v2, "CPUWeight", "property CPUWeight t 0");
	cpu = (struct oci_cpu){ .idle = { true, 0 }, .shares = { true, 512 } };
	check(&v2, "CPUWeight", "property CPUWeight t 59");
	cpu = (struct oci_cpu){ .cpus = (char *)"3-1" };
	check(&v2, "AllowedCPUs", "");
	cpu = (struct oci_cpu){ .cpus = (char *)"0,99999" };
	check(&v2, "AllowedCPUs", "");
}

static void test_others(void)
{
	struct oci_pids pids = { .limit = { true, 20 } };
	struct oci_block_io io = { .weight = { true, 100 } };
	const struct oci_resources resources = { .pids = &pids, .block_io = &io };
	const struct wish v2 = { .resources = &resources };
	const struct wish v1 = { .host = &legacy, .resources = &resources };

	check(&v2, "Weight", "property IOWeight t 910");
	check(&v1, "Weight", "property BlockIOWeight t 100");
	check(&v2, "TasksMax", "property TasksMax t 20");
	check(&v1, "TasksMax", "property TasksMax t 20");
	pids.limit.v = -1;
	check(&v2, "TasksMax", "property TasksMax t 18446744073709551615");
	pids.limit.v = 0;
	check(&v2, "TasksMax", "property TasksMax t 18446744073709551615");
}

static void test_unified(void)
{
	struct oci_memory memory = { .limit = { true, 1000 } };
	struct oci_pair pairs[] = {
		{ (char *)"memory.max", (char *)"2G" },
		{ (char *)"memory.high", (char *)"max" },
		{ (char *)"cpu.max", (char *)"5000 20000" },
		{ (char *)"io.weight", (char *)"default 7" },
		{ (char *)"pids.max", (char *)"lots" },
	};
	const struct oci_resources resources = { .memory = &memory,
						 .unified = { pairs, ARRAY_SIZE(pairs) } };
	const struct wish v2 = { .resources = &resources };

	check(&v2, " t ",
	      "property MemoryMax t 2147483648\n"
	      "property MemoryHigh t 18446744073709551615\n"
	      "property IOWeight t 7\n"
	      "property CPUQuotaPeriodUSec t 20000\n"
	      "property CPUQuotaPerSecUSec t 250000");
}

static void test_devices(void)
{
	struct oci_device_rule rules[] = {
		{ .type = 'b',
		  .allow = true,
		  .major = { true, 8 },
		  .minor = { true, 1 },
		  .access = (char *)"r" },
		{ 0 },
	};
	const struct oci_resources resources = { .devices = { rules, 1 } };
	struct wish wish = { .resources = &resources };

	check(&wish, "DevicePolicy", "property DevicePolicy s \"strict\"");
	check(&wish, "\"/dev/block/8:1\" \"r\"",
	      "property DeviceAllow a(ss) \"/dev/block/8:1\" \"r\" \"char-*\" \"m\" \"block-*\" \"m\" "
	      "\"/dev/char/1:3\" \"rwm\" \"/dev/char/1:5\" \"rwm\" \"/dev/char/1:7\" \"rwm\" "
	      "\"/dev/char/1:8\" \"rwm\" \"/dev/char/1:9\" \"rwm\" \"/dev/char/5:0\" \"rwm\" "
	      "\"/dev/char/5:2\" \"rwm\" \"char-136\" \"rwm\" \"/dev/char/10:200\" \"rwm\"");
	wish.host = &legacy;
	check(&wish, "DevicePolicy", "property DevicePolicy s \"strict\"");
	wish.host = NULL;

	// A minor number of any driver: systemd has no words for it.
	rules[0].major.v = -1;
	check(&wish, "property Device",
	      "property DevicePolicy s \"auto\"\nproperty DeviceAllow a(ss) ");
	rules[0] = (struct oci_device_rule){ .allow = true };
	check(&wish, "property Device",
	      "property DevicePolicy s \"auto\"\nproperty DeviceAllow a(ss) ");
	wish.systemd.user = true;
	check(&wish, "property Device", "");
}

static void annotate(const char *name, const char *value, const char *needle, const char *want)
{
	scope_arena struct arena arena = { 0 };
	struct oci_pair pairs[] = {
		{ (char *)"org.systemd.other", (char *)"[" },
		{ arena_printf(&arena, "org.systemd.property.%s", name),
		  arena_strdup(&arena, value) },
	};
	const struct oci_pairs annotations = { pairs, ARRAY_SIZE(pairs) };

	check(&(const struct wish){ .annotations = &annotations }, needle, want);
}

static void test_annotations(void)
{
	static const struct {
		const char *value, *want;
	} good[] = {
		{ "'a b'", "s \"a b\"" },
		{ "\"it's\"", "s \"it's\"" },
		{ " 'a\\'b\\\\\\n' ", "s \"a'b\\\\\\n\"" },
		{ "string 'x'", "s \"x\"" },
		{ "true", "b true" },
		{ "false", "b false" },
		{ "@b true", "b true" },
		{ "5", "i 5" },
		{ "-5", "i -5" },
		{ "uint64 18446744073709551615", "t 18446744073709551615" },
		{ "int64 -9", "x -9" },
		{ "@u 7", "u 7" },
		{ "byte 255", "y 255" },
		{ "int16 -32768", "n -32768" },
		{ "1.5", "d 1.5" },
		{ "double 2", "d 2" },
		{ "['a', \"b\"]", "as \"a\" \"b\"" },
		{ "@as []", "as " },
	};
	static const char *const bad[] = {
		"",	      "x",	    "'a",	  "'a' 'b'",   "uint32 -1",
		"byte 256",   "2147483648", "uint64 1.5", "[1]",       "['a' 'b'",
		"['a'",	      "[]",	    "string 5",	  "boolean 1", "tru",
		"uint64 'a'", "5x",	    "@z 5",	  "'\\u0041'", "--5",
	};
	char want[256];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(want, sizeof(want), "property Name %s", good[i].want);
		annotate("Name", good[i].value, "property Name", want);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(
			want, sizeof(want),
			"annotation org.systemd.property.Name: not a GVariant of a kind known here, "
			"as 'text', true, uint64 5 or ['a', 'b']: %s",
			bad[i]);
		annotate("Name", bad[i], "", want);
	}
}

static void test_annotation_names(void)
{
	annotate("TimeoutStopSec", "7", "Timeout", "property TimeoutStopUSec t 7000000");
	annotate("TimeoutStopSec", "0.5", "Timeout", "property TimeoutStopUSec t 500000");
	annotate("TimeoutStopSec", "uint64 3", "Timeout", "property TimeoutStopUSec t 3000000");
	annotate("XSec", "3", "XSec", "property XSec i 3");
	annotate("TimeoutStopSec", "'7'", "",
		 "annotation org.systemd.property.TimeoutStopSec: not a number of seconds: '7'");
	annotate("TimeoutStopSec", "-7", "",
		 "annotation org.systemd.property.TimeoutStopSec: not a number of seconds: -7");
	annotate("a1b", "7", "",
		 "annotation org.systemd.property.a1b: not the name of a unit's property");
	annotate("ab", "7", "",
		 "annotation org.systemd.property.ab: not the name of a unit's property");
	annotate("Slice", "'a.slice'", "",
		 "annotation org.systemd.property.Slice: this property is moat's to set");
	// They go before moat's own.
	annotate("Description", "'mine'", "Description", "property Description s \"mine\"");
	annotate("MemoryMax", "uint64 7", "MemoryMax", "property MemoryMax t 7");
}

static void test_record(void)
{
	scope_arena struct arena arena = { 0 };
	const struct unit *unit = unit_of_dir("/sys/fs/cgroup/a.slice/a-b.slice/x-y.scope", &arena);

	is_str(unit->name, "x-y.scope");
	ok(!unit->user && !unit->is_slice, "a scope of the system's manager");
	unit = unit_of_dir("/sys/fs/cgroup/user.slice/user@1.service/user.slice/_cpu.slice",
			   &arena);
	is_str(unit->name, "cpu.slice");
	ok(unit->user && unit->is_slice, "a slice of the user's manager");
	ok(!unit_of_dir("/", &arena), "no unit");
}

int main(void)
{
	test_units();
	test_paths();
	test_bad_paths();
	test_common();
	test_memory();
	test_cpu();
	test_others();
	test_unified();
	test_devices();
	test_annotations();
	test_annotation_names();
	test_record();
	return done();
}
