// check: what this host has of what moat needs, and what to do about the rest.

#include "base/io.h"
#include "base/proc.h"
#include "base/scope.h"
#include "base/str.h"
#include "process/process.h"
#include "runtime/conf.h"
#include "runtime/runtime.h"
#include "runtime/vm_files.h"
#include "runtime/vm_host.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FILE_MAX ((size_t)64 * 1024)

struct settings {
	const char *format;
};

#define AT(member) offsetof(struct settings, member)
static const struct option_row options[] = {
	{ "format", 'f', OPTION_STRING, AT(format), "FORMAT", "table (default) or json" },
	{ 0 },
};
#undef AT

enum status { OK, LIMITED, MISSING };

struct finding {
	enum status status;
	const char *value;
	const char *advice; // NULL: there is nothing to do
};

static struct finding found(const char *value)
{
	return (struct finding){ OK, value, NULL };
}

static struct finding lacks(enum status status, const char *value, const char *advice)
{
	return (struct finding){ status, value, advice };
}

// The first line of a file; NULL where it can't be read.
static const char *first_line(const struct runtime *rt, const char *path)
{
	scope_free char *text = NULL;
	struct err err;

	if (io_read_file(AT_FDCWD, path, FILE_MAX, &text, NULL, &err) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return arena_strdup(rt->arena, text);
}

// Is it one of the words of a list?
static bool has_word(const char *list, const char *word)
{
	const size_t len = strlen(word);

	for (const char *at = list; *at;) {
		const size_t n = strcspn(at, ", \t\n");

		if (n == len && memcmp(at, word, len) == 0)
			return true;
		at += n + (at[n] != '\0');
	}
	return false;
}

// ---- containers ----

static struct finding look_kernel(const struct runtime *rt)
{
	struct mount_attr attr = { 0 };
	struct utsname names;

	// The latest of the system calls that no container can be made without.
	const bool missing = mount_setattr(-1, "", 0, &attr, sizeof(attr)) < 0 && errno == ENOSYS;
	uname(&names);
	const char *release = arena_printf(rt->arena, "%s %s", names.release, names.machine);
	return missing ? lacks(MISSING, release,
			       "mount_setattr(2) is needed: run Linux 5.12 or later") :
			 found(release);
}

// What fails without them. Of all others: a spec can't grant what moat itself has not.
static const struct {
	unsigned int cap;
	const char *fails;
} wanted_caps[] = {
	{ CAP_CHOWN, "devices can't be given an owner" },
	{ CAP_DAC_OVERRIDE, "what belongs to others, as files and cgroups, can't be changed" },
	{ CAP_SETGID, "a program's groups can't be set" },
	{ CAP_SETUID, "a program's user can't be set" },
	{ CAP_SETPCAP, "a program's bounding set can't be lowered" },
	{ CAP_NET_ADMIN, "a new network namespace's loopback can't be brought up" },
	{ CAP_MKNOD, "devices that this host's /dev lacks can't be made" },
	{ CAP_SYS_RESOURCE, "hard limits can't be raised, as podman does with RLIMIT_NOFILE, nor "
			    "oomScoreAdj lowered" },
};

static struct finding lacks_caps(const struct runtime *rt, uint64_t missing)
{
	scope_text struct text names = { 0 }, advice = { 0 };

	for (unsigned int cap = 0; cap < 64; cap++)
		if (missing >> cap & 1 && process_cap_name(cap))
			text_printf(&names, " %s", process_cap_name(cap));
	for (size_t i = 0; i < ARRAY_SIZE(wanted_caps); i++)
		if (missing >> wanted_caps[i].cap & 1)
			text_printf(&advice, "without %s %s; ",
				    process_cap_name(wanted_caps[i].cap), wanted_caps[i].fails);
	text_str(&advice, "no program can be given what moat lacks");
	return lacks(LIMITED, arena_printf(rt->arena, "root without%s", names.str),
		     arena_strdup(rt->arena, advice.str));
}

static struct finding look_privileges(const struct runtime *rt)
{
	const uint64_t caps = process_caps_grantable(false);
	const bool admin = caps >> CAP_SYS_ADMIN & 1;
	const uint64_t missing = process_caps_grantable(true) & ~caps;

	if (geteuid() != 0)
		return lacks(
			LIMITED, arena_printf(rt->arena, "rootless, as user %u", geteuid()),
			"containers get a user namespace, and a cgroup only where one is delegated");
	if (!admin)
		return lacks(MISSING, "root without CAP_SYS_ADMIN",
			     "run moat with CAP_SYS_ADMIN, or as an ordinary user");
	if (rt->rootless)
		return lacks(LIMITED, "root of a user namespace",
			     "what only the host's root may do is left out");
	return missing ? lacks_caps(rt, missing) : found("root with all capabilities");
}

static struct finding look_namespaces(const struct runtime *rt)
{
	static const char *const names[] = { "mnt", "pid",  "net",    "ipc",
					     "uts", "user", "cgroup", "time" };
	scope_text struct text has = { 0 }, missing = { 0 };
	char path[64];

	text_str(&has, "");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		struct text *text = access(path, F_OK) == 0 ? &has : &missing;
		text_printf(text, "%s%s", text->len ? " " : "", names[i]);
	}
	const char *value = arena_strdup(rt->arena, has.str);
	if (!missing.len)
		return found(value);
	return lacks(has_word(value, "mnt") ? LIMITED : MISSING, value,
		     arena_printf(rt->arena,
				  "specs with others are refused; the kernel was built without, "
				  "or /proc isn't mounted: %s",
				  missing.str));
}

// By trying: who forbids it may be a sysctl, a security module or a seccomp filter. Some forbid
// not the namespace but the use of it.
static struct finding look_user_namespaces(const struct runtime *rt)
{
	const pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? errno : 0);
	const int code = pid < 0 ? errno : proc_wait(pid);
	if (code == 0)
		return found("allowed");
	return lacks(
		MISSING, arena_printf(rt->arena, "refused: %s", err_text(code)),
		"see the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and "
		"kernel.apparmor_restrict_unprivileged_userns");
}

static struct finding look_cgroups(const struct runtime *rt)
{
	static const char *const layouts[] = {
		[CGROUP_LEGACY] = "v1", [CGROUP_HYBRID] = "hybrid of v1 and v2", [CGROUP_UNIFIED] = "v2"
	};
	static const char *const wanted[] = { "cpu", "memory", "pids" };
	scope_text struct text has = { 0 }, missing = { 0 };
	const struct cgroup_host *host;
	struct err err;

	if (cgroup_host_detect(rt->arena, &host, &err) < 0)
		return lacks(MISSING, arena_strdup(rt->arena, err.msg), "mount /proc");
	text_str(&has, "");
	for (size_t i = 0; i < host->hierarchies.n; i++) {
		const char *controllers = host->hierarchies.v[i].controllers;
		if (*controllers && !str_starts(controllers, "name="))
			text_printf(&has, " %s", controllers);
	}
	if (!has.len)
		return lacks(LIMITED, "none",
			     "no limits, no pause: mount cgroup2 at /sys/fs/cgroup, or use "
			     "--cgroup-manager disabled");
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!has_word(has.str, wanted[i]))
			text_printf(&missing, " %s", wanted[i]);
	const char *value = arena_printf(rt->arena, "%s:%s", layouts[host->layout], has.str);
	return missing.len ? lacks(LIMITED, value,
				   arena_printf(rt->arena, "limits that need these are refused:%s",
						missing.str)) :
			     found(value);
}

static struct finding look_systemd(const struct runtime *rt)
{
	struct cgroup_systemd systemd;
	struct err err;

	if (cgroup_systemd_find(rt->rootless, rt->arena, &systemd, &err) < 0)
		return lacks(MISSING, arena_strdup(rt->arena, err.msg),
			     "not needed: tell engines to use the cgroup driver cgroupfs");
	return found(systemd.user ? "runs, the user's own manager" : "runs");
}

static struct finding look_seccomp(const struct runtime *rt)
{
	const char *actions = first_line(rt, "/proc/sys/kernel/seccomp/actions_avail");

	return actions ?
		       found(actions) :
		       lacks(MISSING, "no filters",
			     "containers with a seccomp profile fail, and so does VM mode: build the "
			     "kernel with CONFIG_SECCOMP_FILTER");
}

static struct finding look_landlock(const struct runtime *rt)
{
	const long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
				     LANDLOCK_CREATE_RULESET_VERSION);

	return version > 0 ? found(arena_printf(rt->arena, "ABI version %ld", version)) :
			     lacks(MISSING, "not there",
				   "VM mode does without: boot with landlock in lsm= to have it");
}

static struct finding look_overlayfs(const struct runtime *rt)
{
	scope_free char *text = NULL;
	struct err err;

	(void)rt;
	if (io_read_file(AT_FDCWD, "/proc/filesystems", FILE_MAX, &text, NULL, &err) == 0 &&
	    has_word(text, "overlay"))
		return found("there");
	return lacks(LIMITED, "not there, or a module that isn't loaded",
		     "engines want it for images, moat itself doesn't: modprobe overlay");
}

static struct finding look_conf(const struct runtime *rt)
{
	const struct conf *conf;
	struct err err;

	if (conf_load(rt->rootless, rt->arena, &conf, &err) < 0)
		return lacks(MISSING, arena_strdup(rt->arena, err.msg),
			     "correct or remove it: until then no container can be made");
	return found(conf->path ? arena_printf(rt->arena, "%s: containers are %s", conf->path,
					       conf->mode == CONF_VM ? "microVMs" : "processes") :
				  "none: containers are processes");
}

// ---- VM mode ----

static struct finding look_kvm(const struct runtime *rt)
{
	struct err err;
	scope_fd int fd = vm_host_open_kvm(&err);

	if (fd >= 0)
		return found("/dev/kvm can be opened");
	return lacks(
		MISSING, arena_strdup(rt->arena, err.msg),
		err.code == EACCES || err.code == EPERM ?
			"let this user open it: by its group, which is kvm on most hosts" :
			"load kvm_intel or kvm_amd, and in a container or a VM have its host hand "
			"KVM on");
}

static struct finding look_probe(const struct runtime *rt)
{
	struct err err;
	scope_fd int fd = vm_host_open_kvm(&err);

	if (fd >= 0 && vm_host_probe(fd, &err) == 0)
		return found("a guest's system call works");
	return lacks(MISSING, arena_strdup(rt->arena, err.msg),
		     fd < 0 ? "see kvm" :
			      "run VM mode on another host, or on one with hardware KVM");
}

static struct finding look_guest_kernel(const struct runtime *rt)
{
	struct vm_files_kernel kernel;
	struct err err;
	scope_fd int fd = vm_files_open_kernel(rt->arena, &kernel, &err);

	if (fd < 0)
		return lacks(MISSING, arena_strdup(rt->arena, err.msg),
			     "make guest-kernel; make install; or name another by --vm-kernel");
	return found(kernel.version ? kernel.version : "there, of unknown version");
}

static struct finding look_agent(const struct runtime *rt)
{
	struct err err;
	scope_fd int fd = vm_files_open_agent(&err);

	return fd >= 0 ? found("there") :
			 lacks(MISSING, arena_strdup(rt->arena, err.msg), "make; make install");
}

// ---- the table ----

enum need { WANTED, ROOTLESS, CONTAINERS, VM_MODE };

static const struct fact {
	const char *name;
	enum need need; // what is impossible when it is missing
	struct finding (*look)(const struct runtime *rt);
} facts[] = {
	{ "kernel", CONTAINERS, look_kernel },
	{ "privileges", CONTAINERS, look_privileges },
	{ "namespaces", CONTAINERS, look_namespaces },
	{ "user-namespaces", ROOTLESS, look_user_namespaces },
	{ "cgroups", CONTAINERS, look_cgroups },
	{ "systemd", WANTED, look_systemd },
	{ "seccomp", VM_MODE, look_seccomp },
	{ "landlock", WANTED, look_landlock },
	{ "overlayfs", WANTED, look_overlayfs },
	{ "moat.conf", CONTAINERS, look_conf },
	{ "kvm", VM_MODE, look_kvm },
	{ "kvm-probe", VM_MODE, look_probe },
	{ "guest-kernel", VM_MODE, look_guest_kernel },
	{ "agent", VM_MODE, look_agent },
};

static bool needed_for(enum need need, enum need mode)
{
	if (need == ROOTLESS)
		return geteuid() != 0;
	return need == CONTAINERS || (need == VM_MODE && mode == VM_MODE);
}

// Whether containers can run in this mode: no, if something is missing that it needs.
static struct finding judge(const struct runtime *rt, const struct finding *findings,
			    enum need mode)
{
	for (size_t i = 0; i < ARRAY_SIZE(facts); i++)
		if (findings[i].status == MISSING && needed_for(facts[i].need, mode))
			return lacks(MISSING, "can't run",
				     arena_printf(rt->arena, "see %s", facts[i].name));
	return found("can run");
}

static void print_row(const char *name, const struct finding *finding, bool json, struct text *out)
{
	static const char *const statuses[] = {
		[OK] = "ok", [LIMITED] = "limited", [MISSING] = "missing"
	};
	const char *const members[] = { "name",	  name,
					"status", statuses[finding->status],
					"value",  finding->value,
					"advice", finding->advice ? finding->advice : "" };

	if (!json) {
		text_printf(out, "%-16s  %-8s  %s\n", name, statuses[finding->status],
			    finding->value);
		if (finding->advice)
			text_printf(out, "%-16s  %-8s  -> %s\n", "", "", finding->advice);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		text_str(out, i == 0 ? (out->len ? ",{" : "[{") : i % 2 ? ":" : ",");
		text_json(out, members[i]);
	}
	text_str(out, "}");
}

static int run(const struct runtime *rt, const void *untyped, const struct option_rest *rest,
	       struct err *err)
{
	const struct settings *settings = untyped;
	const int json = options_wants_json(settings->format, err);
	struct finding findings[ARRAY_SIZE(facts)];
	scope_text struct text out = { 0 };

	(void)rest;
	if (json < 0)
		return json;
	if (!json)
		text_printf(&out, "%-16s  %-8s  %s\n", "NAME", "STATUS", "WHAT IT IS");
	for (size_t i = 0; i < ARRAY_SIZE(facts); i++) {
		findings[i] = facts[i].look(rt);
		print_row(facts[i].name, &findings[i], json, &out);
	}
	const struct finding containers = judge(rt, findings, CONTAINERS);
	const struct finding vm = judge(rt, findings, VM_MODE);
	print_row("containers", &containers, json, &out);
	print_row("vm-mode", &vm, json, &out);
	printf("%s%s", out.str, json ? "]\n" : "");
	return containers.status == MISSING;
}

const struct verb verb_check = {
	.name = "check",
	.usage = "",
	.summary = "tell what this host has of what moat needs",
	.options = options,
	.settings_size = sizeof(struct settings),
	.run = run,
};
