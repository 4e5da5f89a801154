// fuzz-spec: any bytes as config.json, and as the texts that are read by the same tables.
//
// Beyond "no crash": what was parsed is written and parsed again to the same text, so that the
// tables' two directions agree.
#include "oci-spec/spec.h"
#include "oci-spec/state.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct oci_spec *spec, struct arena *arena)
{
	scope_text struct text first = { 0 };
	scope_text struct text second = { 0 };
	struct err err;

	spec_write(spec, &first);
	if (spec_parse(first.str, first.len, arena, &spec, &err) < 0)
		abort();
	spec_write(spec, &second);
	if (!str_eq(first.str, second.str))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scope_arena struct arena arena = { 0 };
	const char *json = (const char *)data;
	const struct oci_spec *spec;
	const struct oci_process *process;
	const struct oci_resources *resources;
	struct container_state state;
	struct err err;

	if (spec_parse(json, size, &arena, &spec, &err) == 0) {
		spec_validate(spec, &err);
		check_round_trip(spec, &arena);
	}
	if (spec_parse_process(json, size, &arena, &process, &err) == 0)
		spec_validate_process(process, &err);
	if (spec_parse_resources(json, size, &arena, &resources, &err) == 0)
		spec_validate_resources(resources, &err);
	state_parse(json, size, &arena, &state, &err);
	return 0;
}
