// config-linux.md, "Seccomp". The words are those of the runtime-spec, whether or not this
// libseccomp knows them all.
#include "oci-spec/fields.h"

// SCMP_ACT_KILL comes behind the name that says what it does, so as not to be the one that is
// written.
const struct words seccomp_action_words = WORDS(
	WORD_FOR(OCI_SECCOMP_ALLOW, "SCMP_ACT_ALLOW"),
	WORD_FOR(OCI_SECCOMP_ERRNO, "SCMP_ACT_ERRNO"),
	WORD_FOR(OCI_SECCOMP_KILL_PROCESS, "SCMP_ACT_KILL_PROCESS"),
	WORD_FOR(OCI_SECCOMP_KILL_THREAD, "SCMP_ACT_KILL_THREAD"),
	WORD_FOR(OCI_SECCOMP_KILL_THREAD, "SCMP_ACT_KILL"),
	WORD_FOR(OCI_SECCOMP_LOG, "SCMP_ACT_LOG"), WORD_FOR(OCI_SECCOMP_NOTIFY, "SCMP_ACT_NOTIFY"),
	WORD_FOR(OCI_SECCOMP_TRACE, "SCMP_ACT_TRACE"), WORD_FOR(OCI_SECCOMP_TRAP, "SCMP_ACT_TRAP"));

const struct words seccomp_op_words =
	WORDS(WORD_FOR(OCI_SECCOMP_EQ, "SCMP_CMP_EQ"), WORD_FOR(OCI_SECCOMP_GE, "SCMP_CMP_GE"),
	      WORD_FOR(OCI_SECCOMP_GT, "SCMP_CMP_GT"), WORD_FOR(OCI_SECCOMP_LE, "SCMP_CMP_LE"),
	      WORD_FOR(OCI_SECCOMP_LT, "SCMP_CMP_LT"),
	      WORD_FOR(OCI_SECCOMP_MASKED_EQ, "SCMP_CMP_MASKED_EQ"),
	      WORD_FOR(OCI_SECCOMP_NE, "SCMP_CMP_NE"));

const struct words seccomp_arch_words =
	WORDS(WORD("SCMP_ARCH_AARCH64"), WORD("SCMP_ARCH_ARM"), WORD("SCMP_ARCH_LOONGARCH64"),
	      WORD("SCMP_ARCH_M68K"), WORD("SCMP_ARCH_MIPS"), WORD("SCMP_ARCH_MIPS64"),
	      WORD("SCMP_ARCH_MIPS64N32"), WORD("SCMP_ARCH_MIPSEL"), WORD("SCMP_ARCH_MIPSEL64"),
	      WORD("SCMP_ARCH_MIPSEL64N32"), WORD("SCMP_ARCH_PARISC"), WORD("SCMP_ARCH_PARISC64"),
	      WORD("SCMP_ARCH_PPC"), WORD("SCMP_ARCH_PPC64"), WORD("SCMP_ARCH_PPC64LE"),
	      WORD("SCMP_ARCH_RISCV64"), WORD("SCMP_ARCH_S390"), WORD("SCMP_ARCH_S390X"),
	      WORD("SCMP_ARCH_SH"), WORD("SCMP_ARCH_SHEB"), WORD("SCMP_ARCH_X32"),
	      WORD("SCMP_ARCH_X86"), WORD("SCMP_ARCH_X86_64"));

const struct words seccomp_flag_words =
	WORDS(WORD("SECCOMP_FILTER_FLAG_LOG"), WORD("SECCOMP_FILTER_FLAG_SPEC_ALLOW"),
	      WORD("SECCOMP_FILTER_FLAG_TSYNC"), WORD("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"));

// What a filter can return beside its action has 16 bits.
#define ERRNO_RANGE RANGE(0, 65535)

static const struct field arg_fields[] = {
	{ "index", VALUE(oci_seccomp_arg, index), RANGE(0, 5), .flags = FIELD_REQUIRED },
	{ "value", VALUE(oci_seccomp_arg, value), .flags = FIELD_REQUIRED },
	{ "valueTwo", VALUE(oci_seccomp_arg, value_two) },
	{ "op", ENUM(oci_seccomp_arg, op, seccomp_op_words), .flags = FIELD_REQUIRED },
};
static const struct object arg_object = OBJECT_OF(oci_seccomp_arg, arg_fields);

static const struct field rule_fields[] = {
	{ "names", VALUE(oci_seccomp_rule, names), .flags = FIELD_REQUIRED },
	{ "action", ENUM(oci_seccomp_rule, action, seccomp_action_words), .flags = FIELD_REQUIRED },
	{ "errnoRet", VALUE(oci_seccomp_rule, errno_ret), ERRNO_RANGE },
	{ "args", OBJECTS(oci_seccomp_rule, args, arg_object) },
};
static const struct object rule_object = OBJECT_OF(oci_seccomp_rule, rule_fields);

static const struct field seccomp_fields[] = {
	{ "defaultAction", ENUM(oci_seccomp, default_action, seccomp_action_words),
	  .flags = FIELD_REQUIRED },
	{ "defaultErrnoRet", VALUE(oci_seccomp, default_errno_ret), ERRNO_RANGE },
	{ "architectures", VALUE(oci_seccomp, architectures), .words = &seccomp_arch_words },
	{ "flags", VALUE(oci_seccomp, flags), .words = &seccomp_flag_words },
	{ "listenerPath", VALUE(oci_seccomp, listener_path) },
	{ "listenerMetadata", VALUE(oci_seccomp, listener_metadata) },
	{ "syscalls", OBJECTS(oci_seccomp, syscalls, rule_object) },
};
const struct object seccomp_object = OBJECT_OF(oci_seccomp, seccomp_fields);
