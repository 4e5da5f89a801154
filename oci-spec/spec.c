#include "oci-spec/spec.h"

#include "oci-spec/fields.h"

static int parse(const struct object *object, const char *json, size_t len, struct arena *arena,
		 void *out, struct err *err)
{
	if (len > SPEC_MAX_BYTES)
		return err_set(err, EFBIG, "longer than %zu bytes", SPEC_MAX_BYTES);
	return bind_parse(object, json, len, arena, out, err);
}

int spec_parse(const char *json, size_t len, struct arena *arena, const struct oci_spec **spec,
	       struct err *err)
{
	struct oci_spec *parsed = arena_new(arena, struct oci_spec, 1);

	*spec = parsed;
	return parse(&spec_object, json, len, arena, parsed, err);
}

int spec_parse_process(const char *json, size_t len, struct arena *arena,
		       const struct oci_process **process, struct err *err)
{
	struct oci_process *parsed = arena_new(arena, struct oci_process, 1);

	*process = parsed;
	return parse(&process_object, json, len, arena, parsed, err);
}

int spec_parse_resources(const char *json, size_t len, struct arena *arena,
			 const struct oci_resources **resources, struct err *err)
{
	struct oci_resources *parsed = arena_new(arena, struct oci_resources, 1);

	*resources = parsed;
	return parse(&resources_object, json, len, arena, parsed, err);
}

void spec_write(const struct oci_spec *spec, struct text *out)
{
	struct json_writer writer = { .out = out, .indent = "\t" };

	bind_write(&spec_object, spec, &writer, NULL);
}
