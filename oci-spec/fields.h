// fields: the tables that bind types.h to config.json, one row a field, in the order of the
// runtime-spec's own structures, which is the order that engines and `runc spec` write.
//
// This is where a field's name, type, range and words are said, and nowhere else.
#pragma once

#include "oci-spec/bind.h"

// What the kernel's device numbers hold; `low` is 0, or -1 where that means "all".
#define MAJOR_RANGE(low) RANGE(low, (1 << 12) - 1)
#define MINOR_RANGE(low) RANGE(low, (1 << 20) - 1)

extern const struct object spec_object;
extern const struct object process_object;
extern const struct object hooks_object;
extern const struct object linux_object;
extern const struct object resources_object;
extern const struct object seccomp_object;
extern const struct object vm_object;
extern const struct object id_mapping_object;

extern const struct words namespace_words;
extern const struct words seccomp_action_words;
extern const struct words seccomp_op_words;
extern const struct words seccomp_arch_words;
extern const struct words seccomp_flag_words;
extern const struct words memory_policy_mode_words;
extern const struct words memory_policy_flag_words;
