// spec: config.json in, `const struct oci_spec` out; and the way back, for `moat spec`.
//
// The binding between JSON and types.h is a set of tables, one row a field (oci-spec/fields.c);
// this module reads and writes by them. It knows the runtime-spec and nothing of how a container is
// made: whether this host can do what the spec asks is for others to say.
//
// Strictness: a known field has exactly the spec's type, range and enumeration; required fields are
// there; a key stands once; strings hold no NUL. Unknown fields are ignored ("Extensibility" in
// config.md). Every error names the JSON path, as `linux.resources.memory.limit: expected an
// integer, found a string`.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "oci-spec/types.h"

#include <stddef.h>

// The runtime-spec that config.json is read by, and that `moat state` and `moat spec` name.
#define SPEC_VERSION "1.3.0"

// The largest config.json that is read.
#define SPEC_MAX_BYTES ((size_t)8 * 1024 * 1024)

// Parses `len` bytes. On success *spec lives in `arena`. -EINVAL: not JSON, or not a valid
// configuration.
int spec_parse(const char *json, size_t len, struct arena *arena, const struct oci_spec **spec,
	       struct err *err);

// The same for one object by itself: `exec --process` and `update --resources` bring these.
int spec_parse_process(const char *json, size_t len, struct arena *arena,
		       const struct oci_process **process, struct err *err);
int spec_parse_resources(const char *json, size_t len, struct arena *arena,
			 const struct oci_resources **resources, struct err *err);

// What the types alone can't say (config.md, config-linux.md): ociVersion 1.x, absolute paths, no
// namespace twice, an id mapping only with a user namespace, hostname only with a uts namespace,
// cross-field rules; and fields that moat parses but doesn't apply yet, each an error with "not
// supported yet". -EINVAL or -ENOTSUP.
int spec_validate(const struct oci_spec *spec, struct err *err);

// The rules of spec_validate() for a process or resources that came alone.
int spec_validate_process(const struct oci_process *process, struct err *err);
int spec_validate_resources(const struct oci_resources *resources, struct err *err);

// Adds the JSON of the spec, indented by tabs, to `out`.
void spec_write(const struct oci_spec *spec, struct text *out);

// The configuration that `moat spec` writes; with `rootless` for the ordinary user `uid`:`gid`.
// Lives in `arena`.
const struct oci_spec *spec_default(bool rootless, uint32_t uid, uint32_t gid, struct arena *arena);
