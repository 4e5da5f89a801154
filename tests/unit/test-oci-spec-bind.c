// Every kind of field, good and bad, by a table of one JSON text each. The texts stand below a
// minimal configuration.
#include "oci-spec/fields.h"
#include "oci-spec/spec.h"
#include "tests/unit/quote.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <stdlib.h>

static struct arena arena;
static struct err err;

static const struct oci_spec *parse(const char *text)
{
	const char *json = json_of(text, &arena);
	const struct oci_spec *spec;

	return spec_parse(json, strlen(json), &arena, &spec, &err) == 0 ? spec : NULL;
}

// The text of a configuration in which the field at `path`, as `linux.resources`, has this value.
static const char *nest(const char *path, const char *value)
{
	char *names = arena_strdup(&arena, path);
	const char *json = "{'ociVersion': '1.0.0', ";
	const char *end = "}";

	for (char *name = strtok(names, "."); name; name = strtok(NULL, ".")) {
		json = arena_printf(&arena, "%s'%s': {", json, name);
		end = arena_printf(&arena, "%s}", end);
	}
	// The last brace opens no object: the value stands there.
	return arena_printf(&arena, "%.*s%s%s", (int)strlen(json) - 1, json, value, end + 1);
}

// Parses, or ends the test.
static const struct oci_spec *must_parse(const char *text)
{
	const struct oci_spec *spec = parse(text);

	if (!spec) {
		printf("Bail out! %s: %s\n", text, err.msg);
		exit(1);
	}
	return spec;
}

static const struct oci_spec *accepts(const char *path, const char *value)
{
	return must_parse(nest(path, value));
}

struct bad {
	const char *path, *value, *message;
};

static const struct bad bad_fields[] = {
	// the kinds
	{ "process", "{'cwd': '/', 'terminal': 1}",
	  "process.terminal: expected a boolean, found a number" },
	{ "process", "{'cwd': '/', 'user': {'uid': -1}}",
	  "process.user.uid: expected a number from 0 to 4294967295, found -1" },
	{ "process", "{'cwd': '/', 'user': {'uid': 4294967296}}",
	  "process.user.uid: expected a number from 0 to 4294967295, found 4294967296" },
	{ "process", "{'cwd': '/', 'user': {'gid': 1.0}}",
	  "process.user.gid: expected an integer, found 1.0" },
	{ "process", "{'cwd': '/', 'user': {'gid': 1e3}}",
	  "process.user.gid: expected an integer, found 1e3" },
	{ "process", "{'cwd': '/', 'user': {'gid': '0'}}",
	  "process.user.gid: expected an integer, found a string" },
	{ "process", "{'cwd': '/', 'user': {'additionalGids': [0, true]}}",
	  "process.user.additionalGids[1]: expected an integer, found a boolean" },
	{ "process", "{'cwd': '/', 'user': {'additionalGids': [-1]}}",
	  "process.user.additionalGids[0]: expected a number from 0 to 4294967295, found -1" },
	{ "process", "{'cwd': '/', 'user': {'additionalGids': 1}}",
	  "process.user.additionalGids: expected an array, found a number" },
	{ "process", "{'cwd': '/', 'user': []}",
	  "process.user: expected an object, found an array" },
	{ "process", "{'cwd': '/', 'args': ['a', null]}",
	  "process.args[1]: expected a string, found null" },
	{ "process", "{'cwd': '/', 'args': 'a'}",
	  "process.args: expected an array, found a string" },
	{ "process",
	  "{'cwd': '/', 'rlimits': [{'type': 'RLIMIT_AS', 'soft': 0, 'hard': 0}, "
	  "{'type': 'RLIMIT_CPU', 'soft': 0, 'hard': 18446744073709551616}]}",
	  "process.rlimits[1].hard: expected a number from 0 to 18446744073709551615, "
	  "found 18446744073709551616" },
	{ "process", "{'cwd': '/', 'rlimits': [{'type': 'RLIMIT_AS', 'hard': 0}]}",
	  "process.rlimits[0].soft: is missing" },
	{ "process", "{'cwd': '/', 'rlimits': [null]}",
	  "process.rlimits[0]: expected an object, found null" },
	{ "hooks", "{'poststop': [{'path': '/x', 'timeout': 2147483648}]}",
	  "hooks.poststop[0].timeout: expected a number from 1 to 2147483647, found 2147483648" },
	{ "hooks", "{'poststop': [{'path': '/x', 'timeout': 0}]}",
	  "hooks.poststop[0].timeout: expected a number from 1 to 2147483647, found 0" },
	{ "hooks", "{'poststop': [{'path': '/x', 'timeout': -0}]}",
	  "hooks.poststop[0].timeout: expected a number from 1 to 2147483647, found -0" },
	{ "hooks", "{'poststop': [{'path': 'x'}]}",
	  "hooks.poststop[0].path: \"x\" is not an absolute path" },
	{ "annotations", "{'a': 1}", "annotations.a: expected a string, found a number" },
	{ "annotations", "{'': ''}", "annotations: an empty key" },
	{ "annotations", "[]", "annotations: expected an object, found an array" },
	{ "linux.timeOffsets.boottime.secs", "9223372036854775808",
	  "linux.timeOffsets.boottime.secs: expected a number from -9223372036854775808 to "
	  "9223372036854775807, found 9223372036854775808" },
	{ "linux.timeOffsets.boottime.secs", "-9223372036854775809",
	  "linux.timeOffsets.boottime.secs: expected a number from -9223372036854775808 to "
	  "9223372036854775807, found -9223372036854775809" },
	{ "linux.timeOffsets.realtime", "{}", "linux.timeOffsets.realtime: is not known" },
	{ "linux.resources.rdma", "{'mlx5': {'hcaHandles': 'max'}}",
	  "linux.resources.rdma.mlx5.hcaHandles: expected an integer, found a string" },
	{ "linux.resources.rdma", "{'': {}}", "linux.resources.rdma: an empty key" },
	{ "linux.resources.rdma", "[]",
	  "linux.resources.rdma: expected an object, found an array" },
	{ "linux.resources.blockIO.weight", "65536",
	  "linux.resources.blockIO.weight: expected a number from 0 to 65535, found 65536" },
	{ "linux.resources.memory.useHierarchy", "'yes'",
	  "linux.resources.memory.useHierarchy: expected a boolean, found a string" },
	{ "linux.resources.memory", "7",
	  "linux.resources.memory: expected an object, found a number" },
	{ "hostname", "[]", "hostname: expected a string, found an array" },
	// ranges
	{ "process", "{'cwd': '/', 'oomScoreAdj': 1001}",
	  "process.oomScoreAdj: expected a number from -1000 to 1000, found 1001" },
	{ "process", "{'cwd': '/', 'oomScoreAdj': -1001}",
	  "process.oomScoreAdj: expected a number from -1000 to 1000, found -1001" },
	{ "process", "{'cwd': '/', 'consoleSize': {'height': 1, 'width': 65536}}",
	  "process.consoleSize.width: expected a number from 0 to 65535, found 65536" },
	{ "linux.resources.memory.limit", "-2",
	  "linux.resources.memory.limit: expected a number from -1 to 9223372036854775807, "
	  "found -2" },
	{ "linux.resources.memory.swappiness", "-1",
	  "linux.resources.memory.swappiness: expected a number from 0 to 100, found -1" },
	{ "linux.resources.memory.swappiness", "101",
	  "linux.resources.memory.swappiness: expected a number from 0 to 100, found 101" },
	{ "linux.resources.cpu.idle", "2",
	  "linux.resources.cpu.idle: expected a number from 0 to 1, found 2" },
	{ "linux.timeOffsets.monotonic.nanosecs", "1000000000",
	  "linux.timeOffsets.monotonic.nanosecs: expected a number from 0 to 999999999, "
	  "found 1000000000" },
	{ "linux.uidMappings", "[{'containerID': 0, 'hostID': 0, 'size': 0}]",
	  "linux.uidMappings[0].size: expected a number from 1 to 4294967295, found 0" },
	{ "linux.devices", "[{'path': '/dev/x', 'type': 'c', 'major': -1, 'minor': 0}]",
	  "linux.devices[0].major: expected a number from 0 to 4095, found -1" },
	{ "linux.seccomp",
	  "{'defaultAction': 'SCMP_ACT_ALLOW', 'syscalls': [{'names': ['x'], "
	  "'action': 'SCMP_ACT_ALLOW', 'args': [{'index': 6, 'value': 0, "
	  "'op': 'SCMP_CMP_EQ'}]}]}",
	  "linux.seccomp.syscalls[0].args[0].index: expected a number from 0 to 5, found 6" },
	// words
	{ "process", "{'cwd': '/', 'ioPriority': {'class': 'BE'}}",
	  "process.ioPriority.class: \"BE\" is not one of IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, "
	  "IOPRIO_CLASS_IDLE" },
	{ "linux.namespaces", "[{'type': 'net'}]",
	  "linux.namespaces[0].type: \"net\" is not one of cgroup, ipc, mount, network, pid, time, "
	  "user, uts" },
	{ "linux.namespaces", "[{'type': ''}]",
	  "linux.namespaces[0].type: \"\" is not one of cgroup, ipc, mount, network, pid, time, user, "
	  "uts" },
	{ "linux.namespaces", "[{}]", "linux.namespaces[0].type: is missing" },
	{ "linux.namespaces", "[{'type': 'pid', 'path': 'ns'}]",
	  "linux.namespaces[0].path: \"ns\" is not an absolute path" },
	{ "linux.devices", "[{'path': '/dev/x', 'type': 'char'}]",
	  "linux.devices[0].type: \"char\" is not one of c, u, b, p" },
	{ "linux.resources.devices", "[{'allow': true, 'type': 'p'}]",
	  "linux.resources.devices[0].type: \"p\" is not one of a, c, b" },
	{ "linux.personality.domain", "'linux'",
	  "linux.personality.domain: \"linux\" is not one of LINUX, LINUX32" },
	{ "linux.rootfsPropagation", "'master'",
	  "linux.rootfsPropagation: \"master\" is not one of shared, slave, private, unbindable, "
	  "rshared, rslave, rprivate, runbindable" },
	{ "linux.seccomp.defaultAction", "'ALLOW'",
	  "linux.seccomp.defaultAction: \"ALLOW\" is not one of SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, "
	  "SCMP_ACT_KILL_PROCESS, SCMP_ACT_KILL_THREAD, SCMP_ACT_KILL, SCMP_ACT_LOG, "
	  "SCMP_ACT_NOTIFY, SCMP_ACT_TRACE, SCMP_ACT_TRAP" },
	{ "linux.seccomp", "{'defaultAction': 'SCMP_ACT_ALLOW', 'flags': ['LOG']}",
	  "linux.seccomp.flags[0]: \"LOG\" is not one of SECCOMP_FILTER_FLAG_LOG, "
	  "SECCOMP_FILTER_FLAG_SPEC_ALLOW, SECCOMP_FILTER_FLAG_TSYNC, "
	  "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" },
	// what is required, and may be neither null nor empty
	{ "process", "{}", "process.cwd: is missing" },
	{ "process", "{'cwd': null}", "process.cwd: expected a string, found null" },
	{ "process", "{'cwd': ''}", "process.cwd: is empty" },
	{ "process", "{'cwd': 'tmp'}", "process.cwd: \"tmp\" is not an absolute path" },
	{ "root", "{}", "root.path: is missing" },
	{ "mounts", "[{}]", "mounts[0].destination: is missing" },
	{ "linux.maskedPaths", "['/a', '']", "linux.maskedPaths[1]: \"\" is not an absolute path" },
	{ "vm", "{}", "vm.kernel: is missing" },
	{ "process", "{'cwd': '/', 'cwd': '/'}", "process.cwd: stands twice" },
};

static void test_bad_fields(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_fields); i++) {
		const struct bad *bad = &bad_fields[i];

		ok(!parse(nest(bad->path, bad->value)), bad->message);
		is_int(err.code, EINVAL);
		is_str(err.msg, bad->message);
	}
}

static void test_root(void)
{
	ok(!parse("[]"), "the whole is an object");
	is_str(err.msg, "expected an object, found an array");
	ok(!parse("{}"), "a version is required");
	is_str(err.msg, "ociVersion: is missing");

	const struct oci_spec *spec =
		must_parse("{'ociVersion': '1.0.0', 'unknown': {'x': [1.5]}}");
	ok(spec->linux && !spec->process && !spec->root && !spec->vm && !spec->hooks,
	   "only linux is there when absent");

	const struct oci_spec *unused;
	is_int(spec_parse("{}", SPEC_MAX_BYTES + 1, &arena, &unused, &err), -EFBIG);
}

// Engines written in Go send null for an empty list or map, and "" for an unset string.
static void test_null_and_empty(void)
{
	const struct oci_spec *spec = must_parse(
		"{'ociVersion': '1.0.0', 'hostname': '', 'mounts': null, 'hooks': null,"
		" 'annotations': null, 'linux': null, 'process': {'cwd': '/',"
		" 'terminal': null, 'args': null, 'oomScoreAdj': null, 'user': null}}");

	ok(spec->linux != NULL, "also for linux");
	ok(!spec->hostname && !spec->hooks && spec->mounts.n == 0, "nothing set");
	ok(!spec->process->oom_score_adj.set, "an optional number");

	spec = accepts("linux.namespaces", "[{'type': 'pid', 'path': ''}]");
	ok(!spec->linux->namespaces.v[0].path, "an empty path is none");
	spec = accepts("linux.resources.devices", "[{'allow': true, 'type': '', 'access': ''}]");
	ok(spec->linux->resources->devices.v[0].type == 'a', "an empty type is all");
	spec = accepts("linux.resources.devices", "[{'allow': true}]");
	ok(spec->linux->resources->devices.v[0].type == 'a', "no type is all");
}

static void test_values(void)
{
	const struct oci_spec *spec = accepts("linux.resources.memory.swappiness",
					      "18446744073709551615");
	ok(!spec->linux->resources->memory->swappiness.set, "dockerd's -1 is not set");
	spec = accepts("linux.resources.memory.swappiness", "0");
	ok(spec->linux->resources->memory->swappiness.set, "0 is set");

	spec = accepts("linux.devices",
		       "[{'path': '/dev/x', 'type': 'u', 'major': 1, 'minor': 3}]");
	ok(spec->linux->devices.v[0].type == 'c', "u is read as c");
	ok(!spec->linux->devices.v[0].file_mode.set && !spec->linux->devices.v[0].uid.set,
	   "no mode, no owner");
	spec = accepts("linux.seccomp.defaultAction", "'SCMP_ACT_KILL'");
	ok(spec->linux->seccomp->default_action == OCI_SECCOMP_KILL_THREAD,
	   "SCMP_ACT_KILL kills the thread");
	spec = accepts("process", "{'cwd': '/', 'args': ['a', ''], 'env': []}");
	ok(spec->process->args.n == 2 && !spec->process->args.v[2], "args end with NULL");
	spec = accepts("linux.netDevices", "{'eth0': {}, 'eth1': {'name': 'x'}}");
	ok(spec->linux->net_devices.n == 2, "two devices");
	is_str(spec->linux->net_devices.v[0].host_name, "eth0");
	is_str(spec->linux->net_devices.v[1].name, "x");
	spec = accepts("linux.timeOffsets.monotonic.secs", "-0");
	is_int(spec->linux->time_offsets->monotonic->secs, 0);
}

// Every word of every enumeration parses to its own value and is written as itself.
static void test_words(void)
{
	for (size_t i = 0; i < namespace_words.n; i++) {
		const char *name = namespace_words.v[i].name;
		const struct oci_spec *spec =
			accepts("linux.namespaces", arena_printf(&arena, "[{'type': '%s'}]", name));

		ok((int)spec->linux->namespaces.v[0].type == namespace_words.v[i].value, name);
	}
	is_int((long long)namespace_words.n, OCI_NS_COUNT);
	for (size_t i = 0; i < seccomp_action_words.n; i++) {
		const char *name = seccomp_action_words.v[i].name;
		const struct oci_spec *spec = accepts("linux.seccomp.defaultAction",
						      arena_printf(&arena, "'%s'", name));

		ok((int)spec->linux->seccomp->default_action == seccomp_action_words.v[i].value,
		   name);
	}
	is_str(words_name(&seccomp_action_words, OCI_SECCOMP_KILL_THREAD), "SCMP_ACT_KILL_THREAD");
	for (size_t i = 0; i < seccomp_op_words.n; i++)
		is_str(words_name(&seccomp_op_words, seccomp_op_words.v[i].value),
		       seccomp_op_words.v[i].name);
	for (size_t i = 0; i < seccomp_arch_words.n; i++)
		accepts("linux.seccomp",
			arena_printf(&arena,
				     "{'defaultAction': 'SCMP_ACT_LOG', 'architectures': ['%s']}",
				     seccomp_arch_words.v[i].name));
}

static void test_alone(void)
{
	static const char process[] = "{'cwd': '/', 'args': [1]}";
	static const char resources[] = "{'pids': {'limit': 'max'}}";
	const struct oci_process *p;
	const struct oci_resources *r;

	is_int(spec_parse_process(json_of(process, &arena), strlen(process), &arena, &p, &err),
	       -EINVAL);
	is_str(err.msg, "args[0]: expected a string, found a number");
	is_int(spec_parse_resources(json_of(resources, &arena), strlen(resources), &arena, &r,
				    &err),
	       -EINVAL);
	is_str(err.msg, "pids.limit: expected an integer, found a string");
	is_int(spec_parse_resources("{}", 2, &arena, &r, &err), 0);
	ok(!r->memory && !r->pids && r->devices.n == 0, "no resources");
}

int main(void)
{
	test_bad_fields();
	test_root();
	test_null_and_empty();
	test_values();
	test_words();
	test_alone();
	arena_free(&arena);
	return done();
}
