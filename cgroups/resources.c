#include "cgroups/resources.h"

#include "base/log.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct planner {
	const struct oci_resources *resources;
	struct places *places;
	struct arena *arena;
	struct err *err;
};

#define add(planner, place, flags, file, ...) \
	place_add_write((place), (planner)->arena, (flags), (file), __VA_ARGS__)

// A limit that nothing would keep is refused, not dropped. (Device rules are no such limit: engines
// always send some.)
static int no_cgroup(struct planner *planner, const char *field)
{
	return err_set(planner->err, ENOTSUP,
		       "linux.resources.%s: there is no cgroup to set it in (is the cgroup manager "
		       "`disabled`?)",
		       field);
}

// Where `v1_name` (v2 calls it `v2_name`, NULL: has it not) is to be controlled; with an error that
// says for which field.
static struct place *need(struct planner *planner, const char *v1_name, const char *v2_name,
			  const char *field)
{
	struct place *place = place_find(planner->places, v1_name, v2_name);

	if (planner->places->n == 0) {
		no_cgroup(planner, field);
		return NULL;
	}
	if (!place) {
		err_set(planner->err, ENOTSUP,
			"linux.resources.%s: this host has no cgroup controller %s%s%s", field,
			v1_name, v2_name && !str_eq(v1_name, v2_name) ? " or " : "",
			v2_name && !str_eq(v1_name, v2_name) ? v2_name : "");
		return NULL;
	}
	place->needed = true;
	if (place->v2 && !place_list_has(place->enable, v2_name))
		place->enable = place->enable ? arena_printf(planner->arena, "%s %s", place->enable,
							     v2_name) :
						v2_name;
	return place;
}

static int invalid(struct planner *planner, const char *field, const char *problem)
{
	return err_set(planner->err, EINVAL, "linux.resources.%s: %s", field, problem);
}

// A limit in v2's words.
static const char *v2_limit(struct planner *planner, int64_t limit)
{
	return limit < 0 ? "max" : arena_printf(planner->arena, "%" PRId64, limit);
}

// ---- memory ----

static int plan_memory_v1(struct planner *planner, struct place *place,
			  const struct oci_memory *memory)
{
	const int64_t limit = memory->limit.v;
	const int64_t swap = memory->swap.v ? memory->swap.v : limit == -1 ? -1 : 0;

	if (memory->use_hierarchy.set)
		add(planner, place, 0, "memory.use_hierarchy", "%d", memory->use_hierarchy.v);
	if (limit)
		add(planner, place, WRITE_LINKED, "memory.limit_in_bytes", "%" PRId64, limit);
	if (swap)
		add(planner, place, WRITE_LINKED | (swap < 0 ? WRITE_OPTIONAL : 0),
		    "memory.memsw.limit_in_bytes", "%" PRId64, swap);
	if (memory->reservation.v)
		add(planner, place, 0, "memory.soft_limit_in_bytes", "%" PRId64,
		    memory->reservation.v);
	if (memory->kernel.v) // gone with Linux 5.16
		add(planner, place, WRITE_FADED, "memory.kmem.limit_in_bytes", "%" PRId64,
		    memory->kernel.v);
	if (memory->kernel_tcp.v)
		add(planner, place, 0, "memory.kmem.tcp.limit_in_bytes", "%" PRId64,
		    memory->kernel_tcp.v);
	if (memory->swappiness.set)
		add(planner, place, 0, "memory.swappiness", "%" PRIu64, memory->swappiness.v);
	if (memory->disable_oom_killer)
		add(planner, place, 0, "memory.oom_control", "1");
	return 0;
}

// v1 counts memory and swap together, and so does the spec; v2 counts swap alone.
static int plan_swap_v2(struct planner *planner, struct place *place,
			const struct oci_memory *memory)
{
	const int64_t limit = memory->limit.v, swap = memory->swap.v;

	if (swap == -1 || (limit == -1 && !swap)) {
		add(planner, place, WRITE_OPTIONAL, "memory.swap.max", "max");
	} else if (swap) {
		if (limit <= 0)
			return invalid(planner, "memory.swap", "needs memory.limit");
		add(planner, place, swap == limit ? WRITE_OPTIONAL : 0, "memory.swap.max",
		    "%" PRId64, swap - limit);
	}
	return 0;
}

static int plan_memory_v2(struct planner *planner, struct place *place,
			  const struct oci_memory *memory)
{
	int ret = plan_swap_v2(planner, place, memory);

	if (ret < 0)
		return ret;
	if (memory->limit.v)
		add(planner, place, 0, "memory.max", "%s", v2_limit(planner, memory->limit.v));
	if (memory->reservation.v)
		add(planner, place, 0, "memory.low", "%s",
		    v2_limit(planner, memory->reservation.v));
	if (memory->kernel.v || memory->kernel_tcp.v || memory->swappiness.set ||
	    memory->disable_oom_killer)
		log_warn("linux.resources.memory: cgroup v2 has no kernel, kernelTCP, swappiness "
			 "and disableOOMKiller; ignored");
	return 0;
}

static bool memory_wants(const struct oci_memory *memory)
{
	return memory->limit.v || memory->swap.v || memory->reservation.v || memory->kernel.v ||
	       memory->kernel_tcp.v || memory->swappiness.set || memory->disable_oom_killer ||
	       memory->use_hierarchy.set;
}

static int plan_memory(struct planner *planner)
{
	const struct oci_memory *memory = planner->resources->memory;

	if (!memory || !memory_wants(memory))
		return 0;
	if (memory->limit.v < -1 || memory->swap.v < -1 || memory->reservation.v < -1)
		return invalid(planner, "memory", "a limit is -1 or more");
	if (memory->swap.v > 0 && memory->swap.v < memory->limit.v)
		return invalid(planner, "memory.swap",
			       "less than memory.limit, though it counts memory and swap together");
	if (memory->swap.v > 0 && memory->limit.v == -1)
		return invalid(planner, "memory.swap", "limited, but memory.limit is not");
	if (memory->swappiness.set && memory->swappiness.v > 100)
		return invalid(planner, "memory.swappiness", "0 to 100");

	struct place *place = need(planner, "memory", "memory", "memory");
	if (!place)
		return -planner->err->code;
	return place->v2 ? plan_memory_v2(planner, place, memory) :
			   plan_memory_v1(planner, place, memory);
}

// ---- cpu ----

// Base 2, to about 30 bits: the mathematics library would be one more to load at each start.
static double log2_of(double x)
{
	double log = 0, bit = 1;

	while (x >= 2) {
		x /= 2;
		log++;
	}
	for (int i = 0; i < 30; i++) {
		bit /= 2;
		x *= x;
		if (x >= 2) {
			x /= 2;
			log += bit;
		}
	}
	return log;
}

unsigned int resources_cpu_weight(uint64_t shares)
{
	if (shares <= 2)
		return 1;
	if (shares >= 262144)
		return 10000;

	const double l = log2_of((double)shares);
	const double exponent = (l * l + 125 * l) / 612.0 - 7.0 / 34.0; // of 10
	const double log2_weight = exponent * 3.321928094887362;	// * log2(10)
	unsigned int low = 1, high = 10000;
	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (log2_of(middle) < log2_weight - 1e-7)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

// Idle groups take no shares, so these come before a 1 and after a 0.
static void plan_cpu_idle(struct planner *planner, struct place *place, const struct oci_cpu *cpu,
			  bool before_shares)
{
	if (cpu->idle.set && (cpu->idle.v == 0) == before_shares)
		add(planner, place, 0, "cpu.idle", "%" PRId64, cpu->idle.v);
}

static void plan_cpu_v1(struct planner *planner, struct place *place, const struct oci_cpu *cpu)
{
	plan_cpu_idle(planner, place, cpu, true);
	if (cpu->shares.v)
		add(planner, place, 0, "cpu.shares", "%" PRIu64, cpu->shares.v);
	plan_cpu_idle(planner, place, cpu, false);
	if (cpu->period.v)
		add(planner, place, WRITE_LINKED, "cpu.cfs_period_us", "%" PRIu64, cpu->period.v);
	if (cpu->quota.v)
		add(planner, place, WRITE_LINKED, "cpu.cfs_quota_us", "%" PRId64, cpu->quota.v);
	if (cpu->burst.set)
		add(planner, place, WRITE_LINKED, "cpu.cfs_burst_us", "%" PRIu64, cpu->burst.v);
	if (cpu->realtime_period.v)
		add(planner, place, WRITE_LINKED, "cpu.rt_period_us", "%" PRIu64,
		    cpu->realtime_period.v);
	if (cpu->realtime_runtime.v)
		add(planner, place, WRITE_LINKED, "cpu.rt_runtime_us", "%" PRId64,
		    cpu->realtime_runtime.v);
}

static void plan_cpu_v2(struct planner *planner, struct place *place, const struct oci_cpu *cpu)
{
	plan_cpu_idle(planner, place, cpu, true);
	if (cpu->shares.v)
		add(planner, place, 0, "cpu.weight", "%u", resources_cpu_weight(cpu->shares.v));
	plan_cpu_idle(planner, place, cpu, false);
	if (cpu->quota.v || cpu->period.v) {
		const char *quota = v2_limit(planner, cpu->quota.v > 0 ? cpu->quota.v : -1);

		if (cpu->period.v)
			add(planner, place, WRITE_LINKED, "cpu.max", "%s %" PRIu64, quota,
			    cpu->period.v);
		else
			add(planner, place, WRITE_LINKED, "cpu.max", "%s", quota);
	}
	if (cpu->burst.set)
		add(planner, place, WRITE_LINKED, "cpu.max.burst", "%" PRIu64, cpu->burst.v);
	if (cpu->realtime_period.v || cpu->realtime_runtime.v)
		log_warn("linux.resources.cpu: cgroup v2 has no realtimeRuntime and "
			 "realtimePeriod; ignored");
}

static bool cpu_wants(const struct oci_cpu *cpu)
{
	return cpu->shares.v || cpu->quota.v || cpu->period.v || cpu->burst.set || cpu->idle.set ||
	       cpu->realtime_period.v || cpu->realtime_runtime.v;
}

static int plan_cpu(struct planner *planner)
{
	const struct oci_cpu *cpu = planner->resources->cpu;

	if (!cpu || !cpu_wants(cpu))
		return 0;
	struct place *place = need(planner, "cpu", "cpu", "cpu");
	if (!place)
		return -planner->err->code;
	if (place->v2)
		plan_cpu_v2(planner, place, cpu);
	else
		plan_cpu_v1(planner, place, cpu);
	return 0;
}

static int plan_cpuset(struct planner *planner)
{
	const struct oci_cpu *cpu = planner->resources->cpu;

	if (!cpu || !((cpu->cpus && *cpu->cpus) || (cpu->mems && *cpu->mems)))
		return 0;
	struct place *place = need(planner, "cpuset", "cpuset", "cpu.cpus");
	if (!place)
		return -planner->err->code;
	if (cpu->cpus && *cpu->cpus)
		add(planner, place, 0, "cpuset.cpus", "%s", cpu->cpus);
	if (cpu->mems && *cpu->mems)
		add(planner, place, 0, "cpuset.mems", "%s", cpu->mems);
	return 0;
}

// ---- pids ----

static int plan_pids(struct planner *planner)
{
	const struct oci_pids *pids = planner->resources->pids;

	if (!pids || !pids->limit.set)
		return 0;
	struct place *place = need(planner, "pids", "pids", "pids");
	if (!place)
		return -planner->err->code;
	// 0 is none too, as for runc: nothing can run without a process.
	add(planner, place, 0, "pids.max", "%s",
	    v2_limit(planner, pids->limit.v > 0 ? pids->limit.v : -1));
	return 0;
}

// ---- block devices ----

// The kernel's CFQ files went with Linux 5.0; BFQ's are there when some device uses that scheduler.
static void plan_weight_v1(struct planner *planner, struct place *place,
			   const struct oci_block_io *io)
{
	if (io->weight.v) {
		add(planner, place, WRITE_OR_NEXT, "blkio.weight", "%u", io->weight.v);
		add(planner, place, 0, "blkio.bfq.weight", "%u", io->weight.v);
	}
	if (io->leaf_weight.v)
		add(planner, place, 0, "blkio.leaf_weight", "%u", io->leaf_weight.v);
	for (size_t i = 0; i < io->weight_device.n; i++) {
		const struct oci_weight_device *device = &io->weight_device.v[i];

		if (device->weight.v) {
			for (int bfq = 0; bfq < 2; bfq++)
				add(planner, place, bfq ? 0 : WRITE_OR_NEXT,
				    bfq ? "blkio.bfq.weight_device" : "blkio.weight_device",
				    "%" PRId64 ":%" PRId64 " %u", device->major, device->minor,
				    device->weight.v);
		}
		if (device->leaf_weight.v)
			add(planner, place, 0, "blkio.leaf_weight_device",
			    "%" PRId64 ":%" PRId64 " %u", device->major, device->minor,
			    device->leaf_weight.v);
	}
}

static int plan_weight_v2(struct planner *planner, struct place *place,
			  const struct oci_block_io *io)
{
	if (io->weight.v) {
		// 10 to 1000 becomes 1 to 10000.
		const unsigned int weight = 1 + (io->weight.v - 10u) * 9999 / 990;

		add(planner, place, WRITE_OR_NEXT, "io.bfq.weight", "%u", io->weight.v);
		add(planner, place, 0, "io.weight", "%u", weight);
	}
	for (size_t i = 0; i < io->weight_device.n; i++) {
		const struct oci_weight_device *device = &io->weight_device.v[i];

		if (device->weight.v)
			add(planner, place, 0, "io.bfq.weight", "%" PRId64 ":%" PRId64 " %u",
			    device->major, device->minor, device->weight.v);
		if (device->leaf_weight.v)
			return invalid(planner, "blockIO.weightDevice",
				       "cgroup v2 has no leafWeight");
	}
	if (io->leaf_weight.v)
		return invalid(planner, "blockIO.leafWeight", "cgroup v2 has none");
	return 0;
}

static void plan_throttle(struct planner *planner, struct place *place,
			  const struct oci_block_io *io)
{
	const struct {
		const struct oci_throttle_devices *devices;
		const char *v1_file, *v2_key;
	} rows[] = {
		{ &io->throttle_read_bps_device, "blkio.throttle.read_bps_device", "rbps" },
		{ &io->throttle_write_bps_device, "blkio.throttle.write_bps_device", "wbps" },
		{ &io->throttle_read_iops_device, "blkio.throttle.read_iops_device", "riops" },
		{ &io->throttle_write_iops_device, "blkio.throttle.write_iops_device", "wiops" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t k = 0; k < rows[i].devices->n; k++) {
			const struct oci_throttle_device *device = &rows[i].devices->v[k];

			if (!place->v2)
				add(planner, place, 0, rows[i].v1_file,
				    "%" PRId64 ":%" PRId64 " %" PRIu64, device->major,
				    device->minor, device->rate);
			else if (device->rate == 0) // v1's word for no limit
				add(planner, place, 0, "io.max", "%" PRId64 ":%" PRId64 " %s=max",
				    device->major, device->minor, rows[i].v2_key);
			else
				add(planner, place, 0, "io.max",
				    "%" PRId64 ":%" PRId64 " %s=%" PRIu64, device->major,
				    device->minor, rows[i].v2_key, device->rate);
		}
	}
}

static bool block_io_wants(const struct oci_block_io *io)
{
	return io->weight.v || io->leaf_weight.v || io->weight_device.n ||
	       io->throttle_read_bps_device.n || io->throttle_write_bps_device.n ||
	       io->throttle_read_iops_device.n || io->throttle_write_iops_device.n;
}

static int plan_block_io(struct planner *planner)
{
	const struct oci_block_io *io = planner->resources->block_io;

	if (!io || !block_io_wants(io))
		return 0;
	if (io->weight.v && (io->weight.v < 10 || io->weight.v > 1000))
		return invalid(planner, "blockIO.weight", "10 to 1000");
	struct place *place = need(planner, "blkio", "io", "blockIO");
	if (!place)
		return -planner->err->code;
	if (!place->v2) {
		plan_weight_v1(planner, place, io);
	} else {
		int ret = plan_weight_v2(planner, place, io);
		if (ret < 0)
			return ret;
	}
	plan_throttle(planner, place, io);
	return 0;
}

// ---- huge pages ----

// A file name will be made of it.
static bool is_page_size(const char *text)
{
	const size_t digits = strspn(text, "0123456789");

	return digits > 0 && digits < 16 && text[digits] && strchr("KMG", text[digits]) &&
	       str_eq(text + digits + 1, "B");
}

static int plan_hugetlb(struct planner *planner)
{
	const struct oci_resources *resources = planner->resources;

	for (size_t i = 0; i < resources->hugepage_limits.n; i++) {
		const char *size = resources->hugepage_limits.v[i].page_size;
		const uint64_t limit = resources->hugepage_limits.v[i].limit;
		struct place *place = need(planner, "hugetlb", "hugetlb", "hugepageLimits");

		if (!place)
			return -planner->err->code;
		if (!size || !is_page_size(size))
			return invalid(planner, "hugepageLimits",
				       "a page size is as 64KB, 2MB, 1GB");

		// Reservations first (Linux 5.7): their limit makes mmap fail, where the other
		// kills with SIGBUS on the first touch.
		const char *last = place->v2 ? "max" : "limit_in_bytes";
		add(planner, place, WRITE_OPTIONAL,
		    arena_printf(planner->arena, "hugetlb.%s.rsvd.%s", size, last), "%" PRIu64,
		    limit);
		add(planner, place, 0, arena_printf(planner->arena, "hugetlb.%s.%s", size, last),
		    "%" PRIu64, limit);
	}
	return 0;
}

// ---- network, rdma ----

static int plan_network(struct planner *planner)
{
	const struct oci_network *network = planner->resources->network;

	if (!network)
		return 0;
	if (network->class_id.set) {
		struct place *place = need(planner, "net_cls", NULL, "network.classID");
		if (!place)
			return -planner->err->code;
		add(planner, place, 0, "net_cls.classid", "%" PRIu32, network->class_id.v);
	}
	for (size_t i = 0; i < network->priorities.n; i++) {
		struct place *place = need(planner, "net_prio", NULL, "network.priorities");
		if (!place)
			return -planner->err->code;
		add(planner, place, 0, "net_prio.ifpriomap", "%s %" PRIu32,
		    network->priorities.v[i].name, network->priorities.v[i].priority);
	}
	return 0;
}

static int plan_rdma(struct planner *planner)
{
	for (size_t i = 0; i < planner->resources->rdma.n; i++) {
		const struct oci_rdma *rdma = &planner->resources->rdma.v[i];
		struct place *place = need(planner, "rdma", "rdma", "rdma");

		if (!place)
			return -planner->err->code;
		if (rdma->hca_handles.set)
			add(planner, place, 0, "rdma.max", "%s hca_handle=%" PRIu32, rdma->device,
			    rdma->hca_handles.v);
		if (rdma->hca_objects.set)
			add(planner, place, 0, "rdma.max", "%s hca_object=%" PRIu32, rdma->device,
			    rdma->hca_objects.v);
	}
	return 0;
}

// ---- unified ----

// The controller that a v2 file belongs to: what stands before the first dot.
static int plan_unified_file(struct planner *planner, const struct oci_pair *pair)
{
	const size_t len = strcspn(pair->key, ".");
	const char *controller = arena_strndup(planner->arena, pair->key, len);
	struct place *place = place_find_v2(planner->places);

	if (strchr(pair->key, '/') || pair->key[len] != '.' || len == 0)
		return err_set(planner->err, EINVAL,
			       "linux.resources.unified: not the name of a cgroup v2 file: %s",
			       pair->key);
	if (planner->places->n == 0)
		return no_cgroup(planner, "unified");
	if (!place)
		return err_set(planner->err, ENOTSUP,
			       "linux.resources.unified: %s: this host has no cgroup v2",
			       pair->key);
	if (!str_eq(controller, "cgroup")) {
		place = need(planner, controller, controller,
			     arena_printf(planner->arena, "unified.%s", pair->key));
		if (!place)
			return -planner->err->code;
	}
	if (!place->v2)
		return err_set(planner->err, ENOTSUP,
			       "linux.resources.unified: %s: on this host the controller %s is one "
			       "of cgroup v1",
			       pair->key, controller);
	add(planner, place, 0, pair->key, "%s", pair->value);
	return 0;
}

static int plan_unified(struct planner *planner)
{
	for (size_t i = 0; i < planner->resources->unified.n; i++) {
		int ret = plan_unified_file(planner, &planner->resources->unified.v[i]);
		if (ret < 0)
			return ret;
	}
	return 0;
}

// ---- devices ----

static int plan_devices_v1(struct planner *planner, struct place *place,
			   const struct device_rules *rules)
{
	struct device_list list;
	char line[DEVICE_LINE_MAX];
	int ret = device_list_make(rules, planner->arena, &list, planner->err);

	if (ret < 0)
		return ret;
	add(planner, place, 0, list.allow ? "devices.allow" : "devices.deny", "a");
	for (size_t i = 0; i < list.n; i++)
		add(planner, place, 0, list.allow ? "devices.deny" : "devices.allow", "%s",
		    device_line(&list.v[i], line));
	return 0;
}

static int plan_devices(struct planner *planner)
{
	const struct device_rules *rules;
	struct place *place = place_find(planner->places, "devices", NULL);
	int ret = device_rules_make(planner->resources, planner->arena, &rules, planner->err);

	if (ret < 0)
		return ret;
	if (place) {
		place->devices = rules;
		return plan_devices_v1(planner, place, rules);
	}

	// A v1 host whose kernel has no devices controller is no reason to leave them open: its v2
	// hierarchy can hold the program too.
	place = place_find_v2(planner->places);
	if (!place)
		return need(planner, "devices", NULL, "devices") ? 0 : -planner->err->code;
	place->devices = rules;
	return 0;
}

int resources_plan(const struct oci_resources *resources, bool devices, struct places *places,
		   struct arena *arena, struct err *err)
{
	static const struct oci_resources none;
	static int (*const steps[])(struct planner *) = {
		plan_memory,  plan_cpu,	    plan_cpuset, plan_pids,    plan_block_io,
		plan_hugetlb, plan_network, plan_rdma,	 plan_unified,
	};
	struct planner planner = {
		.resources = resources ? resources : &none,
		.places = places,
		.arena = arena,
		.err = err,
	};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		int ret = steps[i](&planner);
		if (ret < 0)
			return ret;
	}
	return devices ? plan_devices(&planner) : 0;
}
