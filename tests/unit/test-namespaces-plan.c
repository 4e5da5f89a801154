// The plan of the namespaces, against printed text, and what it refuses.
#include "namespaces/namespaces.h"
#include "namespaces/sysctl.h"

#include "base/sys.h"
#include "tests/unit/tap.h"

static char path[] = "/run/ns/x";

#define NS(ns_type, ns_path)                         \
	{                                            \
		.type = (ns_type), .path = (ns_path) \
	}
#define LIST_OF(...)                                               \
	{                                                          \
		.v = (__VA_ARGS__), .n = ARRAY_SIZE((__VA_ARGS__)) \
	}

static struct err err;

// The plan's text, or the error's.
static const char *text_of(const struct oci_spec *spec)
{
	static char buf[2048];
	scope_text struct text out = { 0 };
	struct ns_plan plan;

	if (ns_plan_make(spec, &plan, &err) < 0)
		return err.msg;
	ns_plan_print(&plan, &out);
	snprintf(buf, sizeof(buf), "%s", out.str ? out.str : "");
	return buf;
}

static void test_plans(void)
{
	struct oci_namespace usual[] = { NS(OCI_NS_PID, NULL),	 NS(OCI_NS_NETWORK, NULL),
					 NS(OCI_NS_MOUNT, NULL), NS(OCI_NS_IPC, NULL),
					 NS(OCI_NS_UTS, NULL),	 NS(OCI_NS_CGROUP, NULL) };
	struct oci_namespace pod[] = { NS(OCI_NS_PID, NULL), NS(OCI_NS_NETWORK, path),
				       NS(OCI_NS_MOUNT, NULL) };
	struct oci_namespace pid[] = { NS(OCI_NS_PID, path) };
	struct oci_linux linux_part = { .namespaces = { usual, 6 } };
	struct oci_spec spec = { .linux = &linux_part, .hostname = (char *)"h" };

	is_str(text_of(&spec),
	       "create pid mount ipc uts\ncreate cgroup\ncreate network\nloopback up\nhostname h\n");
	spec.hostname = (char *)"";
	linux_part.namespaces.v = pod;
	linux_part.namespaces.n = 3;
	is_str(text_of(&spec), "join network /run/ns/x\ncreate pid mount\n");
	linux_part.namespaces.v = pid;
	linux_part.namespaces.n = 1;
	is_str(text_of(&spec), "stage\njoin pid /run/ns/x\n");
	linux_part.namespaces.n = 0;
	is_str(text_of(&spec), "");
}

static void test_user(void)
{
	struct oci_namespace user[] = { NS(OCI_NS_USER, NULL), NS(OCI_NS_UTS, NULL) };
	struct oci_namespace mixed[] = { NS(OCI_NS_USER, NULL), NS(OCI_NS_NETWORK, path) };
	struct oci_namespace joined[] = { NS(OCI_NS_USER, path) };
	struct oci_id_mapping map[] = { { 0, 100000, 1000 }, { 1000, 1000, 1 } };
	struct oci_linux linux_part = {
		.namespaces = { user, 2 },
		.uid_mappings = { map, 2 },
		.gid_mappings = { map, 1 },
	};
	struct oci_spec spec = { .linux = &linux_part };

	is_str(text_of(&spec), "create uts user\nmap gid 0 100000 1000\n"
			       "map uid 0 100000 1000\nmap uid 1000 1000 1\n");
	linux_part.namespaces.v = mixed;
	is_str(text_of(&spec), "stage\njoin network /run/ns/x\ncreate user\nmap gid 0 100000 1000\n"
			       "map uid 0 100000 1000\nmap uid 1000 1000 1\n");
	linux_part.namespaces.v = joined;
	linux_part.namespaces.n = 1;
	linux_part.uid_mappings.n = 1;
	is_str(text_of(&spec), "stage\njoin user /run/ns/x\nexpect gid 0 100000 1000\n"
			       "expect uid 0 100000 1000\n");
}

static void test_time(void)
{
	struct oci_namespace ns[] = { NS(OCI_NS_TIME, NULL) };
	struct oci_time_offset offset = { .secs = -5, .nanosecs = 7 };
	struct oci_time_offsets offsets = { .boottime = &offset };
	struct oci_linux linux_part = { .namespaces = { ns, 1 }, .time_offsets = &offsets };
	struct oci_spec spec = { .linux = &linux_part };

	is_str(text_of(&spec), "stage\noffset boottime -5.000000007\ncreate time\n");
	offsets.boottime = NULL;
	is_str(text_of(&spec), "create time\n");
	offsets.monotonic = &offset;
	offset.nanosecs = 1000000000;
	is_str(text_of(&spec), "linux.timeOffsets: nanosecs of a second or more");
	linux_part.namespaces.n = 0;
	is_str(text_of(&spec), "linux.timeOffsets: needs a new time namespace");
}

static void test_refused(void)
{
	struct oci_namespace twice[] = { NS(OCI_NS_PID, NULL), NS(OCI_NS_PID, path) };
	struct oci_namespace user[] = { NS(OCI_NS_USER, NULL) };
	struct oci_namespace uts[] = { NS(OCI_NS_UTS, path) };
	struct oci_linux linux_part = { .namespaces = { twice, 2 } };
	struct oci_spec spec = { .linux = &linux_part };
	char name[66];

	is_str(text_of(&spec), "linux.namespaces[1]: a second pid namespace");
	linux_part.namespaces.v = user;
	linux_part.namespaces.n = 1;
	is_str(text_of(&spec), "linux.uidMappings: a new user namespace needs it");

	linux_part.namespaces.n = 0;
	spec.hostname = (char *)"h";
	is_str(text_of(&spec), "hostname: needs a uts namespace");
	spec.hostname = NULL;
	spec.domainname = (char *)"d";
	is_str(text_of(&spec), "domainname: needs a uts namespace");
	linux_part.namespaces.v = uts;
	linux_part.namespaces.n = 1;
	is_str(text_of(&spec), "join uts /run/ns/x\ndomainname d\n");
	memset(name, 'x', sizeof(name) - 1);
	name[64] = '\0';
	spec.domainname = name;
	is_int(ns_plan_make(&spec, &(struct ns_plan){ 0 }, &err), 0);
	name[64] = 'x';
	name[65] = '\0';
	is_str(text_of(&spec), "domainname: longer than 64 bytes");
}

static void test_mappings(void)
{
	static const struct {
		struct oci_id_mapping map[2];
		size_t n;
		const char *want; // NULL: taken
	} cases[] = {
		{ { { 0, 0, 0 } }, 1, "linux.uidMappings[0].size: must not be 0" },
		{ { { 0, 0, UINT32_MAX } }, 1, NULL },
		{ { { 1, 0, UINT32_MAX } }, 1, "linux.uidMappings[0]: beyond the last id" },
		{ { { 0, 1, UINT32_MAX } }, 1, "linux.uidMappings[0]: beyond the last id" },
		{ { { 0, 10, 5 }, { 5, 15, 5 } }, 2, NULL },
		{ { { 0, 10, 5 }, { 4, 15, 5 } },
		  2,
		  "linux.uidMappings[1]: overlaps linux.uidMappings[0]" },
		{ { { 0, 10, 5 }, { 5, 14, 5 } },
		  2,
		  "linux.uidMappings[1]: overlaps linux.uidMappings[0]" },
		{ { { 5, 10, 5 }, { 0, 5, 6 } },
		  2,
		  "linux.uidMappings[1]: overlaps linux.uidMappings[0]" },
	};
	struct oci_namespace user[] = { NS(OCI_NS_USER, NULL) };
	struct oci_id_mapping gids[] = { { 0, 0, 1 } }, map[2];
	struct oci_linux linux_part = { .namespaces = { user, 1 }, .gid_mappings = { gids, 1 } };
	struct oci_spec spec = { .linux = &linux_part };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ns_plan plan;

		memcpy(map, cases[i].map, sizeof(map));
		linux_part.uid_mappings = (struct oci_id_mappings){ map, cases[i].n };
		err.msg[0] = '\0';
		ns_plan_make(&spec, &plan, &err);
		is_str(err.msg, cases[i].want ? cases[i].want : "");
	}
	linux_part.uid_mappings = (struct oci_id_mappings){ map, 2 };
	map[0] = (struct oci_id_mapping){ 0, 10, 5 };
	map[1] = (struct oci_id_mapping){ 5, 15, 5 };
	struct oci_process process = { .user = { .uid = 9, .gid = 1 } };
	uint32_t groups[] = { 0, 2 };
	spec.process = &process;
	is_str(text_of(&spec), "process.user.gid: 1 is not in linux.gidMappings");
	process.user.gid = 0;
	process.user.additional_gids.v = groups;
	process.user.additional_gids.n = 2;
	is_str(text_of(&spec), "process.user.additionalGids[1]: 2 is not in linux.gidMappings");
	process.user.uid = 10;
	is_str(text_of(&spec), "process.user.uid: 10 is not in linux.uidMappings");
	spec.process = NULL;
	linux_part.namespaces.n = 0;
	is_str(text_of(&spec), "linux.uidMappings: needs a user namespace");
}

static void test_sysctl(void)
{
	static const struct {
		uint64_t create;
		const char *key, *want; // NULL: taken
	} cases[] = {
		{ CLONE_NEWNET, "net.ipv4.ip_forward", NULL },
		{ CLONE_NEWNET, "net/ipv4/conf/eth0.1/forwarding", NULL },
		{ CLONE_NEWNET, "net.ipv4.conf.eth0/1.forwarding", NULL },
		{ CLONE_NEWIPC, "kernel.shmmax", NULL },
		{ CLONE_NEWIPC, "kernel.shm_rmid_forced", NULL },
		{ CLONE_NEWIPC, "kernel/msgmni", NULL },
		{ CLONE_NEWIPC, "kernel.sem", NULL },
		{ CLONE_NEWIPC, "fs.mqueue.msg_max", NULL },
		{ CLONE_NEWUTS, "kernel.domainname", NULL },
		{ CLONE_NEWIPC, "net.ipv4.ip_forward",
		  "the container has no network namespace of its own" },
		{ CLONE_NEWNET, "kernel.sem", "the container has no ipc namespace of its own" },
		{ 0, "kernel.domainname", "the container has no uts namespace of its own" },
		{ CLONE_NEWUTS, "kernel.hostname", "set the field hostname instead" },
		{ CLONE_NEWNET, "vm.swappiness",
		  "belongs to no namespace, so it would change the host" },
		{ CLONE_NEWNET, "network.x",
		  "belongs to no namespace, so it would change the host" },
		{ CLONE_NEWNET, "net/../vm/swappiness", "not a kernel parameter" },
		{ CLONE_NEWNET, "net.//.vm.swappiness", "not a kernel parameter" },
		{ CLONE_NEWNET, "net/x/..", "not a kernel parameter" },
		{ CLONE_NEWNET, "/net/x", "not a kernel parameter" },
		{ CLONE_NEWNET, ".net.x", "not a kernel parameter" },
		{ CLONE_NEWNET, "net.", "not a kernel parameter" },
		{ CLONE_NEWNET, "net..x", "not a kernel parameter" },
		{ CLONE_NEWNET, "net", "not a kernel parameter" },
		{ CLONE_NEWNET, "", "not a kernel parameter" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct ns_plan plan = { .create = cases[i].create };
		struct oci_pair pair = { (char *)cases[i].key, (char *)"1" };
		char want[256] = "";

		if (cases[i].want)
			snprintf(want, sizeof(want), "linux.sysctl: %s: %s", cases[i].key,
				 cases[i].want);
		err.msg[0] = '\0';
		sysctl_check(&plan, &(struct oci_pairs){ &pair, 1 }, &err);
		is_str(err.msg, want);
	}

	struct ns_plan plan = { .join = CLONE_NEWNET };
	struct oci_pair pair = { (char *)"net.x.y", (char *)"1" };
	plan.paths[OCI_NS_NETWORK] = "/proc/self/ns/net";
	is_int(sysctl_check(&plan, &(struct oci_pairs){ &pair, 1 }, &err), -EINVAL);
	is_str(err.msg, "linux.sysctl: net.x.y: the container has no network namespace of its own");
}

int main(void)
{
	test_plans();
	test_user();
	test_time();
	test_refused();
	test_mappings();
	test_sysctl();
	return done();
}
