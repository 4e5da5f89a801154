#include "vm-mode/split.h"

#include "base/path.h"
#include "base/str.h"

#include <limits.h>

// File systems that show a kernel's own state, or live in its memory: the guest's.
static const char *const guest_types[] = {
	"binfmt_misc", "bpf",	     "cgroup",	  "cgroup2",   "configfs", "debugfs", "devpts",
	"devtmpfs",    "efivarfs",   "fusectl",	  "hugetlbfs", "mqueue",   "proc",    "pstore",
	"ramfs",       "securityfs", "selinuxfs", "smackfs",   "sysfs",	   "tmpfs",   "tracefs",
};

// What a bind mount of the host's becomes.
static const struct {
	const char *source, *type;
} kernel_trees[] = {
	{ "/proc", "proc" },	  { "/sys", "sysfs" },	       { "/sys/fs/cgroup", "cgroup" },
	{ "/dev/pts", "devpts" }, { "/dev/mqueue", "mqueue" },
};

// Options of a bind mount that only the guest's kernel can enforce.
static const char *const guest_flags[] = {
	"nosuid",  "nodev",  "noexec",	"nosymfollow",	"noatime",
	"rnosuid", "rnodev", "rnoexec", "rnosymfollow", "rnoatime",
};
// Told to it when it binds anyway. Not `ro`, which the host keeps: mounts below, made when they are looked at, would
// take it on.
static const char *const shared_flags[] = { "rro" };

enum owner {
	OWNER_GUEST,
	OWNER_HOST,
};

struct division {
	const struct oci_mount *mount;
	const char *target; // clean
	const char *type;   // of the guest's file system; NULL: the mount's own
	enum owner owner;
	bool remount;
	bool covered; // a host's mount in a file system that the guest makes
	bool outer;   // a guest's mount that lies in no other one's
	bool carries; // an outer one in which a mount of the host's lies
	bool again;   // a host's mount that the guest binds upon itself, to have flags of its own
	bool within;  // one that lies in another such
};

struct splitter {
	const struct oci_spec *spec;
	struct arena *arena;
	struct division *v; // one a mount of the spec
};

static bool is_among(const char *word, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(word, list[i]))
			return true;
	return false;
}

#define IS_AMONG(word, list) is_among((word), (list), ARRAY_SIZE(list))

static bool has_option(const struct oci_mount *mount, const char *word)
{
	for (size_t i = 0; i < mount->options.n; i++)
		if (str_eq(mount->options.v[i], word))
			return true;
	return false;
}

static bool has_guest_flags(const struct oci_mount *mount)
{
	for (size_t i = 0; i < mount->options.n; i++)
		if (IS_AMONG(mount->options.v[i], guest_flags))
			return true;
	return false;
}

static bool is_readonly(const struct oci_spec *spec)
{
	return spec->root && spec->root->readonly;
}

static bool is_bind(const struct oci_mount *mount)
{
	return (mount->type && str_eq(mount->type, "bind")) || has_option(mount, "bind") ||
	       has_option(mount, "rbind");
}

static bool is_in(const char *path, const char *dir)
{
	const size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

// NULL: too long.
static const char *clean(struct splitter *s, const char *path, struct err *err)
{
	char buf[PATH_MAX];

	if (path_clean(arena_printf(s->arena, "/%s", path), buf, sizeof(buf)) == 0)
		return arena_strdup(s->arena, buf);
	err_set(err, ENAMETOOLONG, "%s: too long", path);
	return NULL;
}

// ---- whose a mount is ----

static int divide_bind(struct splitter *s, struct division *d, struct err *err)
{
	d->owner = OWNER_HOST;
	if (!d->mount->source || !path_is_abs(d->mount->source))
		return 0;
	const char *source = clean(s, d->mount->source, err);
	if (!source)
		return -err->code;
	for (size_t i = 0; i < ARRAY_SIZE(kernel_trees); i++)
		if (str_eq(source, kernel_trees[i].source)) {
			d->owner = OWNER_GUEST;
			d->type = kernel_trees[i].type;
			return 0;
		}
	if (is_in(source, "/proc") || is_in(source, "/sys"))
		return err_set(err, ENOTSUP,
			       "%s of the host can't be shown in a VM, which has its own", source);
	return 0;
}

static void divide_remount(struct splitter *s, size_t i)
{
	struct division *d = &s->v[i];

	d->remount = true;
	d->owner = OWNER_HOST;
	for (size_t k = 0; k < i; k++)
		if (str_eq(s->v[k].target, d->target))
			d->owner = s->v[k].owner;
}

// Where the mount stands among those before it.
static void place(struct splitter *s, size_t i)
{
	struct division *d = &s->v[i];

	d->outer = d->owner == OWNER_GUEST && !d->remount;
	for (size_t k = 0; k < i; k++) {
		struct division *before = &s->v[k];

		if (!is_in(d->target, before->target))
			continue;
		d->within |= before->again && !d->remount;
		if (before->owner != OWNER_GUEST || before->remount)
			continue;
		if (d->owner == OWNER_HOST) {
			d->covered = true;
			before->carries |= before->outer;
		}
		d->outer = false;
	}
	// What isn't bound again takes its flags from the mount that it lies in.
	d->again = d->owner == OWNER_HOST && (d->covered || has_guest_flags(d->mount) ||
					      d->within || (!d->remount && is_readonly(s->spec)));
}

static int divide_mount(struct splitter *s, size_t i, struct err *err)
{
	struct division *d = &s->v[i];
	int ret = 0;

	d->mount = &s->spec->mounts.v[i];
	d->target = clean(s, d->mount->destination, err);
	if (!d->target)
		return -err->code;
	if (has_option(d->mount, "remount"))
		divide_remount(s, i);
	else if (is_bind(d->mount))
		ret = divide_bind(s, d, err);
	else
		d->owner = d->mount->type && IS_AMONG(d->mount->type, guest_types) ? OWNER_GUEST :
										     OWNER_HOST;
	place(s, i);
	return ret;
}

static int divide_mounts(struct splitter *s, struct err *err)
{
	s->v = arena_new(s->arena, struct division, s->spec->mounts.n);
	for (size_t i = 0; i < s->spec->mounts.n; i++)
		if (divide_mount(s, i, err) < 0)
			return err_wrap(err, "mounts[%zu]", i);
	return 0;
}

// ---- the host's mounts ----

// A directory with nothing in it but the mount points of what the host mounts there; and where the
// host makes the root read-only, the guest couldn't make its mount points in it.
static bool needs_stand_in(const struct splitter *s, const struct division *d)
{
	return d->outer && (d->carries || is_readonly(s->spec));
}

static struct oci_mount stand_in(const struct splitter *s, const struct division *d)
{
	struct oci_mount mount = {
		.destination = arena_strdup(s->arena, d->target),
		.type = arena_strdup(s->arena, "tmpfs"),
		.source = arena_strdup(s->arena, "tmpfs"),
	};

	// The guest copies from here.
	if (has_option(d->mount, "tmpcopyup")) {
		mount.options.v = arena_new(s->arena, char *, 2);
		mount.options.v[mount.options.n++] = arena_strdup(s->arena, "tmpcopyup");
	}
	return mount;
}

static void add_host_mounts(const struct splitter *s, struct oci_spec *host)
{
	host->mounts.v = arena_new(s->arena, struct oci_mount, s->spec->mounts.n);
	host->mounts.n = 0;
	for (size_t i = 0; i < s->spec->mounts.n; i++) {
		const struct division *d = &s->v[i];

		if (d->owner == OWNER_HOST)
			host->mounts.v[host->mounts.n++] = *d->mount;
		else if (needs_stand_in(s, d))
			host->mounts.v[host->mounts.n++] = stand_in(s, d);
	}
}

// ---- the guest's mounts ----

// What the guest is told of a bind mount of the host's.
static struct oci_strings bind_options(const struct splitter *s, const struct division *d)
{
	static const char *const defaults[] = { "rw", "suid", "dev", "exec", "symfollow" };
	const struct oci_mount *mount = d->mount;
	struct oci_strings options = {
		.v = arena_new(s->arena, char *, mount->options.n + 1 + ARRAY_SIZE(defaults))
	};

	options.v[options.n++] = arena_strdup(s->arena, "rbind");
	for (size_t i = 0; d->within && i < ARRAY_SIZE(defaults); i++)
		options.v[options.n++] = arena_strdup(s->arena, defaults[i]);
	for (size_t i = 0; i < mount->options.n; i++)
		if (IS_AMONG(mount->options.v[i], guest_flags) ||
		    IS_AMONG(mount->options.v[i], shared_flags))
			options.v[options.n++] = mount->options.v[i];
	return options;
}

static struct oci_mount bind_again(const struct splitter *s, const struct division *d)
{
	return (struct oci_mount){
		.destination = arena_strdup(s->arena, d->target),
		.type = arena_strdup(s->arena, "bind"),
		.source = arena_strdup(s->arena, d->target),
		.options = bind_options(s, d),
	};
}

// The options without those that made it a bind mount.
static struct oci_mount mount_anew(const struct splitter *s, const struct division *d)
{
	const struct oci_strings *given = &d->mount->options;
	struct oci_mount mount = {
		.destination = d->mount->destination,
		.type = arena_strdup(s->arena, d->type),
		.source = arena_strdup(s->arena, d->type),
		.options.v = arena_new(s->arena, char *, given->n + 1),
	};

	for (size_t i = 0; i < given->n; i++)
		if (!str_eq(given->v[i], "bind") && !str_eq(given->v[i], "rbind"))
			mount.options.v[mount.options.n++] = given->v[i];
	return mount;
}

static void add_guest_mounts(const struct splitter *s, struct oci_spec *guest)
{
	guest->mounts.v = arena_new(s->arena, struct oci_mount, s->spec->mounts.n);
	guest->mounts.n = 0;
	for (size_t i = 0; i < s->spec->mounts.n; i++) {
		const struct division *d = &s->v[i];
		struct oci_mount *next = &guest->mounts.v[guest->mounts.n];

		if (d->owner == OWNER_HOST && !d->again)
			continue;
		guest->mounts.n++;
		*next = d->owner == OWNER_HOST ? bind_again(s, d) :
			d->type		       ? mount_anew(s, d) :
						 *d->mount;
	}
}

// ---- the rest ----

static int refuse_notify(const struct oci_seccomp *seccomp, struct err *err)
{
	bool notifies = seccomp && seccomp->default_action == OCI_SECCOMP_NOTIFY;

	for (size_t i = 0; seccomp && i < seccomp->syscalls.n; i++)
		notifies |= seccomp->syscalls.v[i].action == OCI_SECCOMP_NOTIFY;
	if (notifies)
		return err_set(err, ENOTSUP,
			       "linux.seccomp: SCMP_ACT_NOTIFY: a system call of a VM's can't be "
			       "handed to a process of the host");
	return 0;
}

static const struct oci_linux *host_linux(const struct splitter *s)
{
	struct oci_linux *linux = arena_new(s->arena, struct oci_linux, 1);

	*linux = *s->spec->linux;
	memset(&linux->devices, 0, sizeof(linux->devices));
	linux->sysctl = (struct oci_pairs){ 0 };
	linux->seccomp = NULL;
	linux->masked_paths = linux->readonly_paths = (struct oci_strings){ 0 };
	linux->time_offsets = NULL;
	return linux;
}

// Each is new in the guest, whatever it is on the host. Its first process hides from the container
// in a pid namespace of its own.
static void add_guest_namespaces(const struct splitter *s, struct oci_linux *linux)
{
	static const bool wanted[OCI_NS_COUNT] = {
		[OCI_NS_IPC] = true,
		[OCI_NS_UTS] = true,
		[OCI_NS_TIME] = true,
	};
	const struct oci_linux *whole = s->spec->linux;

	linux->namespaces.v = arena_new(s->arena, struct oci_namespace, OCI_NS_COUNT);
	linux->namespaces.v[linux->namespaces.n++].type = OCI_NS_PID;
	linux->namespaces.v[linux->namespaces.n++].type = OCI_NS_MOUNT;
	// Above the container's own cgroup there is nothing in the guest that it could want to see.
	linux->namespaces.v[linux->namespaces.n++].type = OCI_NS_CGROUP;
	for (size_t i = 0; i < whole->namespaces.n; i++)
		if (wanted[whole->namespaces.v[i].type])
			linux->namespaces.v[linux->namespaces.n++].type =
				whole->namespaces.v[i].type;
}

static struct oci_linux *guest_linux(const struct splitter *s)
{
	const struct oci_linux *whole = s->spec->linux;
	struct oci_linux *linux = arena_new(s->arena, struct oci_linux, 1);

	*linux = (struct oci_linux){
		.time_offsets = whole->time_offsets,
		.cgroups_path = arena_strdup(s->arena, VM_SPLIT_CGROUP),
		// Nobody writes through a const pointer.
		.resources = (struct oci_resources *)vm_split_resources(whole->resources, s->arena),
		.sysctl = whole->sysctl,
		.rootfs_propagation = whole->rootfs_propagation,
		.masked_paths = whole->masked_paths,
		.readonly_paths = whole->readonly_paths,
		.personality = whole->personality,
	};
	memcpy(&linux->devices, &whole->devices, sizeof(linux->devices));
	add_guest_namespaces(s, linux);
	return linux;
}

static struct oci_hooks *hooks_of(const struct splitter *s, bool guest)
{
	const struct oci_hooks *whole = s->spec->hooks;
	struct oci_hooks *hooks = arena_new(s->arena, struct oci_hooks, 1);

	if (!whole || (guest && whole->start_container.n == 0))
		return NULL;
	if (guest) {
		hooks->start_container = whole->start_container;
	} else {
		*hooks = *whole;
		hooks->start_container = (struct oci_hook_list){ 0 };
	}
	return hooks;
}

const struct oci_process *vm_split_process(const struct oci_process *process, struct arena *arena)
{
	struct oci_process *guest = arena_new(arena, struct oci_process, 1);

	if (!process)
		return NULL;
	*guest = *process;
	guest->apparmor_profile = guest->selinux_label = NULL;
	guest->exec_cpu_affinity = NULL;
	return guest;
}

struct vm_split_owner vm_split_file(const char *file)
{
	static const struct {
		const char *prefix;
		struct vm_split_owner owner;
	} rows[] = {
		// The guest has no swap of its own.
		{ "memory.swap.", { .host = true } },
		{ "memory.zswap.", { .host = true } },
		// The guest has no memory but what the host leaves it.
		{ "memory.low", { .guest = true, .host = true } },
		{ "memory.min", { .guest = true, .host = true } },
		{ "memory.", { .guest = true } },
		{ "pids.", { .guest = true } },
		// Huge pages are the guest's own: none of the host's are behind its memory.
		{ "hugetlb.", { .guest = true } },
		{ "cpu.", { .guest = true, .host = true } },
		{ "cgroup.", { .guest = true, .host = true } },
		{ "", { .host = true } },
	};
	size_t i = 0;

	while (!str_starts(file, rows[i].prefix))
		i++;
	return rows[i].owner;
}

const struct oci_resources *vm_split_resources(const struct oci_resources *resources,
					       struct arena *arena)
{
	struct oci_resources *guest = arena_new(arena, struct oci_resources, 1);

	if (!resources)
		return NULL;
	memcpy(&guest->devices, &resources->devices, sizeof(guest->devices));
	guest->pids = resources->pids;
	memcpy(&guest->hugepage_limits, &resources->hugepage_limits,
	       sizeof(guest->hugepage_limits));
	if (resources->memory) {
		// The guest has no swap; the rest of the fields is cgroup v1's.
		guest->memory = arena_new(arena, struct oci_memory, 1);
		guest->memory->limit = resources->memory->limit;
		guest->memory->reservation = resources->memory->reservation;
		guest->memory->check_before_update = resources->memory->check_before_update;
	}
	if (resources->cpu) {
		guest->cpu = arena_new(arena, struct oci_cpu, 1);
		guest->cpu->shares = resources->cpu->shares;
		guest->cpu->quota = resources->cpu->quota;
		guest->cpu->burst = resources->cpu->burst;
		guest->cpu->period = resources->cpu->period;
		guest->cpu->idle = resources->cpu->idle;
	}
	guest->unified.v = arena_new(arena, struct oci_pair, resources->unified.n);
	for (size_t i = 0; i < resources->unified.n; i++)
		if (vm_split_file(resources->unified.v[i].key).guest)
			guest->unified.v[guest->unified.n++] = resources->unified.v[i];
	return guest;
}

int vm_split(const struct oci_spec *spec, struct arena *arena, const struct oci_spec **host,
	     const struct oci_spec **guest, struct err *err)
{
	struct splitter s = { .spec = spec, .arena = arena };
	struct oci_spec *hosts = arena_new(arena, struct oci_spec, 1);
	struct oci_spec *guests = arena_new(arena, struct oci_spec, 1);

	if (refuse_notify(spec->linux->seccomp, err) < 0 || divide_mounts(&s, err) < 0)
		return -err->code;
	*hosts = *spec;
	hosts->hostname = hosts->domainname = NULL;
	hosts->linux = (struct oci_linux *)host_linux(&s);
	hosts->hooks = hooks_of(&s, false);
	add_host_mounts(&s, hosts);

	*guests = *spec;
	guests->process = (struct oci_process *)vm_split_process(spec->process, arena);
	guests->linux = guest_linux(&s);
	guests->hooks = hooks_of(&s, true);
	guests->vm = NULL;
	add_guest_mounts(&s, guests);
	*host = hosts;
	*guest = guests;
	return 0;
}
