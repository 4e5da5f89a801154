#include "runtime/payload.h"

#include "base/str.h"
#include "runtime/conf.h"
#include "runtime/container.h"
#include "runtime/execution.h"
#include "runtime/verbs_vm.h"

#define OWN_ANNOTATION "org.moat.vm"

static const struct {
	const char *key, *value;
	const struct payload_ops *payload;
} annotations[] = {
	{ "run.oci.handler", "vm", &payload_vm },
	{ "run.oci.handler", "krun", &payload_vm },
	{ OWN_ANNOTATION, "true", &payload_vm },
	{ OWN_ANNOTATION, "false", &payload_process },
};

// What an annotation asks for; NULL: nothing.
static const struct payload_ops *asked_by(const struct oci_pair *annotation)
{
	for (size_t i = 0; i < ARRAY_SIZE(annotations); i++)
		if (str_eq(annotation->key, annotations[i].key) &&
		    str_eq(annotation->value, annotations[i].value))
			return annotations[i].payload;
	return NULL;
}

const struct payload_ops *payload_choose(bool vm, const struct oci_spec *spec,
					 const struct conf *conf, struct err *err)
{
	const struct payload_ops *annotated = NULL;

	for (size_t i = 0; i < spec->annotations.n; i++) {
		const struct oci_pair *annotation = &spec->annotations.v[i];
		const struct payload_ops *asked = asked_by(annotation);

		if (!asked && str_eq(annotation->key, OWN_ANNOTATION)) {
			err_set(err, EINVAL, "annotation %s: `%s` is neither true nor false",
				OWN_ANNOTATION, annotation->value);
			return NULL;
		}
		if (asked && annotated != &payload_vm)
			annotated = asked;
	}
	if (vm)
		return &payload_vm;
	if (annotated)
		return annotated;
	return spec->vm || conf->mode == CONF_VM ? &payload_vm : &payload_process;
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
