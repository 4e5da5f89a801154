#include "oci-spec/spec.h"
#include "tests/unit/quote.h"
#include "tests/unit/tap.h"

#include <errno.h>

static struct arena arena;
static struct err err;

#define BASE "'ociVersion': '1.2.0', 'root': {'path': 'r'}"

static int validate(const char *text)
{
	const struct oci_spec *spec;

	if (spec_parse(json_of(text, &arena), strlen(text), &arena, &spec, &err) < 0)
		return -EBADMSG; // a test of the parser does not belong here
	return spec_validate(spec, &err);
}

static void test_versions(void)
{
	static const char *const good[] = { "1.0.0", "1.0.2-dev", "1.0.0-rc5-dev",
					    "1.3.0", "1.10.0",	  "1.2.0+build" };
	static const char *const bad[] = { "1",	     "1.0",    "1.0.0.0", "1.0.x",
					   "v1.0.0", "01.0.0", "1.0.0-",  "1..0" };
	static const char *const other[] = { "0.5.0", "2.0.0", "10.0.0" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		is_int(validate(arena_printf(&arena, "{'ociVersion': '%s', 'root': {'path': 'r'}}",
					     good[i])),
		       0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		is_int(validate(arena_printf(&arena, "{'ociVersion': '%s'}", bad[i])), -EINVAL);
		is_str(err.msg, arena_printf(&arena, "ociVersion: \"%s\" is not a semantic version",
					     bad[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
		is_int(validate(arena_printf(&arena, "{'ociVersion': '%s'}", other[i])), -ENOTSUP);
		is_str(err.msg, arena_printf(&arena, "ociVersion: %s is not supported, only 1.x is",
					     other[i]));
	}
}

struct rule {
	const char *json;
	int ret;
	const char *message;
};

#define PROCESS(fields)		 "{" BASE ", 'process': {'cwd': '/', 'args': ['a']" fields "}}"
#define LINUX(fields)		 "{" BASE ", 'linux': {" fields "}}"
#define SECCOMP(action, fields)	 LINUX("'seccomp': {'defaultAction': '" action "'" fields "}")
#define MAPPING			 "[{'containerID': 0, 'hostID': 0, 'size': 1}]"
#define RLIMIT(type, soft, hard) "{'type': '" type "', 'soft': " #soft ", 'hard': " #hard "}"
#define NS(type)		 "{'type': '" type "'}"
#define NS_PATH(type)		 "{'type': '" type "', 'path': '/ns'}"

static const struct rule rules[] = {
	{ "{" BASE "}", 0, NULL },
	{ "{'ociVersion': '1.0.0'}", -EINVAL, "root: is missing" },
	// process
	{ PROCESS(""), 0, NULL },
	{ "{" BASE ", 'process': {'cwd': '/'}}", -EINVAL, "process.args: is empty" },
	{ PROCESS(", 'env': ['A=b', 'A']"), -EINVAL, "process.env[1]: \"A\" is not NAME=VALUE" },
	{ PROCESS(", 'env': ['=b']"), -EINVAL, "process.env[0]: \"=b\" is not NAME=VALUE" },
	{ PROCESS(", 'rlimits': [" RLIMIT("RLIMIT_AS", 2, 1) "]"), -EINVAL,
	  "process.rlimits[0].soft: above the hard limit" },
	{ PROCESS(", 'rlimits': [" RLIMIT("RLIMIT_AS", 1, 1) "," RLIMIT(
		  "RLIMIT_CPU", 1, 1) "," RLIMIT("RLIMIT_AS", 1, 1) "]"),
	  -EINVAL, "process.rlimits[2].type: RLIMIT_AS stands twice" },
	{ PROCESS(", 'scheduler': {'policy': 'SCHED_OTHER'}"), -ENOTSUP,
	  "process.scheduler: not supported yet" },
	{ PROCESS(", 'ioPriority': {'class': 'IOPRIO_CLASS_BE'}"), -ENOTSUP,
	  "process.ioPriority: not supported yet" },
	{ PROCESS(", 'execCPUAffinity': {'final': '1'}"), -ENOTSUP,
	  "process.execCPUAffinity: not supported yet" },
	{ PROCESS(", 'execCPUAffinity': {}"), 0, NULL },
	// namespaces
	{ LINUX("'namespaces': [" NS("pid") "," NS("uts") "," NS("pid") "]"), -EINVAL,
	  "linux.namespaces[2].type: stands twice" },
	{ "{" BASE ", 'hostname': 'h'}", -EINVAL,
	  "hostname: needs a uts namespace in linux.namespaces" },
	{ "{" BASE ", 'domainname': 'h'}", -EINVAL,
	  "domainname: needs a uts namespace in linux.namespaces" },
	{ "{" BASE ", 'domainname': 'h', 'linux': {'namespaces': [" NS_PATH("uts") "]}}", 0, NULL },
	{ LINUX("'uidMappings': " MAPPING), -EINVAL,
	  "linux.uidMappings: needs a user namespace in linux.namespaces" },
	{ LINUX("'gidMappings': " MAPPING), -EINVAL,
	  "linux.gidMappings: needs a user namespace in linux.namespaces" },
	{ LINUX("'namespaces': [" NS("user") "]"), -EINVAL,
	  "linux.uidMappings: a new user namespace needs them" },
	{ LINUX("'namespaces': [" NS("user") "], 'uidMappings': " MAPPING), -EINVAL,
	  "linux.gidMappings: a new user namespace needs them" },
	{ LINUX("'namespaces': [" NS("user") "], 'uidMappings': " MAPPING
					     ", 'gidMappings': " MAPPING),
	  0, NULL },
	{ LINUX("'namespaces': [" NS_PATH("user") "]"), 0, NULL },
	{ LINUX("'timeOffsets': {}"), 0, NULL },
	{ LINUX("'timeOffsets': {'boottime': {}}"), -EINVAL,
	  "linux.timeOffsets: needs a time namespace in linux.namespaces" },
	{ LINUX("'maskedPaths': ['/x']"), -EINVAL,
	  "linux.maskedPaths: needs a mount namespace in linux.namespaces" },
	{ LINUX("'readonlyPaths': ['/x']"), -EINVAL,
	  "linux.readonlyPaths: needs a mount namespace in linux.namespaces" },
	{ LINUX("'maskedPaths': ['/x'], 'namespaces': [" NS("mount") "]"), 0, NULL },
	// the rest of linux
	{ LINUX("'personality': {'domain': 'LINUX', 'flags': ['X']}"), -EINVAL,
	  "linux.personality.flags: the specification has none" },
	{ LINUX("'netDevices': {'eth0': {}}"), -ENOTSUP, "linux.netDevices: not supported yet" },
	{ LINUX("'netDevices': {}"), 0, NULL },
	{ LINUX("'intelRdt': {}"), -ENOTSUP, "linux.intelRdt: not supported yet" },
	{ LINUX("'memoryPolicy': {'mode': 'MPOL_DEFAULT'}"), -ENOTSUP,
	  "linux.memoryPolicy: not supported yet" },
	// seccomp
	{ SECCOMP("SCMP_ACT_ALLOW", ""), 0, NULL },
	{ SECCOMP("SCMP_ACT_NOTIFY", ", 'listenerPath': '/s'"), -EINVAL,
	  "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY can't be the default" },
	{ SECCOMP("SCMP_ACT_ALLOW", ", 'defaultErrnoRet': 1"), -EINVAL,
	  "linux.seccomp.defaultErrnoRet: the action takes none" },
	{ SECCOMP("SCMP_ACT_ERRNO", ", 'defaultErrnoRet': 1"), 0, NULL },
	{ SECCOMP("SCMP_ACT_ALLOW", ", 'listenerMetadata': 'm'"), -EINVAL,
	  "linux.seccomp.listenerMetadata: needs listenerPath" },
	{ SECCOMP("SCMP_ACT_ALLOW", ", 'syscalls': [{'names': [], 'action': 'SCMP_ACT_LOG'}]"),
	  -EINVAL, "linux.seccomp.syscalls[0].names: is empty" },
	{ SECCOMP("SCMP_ACT_ALLOW",
		  ", 'syscalls': [{'names': ['x'], 'action': 'SCMP_ACT_LOG', 'errnoRet': 1}]"),
	  -EINVAL, "linux.seccomp.syscalls[0].errnoRet: the action takes none" },
	{ SECCOMP("SCMP_ACT_ALLOW",
		  ", 'syscalls': [{'names': ['x'], 'action': 'SCMP_ACT_NOTIFY'}]"),
	  -EINVAL,
	  "linux.seccomp.syscalls[0].action: SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath" },
	// resources
	{ LINUX("'resources': {'rdma': {'d': {}}}"), -EINVAL,
	  "linux.resources.rdma.d: needs hcaHandles or hcaObjects" },
};

static void test_rules(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		if (!ok(validate(rules[i].json) == rules[i].ret, rules[i].json))
			printf("# %s\n", err.msg);
		if (rules[i].message)
			is_str(err.msg, rules[i].message);
	}
}

static const struct rule resource_rules[] = {
	{ "{}", 0, NULL },
	{ "{'devices': [{'allow': true, 'access': 'rwm'}]}", 0, NULL },
	{ "{'devices': [{'allow': true, 'access': 'rx'}]}", -EINVAL,
	  "devices[0].access: \"rx\" has more than r, w and m" },
	{ "{'hugepageLimits': [{'pageSize': '64KB', 'limit': 0}, {'pageSize': '1GB', 'limit': 0}]}",
	  0, NULL },
	{ "{'hugepageLimits': [{'pageSize': '2M', 'limit': 0}]}", -EINVAL,
	  "hugepageLimits[0].pageSize: \"2M\" is not a size as 64KB, 2MB or 1GB" },
	{ "{'hugepageLimits': [{'pageSize': '2', 'limit': 0}]}", -EINVAL,
	  "hugepageLimits[0].pageSize: \"2\" is not a size as 64KB, 2MB or 1GB" },
	{ "{'hugepageLimits': [{'pageSize': '../2MB', 'limit': 0}]}", -EINVAL,
	  "hugepageLimits[0].pageSize: \"../2MB\" is not a size as 64KB, 2MB or 1GB" },
	{ "{'unified': {'memory.high': '1', 'hugetlb.2MB.max': '0'}}", 0, NULL },
	{ "{'unified': {'../x.y': '1'}}", -EINVAL, "unified.../x.y: is not named CONTROLLER.FILE" },
	{ "{'unified': {'memory': '1'}}", -EINVAL, "unified.memory: is not named CONTROLLER.FILE" },
	{ "{'unified': {'.x': '1'}}", -EINVAL, "unified..x: is not named CONTROLLER.FILE" },
	{ "{'unified': {'x.': '1'}}", -EINVAL, "unified.x.: is not named CONTROLLER.FILE" },
};

static void test_alone(void)
{
	static const char process_json[] = "{'cwd': '/', 'args': ['a'], 'env': ['A']}";
	const struct oci_process *process;
	const struct oci_resources *resources;

	is_int(spec_parse_process(json_of(process_json, &arena), strlen(process_json), &arena,
				  &process, &err),
	       0);
	is_int(spec_validate_process(process, &err), -EINVAL);
	is_str(err.msg, "env[0]: \"A\" is not NAME=VALUE");
	for (size_t i = 0; i < ARRAY_SIZE(resource_rules); i++) {
		const struct rule *rule = &resource_rules[i];

		is_int(spec_parse_resources(json_of(rule->json, &arena), strlen(rule->json), &arena,
					    &resources, &err),
		       0);
		ok(spec_validate_resources(resources, &err) == rule->ret, rule->json);
		if (rule->message)
			is_str(err.msg, rule->message);
	}
}

int main(void)
{
	test_versions();
	test_rules();
	test_alone();
	arena_free(&arena);
	return done();
}
