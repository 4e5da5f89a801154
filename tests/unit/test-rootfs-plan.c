// The plan of a root: what is decided from the spec alone, against its printed form.
#include "oci-spec/spec.h"
#include "rootfs/rootfs.h"
#include "tests/unit/quote.h"
#include "tests/unit/tap.h"

static const struct rootfs_cgroup hybrid[] = {
	{ "cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/c", NULL },
	{ "memory", "/sys/fs/cgroup/memory/c", NULL },
	{ "unified", "/sys/fs/cgroup/unified/c", NULL },
};
static const struct rootfs_cgroup unified[] = { { "", "/sys/fs/cgroup/c", NULL } };

static const struct rootfs_env plain = {
	.bundle = "/b",
	.rootfs = "/b/r",
	.new_cgroupns = true,
	.new_netns = true,
	.cgroups = hybrid,
	.cgroup_count = ARRAY_SIZE(hybrid),
};

// A spec with the members `more`, and those of `linux_more` beside a mount namespace.
static int make(struct arena *arena, const char *more, const char *linux_more,
		const struct rootfs_env *env, struct rootfs_plan **plan, struct err *err)
{
	const struct oci_spec *spec;
	const char *text = arena_printf(arena,
					"{'ociVersion':'1.0.2','root':{'path':'r'}%s,"
					"'linux':{'namespaces':[{'type':'mount'}]%s}}",
					more, linux_more);
	const char *json = json_of(text, arena);
	int ret = spec_parse(json, strlen(json), arena, &spec, err);

	return ret < 0 ? ret : rootfs_plan_make(spec, env, arena, plan, err);
}

static char printed[16384];

static const char *plan_of(const char *more, const char *linux_more, const struct rootfs_env *env)
{
	scope_arena struct arena arena = { 0 };
	scope_text struct text text = { 0 };
	struct rootfs_plan *plan;
	struct err err = { 0 };

	if (make(&arena, more, linux_more, env, &plan, &err) < 0) {
		snprintf(printed, sizeof(printed), "error: %s", err.msg);
		return printed;
	}
	rootfs_plan_print(plan, &text);
	snprintf(printed, sizeof(printed), "%s", text.str);
	return printed;
}

// The lines of the plan that one mount (its JSON members) comes to.
static const char *mount_in(const char *mount, const char *linux_more, const struct rootfs_env *env)
{
	scope_arena struct arena arena = { 0 };
	const char *json = arena_printf(&arena, ",'mounts':[{%s}]", mount);
	char *text = (char *)plan_of(json, linux_more, env);
	char *first = strstr(text, "root /b/r\n");

	if (!first)
		return text;
	first += strlen("root /b/r\n");
	char *end = strstr(first, "device /dev/null");
	if (!end)
		end = strstr(first, "pivot-root");
	if (end)
		*end = '\0';
	return first;
}

static const char *mount_line(const char *mount)
{
	return mount_in(mount, "", &plain);
}

#define BIND "'destination':'/d','type':'bind','source':'/s','options':"

static void test_default(void)
{
	is_str(plan_of("", "", &plain), "old-root propagation=rslave\n"
					"root /b/r\n"
					"device /dev/null c 1:3 mode=0666 owner=0:0\n"
					"device /dev/zero c 1:5 mode=0666 owner=0:0\n"
					"device /dev/full c 1:7 mode=0666 owner=0:0\n"
					"device /dev/random c 1:8 mode=0666 owner=0:0\n"
					"device /dev/urandom c 1:9 mode=0666 owner=0:0\n"
					"device /dev/tty c 5:0 mode=0666 owner=0:0\n"
					"dev-links\n"
					"pivot-root\n");
}

static void test_paths(void)
{
	struct rootfs_env env = plain;

	env.no_pivot = true;
	const char *text = plan_of("",
				   ",'maskedPaths':['/proc/kcore'],'readonlyPaths':['/proc/sys'],"
				   "'rootfsPropagation':'rshared'",
				   &env);
	const char *end = strstr(text, "dev-links");

	ok(str_starts(text, "old-root propagation=rshared\n"),
	   "rootfsPropagation is the old root's too");
	is_str(end, "dev-links\nmove-root\nreadonly /proc/sys\nmask /proc/kcore\n"
		    "new-root propagation=rshared\n");
}

static void test_options(void)
{
	is_str(mount_line(BIND "['bind']"), "bind /s on /d\n");
	is_str(mount_line(BIND "['rbind','ro','nosuid','rprivate','size=1']"),
	       "bind /s on /d set=nosuid,ro propagation=rprivate with=rbind\n");
	is_str(mount_line(BIND "['rbind','rro','rnodev','rsuid','rnoatime']"),
	       "bind /s on /d tree-set=rnoatime,rnodev,rro tree-clear=atime,rnosuid with=rbind\n");
	is_str(mount_line(BIND "['ro','rw','noexec','exec']"), "bind /s on /d clear=noexec,ro\n");
	is_str(mount_line(BIND "['rw','ro','noatime','strictatime']"),
	       "bind /s on /d set=ro,strictatime clear=atime\n");
	is_str(mount_line(BIND "['copy-symlink','src-nofollow','shared','slave']"),
	       "bind /s on /d propagation=shared,slave with=copy-symlink,src-nofollow\n");
	is_str(mount_line("'destination':'/d','source':'s','options':['bind']"),
	       "bind /b/s on /d\n");
	is_str(mount_line("'destination':'d/../e/','type':'tmpfs','source':'t','options':"
			  "['nosuid','mode=700','tmpcopyup','iversion','lazytime','huge']"),
	       "mount tmpfs t on /e set=iversion,lazytime,nosuid with=tmpcopyup data=mode=700,huge\n");
	is_str(mount_line("'destination':'/d','options':['remount','noiversion','silent',"
			  "'loud','nosymfollow']"),
	       "remount /d set=nosymfollow clear=iversion,silent\n");
	is_str(mount_line("'destination':'/d','type':'bind'"),
	       "error: mounts[0]: mount /d: a bind mount without a source");
}

static void test_option_names(void)
{
	size_t count;
	const char *const *names = rootfs_mount_options(&count);
	bool sorted = true;

	for (size_t i = 1; i < count; i++)
		sorted = sorted && strcmp(names[i - 1], names[i]) < 0;
	ok(sorted, "the options are sorted, as the search needs it");
	ok(count > 60, "and there are all of them");
}

static void test_late_readonly(void)
{
	is_str(mount_line("'destination':'/t','type':'tmpfs','options':['ro']"),
	       "mount tmpfs tmpfs on /t late-ro\n");
	is_str(mount_line("'destination':'/s','type':'sysfs','options':['ro']"),
	       "mount sysfs sysfs on /s set=ro else-bind=/sys\n");
	is_str(mount_line("'destination':'/dev','type':'bind','source':'/s',"
			  "'options':['ro']"),
	       "bind /s on /dev late-ro\n");
}

static void test_targets(void)
{
	const struct {
		const char *mount, *want;
	} cases[] = {
		{ "'destination':'/','type':'tmpfs'",
		  "error: mounts[0]: mount /: the root itself can't be mounted over" },
		{ "'destination':'/x/../proc','type':'tmpfs'",
		  "error: mounts[0]: mount /x/../proc: only a procfs may be mounted there, not tmpfs" },
		{ "'destination':'/proc/sys','type':'bind','source':'/s'",
		  "error: mounts[0]: mount /proc/sys: it is inside /proc" },
		{ "'destination':'/proc/cpuinfo','type':'bind','source':'/s'",
		  "bind /s on /proc/cpuinfo\n" },
		{ "'destination':'/proc','type':'proc'", "mount proc proc on /proc\n" },
		{ "'destination':'/procfs','type':'tmpfs'", "mount tmpfs tmpfs on /procfs\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		is_str(mount_line(cases[i].mount), cases[i].want);
}

#define CGROUP "'destination':'/c','type':'cgroup','options':['ro','nosuid']"

static void test_cgroups(void)
{
	struct rootfs_env env = plain;

	is_str(mount_line(CGROUP),
	       "mount tmpfs tmpfs on /c set=nodev,noexec,nosuid data=mode=755 late-ro\n"
	       "bind /sys/fs/cgroup/cpu,cpuacct/c on /c/cpu,cpuacct set=nosuid,ro\n"
	       "link /c/cpu -> cpu,cpuacct\n"
	       "link /c/cpuacct -> cpu,cpuacct\n"
	       "bind /sys/fs/cgroup/memory/c on /c/memory set=nosuid,ro\n"
	       "bind /sys/fs/cgroup/unified/c on /c/unified set=nosuid,ro\n");
	env.unified = true;
	env.cgroups = unified;
	env.cgroup_count = 1;
	is_str(mount_in(CGROUP, "", &env),
	       "mount cgroup2 cgroup on /c set=nosuid,ro else-bind=/sys/fs/cgroup/c\n");
	env.new_cgroupns = false;
	is_str(mount_in(CGROUP, "", &env), "bind /sys/fs/cgroup/c on /c set=nosuid,ro\n");
	env.cgroups = &(const struct rootfs_cgroup){ "", "/sys/fs/cgroup/c", "/sys/fs/cgroup/own" };
	is_str(mount_in(CGROUP, "", &env),
	       "bind /sys/fs/cgroup/c on /c set=nosuid,ro or=/sys/fs/cgroup/own\n");
	env.cgroup_count = 0;
	is_str(mount_in(CGROUP, "", &env),
	       "error: mounts[0]: mount /c: the container has no cgroup that could be shown");
}

#define MAPS                                                            \
	",'uidMappings':[{'containerID':0,'hostID':100000,'size':%s}]," \
	"'gidMappings':[{'containerID':0,'hostID':100000,'size':%s}]"

static const char *maps(struct arena *arena, const char *size)
{
	return arena_printf(arena, MAPS, size, size);
}

static void test_idmap(void)
{
	scope_arena struct arena arena = { 0 };
	const char *all = maps(&arena, "65536");

	is_str(mount_in(BIND "['bind','idmap']", all, &plain),
	       "bind /s on /d with=idmap uids=0:100000:65536 gids=0:100000:65536\n");
	is_str(mount_line(arena_printf(&arena, BIND "['rbind','ridmap']%s", maps(&arena, "1"))),
	       "bind /s on /d with=idmap,rbind,ridmap uids=0:100000:1 gids=0:100000:1\n");
	is_str(mount_line(arena_printf(&arena, BIND "[]%s", maps(&arena, "1"))),
	       "bind /s on /d with=idmap uids=0:100000:1 gids=0:100000:1\n");
	is_str(mount_line(BIND "['idmap']"),
	       "error: mounts[0]: mount /d: idmap without mappings, its own or the container's");
	is_str(mount_line(BIND "['idmap'],'uidMappings':[{'containerID':0,'hostID':1,'size':1}]"),
	       "error: mounts[0]: mount /d: uidMappings and gidMappings go together");
}

#define DEVPTS "'destination':'/p','type':'devpts','options':['newinstance','gid=5','mode=620']"

static void test_userns(void)
{
	scope_arena struct arena arena = { 0 };
	struct rootfs_env env = plain;
	const char *sysfs = "'destination':'/sys','type':'sysfs','options':['ro']";

	env.userns = true;
	is_str(mount_in(DEVPTS, maps(&arena, "5"), &env),
	       "mount devpts devpts on /p data=newinstance,mode=620\n");
	is_str(mount_in(DEVPTS, maps(&arena, "6"), &env),
	       "mount devpts devpts on /p data=newinstance,gid=5,mode=620\n");
	is_str(mount_in(sysfs, "", &env), "mount sysfs sysfs on /sys set=ro else-bind=/sys\n");
	env.new_netns = false;
	is_str(mount_in(sysfs, "", &env), "bind /sys on /sys set=ro with=rbind\n");
	ok(strstr(plan_of("", "", &env), "device /dev/null c 1:3 mode=0666 owner=0:0 bind\n"),
	   "devices are bound in a user namespace");
}

static void test_devices(void)
{
	const char *text = plan_of(
		",'mounts':[{'destination':'/dev/random','type':'bind','source':'/dev/urandom'}]",
		",'devices':[{'path':'/dev/net/tun','type':'c','major':10,'minor':200,"
		"'fileMode':384,'uid':1,'gid':2},"
		"{'path':'/dev/null','type':'c','major':1,'minor':3,'fileMode':420},"
		"{'path':'/dev/ptmx','type':'c','major':5,'minor':2},"
		"{'path':'/dev/pipe','type':'p'}]",
		&plain);

	ok(strstr(text, "device /dev/net/tun c 10:200 mode=0600 owner=1:2\n"),
	   "a device of the spec");
	ok(strstr(text, "device /dev/null c 1:3 mode=0644"),
	   "the spec's entry for a default device wins");
	ok(!strstr(text, "device /dev/null c 1:3 mode=0666"), "and is the only one");
	ok(strstr(text, "device /dev/pipe p 0:0 mode=0666"), "a named pipe");
	ok(!strstr(text, "device /dev/ptmx"), "ptmx is left to the links");
	ok(!strstr(text, "device /dev/random"), "a device that a mount covers is left out");
	text = plan_of(",'mounts':[{'destination':'/dev/','type':'bind','source':'/dev'}]", "",
		       &plain);
	ok(!strstr(text, "device") && !strstr(text, "dev-links"), "a bound /dev is left alone");

	struct rootfs_env env = plain;
	env.for_guest = true;
	text = plan_of("", "", &env);
	ok(!strstr(text, "device") && !strstr(text, "dev-links"), "so is another kernel's");
	text = plan_of(",'mounts':[{'destination':'/proc','type':'tmpfs','source':'tmpfs'}]", "",
		       &env);
	ok(strstr(text, "mount tmpfs tmpfs on /proc"), "what stands in for its procfs");
}

static void test_bad_spec(void)
{
	scope_arena struct arena arena = { 0 };
	struct oci_namespace mount = { .type = OCI_NS_MOUNT };
	struct oci_linux linux = { .rootfs_propagation = (char *)"ro" };
	const struct oci_spec spec = { .linux = &linux };
	struct rootfs_plan *plan;
	struct err err = { 0 };

	is_int(rootfs_plan_make(&spec, &plain, &arena, &plan, &err), -EINVAL);
	is_str(err.msg, "linux.namespaces: a root needs a mount namespace to stand in");
	linux.namespaces.v = &mount;
	linux.namespaces.n = 1;
	is_int(rootfs_plan_make(&spec, &plain, &arena, &plan, &err), -EINVAL);
	is_str(err.msg, "linux.rootfsPropagation: \"ro\" is none of the kernel's modes");
}

int main(void)
{
	test_default();
	test_paths();
	test_options();
	test_option_names();
	test_late_readonly();
	test_targets();
	test_cgroups();
	test_idmap();
	test_userns();
	test_devices();
	test_bad_spec();
	return done();
}
