#include "rootfs/plan.h"

#include "base/path.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct planner {
	const struct oci_spec *spec;
	const struct rootfs_env *env;
	struct arena *arena;
	struct rootfs_plan *plan;
};

static const char *clean(struct planner *p, const char *path, struct err *err)
{
	char buf[PATH_MAX];

	// A relative destination counts from the root (config.md "Mounts").
	if (!path_is_abs(path))
		path = arena_printf(p->arena, "/%s", path);
	int ret = path_clean(path, buf, sizeof(buf));
	if (ret < 0) {
		err_sysn(err, -ret, "%s", path);
		return NULL;
	}
	return arena_strdup(p->arena, buf);
}

static bool below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && path[len] == '/';
}

static const struct oci_namespace *find_namespace(const struct oci_spec *spec,
						  enum oci_namespace_type type)
{
	for (size_t i = 0; i < spec->linux->namespaces.n; i++)
		if (spec->linux->namespaces.v[i].type == type)
			return &spec->linux->namespaces.v[i];
	return NULL;
}

// ---- mounts ----

// The files below /proc that lxcfs and engines put their own in place of. Any other mount there
// could hide from moat what it must write to, or show what the masks are to hide (CVE-2019-16884,
// CVE-2025-52881).
static const char *const proc_files[] = {
	"/proc/cpuinfo",
	"/proc/diskstats",
	"/proc/loadavg",
	"/proc/meminfo",
	"/proc/net/dev",
	"/proc/slabinfo",
	"/proc/stat",
	"/proc/swaps",
	"/proc/sys/crypto/fips_enabled",
	"/proc/sys/kernel/ns_last_pid",
	"/proc/uptime",
};

static int check_target(const struct planner *p, const struct mount_op *op, struct err *err)
{
	if (str_eq(op->target, "/") && op->kind != MOUNT_REMOUNT)
		return err_set(err, EINVAL, "the root itself can't be mounted over");
	// Whether the source of a bind on /proc is a procfs is for the applier to see.
	if (str_eq(op->target, "/proc") && op->kind == MOUNT_FS && !str_eq(op->fstype, "proc") &&
	    !p->env->for_guest)
		return err_set(err, EINVAL, "only a procfs may be mounted there, not %s",
			       op->fstype);
	if (!below(op->target, "/proc"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(proc_files); i++)
		if (str_eq(op->target, proc_files[i]))
			return 0;
	return err_set(err, EINVAL, "it is inside /proc");
}

static struct mount_op *add_mount(struct planner *p, enum mount_kind kind, const char *target)
{
	struct mount_op *op = &p->plan->mounts[p->plan->mount_count++];

	*op = (struct mount_op){
		.kind = kind, .target = target, .source_fd = -1, .userns_fd = -1, .fd = -1
	};
	return op;
}

static int plan_idmap(struct planner *p, const struct oci_mount *mount, struct mount_op *op,
		      struct err *err)
{
	const struct oci_linux *linux = p->spec->linux;
	const struct oci_namespace *userns = find_namespace(p->spec, OCI_NS_USER);
	const bool own = mount->uid_mappings.n || mount->gid_mappings.n;

	if (!own && !(op->options.words & WORD_IDMAP))
		return 0;
	op->options.words |= WORD_IDMAP;
	if (op->kind == MOUNT_REMOUNT)
		return err_set(err, EINVAL, "an existing mount can't be idmapped");
	if (own && (!mount->uid_mappings.n || !mount->gid_mappings.n))
		return err_set(err, EINVAL, "uidMappings and gidMappings go together");
	if (!own && userns && userns->path) {
		op->userns_path = userns->path;
		return 0;
	}
	op->uid_mappings = own ? &mount->uid_mappings : &linux->uid_mappings;
	op->gid_mappings = own ? &mount->gid_mappings : &linux->gid_mappings;
	if (!op->uid_mappings->n || !op->gid_mappings->n)
		return err_set(err, EINVAL, "idmap without mappings, its own or the container's");
	return 0;
}

// Read-only comes last where devices and other mounts are still to be put in: /dev, and any tmpfs.
static void plan_late_readonly(struct mount_op *op)
{
	const bool tmpfs = op->kind == MOUNT_FS && str_eq(op->fstype, "tmpfs");

	if (!(op->options.attrs.set & MOUNT_ATTR_RDONLY) || op->kind == MOUNT_REMOUNT)
		return;
	if (!tmpfs && !str_eq(op->target, DEV_DIR))
		return;
	op->late_readonly = true;
	op->options.attrs.set &= ~(uint64_t)MOUNT_ATTR_RDONLY;
	op->options.sb_set &= ~(unsigned int)MS_RDONLY;
}

// `cpu` and `cpuacct` lead to the directory `cpu,cpuacct`, as they do on the host.
static void plan_cgroup_links(struct planner *p, const char *target, const char *name)
{
	if (!strchr(name, ','))
		return;
	for (size_t n; *name; name += n + (name[n] == ',')) {
		const struct mount_op *dir = &p->plan->mounts[p->plan->mount_count - 1];
		const char *source = dir->kind == MOUNT_SYMLINK ? dir->source :
								  strrchr(dir->target, '/') + 1;

		n = strcspn(name, ",");
		struct mount_op *op = add_mount(
			p, MOUNT_SYMLINK, arena_printf(p->arena, "%s/%.*s", target, (int)n, name));
		op->source = source;
	}
}

// On v1 and hybrid hosts a cgroup mount is a tmpfs with a directory for each hierarchy. Each is
// bound, also in a cgroup namespace: it shows the same, and costs half of what a new mount does.
static void plan_cgroup_v1(struct planner *p, struct mount_op *op)
{
	const struct mount_options given = op->options;
	const char *target = op->target;

	op->fstype = "tmpfs";
	op->source = "tmpfs";
	op->options.attrs.set = (given.attrs.set & MOUNT_ATTR_RDONLY) | MOUNT_ATTR_NOSUID |
				MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	op->options.data.v = arena_new(p->arena, char *, 1);
	op->options.data.v[0] = arena_strdup(p->arena, "mode=755");
	op->options.data.n = 1;
	for (size_t i = 0; i < p->env->cgroup_count; i++) {
		const struct rootfs_cgroup *cgroup = &p->env->cgroups[i];
		struct mount_op *bind = add_mount(
			p, MOUNT_BIND, arena_printf(p->arena, "%s/%s", target, cgroup->name));

		bind->source = cgroup->source;
		bind->or_source = cgroup->or_source;
		bind->options = given;
		plan_cgroup_links(p, target, cgroup->name);
	}
}

static int plan_cgroup(struct planner *p, struct mount_op *op, struct err *err)
{
	if (!p->env->cgroup_count)
		return err_set(err, EINVAL, "the container has no cgroup that could be shown");
	if (!p->env->unified) {
		plan_cgroup_v1(p, op);
		return 0;
	}
	op->or_source = p->env->cgroups[0].or_source;
	if (p->env->new_cgroupns) {
		op->fstype = "cgroup2";
		op->fallback = p->env->cgroups[0].source;
	} else {
		op->kind = MOUNT_BIND;
		op->source = p->env->cgroups[0].source;
	}
	return 0;
}

// Without rights over the network namespace sysfs can only be bound.
static int plan_sysfs(struct planner *p, struct mount_op *op, struct err *err)
{
	(void)err;
	if (!p->env->userns || p->env->new_netns) {
		op->fallback = "/sys";
		return 0;
	}
	op->kind = MOUNT_BIND;
	op->source = "/sys";
	op->options.words |= WORD_BIND | WORD_RBIND;
	return 0;
}

static int plan_mqueue(struct planner *p, struct mount_op *op, struct err *err)
{
	(void)p;
	(void)err;
	op->fallback = "/dev/mqueue";
	return 0;
}

// gid=5, the group `tty`, stands in every engine's default; a small user namespace doesn't map it,
// and the kernel would refuse it.
static int plan_devpts(struct planner *p, struct mount_op *op, struct err *err)
{
	const struct oci_id_mappings *map = &p->spec->linux->gid_mappings;
	size_t kept = 0;

	(void)err;
	for (size_t i = 0; i < op->options.data.n; i++) {
		char *word = op->options.data.v[i];
		uint32_t gid;
		bool mapped = map->n == 0 || !str_starts(word, "gid=") ||
			      str_to_u32(word + 4, &gid) < 0;

		for (size_t k = 0; k < map->n && !mapped; k++)
			mapped = gid - map->v[k].container_id < map->v[k].size;
		if (mapped)
			op->options.data.v[kept++] = word;
	}
	op->options.data.n = kept;
	return 0;
}

static const struct {
	const char *type;
	int (*plan)(struct planner *p, struct mount_op *op, struct err *err);
	bool unlabelled; // the kernel doesn't take a SELinux context
} special_types[] = {
	{ "proc", NULL, true },		  { "sysfs", plan_sysfs, true },
	{ "cgroup", plan_cgroup, true },  { "cgroup2", NULL, true },
	{ "mqueue", plan_mqueue, false }, { "devpts", plan_devpts, false },
};

static int plan_fs(struct planner *p, struct mount_op *op, struct err *err)
{
	op->label = p->plan->label;
	for (size_t i = 0; i < ARRAY_SIZE(special_types); i++) {
		if (!str_eq(op->fstype, special_types[i].type))
			continue;
		if (special_types[i].unlabelled)
			op->label = NULL;
		return special_types[i].plan ? special_types[i].plan(p, op, err) : 0;
	}
	return 0;
}

static int plan_mount(struct planner *p, const struct oci_mount *mount, struct err *err)
{
	const char *target = clean(p, mount->destination, err);

	if (!target)
		return -err->code;
	struct mount_op *op = add_mount(p, MOUNT_FS, target);
	op->fstype = mount->type ? mount->type : "none";
	op->source = mount->source && *mount->source ? mount->source : op->fstype;
	options_decode(&mount->options, p->arena, &op->options);

	if (op->options.words & WORD_REMOUNT)
		op->kind = MOUNT_REMOUNT;
	else if (op->options.words & WORD_BIND || str_eq(op->fstype, "bind"))
		op->kind = MOUNT_BIND;

	int ret = check_target(p, op, err);
	if (ret < 0)
		return ret;
	if (op->kind == MOUNT_BIND && !mount->source)
		return err_set(err, EINVAL, "a bind mount without a source");
	if (op->kind == MOUNT_BIND && !path_is_abs(op->source))
		op->source = arena_printf(p->arena, "%s/%s", p->env->bundle, op->source);
	ret = plan_idmap(p, mount, op, err);
	if (ret < 0)
		return ret;
	if (op->kind == MOUNT_FS)
		ret = plan_fs(p, op, err);
	plan_late_readonly(op);
	return ret;
}

static int plan_mounts(struct planner *p, struct err *err)
{
	size_t room = p->spec->mounts.n;

	// What one cgroup mount can become: a tmpfs, a mount for each hierarchy, a link for each
	// controller.
	size_t most = 1;
	for (size_t i = 0; i < p->env->cgroup_count; i++)
		most += 2 + strlen(p->env->cgroups[i].name) / 2;
	for (size_t i = 0; i < p->spec->mounts.n; i++)
		if (p->spec->mounts.v[i].type && str_eq(p->spec->mounts.v[i].type, "cgroup"))
			room += most;

	p->plan->mounts = arena_new(p->arena, struct mount_op, room);
	for (size_t i = 0; i < p->spec->mounts.n; i++)
		if (plan_mount(p, &p->spec->mounts.v[i], err) < 0)
			return err_wrap(err, "mounts[%zu]: mount %s", i,
					p->spec->mounts.v[i].destination);
	return 0;
}

// ---- devices ----

// config-linux.md "Default Devices".
static const struct {
	const char *path;
	unsigned int major, minor;
} default_devices[] = {
	{ "/dev/null", 1, 3 },	 { "/dev/zero", 1, 5 },	   { "/dev/full", 1, 7 },
	{ "/dev/random", 1, 8 }, { "/dev/urandom", 1, 9 }, { "/dev/tty", 5, 0 },
};

static bool mounted_over(const struct rootfs_plan *plan, const char *path)
{
	for (size_t i = 0; i < plan->mount_count; i++)
		if (str_eq(plan->mounts[i].target, path))
			return true;
	return false;
}

// A path that a mount or an earlier device has taken is left alone.
static void add_device(struct planner *p, const struct device_op *device)
{
	struct rootfs_plan *plan = p->plan;

	if (mounted_over(plan, device->path))
		return;
	for (size_t i = 0; i < plan->device_count; i++)
		if (str_eq(plan->devices[i].path, device->path))
			return;
	plan->devices[plan->device_count] = *device;
	// A pipe can be made by anyone.
	plan->devices[plan->device_count++].bind = p->env->userns && !S_ISFIFO(device->mode);
}

static mode_t device_type(char type)
{
	return type == 'b' ? S_IFBLK : type == 'p' ? S_IFIFO : S_IFCHR;
}

static int plan_devices(struct planner *p, struct err *err)
{
	const struct oci_linux *linux = p->spec->linux;

	if (p->env->for_guest)
		return 0;
	for (size_t i = 0; i < p->plan->mount_count; i++)
		if (p->plan->mounts[i].kind == MOUNT_BIND &&
		    str_eq(p->plan->mounts[i].target, DEV_DIR))
			return 0;
	p->plan->setup_dev = true;
	p->plan->devices = arena_new(p->arena, struct device_op,
				     linux->devices.n + ARRAY_SIZE(default_devices));
	for (size_t i = 0; i < linux->devices.n; i++) {
		const struct oci_device *device = &linux->devices.v[i];
		const char *path = clean(p, device->path, err);

		if (!path || str_eq(path, "/"))
			return err_set(err, EINVAL, "linux.devices[%zu].path: %s can't be a device",
				       i, device->path);
		// The container has its own, which the links set up.
		if (str_eq(path, DEV_DIR "/ptmx"))
			continue;
		add_device(p, &(struct device_op){
				      .path = path,
				      .mode = device_type(device->type) |
					      (device->file_mode.set ? device->file_mode.v & 07777 :
								       0666),
				      .dev = makedev((unsigned int)device->major,
						     (unsigned int)device->minor),
				      .uid = device->uid.v,
				      .gid = device->gid.v,
			      });
	}
	for (size_t i = 0; i < ARRAY_SIZE(default_devices); i++)
		add_device(p, &(struct device_op){
				      .path = default_devices[i].path,
				      .mode = S_IFCHR | 0666,
				      .dev = makedev(default_devices[i].major,
						     default_devices[i].minor),
			      });
	return 0;
}

// ---- the whole ----

static int plan_propagation(struct planner *p, struct err *err)
{
	const char *word = p->spec->linux->rootfs_propagation;

	// What the host mounts and unmounts reaches the container, never the other way round.
	p->plan->old_propagation = MS_SLAVE | MS_REC;
	if (!word || !*word)
		return 0;
	p->plan->old_propagation = options_propagation(word);
	if (!p->plan->old_propagation)
		return err_set(err, EINVAL,
			       "linux.rootfsPropagation: \"%s\" is none of the kernel's modes",
			       word);
	p->plan->final_propagation = p->plan->old_propagation;
	// From what can't be bound there would be neither a root nor binds.
	if (p->plan->old_propagation & MS_UNBINDABLE)
		p->plan->old_propagation ^= MS_UNBINDABLE | MS_PRIVATE;
	return 0;
}

int rootfs_plan_make(const struct oci_spec *spec, const struct rootfs_env *env, struct arena *arena,
		     struct rootfs_plan **plan, struct err *err)
{
	const struct oci_linux *linux = spec->linux;
	struct planner p = { spec, env, arena, arena_new(arena, struct rootfs_plan, 1) };
	int ret;

	if (!find_namespace(spec, OCI_NS_MOUNT))
		return err_set(err, EINVAL,
			       "linux.namespaces: a root needs a mount namespace to stand in");
	*p.plan = (struct rootfs_plan){
		.rootfs = env->rootfs,
		.readonly = spec->root && spec->root->readonly,
		.no_pivot = env->no_pivot,
		.own_sources = env->own_sources,
		.for_guest = env->for_guest,
		.userns = env->userns,
		.masked = linux->masked_paths,
		.readonly_paths = linux->readonly_paths,
		.label = linux->mount_label && *linux->mount_label ? linux->mount_label : NULL,
		.source_root_fd = -1,
		.root_fd = -1,
		.proc_fd = -1,
	};
	ret = plan_propagation(&p, err);
	if (ret == 0)
		ret = plan_mounts(&p, err);
	if (ret == 0)
		ret = plan_devices(&p, err);
	if (ret == 0)
		*plan = p.plan;
	return ret;
}
