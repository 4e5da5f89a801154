#include "namespaces/namespaces.h"

#include "base/sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

// The kernel's own limits.
#define MAX_EXTENTS  340 // lines of an id mapping, UID_GID_MAP_MAX_EXTENTS
#define MAX_UTS_NAME 64	 // __NEW_UTS_LEN

static const struct {
	uint64_t flag;
	const char *name, *file; // in config.json, in /proc/PID/ns
} types[OCI_NS_COUNT] = {
	[OCI_NS_PID] = { CLONE_NEWPID, "pid", "pid" },
	[OCI_NS_NETWORK] = { CLONE_NEWNET, "network", "net" },
	[OCI_NS_MOUNT] = { CLONE_NEWNS, "mount", "mnt" },
	[OCI_NS_IPC] = { CLONE_NEWIPC, "ipc", "ipc" },
	[OCI_NS_UTS] = { CLONE_NEWUTS, "uts", "uts" },
	[OCI_NS_USER] = { CLONE_NEWUSER, "user", "user" },
	[OCI_NS_CGROUP] = { CLONE_NEWCGROUP, "cgroup", "cgroup" },
	[OCI_NS_TIME] = { CLONE_NEWTIME, "time", "time" },
};

uint64_t ns_type_flag(enum oci_namespace_type type)
{
	return types[type].flag;
}

const char *ns_type_file(enum oci_namespace_type type)
{
	return types[type].file;
}

const char *ns_type_name(enum oci_namespace_type type)
{
	return types[type].name;
}

bool ns_is_own(enum oci_namespace_type type, const char *path)
{
	struct stat theirs, ours;
	char own[32];

	snprintf(own, sizeof(own), "/proc/self/ns/%s", types[type].file);
	return stat(path, &theirs) == 0 && stat(own, &ours) == 0 && theirs.st_dev == ours.st_dev &&
	       theirs.st_ino == ours.st_ino;
}

static int take_namespaces(const struct oci_linux *linux, struct ns_plan *plan, struct err *err)
{
	for (size_t i = 0; i < linux->namespaces.n; i++) {
		const struct oci_namespace *ns = &linux->namespaces.v[i];
		const uint64_t flag = types[ns->type].flag;

		if (ns_has(plan, flag))
			return err_set(err, EINVAL, "linux.namespaces[%zu]: a second %s namespace",
				       i, types[ns->type].name);
		if (ns->path)
			plan->join |= flag;
		else
			plan->create |= flag;
		plan->paths[ns->type] = ns->path;
	}
	return 0;
}

static bool overlap(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size)
{
	return a < (uint64_t)b + b_size && b < (uint64_t)a + a_size;
}

// What the kernel would refuse with no more than EINVAL.
static int check_mappings(const struct oci_id_mappings *map, const char *field, struct err *err)
{
	if (map->n > MAX_EXTENTS)
		return err_set(err, EINVAL, "%s: %zu mappings, the kernel takes %d", field, map->n,
			       MAX_EXTENTS);
	for (size_t i = 0; i < map->n; i++) {
		const struct oci_id_mapping *a = &map->v[i];

		if (a->size == 0)
			return err_set(err, EINVAL, "%s[%zu].size: must not be 0", field, i);
		// The last number, 2^32 - 1, stands for no id.
		if ((uint64_t)a->container_id + a->size > UINT32_MAX ||
		    (uint64_t)a->host_id + a->size > UINT32_MAX)
			return err_set(err, EINVAL, "%s[%zu]: beyond the last id", field, i);
		for (size_t k = 0; k < i; k++) {
			const struct oci_id_mapping *b = &map->v[k];

			if (overlap(a->container_id, a->size, b->container_id, b->size) ||
			    overlap(a->host_id, a->size, b->host_id, b->size))
				return err_set(err, EINVAL, "%s[%zu]: overlaps %s[%zu]", field, i,
					       field, k);
		}
	}
	return 0;
}

// Mappings beside the path of a user namespace are what that namespace must have: engines that
// made it themselves say both. It is compared when the namespace has been joined.
static int take_mappings(const struct oci_linux *linux, struct ns_plan *plan, struct err *err)
{
	const struct {
		const struct oci_id_mappings *map;
		const char *field;
	} sides[] = {
		{ &linux->uid_mappings, "linux.uidMappings" },
		{ &linux->gid_mappings, "linux.gidMappings" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		if (sides[i].map->n > 0 && !ns_has(plan, CLONE_NEWUSER))
			return err_set(err, EINVAL, "%s: needs a user namespace", sides[i].field);
		if (sides[i].map->n == 0 && plan->create & CLONE_NEWUSER)
			return err_set(err, EINVAL, "%s: a new user namespace needs it",
				       sides[i].field);
		int ret = check_mappings(sides[i].map, sides[i].field, err);
		if (ret < 0)
			return ret;
	}
	plan->uid_mappings = &linux->uid_mappings;
	plan->gid_mappings = &linux->gid_mappings;
	return 0;
}

static bool is_mapped(const struct oci_id_mappings *map, uint32_t id)
{
	for (size_t i = 0; i < map->n; i++)
		if (id - map->v[i].container_id < map->v[i].size)
			return true;
	return false;
}

// So that `create` says it, and not the start of the program with EINVAL. The mappings of a user
// namespace with a path need not be known.
static int check_user(const struct oci_process *process, const struct ns_plan *plan,
		      struct err *err)
{
	if (!process || plan->uid_mappings->n == 0 || plan->gid_mappings->n == 0)
		return 0;
	const struct oci_user *user = &process->user;
	if (!is_mapped(plan->uid_mappings, user->uid))
		return err_set(err, EINVAL, "process.user.uid: %u is not in linux.uidMappings",
			       user->uid);
	if (!is_mapped(plan->gid_mappings, user->gid))
		return err_set(err, EINVAL, "process.user.gid: %u is not in linux.gidMappings",
			       user->gid);
	for (size_t i = 0; i < user->additional_gids.n; i++)
		if (!is_mapped(plan->gid_mappings, user->additional_gids.v[i]))
			return err_set(err, EINVAL,
				       "process.user.additionalGids[%zu]: %u is not in "
				       "linux.gidMappings",
				       i, user->additional_gids.v[i]);
	return 0;
}

static int take_time_offsets(const struct oci_linux *linux, struct ns_plan *plan, struct err *err)
{
	const struct oci_time_offsets *offsets = linux->time_offsets;

	if (!offsets || (!offsets->monotonic && !offsets->boottime))
		return 0;
	if (!(plan->create & CLONE_NEWTIME))
		return err_set(err, EINVAL, "linux.timeOffsets: needs a new time namespace");
	const struct oci_time_offset *const both[] = { offsets->monotonic, offsets->boottime };
	for (size_t i = 0; i < ARRAY_SIZE(both); i++)
		if (both[i] && both[i]->nanosecs >= 1000000000)
			return err_set(err, EINVAL,
				       "linux.timeOffsets: nanosecs of a second or more");
	plan->time_offsets = offsets;
	return 0;
}

static int take_uts_name(const char *name, const char *field, const struct ns_plan *plan,
			 const char **taken, struct err *err)
{
	*taken = name && *name ? name : NULL;
	if (!*taken)
		return 0;
	if (!ns_has(plan, CLONE_NEWUTS))
		return err_set(err, EINVAL, "%s: needs a uts namespace", field);
	if (strlen(name) > MAX_UTS_NAME)
		return err_set(err, EINVAL, "%s: longer than %d bytes", field, MAX_UTS_NAME);
	return 0;
}

// A pid namespace is entered by being born into it, and so is a time namespace whose offsets were
// set; a user namespace takes away the rights for what else is to be joined.
static bool needs_stage(const struct ns_plan *plan)
{
	return plan->join & (CLONE_NEWPID | CLONE_NEWUSER) || plan->time_offsets ||
	       (plan->create & CLONE_NEWUSER && plan->join);
}

int ns_plan_make(const struct oci_spec *spec, struct ns_plan *plan, struct err *err)
{
	int ret;

	*plan = (struct ns_plan){ 0 };
	ret = take_namespaces(spec->linux, plan, err);
	if (ret == 0)
		ret = take_mappings(spec->linux, plan, err);
	if (ret == 0)
		ret = check_user(spec->process, plan, err);
	if (ret == 0)
		ret = take_time_offsets(spec->linux, plan, err);
	if (ret == 0)
		ret = take_uts_name(spec->hostname, "hostname", plan, &plan->hostname, err);
	if (ret == 0)
		ret = take_uts_name(spec->domainname, "domainname", plan, &plan->domainname, err);
	plan->stage = needs_stage(plan);
	return ret;
}

static void print_types(uint64_t flags, const char *step, struct text *out)
{
	if (!flags)
		return;
	text_str(out, step);
	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		if (flags & types[i].flag)
			text_printf(out, " %s", types[i].name);
	text_str(out, "\n");
}

static void print_mappings(const struct oci_id_mappings *map, const char *step, struct text *out)
{
	for (size_t i = 0; i < map->n; i++)
		text_printf(out, "%s %u %u %u\n", step, map->v[i].container_id, map->v[i].host_id,
			    map->v[i].size);
}

static void print_offset(const struct oci_time_offset *offset, const char *clock, struct text *out)
{
	if (offset)
		text_printf(out, "offset %s %" PRId64 ".%09u\n", clock, offset->secs,
			    offset->nanosecs);
}

void ns_plan_print(const struct ns_plan *plan, struct text *out)
{
	if (plan->stage)
		text_str(out, "stage\n");
	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		if (plan->paths[i])
			text_printf(out, "join %s %s\n", types[i].name, plan->paths[i]);
	if (plan->time_offsets) {
		print_offset(plan->time_offsets->monotonic, "monotonic", out);
		print_offset(plan->time_offsets->boottime, "boottime", out);
	}
	print_types(plan->create & ~(uint64_t)(CLONE_NEWCGROUP | CLONE_NEWNET), "create", out);
	print_mappings(plan->gid_mappings, plan->create & CLONE_NEWUSER ? "map gid" : "expect gid",
		       out);
	print_mappings(plan->uid_mappings, plan->create & CLONE_NEWUSER ? "map uid" : "expect uid",
		       out);
	print_types(plan->create & CLONE_NEWCGROUP, "create", out);
	print_types(plan->create & CLONE_NEWNET, "create", out);
	if (plan->create & CLONE_NEWNET)
		text_str(out, "loopback up\n");
	if (plan->hostname)
		text_printf(out, "hostname %s\n", plan->hostname);
	if (plan->domainname)
		text_printf(out, "domainname %s\n", plan->domainname);
}
