// update: changes the limits of a container that exists.

#include "base/io.h"
#include "base/scope.h"
#include "base/str.h"
#include "oci-spec/spec.h"
#include "runtime/container.h"
#include "runtime/payload.h"

#include <fcntl.h>

struct settings {
	const char *resources;
	const char *l3_cache_schema, *mem_bw_schema;
	const char *blkio_weight, *cpu_period, *cpu_quota, *cpu_burst, *cpu_share, *cpu_rt_period,
		*cpu_rt_runtime, *cpu_idle;
	const char *cpuset_cpus, *cpuset_mems, *memory, *memory_reservation, *memory_swap,
		*pids_limit;
	const char *kernel_memory, *kernel_memory_tcp;
};

#define AT(member) offsetof(struct settings, member)
static const struct option_row options[] = {
	{ "resources", 'r', OPTION_STRING, AT(resources), "FILE",
	  "the spec's resources object; `-` is standard input" },
	{ "blkio-weight", 0, OPTION_STRING, AT(blkio_weight), "N",
	  "relative weight of block I/O, 10 to 1000" },
	{ "cpu-period", 0, OPTION_STRING, AT(cpu_period), "US", "CPU period" },
	{ "cpu-quota", 0, OPTION_STRING, AT(cpu_quota), "US", "CPU time in each period" },
	{ "cpu-burst", 0, OPTION_STRING, AT(cpu_burst), "US", "CPU time that may be saved up" },
	{ "cpu-share", 0, OPTION_STRING, AT(cpu_share), "N", "relative CPU weight" },
	{ "cpu-rt-period", 0, OPTION_STRING, AT(cpu_rt_period), "US",
	  "period of realtime scheduling" },
	{ "cpu-rt-runtime", 0, OPTION_STRING, AT(cpu_rt_runtime), "US",
	  "realtime CPU time in each period" },
	{ "cpu-idle", 0, OPTION_STRING, AT(cpu_idle), "0|1", "schedule as SCHED_IDLE" },
	{ "cpuset-cpus", 0, OPTION_STRING, AT(cpuset_cpus), "LIST", "CPUs that may be used" },
	{ "cpuset-mems", 0, OPTION_STRING, AT(cpuset_mems), "LIST",
	  "memory nodes that may be used" },
	{ "memory", 0, OPTION_STRING, AT(memory), "BYTES",
	  "memory limit; as 512m, or -1 for none" },
	{ "memory-reservation", 0, OPTION_STRING, AT(memory_reservation), "BYTES",
	  "soft memory limit" },
	{ "memory-swap", 0, OPTION_STRING, AT(memory_swap), "BYTES",
	  "limit of memory and swap together" },
	{ "kernel-memory", 0, OPTION_STRING, AT(kernel_memory), "BYTES",
	  "kernel memory limit (cgroup v1)" },
	{ "kernel-memory-tcp", 0, OPTION_STRING, AT(kernel_memory_tcp), "BYTES",
	  "TCP buffer limit (cgroup v1)" },
	{ "pids-limit", 0, OPTION_STRING, AT(pids_limit), "N",
	  "number of processes; -1 for no limit" },
	{ "l3-cache-schema", 0, OPTION_STRING, AT(l3_cache_schema), "SCHEMA",
	  "Intel RDT cache schema (not supported yet)" },
	{ "mem-bw-schema", 0, OPTION_STRING, AT(mem_bw_schema), "SCHEMA",
	  "Intel RDT bandwidth schema (not supported yet)" },
	{ 0 },
};
#undef AT

// What an `oci_resources` of the command line consists of; members that stay unset change nothing.
struct limits {
	struct oci_memory memory;
	struct oci_cpu cpu;
	struct oci_pids pids;
	struct oci_block_io block_io;
};

enum limit_kind { LIMIT_U16, LIMIT_U64, LIMIT_I64, LIMIT_BYTES, LIMIT_TEXT };

static const struct limit_row {
	const char *option;
	size_t setting; // in struct settings
	enum limit_kind kind;
	size_t limit; // in struct limits: the opt_* or char * of that kind
} limit_rows[] = {
#define ROW(name, member, kind, limit)                                                        \
	{                                                                                     \
		name, offsetof(struct settings, member), kind, offsetof(struct limits, limit) \
	}
	ROW("blkio-weight", blkio_weight, LIMIT_U16, block_io.weight),
	ROW("cpu-period", cpu_period, LIMIT_U64, cpu.period),
	ROW("cpu-quota", cpu_quota, LIMIT_I64, cpu.quota),
	ROW("cpu-burst", cpu_burst, LIMIT_U64, cpu.burst),
	ROW("cpu-share", cpu_share, LIMIT_U64, cpu.shares),
	ROW("cpu-rt-period", cpu_rt_period, LIMIT_U64, cpu.realtime_period),
	ROW("cpu-rt-runtime", cpu_rt_runtime, LIMIT_I64, cpu.realtime_runtime),
	ROW("cpu-idle", cpu_idle, LIMIT_I64, cpu.idle),
	ROW("cpuset-cpus", cpuset_cpus, LIMIT_TEXT, cpu.cpus),
	ROW("cpuset-mems", cpuset_mems, LIMIT_TEXT, cpu.mems),
	ROW("memory", memory, LIMIT_BYTES, memory.limit),
	ROW("memory-reservation", memory_reservation, LIMIT_BYTES, memory.reservation),
	ROW("memory-swap", memory_swap, LIMIT_BYTES, memory.swap),
	ROW("kernel-memory", kernel_memory, LIMIT_BYTES, memory.kernel),
	ROW("kernel-memory-tcp", kernel_memory_tcp, LIMIT_BYTES, memory.kernel_tcp),
	ROW("pids-limit", pids_limit, LIMIT_I64, pids.limit),
#undef ROW
};

// A number with one of the units b, k, m, g, t (powers of 1024, perhaps with a `b` or `ib` behind),
// or -1.
static int parse_bytes(const char *text, int64_t *bytes)
{
	static const char units[] = "bkmgt";
	char digits[24];
	size_t len = strspn(text, "-0123456789");
	const char *unit = text + len;
	int64_t factor = 1;

	if (len >= sizeof(digits))
		return -ERANGE;
	memcpy(digits, text, len);
	digits[len] = '\0';
	if (*unit) {
		const char *found = strchr(units, *unit | 0x20);
		if (!found ||
		    (unit[1] && strcasecmp(unit + 1, "b") != 0 && strcasecmp(unit + 1, "ib") != 0))
			return -EINVAL;
		factor <<= 10 * (found - units);
	}
	int ret = str_to_i64(digits, bytes);
	if (ret == 0 && (*bytes < -1 || (*bytes == -1 && *unit)))
		ret = -EINVAL;
	if (ret == 0 && __builtin_mul_overflow(*bytes, factor, bytes))
		ret = -ERANGE;
	return ret;
}

static int parse_u16(const char *text, uint16_t *value)
{
	uint64_t wide;
	int ret = str_to_u64(text, &wide);

	if (ret == 0 && wide > UINT16_MAX)
		ret = -ERANGE;
	if (ret == 0)
		*value = (uint16_t)wide;
	return ret;
}

static int parse_limit(const struct limit_row *row, const char *text, struct limits *limits,
		       struct err *err)
{
	void *limit = (char *)limits + row->limit;
	int ret = 0;

	switch (row->kind) {
	case LIMIT_U16:
		ret = parse_u16(text, &((struct opt_u16 *)limit)->v);
		((struct opt_u16 *)limit)->set = true;
		break;
	case LIMIT_U64:
		ret = str_to_u64(text, &((struct opt_u64 *)limit)->v);
		((struct opt_u64 *)limit)->set = true;
		break;
	case LIMIT_I64:
		ret = str_to_i64(text, &((struct opt_i64 *)limit)->v);
		if (ret == 0 && ((struct opt_i64 *)limit)->v < -1)
			ret = -ERANGE;
		((struct opt_i64 *)limit)->set = true;
		break;
	case LIMIT_BYTES:
		ret = parse_bytes(text, &((struct opt_i64 *)limit)->v);
		((struct opt_i64 *)limit)->set = true;
		break;
	case LIMIT_TEXT:
		*(const char **)limit = text;
		break;
	}
	if (ret < 0)
		return err_set(err, -ret, "option --%s: `%s` is not a number that fits",
			       row->option, text);
	return 0;
}

static int resources_of_options(const struct settings *settings, struct arena *arena,
				const struct oci_resources **resources, struct err *err)
{
	struct limits *limits = arena_new(arena, struct limits, 1);
	struct oci_resources *out = arena_new(arena, struct oci_resources, 1);

	for (size_t i = 0; i < ARRAY_SIZE(limit_rows); i++) {
		const char *text =
			*(const char *const *)((const char *)settings + limit_rows[i].setting);

		if (text && parse_limit(&limit_rows[i], text, limits, err) < 0)
			return -err->code;
	}
	out->memory = &limits->memory;
	out->cpu = &limits->cpu;
	out->pids = &limits->pids;
	out->block_io = &limits->block_io;
	*resources = out;
	return 0;
}

static int resources_of_file(const char *path, struct arena *arena,
			     const struct oci_resources **resources, struct err *err)
{
	const bool from_stdin = str_eq(path, "-");
	scope_free char *json = NULL;
	size_t len;
	int ret = from_stdin ? io_read_fd(STDIN_FILENO, "standard input", SPEC_MAX_BYTES, &json,
					  &len, err) :
			       io_read_file(AT_FDCWD, path, SPEC_MAX_BYTES, &json, &len, err);

	if (ret < 0)
		return ret;
	ret = spec_parse_resources(json, len, arena, resources, err);
	return ret < 0 ? err_wrap(err, "%s", from_stdin ? "standard input" : path) : 0;
}

static int run(const struct runtime *rt, const void *untyped, const struct option_rest *rest,
	       struct err *err)
{
	const struct settings *settings = untyped;
	scope_container struct container container = { .dirfd = -1 };
	const struct oci_resources *resources = NULL;
	int ret;

	if (settings->l3_cache_schema || settings->mem_bw_schema)
		return err_set(err, ENOTSUP,
			       "options --l3-cache-schema, --mem-bw-schema: not supported yet");
	if (settings->resources)
		ret = resources_of_file(settings->resources, rt->arena, &resources, err);
	else
		ret = resources_of_options(settings, rt->arena, &resources, err);
	if (ret < 0 || spec_validate_resources(resources, err) < 0 ||
	    container_open(rt, rest->argv[0], CONTAINER_CHANGE, &container, err) < 0 ||
	    container_require_running(&container, err) < 0 ||
	    container_open_cgroup(&container, err) < 0)
		return -err->code;
	if (!container.cgroup)
		return err_set(err, ENOTSUP, "container %s has no cgroup to update", rest->argv[0]);
	const struct payload_verbs *verbs = payload_verbs_of(&container);
	return verbs->update ? verbs->update(&container, resources, err) :
			       cgroup_update(container.cgroup, resources, err);
}

const struct verb verb_update = {
	.name = "update",
	.usage = "ID",
	.summary = "change the limits of a container",
	.options = options,
	.settings_size = sizeof(struct settings),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
