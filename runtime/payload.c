#include "runtime/payload.h"

#include "base/str.h"
#include "runtime/container.h"
#include "runtime/execution.h"
#include "runtime/verbs_vm.h"

static const struct {
	const char *key, *value;
} vm_annotations[] = {
	{ "run.oci.handler", "vm" },
	{ "run.oci.handler", "krun" },
	{ "org.moat.vm", "true" },
};

static bool asks_for_vm(const struct oci_pair *annotation)
{
	for (size_t i = 0; i < ARRAY_SIZE(vm_annotations); i++)
		if (str_eq(annotation->key, vm_annotations[i].key) &&
		    str_eq(annotation->value, vm_annotations[i].value))
			return true;
	return false;
}

const struct payload_ops *payload_choose(bool vm, const struct oci_spec *spec)
{
	vm |= spec->vm != NULL;
	for (size_t i = 0; i < spec->annotations.n; i++)
		vm |= asks_for_vm(&spec->annotations.v[i]);
	return vm ? &payload_vm : &payload_process;
}

const struct payload_verbs *payload_verbs_of(const struct container *container)
{
	static const struct payload_verbs process = { .exec = &exec_process };
	static const struct payload_verbs vm = {
		.exec = &exec_vm,
		.signal = verbs_vm_signal,
		.update = verbs_vm_update,
		.pids = verbs_vm_pids,
		.watch_oom = verbs_vm_watch_oom,
		.hear_oom = verbs_vm_hear_oom,
		.recall = verbs_vm_recall,
		.processes = verbs_vm_processes,
		.stats = verbs_vm_stats,
	};
	const char *mode = container->state.mode;

	return mode && str_eq(mode, payload_vm.mode) ? &vm : &process;
}

void payload_recall(struct container *container)
{
	const struct payload_verbs *verbs = payload_verbs_of(container);

	if (verbs->recall)
		verbs->recall(container);
}
