#include "rootfs/plan.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

static void print_mappings(struct text *out, const char *key, const struct oci_id_mappings *map)
{
	for (size_t i = 0; map && i < map->n; i++)
		text_printf(out, "%s%u:%u:%u", i ? "," : key, map->v[i].container_id,
			    map->v[i].host_id, map->v[i].size);
}

static void print_mount(struct text *out, const struct mount_op *op)
{
	switch (op->kind) {
	case MOUNT_BIND:
		text_printf(out, "bind %s on %s", op->source, op->target);
		break;
	case MOUNT_FS:
		text_printf(out, "mount %s %s on %s", op->fstype, op->source, op->target);
		break;
	case MOUNT_REMOUNT:
		text_printf(out, "remount %s", op->target);
		break;
	case MOUNT_SYMLINK:
		text_printf(out, "link %s -> %s", op->target, op->source);
		break;
	}
	options_print(&op->options, out);
	for (size_t i = 0; op->kind != MOUNT_BIND && i < op->options.data.n; i++)
		text_printf(out, "%s%s", i ? "," : " data=", op->options.data.v[i]);
	if (op->label)
		text_printf(out, " context=%s", op->label);
	print_mappings(out, " uids=", op->uid_mappings);
	print_mappings(out, " gids=", op->gid_mappings);
	if (op->userns_path)
		text_printf(out, " userns=%s", op->userns_path);
	if (op->fallback)
		text_printf(out, " else-bind=%s", op->fallback);
	if (op->or_source)
		text_printf(out, " or=%s", op->or_source);
	text_str(out, op->late_readonly ? " late-ro\n" : "\n");
}

static void print_device(struct text *out, const struct device_op *op)
{
	const char type = S_ISBLK(op->mode) ? 'b' : S_ISFIFO(op->mode) ? 'p' : 'c';

	text_printf(out, "device %s %c %u:%u mode=%04o owner=%u:%u%s\n", op->path, type,
		    major(op->dev), minor(op->dev), op->mode & 07777, op->uid, op->gid,
		    op->bind ? " bind" : "");
}

static void print_propagation(struct text *out, const char *what, unsigned int flags)
{
	unsigned int word = flags;
	const struct mount_options options = { .propagation = &word, .propagation_count = 1 };

	text_str(out, what);
	options_print(&options, out);
	text_str(out, "\n");
}

void rootfs_plan_print(const struct rootfs_plan *plan, struct text *out)
{
	print_propagation(out, "old-root", plan->old_propagation);
	text_printf(out, "root %s\n", plan->rootfs);
	for (size_t i = 0; i < plan->mount_count; i++)
		print_mount(out, &plan->mounts[i]);
	for (size_t i = 0; i < plan->device_count; i++)
		print_device(out, &plan->devices[i]);
	if (plan->setup_dev)
		text_str(out, "dev-links\n");
	text_str(out, plan->no_pivot ? "move-root\n" : "pivot-root\n");
	for (size_t i = 0; i < plan->readonly_paths.n; i++)
		text_printf(out, "readonly %s\n", plan->readonly_paths.v[i]);
	for (size_t i = 0; i < plan->masked.n; i++)
		text_printf(out, "mask %s\n", plan->masked.v[i]);
	if (plan->final_propagation)
		print_propagation(out, "new-root", plan->final_propagation);
	if (plan->readonly)
		text_str(out, "readonly-root\n");
}
