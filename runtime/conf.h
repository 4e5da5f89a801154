// conf: what the operator of this host has set: /etc/moat/moat.conf.
//
// One JSON object; docs/vm-use.md ("Selection") tells its fields. It is read where a container is
// made, and by `moat check`; verbs on containers that are there do without. Read by the tables of
// oci-spec/bind.h, but an unknown field is an error: it would be a setting that does nothing.
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "oci-spec/types.h"

#include <stdbool.h>
#include <stddef.h>

enum conf_mode { CONF_CONTAINER, CONF_VM };

// The defaults of a container in VM mode, each for what its spec does not say.
struct conf_vm {
	struct oci_vm_kernel kernel; // as the spec's vm.kernel; path NULL: moat's own
	struct opt_u32 vcpus;
	struct opt_u64 memory; // bytes
};

struct conf {
	const char *path; // where it was read; NULL: there is no file
	enum conf_mode mode;
	struct conf_vm vm;
};

// Reads the file that the environment names by MOAT_CONF, or else /etc/moat/moat.conf, which may be missing:
// then *conf is all defaults. *conf lives in `arena`. `rootless`: the caller may not see who root's files
// belong to (runtime/runtime.h). -EPERM: others than root and the caller may write to it. -EINVAL and others: what
// conf_parse() and reading it say, each with the file's path.
int conf_load(bool rootless, struct arena *arena, const struct conf **conf, struct err *err);

// Parses `len` bytes. What *conf points to lives in `arena`. -EINVAL: not JSON, with line and column; or the
// path of a field that is unknown or has a value that can't be.
int conf_parse(const char *json, size_t len, struct arena *arena, struct conf *conf,
	       struct err *err);
