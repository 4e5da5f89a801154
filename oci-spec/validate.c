// What the tables can't say: rules that tie fields to each other, and what is not applied yet.
#include "oci-spec/fields.h"
#include "oci-spec/spec.h"

#include <string.h>

// ---- ociVersion ----

// One number of a semantic version, without leading zeros; NULL where there is none.
static const char *skip_number(const char *version)
{
	size_t digits = strspn(version, "0123456789");

	return digits == 0 || (*version == '0' && digits > 1) ? NULL : version + digits;
}

// `MAJOR.MINOR.PATCH`, then perhaps `-prerelease` and `+build`: semver.org.
static bool is_semver(const char *version)
{
	for (int i = 0; i < 3; i++) {
		if (i > 0 && *version++ != '.')
			return false;
		version = skip_number(version);
		if (!version)
			return false;
	}
	return !*version || ((*version == '-' || *version == '+') && version[1]);
}

static int check_version(const char *version, struct err *err)
{
	if (!is_semver(version))
		return err_set(err, EINVAL, "ociVersion: \"%s\" is not a semantic version",
			       version);
	if (!str_starts(version, "1."))
		return err_set(err, ENOTSUP, "ociVersion: %s is not supported, only 1.x is",
			       version);
	return 0;
}

// ---- process ----

// The path of an error in a process that came alone begins without `process`, as in its own file.
static int check_env(const struct oci_process *process, const char *prefix, struct err *err)
{
	for (size_t i = 0; i < process->env.n; i++) {
		const char *entry = process->env.v[i];

		if (*entry == '=' || !strchr(entry, '='))
			return err_set(err, EINVAL, "%senv[%zu]: \"%s\" is not NAME=VALUE", prefix,
				       i, entry);
	}
	return 0;
}

static int check_rlimits(const struct oci_process *process, const char *prefix, struct err *err)
{
	for (size_t i = 0; i < process->rlimits.n; i++) {
		const struct oci_rlimit *limit = &process->rlimits.v[i];

		if (limit->soft > limit->hard)
			return err_set(err, EINVAL, "%srlimits[%zu].soft: above the hard limit",
				       prefix, i);
		for (size_t j = 0; j < i; j++)
			if (str_eq(limit->type, process->rlimits.v[j].type))
				return err_set(err, EINVAL, "%srlimits[%zu].type: %s stands twice",
					       prefix, i, limit->type);
	}
	return 0;
}

static int not_yet(const char *prefix, const char *name, struct err *err)
{
	return err_set(err, ENOTSUP, "%s%s: not supported yet", prefix, name);
}

static int check_process(const struct oci_process *process, const char *prefix, struct err *err)
{
	const struct oci_exec_cpu_affinity *affinity = process->exec_cpu_affinity;

	if (process->args.n == 0)
		return err_set(err, EINVAL, "%sargs: is empty", prefix);
	if (check_env(process, prefix, err) < 0 || check_rlimits(process, prefix, err) < 0)
		return -err->code;
	if (process->scheduler)
		return not_yet(prefix, "scheduler", err);
	if (process->io_priority)
		return not_yet(prefix, "ioPriority", err);
	if (affinity && (affinity->initial || affinity->final))
		return not_yet(prefix, "execCPUAffinity", err);
	return 0;
}

int spec_validate_process(const struct oci_process *process, struct err *err)
{
	return check_process(process, "", err);
}

// ---- linux ----

static const struct oci_namespace *find_namespace(const struct oci_linux *linux,
						  enum oci_namespace_type type)
{
	for (size_t i = 0; i < linux->namespaces.n; i++)
		if (linux->namespaces.v[i].type == type)
			return &linux->namespaces.v[i];
	return NULL;
}

static int check_namespaces(const struct oci_linux *linux, struct err *err)
{
	for (size_t i = 0; i < linux->namespaces.n; i++)
		if (find_namespace(linux, linux->namespaces.v[i].type) != &linux->namespaces.v[i])
			return err_set(err, EINVAL, "linux.namespaces[%zu].type: stands twice", i);
	return 0;
}

static bool has_offset(const struct oci_time_offsets *offsets)
{
	return offsets && (offsets->monotonic || offsets->boottime);
}

// Masks without a mount namespace of the container's own would be put on the host.
static int check_needs_namespace(const struct oci_spec *spec, struct err *err)
{
	const struct oci_linux *linux = spec->linux;
	const struct {
		const char *field;
		bool present;
		enum oci_namespace_type type;
		const char *name;
	} needs[] = {
		{ "hostname", spec->hostname, OCI_NS_UTS, "uts" },
		{ "domainname", spec->domainname, OCI_NS_UTS, "uts" },
		{ "linux.uidMappings", linux->uid_mappings.n, OCI_NS_USER, "user" },
		{ "linux.gidMappings", linux->gid_mappings.n, OCI_NS_USER, "user" },
		{ "linux.timeOffsets", has_offset(linux->time_offsets), OCI_NS_TIME, "time" },
		{ "linux.maskedPaths", linux->masked_paths.n, OCI_NS_MOUNT, "mount" },
		{ "linux.readonlyPaths", linux->readonly_paths.n, OCI_NS_MOUNT, "mount" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if (needs[i].present && !find_namespace(linux, needs[i].type))
			return err_set(err, EINVAL, "%s: needs a %s namespace in linux.namespaces",
				       needs[i].field, needs[i].name);
	return 0;
}

static int check_user_namespace(const struct oci_linux *linux, struct err *err)
{
	const struct oci_namespace *user = find_namespace(linux, OCI_NS_USER);

	if (!user || user->path)
		return 0;
	if (linux->uid_mappings.n == 0)
		return err_set(err, EINVAL, "linux.uidMappings: a new user namespace needs them");
	if (linux->gid_mappings.n == 0)
		return err_set(err, EINVAL, "linux.gidMappings: a new user namespace needs them");
	return 0;
}

static bool takes_errno(enum oci_seccomp_action action)
{
	return action == OCI_SECCOMP_ERRNO || action == OCI_SECCOMP_TRACE;
}

static int check_syscalls(const struct oci_seccomp *seccomp, struct err *err)
{
	for (size_t i = 0; i < seccomp->syscalls.n; i++) {
		const struct oci_seccomp_rule *rule = &seccomp->syscalls.v[i];

		if (rule->names.n == 0)
			return err_set(err, EINVAL, "linux.seccomp.syscalls[%zu].names: is empty",
				       i);
		if (rule->errno_ret.set && !takes_errno(rule->action))
			return err_set(
				err, EINVAL,
				"linux.seccomp.syscalls[%zu].errnoRet: the action takes none", i);
		if (rule->action == OCI_SECCOMP_NOTIFY && !seccomp->listener_path)
			return err_set(err, EINVAL,
				       "linux.seccomp.syscalls[%zu].action: SCMP_ACT_NOTIFY needs "
				       "linux.seccomp.listenerPath",
				       i);
	}
	return 0;
}

static int check_seccomp(const struct oci_seccomp *seccomp, struct err *err)
{
	// Whoever is to answer the notifications could not be told of them: sending needs system
	// calls.
	if (seccomp->default_action == OCI_SECCOMP_NOTIFY)
		return err_set(err, EINVAL,
			       "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY can't be the default");
	if (seccomp->default_errno_ret.set && !takes_errno(seccomp->default_action))
		return err_set(err, EINVAL, "linux.seccomp.defaultErrnoRet: the action takes none");
	if (seccomp->listener_metadata && !seccomp->listener_path)
		return err_set(err, EINVAL, "linux.seccomp.listenerMetadata: needs listenerPath");
	return check_syscalls(seccomp, err);
}

// ---- resources ----

static int check_device_rules(const struct oci_resources *resources, const char *prefix,
			      struct err *err)
{
	for (size_t i = 0; i < resources->devices.n; i++) {
		const char *access = resources->devices.v[i].access;

		if (access && access[strspn(access, "rwm")])
			return err_set(err, EINVAL,
				       "%sdevices[%zu].access: \"%s\" has more than r, w and m",
				       prefix, i, access);
	}
	return 0;
}

// `64KB`, `2MB`, `1GB`.
static bool is_page_size(const char *size)
{
	size_t digits = strspn(size, "0123456789");

	return digits > 0 && *size != '0' && size[digits] && strchr("KMG", size[digits]) &&
	       str_eq(size + digits + 1, "B");
}

static int check_hugepages(const struct oci_resources *resources, const char *prefix,
			   struct err *err)
{
	for (size_t i = 0; i < resources->hugepage_limits.n; i++) {
		const char *size = resources->hugepage_limits.v[i].page_size;

		if (!is_page_size(size))
			return err_set(
				err, EINVAL,
				"%shugepageLimits[%zu].pageSize: \"%s\" is not a size as 64KB, 2MB or 1GB",
				prefix, i, size);
	}
	return 0;
}

static int check_rdma(const struct oci_resources *resources, const char *prefix, struct err *err)
{
	for (size_t i = 0; i < resources->rdma.n; i++) {
		const struct oci_rdma *rdma = &resources->rdma.v[i];

		if (!rdma->hca_handles.set && !rdma->hca_objects.set)
			return err_set(err, EINVAL, "%srdma.%s: needs hcaHandles or hcaObjects",
				       prefix, rdma->device);
	}
	return 0;
}

// The key becomes a file's name in the container's cgroup, and must not lead elsewhere.
static int check_unified(const struct oci_resources *resources, const char *prefix, struct err *err)
{
	for (size_t i = 0; i < resources->unified.n; i++) {
		const char *file = resources->unified.v[i].key;
		const char *dot = strchr(file, '.');

		if (strchr(file, '/') || !dot || dot == file || !dot[1])
			return err_set(err, EINVAL, "%sunified.%s: is not named CONTROLLER.FILE",
				       prefix, file);
	}
	return 0;
}

static int check_resources(const struct oci_resources *resources, const char *prefix,
			   struct err *err)
{
	static int (*const checks[])(const struct oci_resources *, const char *,
				     struct err *) = { check_device_rules, check_hugepages,
						       check_rdma, check_unified };

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		int ret = checks[i](resources, prefix, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

int spec_validate_resources(const struct oci_resources *resources, struct err *err)
{
	return check_resources(resources, "", err);
}

static int check_linux(const struct oci_spec *spec, struct err *err)
{
	const struct oci_linux *linux = spec->linux;

	if (check_namespaces(linux, err) < 0 || check_needs_namespace(spec, err) < 0 ||
	    check_user_namespace(linux, err) < 0)
		return -err->code;
	if (linux->personality && linux->personality->flags.n > 0)
		return err_set(err, EINVAL, "linux.personality.flags: the specification has none");
	if (linux->seccomp && check_seccomp(linux->seccomp, err) < 0)
		return -err->code;
	if (linux->resources && check_resources(linux->resources, "linux.resources.", err) < 0)
		return -err->code;
	if (linux->net_devices.n > 0)
		return not_yet("linux.", "netDevices", err);
	if (linux->intel_rdt)
		return not_yet("linux.", "intelRdt", err);
	if (linux->memory_policy)
		return not_yet("linux.", "memoryPolicy", err);
	return 0;
}

int spec_validate(const struct oci_spec *spec, struct err *err)
{
	if (check_version(spec->oci_version, err) < 0)
		return -err->code;
	if (!spec->root)
		return err_set(err, EINVAL, "root: is missing");
	if (spec->process && check_process(spec->process, "process.", err) < 0)
		return -err->code;
	return check_linux(spec, err);
}
