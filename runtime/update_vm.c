// update of a container's VM: limits of the guest, of the host's cgroup, and what lies between them, the memory
// that the machine was made with and the container may not use: the balloon holds it.
//
// All that can fail comes before the balloon: first the host's part, with room for the whole machine, then the
// guest's, after whose failure the host's is taken back. What the guest then really gives is off the host's limit
// as well. A guest that gives less than it should costs its host that memory, not the container its update: the
// limit holds in the guest.

#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "runtime/patience.h"
#include "runtime/verbs_vm.h"
#include "vm-mode/agent_config.h"
#include "vm-mode/control/client.h"
#include "vm-mode/proto/figures.h"
#include "vm-mode/size.h"
#include "vm-mode/split.h"

#include <time.h>
#include <unistd.h>

#define IDLE_MS 10000  // a guest that gives nothing more
#define END_MS	120000 // one that gives on and on: the container is locked meanwhile
#define LOOK_US 20000

struct change {
	struct container *container;
	const struct oci_resources *wanted;
	struct vm_size made, now; // the machine, and what of it the guest shall have
	int64_t limit;		  // on memory; -1: none, 0: stays
	int64_t host_swap;	  // the host's, where only the limit with swap changes; else 0
};

// ---- what is to be done ----

// The sum of memory and swap, which the spec has for the container, for the VM of now.
static int shift_swap(struct change *change, int64_t swap, struct err *err)
{
	struct container *container = change->container;
	struct cgroup_stats host = { 0 };

	if (cgroup_stats(container->cgroup, container->arena, &host, err) < 0)
		return -err->code;
	return vm_size_swap(swap, container->state.vm_limit_bytes, host.memory.limit_bytes,
			    &change->host_swap, err);
}

static int find_limits(struct change *change, struct err *err)
{
	const struct oci_memory *memory = change->wanted->memory;

	if (!memory)
		return 0;
	change->limit = memory->limit.v;
	if (change->limit)
		return vm_size_resize(change->container->spec, &change->made, change->limit,
				      &change->now, err);
	if (memory->swap.v > 0 && change->container->state.vm_limit_bytes &&
	    !vm_size_limit(change->wanted))
		return shift_swap(change, memory->swap.v, err);
	return 0;
}

static int plan(struct change *change, struct err *err)
{
	if (container_load_spec(change->container, err) < 0)
		return -err->code;
	change->made = (struct vm_size){ .vcpus = change->container->state.vm_vcpus,
					 .memory_bytes = change->container->state.vm_memory_bytes };
	change->now = change->made;
	return find_limits(change, err);
}

static int change_host(const struct change *change, struct err *err)
{
	struct arena *arena = change->container->arena;
	struct oci_resources *host = arena_new(arena, struct oci_resources, 1);

	*host = *vm_size_resources(change->wanted, &change->made, arena);
	if (change->host_swap)
		host->memory->swap.v = change->host_swap;
	return cgroup_update(change->container->cgroup, host, err);
}

static int change_guest(const struct change *change, struct err *err)
{
	struct arena *arena = change->container->arena;
	struct vm_client_answer *answer = arena_new(arena, struct vm_client_answer, 1);
	scope_text struct text json = { 0 };

	agent_resources_write(vm_split_resources(change->wanted, arena), &json);
	const struct vm_client_request request = { .type = PROTO_UPDATE,
						   .payload = json.str,
						   .len = (uint32_t)json.len };
	return verbs_vm_ask(change->container, &request, PROTO_DONE, answer, err);
}

// For the next update: the guest isn't asked what its limit is.
static void remember_limit(const struct change *change)
{
	struct container *container = change->container;
	const uint64_t limit = vm_size_limit(change->wanted);
	struct err err;

	if (limit == 0 && change->limit == 0)
		return;
	container->state.vm_limit_bytes = limit;
	if (container_save(container, &err) < 0)
		log_warn("the new limit on memory is not recorded: %s", err.msg);
}

// ---- the balloon ----

static int ask_balloon(const struct change *change, uint64_t target, struct proto_ballooned *told,
		       struct err *err)
{
	const struct proto_balloon balloon = { .target_bytes = target };
	const struct vm_client_request request = { .type = PROTO_BALLOON,
						   .payload = &balloon,
						   .len = sizeof(balloon) };
	scope_arena struct arena arena = { 0 };
	struct vm_client_answer *answer = arena_new(&arena, struct vm_client_answer, 1);
	int ret = verbs_vm_ask(change->container, &request, PROTO_BALLOONED, answer, err);

	if (ret == 0)
		memcpy(told, answer->payload, sizeof(*told));
	return ret;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

// Asks for `target` bytes and waits for them, as long as there is progress, and not for ever. Returns in *given
// what the guest has given of them.
static int inflate(const struct change *change, uint64_t target, uint64_t *given, struct err *err)
{
	struct proto_ballooned told = { 0 };
	int ret = ask_balloon(change, target, &told, err);
	struct patience patience = patience_begin(IDLE_MS, END_MS,
						  distance(told.given_bytes, target), now_ms());

	while (ret == 0 && told.driver &&
	       patience_goes_on(&patience, distance(told.given_bytes, target), now_ms())) {
		usleep(LOOK_US);
		ret = ask_balloon(change, PROTO_BALLOON_KEEP, &told, err);
	}
	*given = told.given_bytes < target ? told.given_bytes : target;
	return ret;
}

// The host's limit on memory (and swap) alone, for a machine without what the guest has given.
static int follow(const struct change *change, uint64_t given, struct err *err)
{
	const struct vm_size size = { .memory_bytes = change->made.memory_bytes - given };
	struct oci_memory memory = { .limit = change->wanted->memory->limit,
				     .swap = change->wanted->memory->swap };
	const struct oci_resources limits = { .memory = &memory };

	return cgroup_update(change->container->cgroup,
			     vm_size_resources(&limits, &size, change->container->arena), err);
}

static void resize(const struct change *change)
{
	const uint64_t target = change->made.memory_bytes - change->now.memory_bytes;
	uint64_t given = 0;
	struct err err;

	if (inflate(change, target, &given, &err) < 0)
		log_warn("the VM's memory: %s", err.msg);
	else if (given < target)
		log_warn(
			"the guest has given back %llu of %llu MiB: the rest stays in the VM's limit",
			(unsigned long long)(given >> 20), (unsigned long long)(target >> 20));
	if (given > 0 && change->limit > 0 && follow(change, given, &err) < 0)
		log_warn("the limit of the VM as a whole stays as it was: %s", err.msg);
}

// More processor time than it can use harms nobody.
static void check_vcpus(const struct change *change)
{
	if (vm_size_busy_vcpus(change->wanted->cpu) > change->made.vcpus)
		log_warn("linux.resources.cpu.quota: more than the VM's %u vCPUs can use",
			 change->made.vcpus);
}

int verbs_vm_update(struct container *container, const struct oci_resources *resources,
		    struct err *err)
{
	struct change change = { .container = container, .wanted = resources };

	if (verbs_vm_require_unpaused(container, err) < 0 || plan(&change, err) < 0 ||
	    change_host(&change, err) < 0)
		return -err->code;
	if (change_guest(&change, err) < 0) {
		cgroup_update_undo(container->cgroup);
		return -err->code;
	}
	remember_limit(&change);
	if (change.limit)
		resize(&change);
	check_vcpus(&change);
	return 0;
}
