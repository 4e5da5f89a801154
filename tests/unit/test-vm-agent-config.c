// What goes to the agent, and comes out there.
#include "base/str.h"
#include "oci-spec/spec.h"
#include "tests/unit/quote.h"
#include "tests/unit/tap.h"
#include "vm-mode/agent_config.h"

#include <linux/filter.h>

static struct arena arena;
static struct err err;

static const struct oci_spec *parse_spec(void)
{
	const char *json = json_of(
		"{'ociVersion':'1.0.2','root':{'path':'root','readonly':true},"
		"'process':{'cwd':'/','args':['a b','\\u00e4'],'env':['A=B'],'user':{'uid':1,'gid':2}},"
		"'mounts':[{'destination':'/proc','type':'proc','source':'proc'}],"
		"'linux':{'namespaces':[{'type':'mount'}],'resources':{'pids':{'limit':7}}}}",
		&arena);
	const struct oci_spec *spec;

	return spec_parse(json, strlen(json), &arena, &spec, &err) < 0 ? NULL : spec;
}

static void test_config(void)
{
	const struct agent_config config = {
		.id = "box",
		.spec = parse_spec(),
		.filter = "AAAA",
		.filter_flags = 4,
		.keyring = "_ses.box",
		.dax = true,
		.debug = true,
	};
	scope_text struct text text = { 0 }, before = { 0 }, after = { 0 };
	struct agent_config got;

	agent_config_write(&config, &text);
	ok(!strchr(text.str, '\n'), "one line");
	is_int(agent_config_parse(text.str, text.len, &arena, &got, &err), 0);
	is_str(got.id, "box");
	ok(!got.bundle, "what is absent stays absent");
	is_str(got.filter, "AAAA");
	is_int(got.filter_flags, 4);
	is_str(got.keyring, "_ses.box");
	ok(got.dax && got.debug, "numbers and flags");
	spec_write(config.spec, &before);
	spec_write(got.spec, &after);
	is_str(after.str, before.str);

	is_int(agent_config_parse("{\"id\":\"x\"}", 10, &arena, &got, &err), -EINVAL);
	is_str(err.msg, "spec: is missing");
}

static void test_exec(void)
{
	char *group = arena_strdup(&arena, "/sub");
	const struct agent_exec exec = { .process = parse_spec()->process,
					 .cgroups = { .v = &group, .n = 1 } };
	scope_text struct text text = { 0 };
	struct agent_exec got;

	agent_exec_write(&exec, &text);
	is_int(agent_exec_parse(text.str, text.len, &arena, &got, &err), 0);
	is_str(got.process->args.v[1], "\xc3\xa4");
	is_int(got.process->user.gid, 2);
	is_str(got.cgroups.v[0], "/sub");
}

static void test_resources(void)
{
	scope_text struct text text = { 0 };
	const struct oci_resources *got;

	agent_resources_write(parse_spec()->linux->resources, &text);
	is_int(spec_parse_resources(text.str, text.len, &arena, &got, &err), 0);
	is_int(got->pids->limit.v, 7);
}

static void test_filter(void)
{
	struct sock_filter program[5];
	const void *got;
	uint16_t count;

	for (size_t i = 0; i < sizeof(program); i++)
		((uint8_t *)program)[i] = (uint8_t)(251 * (i + 1));
	// 1, 2 and 3 bytes more than whole groups.
	for (size_t n = 0; n <= 5; n++) {
		const char *text = agent_filter_text(program, n, &arena);

		is_int(agent_filter_parse(text, &arena, &got, &count, &err), 0);
		ok(count == n && memcmp(got, program, n * sizeof(*program)) == 0, text);
	}
	is_str(agent_filter_text("abcdefgh", 1, &arena), "YWJjZGVmZ2g=");
	is_int(agent_filter_parse("YWJjZGVm", &arena, &got, &count, &err), -EINVAL);
	is_int(agent_filter_parse("YWJjZGVmZ2g", &arena, &got, &count, &err), -EINVAL);
	is_int(agent_filter_parse("YWJj*GVmZ2g=", &arena, &got, &count, &err), -EINVAL);
	is_int(agent_filter_parse("=WJjZGVmZ2g=", &arena, &got, &count, &err), -EINVAL);
}

int main(void)
{
	test_config();
	test_exec();
	test_resources();
	test_filter();
	arena_free(&arena);
	return done();
}
