#include "oci-spec/state.h"
#include "tests/unit/quote.h"
#include "tests/unit/tap.h"

#include <errno.h>

static struct arena arena;
static struct err err;

static char *paths[] = { (char *)"memory:/sys/fs/cgroup/memory/c", (char *)":/sys/fs/cgroup/c",
			 NULL };
static struct oci_pair annotations[] = { { (char *)"k", (char *)"v" } };

static const struct container_state sample = {
	.id = "c",
	.bundle = "/b",
	.rootfs = "/b/rootfs",
	.created = "2025-01-02T03:04:05Z",
	.owner = "root",
	.mode = "vm",
	.vm_memory_bytes = 1 << 28,
	.vm_vcpus = 3,
	.vm_limit_bytes = 1 << 27,
	.init = { .pid = 42, .start_time = UINT64_MAX },
	.cgroup_driver = "cgroupfs",
	.cgroup_paths = { .v = paths, .n = 2 },
	.annotations = { .v = annotations, .n = 1 },
};

static const char record[] =
	"{'id':'c','bundle':'/b','rootfs':'/b/rootfs','created':'2025-01-02T03:04:05Z',"
	"'owner':'root','mode':'vm','vmMemory':268435456,'vmVcpus':3,'vmLimit':134217728,'init':{'pid':42,'startTime':18446744073709551615},"
	"'cgroupDriver':'cgroupfs','cgroupPaths':['memory:/sys/fs/cgroup/memory/c',"
	"':/sys/fs/cgroup/c'],'annotations':{'k':'v'}}";

static void test_record(void)
{
	scope_text struct text text = { 0 };
	scope_text struct text again = { 0 };
	struct container_state state;

	state_write(&sample, &text);
	is_str(text.str, json_of(record, &arena));
	is_int(state_parse(text.str, text.len, &arena, &state, &err), 0);
	ok(state.init.pid == 42 && state.init.start_time == UINT64_MAX, "who the init is");
	ok(!state.notify_socket, "what is absent is NULL");
	state_write(&state, &again);
	is_str(again.str, json_of(record, &arena));

	is_int(state_parse("{}", 2, &arena, &state, &err), -EINVAL);
	is_str(err.msg, "id: is missing");
	is_int(state_parse(text.str, text.len - 1, &arena, &state, &err), -EINVAL);
	ok(str_starts(err.msg, "not valid JSON: "), "a record that is cut off");
}

static void test_oci(void)
{
	scope_text struct text compact = { 0 };
	scope_text struct text indented = { 0 };

	state_write_oci(&sample, STATUS_RUNNING, true, &compact);
	is_str(compact.str,
	       json_of("{'ociVersion':'1.3.0','id':'c','pid':42,'status':'running','bundle':'/b',"
		       "'rootfs':'/b/rootfs','created':'2025-01-02T03:04:05Z',"
		       "'annotations':{'k':'v'},'owner':'root'}",
		       &arena));

	struct container_state stopped = sample;
	stopped.annotations.n = 0;
	stopped.owner = NULL;
	state_write_oci(&stopped, STATUS_STOPPED, false, &indented);
	is_str(indented.str, json_of("{\n"
				     "  'ociVersion': '1.3.0',\n"
				     "  'id': 'c',\n"
				     "  'pid': 0,\n"
				     "  'status': 'stopped',\n"
				     "  'bundle': '/b',\n"
				     "  'rootfs': '/b/rootfs',\n"
				     "  'created': '2025-01-02T03:04:05Z',\n"
				     "  'owner': ''\n"
				     "}",
				     &arena));

	struct state_stage stages[] = { { "vmm", 4005 }, { "started", 1234567 } };
	scope_text struct text told = { 0 };
	stopped.startup.v = stages;
	stopped.startup.n = 2;
	stopped.error = "guest: it has gone:\na";
	state_write_oci(&stopped, STATUS_STOPPED, true, &told);
	ok(str_ends(told.str,
		    json_of("'owner':'','org.moat.startup':{'vmm':4.005,'started':1234.567},"
			    "'org.moat.error':'guest: it has gone:\\na'}",
			    &arena)),
	   "what the container has left");
	is_str(container_status_name(STATUS_CREATING), "creating");
	is_str(container_status_name(STATUS_CREATED), "created");
	is_str(container_status_name(STATUS_PAUSED), "paused");
}

int main(void)
{
	test_record();
	test_oci();
	arena_free(&arena);
	return done();
}
