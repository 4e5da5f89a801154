// config-linux.md, "Control groups".
#include "oci-spec/fields.h"

// -1 is the specification's word for "no limit".
#define LIMIT RANGE(-1, INT64_MAX)

static const struct words rule_type_words = WORDS(WORD_FOR('a', "a"), WORD_FOR('c', "c"),
						  WORD_FOR('b', "b"));

// Engines write -1 as well as nothing for "all".
static const struct field device_rule_fields[] = {
	{ "allow", VALUE(oci_device_rule, allow), .flags = FIELD_REQUIRED },
	{ "type", CHAR(oci_device_rule, type, rule_type_words) },
	{ "major", VALUE(oci_device_rule, major), MAJOR_RANGE(-1) },
	{ "minor", VALUE(oci_device_rule, minor), MINOR_RANGE(-1) },
	{ "access", VALUE(oci_device_rule, access) },
};
static const struct object device_rule_object = OBJECT_OF(oci_device_rule, device_rule_fields);

// dockerd passes its own "not set", -1, on as a uint64 in swappiness.
static const struct field memory_fields[] = {
	{ "limit", VALUE(oci_memory, limit), LIMIT },
	{ "reservation", VALUE(oci_memory, reservation), LIMIT },
	{ "swap", VALUE(oci_memory, swap), LIMIT },
	{ "kernel", VALUE(oci_memory, kernel), LIMIT },
	{ "kernelTCP", VALUE(oci_memory, kernel_tcp), LIMIT },
	{ "swappiness", VALUE(oci_memory, swappiness), RANGE(0, 100), .flags = FIELD_ALL_ONES },
	{ "disableOOMKiller", VALUE(oci_memory, disable_oom_killer) },
	{ "useHierarchy", VALUE(oci_memory, use_hierarchy) },
	{ "checkBeforeUpdate", VALUE(oci_memory, check_before_update) },
};
static const struct object memory_object = OBJECT_OF(oci_memory, memory_fields);

static const struct field cpu_fields[] = {
	{ "shares", VALUE(oci_cpu, shares) },
	{ "quota", VALUE(oci_cpu, quota), LIMIT },
	{ "burst", VALUE(oci_cpu, burst) },
	{ "period", VALUE(oci_cpu, period) },
	{ "realtimeRuntime", VALUE(oci_cpu, realtime_runtime), LIMIT },
	{ "realtimePeriod", VALUE(oci_cpu, realtime_period) },
	{ "cpus", VALUE(oci_cpu, cpus) },
	{ "mems", VALUE(oci_cpu, mems) },
	{ "idle", VALUE(oci_cpu, idle), RANGE(0, 1) },
};
static const struct object cpu_object = OBJECT_OF(oci_cpu, cpu_fields);

static const struct field pids_fields[] = {
	{ "limit", VALUE(oci_pids, limit), LIMIT },
};
static const struct object pids_object = OBJECT_OF(oci_pids, pids_fields);

static const struct field weight_device_fields[] = {
	{ "major", VALUE(oci_weight_device, major), MAJOR_RANGE(0), .flags = FIELD_REQUIRED },
	{ "minor", VALUE(oci_weight_device, minor), MINOR_RANGE(0), .flags = FIELD_REQUIRED },
	{ "weight", VALUE(oci_weight_device, weight) },
	{ "leafWeight", VALUE(oci_weight_device, leaf_weight) },
};
static const struct object weight_device_object = OBJECT_OF(oci_weight_device,
							    weight_device_fields);

static const struct field throttle_device_fields[] = {
	{ "major", VALUE(oci_throttle_device, major), MAJOR_RANGE(0), .flags = FIELD_REQUIRED },
	{ "minor", VALUE(oci_throttle_device, minor), MINOR_RANGE(0), .flags = FIELD_REQUIRED },
	{ "rate", VALUE(oci_throttle_device, rate), .flags = FIELD_REQUIRED },
};
static const struct object throttle_device_object = OBJECT_OF(oci_throttle_device,
							      throttle_device_fields);

static const struct field block_io_fields[] = {
	{ "weight", VALUE(oci_block_io, weight) },
	{ "leafWeight", VALUE(oci_block_io, leaf_weight) },
	{ "weightDevice", OBJECTS(oci_block_io, weight_device, weight_device_object) },
	{ "throttleReadBpsDevice",
	  OBJECTS(oci_block_io, throttle_read_bps_device, throttle_device_object) },
	{ "throttleWriteBpsDevice",
	  OBJECTS(oci_block_io, throttle_write_bps_device, throttle_device_object) },
	{ "throttleReadIOPSDevice",
	  OBJECTS(oci_block_io, throttle_read_iops_device, throttle_device_object) },
	{ "throttleWriteIOPSDevice",
	  OBJECTS(oci_block_io, throttle_write_iops_device, throttle_device_object) },
};
static const struct object block_io_object = OBJECT_OF(oci_block_io, block_io_fields);

static const struct field hugepage_limit_fields[] = {
	{ "pageSize", VALUE(oci_hugepage_limit, page_size), .flags = FIELD_REQUIRED },
	{ "limit", VALUE(oci_hugepage_limit, limit), .flags = FIELD_REQUIRED },
};
static const struct object hugepage_limit_object = OBJECT_OF(oci_hugepage_limit,
							     hugepage_limit_fields);

static const struct field interface_priority_fields[] = {
	{ "name", VALUE(oci_interface_priority, name), .flags = FIELD_REQUIRED },
	{ "priority", VALUE(oci_interface_priority, priority), .flags = FIELD_REQUIRED },
};
static const struct object interface_priority_object = OBJECT_OF(oci_interface_priority,
								 interface_priority_fields);

static const struct field network_fields[] = {
	{ "classID", VALUE(oci_network, class_id) },
	{ "priorities", OBJECTS(oci_network, priorities, interface_priority_object) },
};
static const struct object network_object = OBJECT_OF(oci_network, network_fields);

static const struct field rdma_fields[] = {
	{ "hcaHandles", VALUE(oci_rdma, hca_handles) },
	{ "hcaObjects", VALUE(oci_rdma, hca_objects) },
};
static const struct object rdma_object = {
	FIELDS(rdma_fields),
	.size = sizeof(struct oci_rdma),
	.key = offsetof(struct oci_rdma, device),
};

static const struct field resources_fields[] = {
	{ "devices", OBJECTS(oci_resources, devices, device_rule_object) },
	{ "memory", POINTER(oci_resources, memory, memory_object) },
	{ "cpu", POINTER(oci_resources, cpu, cpu_object) },
	{ "pids", POINTER(oci_resources, pids, pids_object) },
	{ "blockIO", POINTER(oci_resources, block_io, block_io_object) },
	{ "hugepageLimits", OBJECTS(oci_resources, hugepage_limits, hugepage_limit_object) },
	{ "network", POINTER(oci_resources, network, network_object) },
	{ "rdma", MAP(oci_resources, rdma, rdma_object) },
	{ "unified", VALUE(oci_resources, unified) },
};
const struct object resources_object = OBJECT_OF(oci_resources, resources_fields);
