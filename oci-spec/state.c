#include "oci-spec/state.h"

#include "oci-spec/bind.h"
#include "oci-spec/spec.h"

static const struct words status_words =
	WORDS(WORD_FOR(STATUS_CREATING, "creating"), WORD_FOR(STATUS_CREATED, "created"),
	      WORD_FOR(STATUS_RUNNING, "running"), WORD_FOR(STATUS_PAUSED, "paused"),
	      WORD_FOR(STATUS_STOPPED, "stopped"));

static const struct field init_fields[] = {
	{ "pid", VALUE(proc_id, pid), .flags = FIELD_REQUIRED },
	{ "startTime", VALUE(proc_id, start_time), .flags = FIELD_REQUIRED },
};
static const struct object init_object = OBJECT_OF(proc_id, init_fields);

static const struct field record_fields[] = {
	{ "id", VALUE(container_state, id), .flags = FIELD_REQUIRED },
	{ "bundle", VALUE(container_state, bundle), .flags = FIELD_REQUIRED | FIELD_ABSOLUTE },
	{ "rootfs", VALUE(container_state, rootfs), .flags = FIELD_REQUIRED | FIELD_ABSOLUTE },
	{ "created", VALUE(container_state, created), .flags = FIELD_REQUIRED },
	{ "owner", VALUE(container_state, owner) },
	{ "mode", VALUE(container_state, mode), .flags = FIELD_REQUIRED },
	{ "vmMemory", VALUE(container_state, vm_memory_bytes) },
	{ "vmVcpus", VALUE(container_state, vm_vcpus) },
	{ "vmLimit", VALUE(container_state, vm_limit_bytes) },
	{ "init", OBJECT(container_state, init, init_object), .flags = FIELD_REQUIRED },
	{ "cgroupDriver", VALUE(container_state, cgroup_driver), .flags = FIELD_REQUIRED },
	{ "cgroupPaths", VALUE(container_state, cgroup_paths) },
	{ "notifySocket", VALUE(container_state, notify_socket) },
	{ "sessionKeyring", VALUE(container_state, session_keyring) },
	{ "annotations", VALUE(container_state, annotations) },
};
static const struct object record_object = OBJECT_OF(container_state, record_fields);

// runtime.md, "State". The order is runc's.
struct oci_state {
	const char *version, *id;
	int32_t pid;
	enum container_status status;
	const char *bundle, *rootfs, *created, *owner;
	struct oci_pairs annotations;
};

static const struct field oci_state_fields[] = {
	{ "ociVersion", VALUE(oci_state, version) },
	{ "id", VALUE(oci_state, id) },
	{ "pid", VALUE(oci_state, pid), .flags = FIELD_WRITTEN },
	{ "status", ENUM(oci_state, status, status_words) },
	{ "bundle", VALUE(oci_state, bundle) },
	{ "rootfs", VALUE(oci_state, rootfs) },
	{ "created", VALUE(oci_state, created) },
	{ "annotations", VALUE(oci_state, annotations) },
	{ "owner", VALUE(oci_state, owner), .flags = FIELD_WRITTEN },
};
static const struct object oci_state_object = OBJECT_OF(oci_state, oci_state_fields);

const char *container_status_name(enum container_status status)
{
	return words_name(&status_words, status);
}

void state_write(const struct container_state *state, struct text *out)
{
	struct json_writer writer = { .out = out };

	bind_write(&record_object, state, &writer, NULL);
}

int state_parse(const char *json, size_t len, struct arena *arena, struct container_state *state,
		struct err *err)
{
	*state = (struct container_state){ 0 };
	return bind_parse(&record_object, json, len, arena, state, err);
}

static void write_startup(const struct container_state *state, struct json_writer *writer)
{
	if (state->startup.n == 0)
		return;
	json_open_object(writer, "org.moat.startup");
	for (size_t i = 0; i < state->startup.n; i++)
		json_write_milli(writer, state->startup.v[i].name, state->startup.v[i].us);
	json_close_object(writer);
}

void state_write_oci(const struct container_state *state, enum container_status status,
		     bool compact, struct text *out)
{
	struct json_writer writer = { .out = out, .indent = compact ? NULL : "  " };
	struct oci_state oci = {
		.version = SPEC_VERSION,
		.id = state->id,
		.pid = status == STATUS_STOPPED ? 0 : state->init.pid,
		.status = status,
		.bundle = state->bundle,
		.rootfs = state->rootfs,
		.created = state->created,
		.owner = state->owner,
		.annotations = state->annotations,
	};

	json_open_object(&writer, NULL);
	bind_write_members(&oci_state_object, &oci, &writer);
	write_startup(state, &writer);
	if (state->error)
		json_write_str(&writer, "org.moat.error", state->error);
	json_close_object(&writer);
}
