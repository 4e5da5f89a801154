// Births into namespaces, as they are: new, joined, mapped; with and without rights.
#include "namespaces/namespaces.h"
#include "namespaces/sysctl.h"

#include "base/io.h"
#include "base/proc.h"
#include "base/scope.h"
#include "base/sys.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ORDINARY_UID 54321 // has no range in /etc/subuid
#define NOBODY_UID   65534 // has a name

static struct err err;
static int holders; // children that are meant to be there
static struct oci_id_mapping wide[] = { { 0, 100000, 65536 } };
static const struct oci_id_mappings wide_map = { wide, 1 }, no_map;

// ---- what a child tells of itself, by its exit status ----

static ino_t own_ino(enum oci_namespace_type type)
{
	struct stat st = { 0 };
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/ns/%s", ns_type_file(type));
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

static ino_t moats[OCI_NS_COUNT]; // this process's own

// The set of namespaces that differ from this test's, as bits of enum oci_namespace_type.
static int differing(void)
{
	int set = 0;

	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		if (own_ino(i) != moats[i])
			set |= 1 << i;
	return set;
}

static int is_root_alone(void)
{
	return getuid() == 0 && geteuid() == 0 && getgid() == 0 && getgroups(0, NULL) == 0;
}

static int is_root(void)
{
	return getuid() == 0 && getgid() == 0;
}

static int mask_is_empty(void)
{
	sigset_t mask;
	struct sigaction usr1;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigaction(SIGUSR1, NULL, &usr1);
	return sigisemptyset(&mask) && usr1.sa_handler == SIG_DFL;
}

static int is_dumpable(void)
{
	return prctl(PR_GET_DUMPABLE);
}

static int boottime_days(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int)(now.tv_sec / 86400 / 1000);
}

static int become(uid_t id)
{
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(id, id, id) < 0))
		return -1;
	if (setresuid(id, id, id) < 0)
		return -1;
	// Another user's files in /proc are this process's own again.
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

// In the child: goes where the plan says, tells over the pipe how that went, and ends with the
// answer.
static void __attribute__((noreturn))
answer(const struct ns_plan *plan, struct ns_spawn *spawn, int pipe, int (*ask)(void))
{
	const bool into = spawn->target >= 0;

	if (ns_arrive(plan, spawn, &err) == 0 && !into)
		ns_setup(plan, &err);
	if (write(pipe, &err, sizeof(err)) != sizeof(err) || err.code)
		_exit(255);
	_exit(ask());
}

// The exit status of a child that ns_spawn() or ns_spawn_into() (pidfd >= 0) has made and that
// returns what `ask` says; negative errno if it could not be made, -ECHILD if a process is left
// then.
static int spawn_and_ask(const struct ns_plan *plan, int pidfd, int (*ask)(void))
{
	struct ns_spawn spawn = { .cgroup_fd = -1 };
	const pid_t parent = getpid();
	int ret, ends[2];

	err = (struct err){ 0 };
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	scope_fd int from = ends[0];
	scope_fd int to = ends[1];
	ret = pidfd < 0 ? ns_spawn(plan, &spawn, &err) : ns_spawn_into(plan, pidfd, &spawn, &err);
	if (ret < 0) {
		const pid_t left = waitpid(-1, NULL, WNOHANG);

		if (left > 0 || (left == 0 && holders == 0))
			return -ECHILD;
		return ret;
	}
	if (ret == 0 && getpid() == parent)
		return -EDOM; // took itself for the child
	if (ret == 0)
		answer(plan, &spawn, to, ask);
	struct pollfd fd = { .fd = spawn.pidfd, .events = POLLIN };
	poll(&fd, 1, 10000);
	close(spawn.pidfd);
	int status = proc_wait(spawn.pid);
	if (read(from, &err, sizeof(err)) != sizeof(err))
		return -EPIPE;
	return err.code ? -err.code : status;
}

// ---- a process that holds namespaces for others to join ----

struct holder {
	pid_t pid;
	int pidfd;
	char paths[OCI_NS_COUNT][64];
};

// The process tells over a pipe when it is ready.
static int hold(const struct ns_plan *plan, struct holder *holder)
{
	int ready[2];
	char byte;
	struct ns_spawn spawn = { .cgroup_fd = -1 };
	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	int ret = ns_spawn(plan, &spawn, &err);
	if (ret == 0) {
		if (ns_arrive(plan, &spawn, &err) < 0 || ns_setup(plan, &err) < 0 ||
		    write(ready[1], "", 1) != 1)
			_exit(1);
		sleep(30); // longer than any test; should this test die, it won't be for ever
		_exit(0);
	}
	close(ready[1]);
	if (ret > 0 && read(ready[0], &byte, 1) != 1)
		ret = -EIO;
	close(ready[0]);
	holders++;
	*holder = (struct holder){ .pid = ret < 0 ? -1 : spawn.pid, .pidfd = spawn.pidfd };
	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		snprintf(holder->paths[i], sizeof(holder->paths[i]), "/proc/%d/ns/%s", spawn.pid,
			 ns_type_file(i));
	return ret;
}

static int hold_types(uint64_t create, struct holder *holder)
{
	const bool user = create & CLONE_NEWUSER;
	const struct ns_plan plan = {
		.create = create,
		.uid_mappings = user ? &wide_map : &no_map,
		.gid_mappings = user ? &wide_map : &no_map,
	};

	return hold(&plan, holder);
}

static void release(struct holder *holder)
{
	if (holder->pid <= 0)
		return;
	holders--;
	kill(holder->pid, SIGKILL);
	proc_wait(holder->pid);
	close(holder->pidfd);
}

#define scope_holder __attribute__((cleanup(release)))

static int bits(uint64_t flags)
{
	int set = 0;

	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		if (flags & ns_type_flag(i))
			set |= 1 << i;
	return set;
}

static struct ns_plan joining(const struct holder *holder, uint64_t join)
{
	struct ns_plan plan = { .join = join, .uid_mappings = &no_map, .gid_mappings = &no_map };

	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		if (join & ns_type_flag(i))
			plan.paths[i] = holder->paths[i];
	plan.stage = join & (CLONE_NEWPID | CLONE_NEWUSER);
	return plan;
}

// ---- the tests ----

static void ignore(int sig)
{
	(void)sig;
}

static void test_new(void)
{
	const uint64_t all = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC |
			     CLONE_NEWUTS | CLONE_NEWTIME;
	const struct ns_plan none = { .uid_mappings = &no_map, .gid_mappings = &no_map };
	struct ns_plan every = none;
	sigset_t blocked, before;

	every.create = all | CLONE_NEWCGROUP;
	is_int(spawn_and_ask(&none, -1, differing), 0);
	is_int(spawn_and_ask(&every, -1, differing), bits(all));
	is_int(spawn_and_ask(&every, -1, getpid), 1);

	sigfillset(&blocked);
	sigprocmask(SIG_SETMASK, &blocked, &before);
	signal(SIGUSR1, ignore);
	is_int(spawn_and_ask(&every, -1, mask_is_empty), 1);
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGUSR1, SIG_DFL);
}

static void test_new_user(void)
{
	struct oci_id_mapping late[] = { { 7, 100000, 10 } };
	const struct oci_id_mappings late_map = { late, 1 };
	struct ns_plan plan = {
		.create = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS,
		.uid_mappings = &wide_map,
		.gid_mappings = &wide_map,
	};
	const gid_t groups[] = { 100001 };

	setgroups(1, groups);
	is_int(spawn_and_ask(&plan, -1, is_root_alone), 1);
	is_int(spawn_and_ask(&plan, -1, is_dumpable), 1);
	is_int(spawn_and_ask(&plan, -1, differing), bits(plan.create));
	plan.uid_mappings = plan.gid_mappings = &late_map;
	is_int(spawn_and_ask(&plan, -1, (int (*)(void))getuid), 7);
	is_int(spawn_and_ask(&plan, -1, (int (*)(void))getgid), 7);
	setgroups(0, NULL);
}

static void test_join(void)
{
	const uint64_t types = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS;
	scope_holder struct holder holder = { 0 };
	struct ns_plan plan;

	if (!ok(hold_types(types | CLONE_NEWPID | CLONE_NEWTIME, &holder) > 0, "a holder"))
		return;
	plan = joining(&holder, CLONE_NEWNET | CLONE_NEWUTS);
	is_int(spawn_and_ask(&plan, -1, differing), bits(CLONE_NEWNET | CLONE_NEWUTS));
	is_int(spawn_and_ask(&plan, -1, is_dumpable), 1);
	plan.create = CLONE_NEWPID;
	is_int(spawn_and_ask(&plan, -1, getpid), 1);

	plan = joining(&holder, types | CLONE_NEWPID | CLONE_NEWTIME);
	is_int(spawn_and_ask(&plan, -1, differing), bits(types | CLONE_NEWPID | CLONE_NEWTIME));
	ok(spawn_and_ask(&plan, -1, getpid) > 1, "not the first in a joined pid namespace");
	is_int(spawn_and_ask(&plan, -1, getppid), 0);
	is_int(spawn_and_ask(&plan, -1, is_dumpable), 0);

	// Moat's own.
	plan = joining(&holder, 0);
	plan.join = CLONE_NEWNET | CLONE_NEWUSER;
	plan.stage = true;
	plan.paths[OCI_NS_NETWORK] = "/proc/self/ns/net";
	plan.paths[OCI_NS_USER] = "/proc/self/ns/user";
	is_int(spawn_and_ask(&plan, -1, differing), 0);
}

// What belongs to the host, what belongs to a user namespace, and that itself.
static void test_join_with_user(void)
{
	scope_holder struct holder hosts = { 0 }, users = { 0 };
	struct oci_id_mapping other[] = { { 0, 100000, 65535 } };
	const struct oci_id_mappings other_map = { other, 1 };
	struct ns_plan plan;

	if (!ok(hold_types(CLONE_NEWNET | CLONE_NEWPID, &hosts) > 0, "a holder") ||
	    !ok(hold_types(CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWNET, &users) > 0, "another"))
		return;

	plan = joining(&users, CLONE_NEWUSER | CLONE_NEWIPC);
	plan.join |= CLONE_NEWNET;
	plan.paths[OCI_NS_NETWORK] = hosts.paths[OCI_NS_NETWORK];
	plan.create = CLONE_NEWUTS | CLONE_NEWPID;
	is_int(spawn_and_ask(&plan, -1, differing), bits(plan.join | plan.create));
	is_int(spawn_and_ask(&plan, -1, is_root_alone), 1);

	plan.uid_mappings = plan.gid_mappings = &wide_map;
	is_int(spawn_and_ask(&plan, -1, is_root), 1);
	plan.uid_mappings = &other_map;
	is_int(spawn_and_ask(&plan, -1, is_root), -EINVAL);
	is_str(err.msg,
	       "namespaces: linux.uidMappings: the user namespace to be joined has another "
	       "mapping");

	// A new user namespace takes the rights away that joining the host's network needs.
	plan = joining(&hosts, CLONE_NEWNET | CLONE_NEWPID);
	plan.create = CLONE_NEWUSER | CLONE_NEWUTS;
	plan.uid_mappings = plan.gid_mappings = &wide_map;
	is_int(spawn_and_ask(&plan, -1, differing), bits(plan.join | plan.create));
	is_int(spawn_and_ask(&plan, -1, is_root_alone), 1);
}

static void test_time(void)
{
	struct oci_time_offset years = { .secs = 86400 * 1000 * 3L };
	const struct oci_time_offsets offsets = { .boottime = &years };
	struct ns_plan plan = {
		.create = CLONE_NEWTIME | CLONE_NEWPID,
		.time_offsets = &offsets,
		.stage = true,
		.uid_mappings = &wide_map,
		.gid_mappings = &wide_map,
	};

	is_int(spawn_and_ask(&plan, -1, boottime_days), boottime_days() + 3);
	is_int(spawn_and_ask(&plan, -1, getpid), 1);
	plan.create |= CLONE_NEWUSER;
	is_int(spawn_and_ask(&plan, -1, boottime_days), boottime_days() + 3);
	is_int(spawn_and_ask(&plan, -1, is_root_alone), 1);
	years.secs = -86400 * 10000L;
	is_int(spawn_and_ask(&plan, -1, boottime_days), -ERANGE);
	is_str(err.msg, "namespaces: linux.timeOffsets: write timens_offsets: numerical result out "
			"of range");
}

static void test_bad_paths(void)
{
	static const struct {
		const char *path, *want;
	} cases[] = {
		{ "/proc/self/ns/ipc", "namespaces: /proc/self/ns/ipc: not a network namespace" },
		{ "/etc/passwd", "namespaces: /etc/passwd: not a network namespace" },
		{ "/nonexistent",
		  "namespaces: open network namespace /nonexistent: no such file or directory" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ns_plan plan = { .join = CLONE_NEWNET };

		plan.paths[OCI_NS_NETWORK] = cases[i].path;
		ok(spawn_and_ask(&plan, -1, differing) < 0, "no birth");
		is_str(err.msg, cases[i].want);
	}
}

static void test_into(void)
{
	const uint64_t types = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS |
			       CLONE_NEWPID | CLONE_NEWTIME;
	scope_holder struct holder plain = { 0 }, users = { 0 };
	struct ns_plan plan = { .create = types, .uid_mappings = &no_map, .gid_mappings = &no_map };

	if (!ok(hold_types(types, &plain) > 0, "a holder") ||
	    !ok(hold_types(types | CLONE_NEWUSER, &users) > 0, "another"))
		return;
	is_int(spawn_and_ask(&plan, plain.pidfd, differing), bits(types));
	is_int(spawn_and_ask(&plan, plain.pidfd, is_dumpable), 0);
	is_int(spawn_and_ask(&plan, plain.pidfd, getppid), 0);
	ok(spawn_and_ask(&plan, plain.pidfd, getpid) > 1, "in the container's pid namespace");

	const struct ns_plan none = { .uid_mappings = &no_map, .gid_mappings = &no_map };
	is_int(spawn_and_ask(&none, -1, differing), 0); // moat is back in its own pid namespace

	// A user namespace that is moat's own, and one that isn't.
	plan.create |= CLONE_NEWUSER;
	is_int(spawn_and_ask(&plan, plain.pidfd, differing), bits(types));
	plan.uid_mappings = plan.gid_mappings = &wide_map;
	is_int(spawn_and_ask(&plan, users.pidfd, differing), bits(types | CLONE_NEWUSER));
	is_int(spawn_and_ask(&plan, users.pidfd, is_root_alone), 1);

	int pidfd = fcntl(plain.pidfd, F_DUPFD_CLOEXEC, 0);
	release(&plain);
	plain.pid = 0;
	is_int(spawn_and_ask(&plan, pidfd, differing), -ESRCH);
	is_str(err.msg, "namespaces: the container's process has ended");
	close(pidfd);
}

static int setup_works(void)
{
	const struct ns_plan plan = {
		.create = CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC,
		.hostname = "a-host",
		.domainname = "a-domain",
	};
	struct oci_pair pairs[] = {
		{ (char *)"net.ipv4.ip_forward", (char *)"1" },
		{ (char *)"kernel.shmmni", (char *)"77" },
	};
	const struct oci_pairs sysctl = { pairs, 2 };
	struct oci_pair bad[] = { { (char *)"net.ipv4.nothing", (char *)"1" } };
	struct ifreq lo = { .ifr_name = "lo" };
	char name[65], value[8] = "";
	scope_fd int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	scope_fd int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	scope_fd int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (ns_setup(&plan, &err) < 0)
		return 1;
	if (gethostname(name, sizeof(name)) < 0 || !str_eq(name, "a-host"))
		return 2;
	if (getdomainname(name, sizeof(name)) < 0 || !str_eq(name, "a-domain"))
		return 3;
	if (ioctl(sock, SIOCGIFFLAGS, &lo) < 0 || !(lo.ifr_flags & IFF_UP))
		return 4;
	if (sysctl_apply(&sysctl, proc, &err) < 0)
		return 5;
	scope_fd int fd = open("/proc/sys/kernel/shmmni", O_RDONLY | O_CLOEXEC);
	if (read(fd, value, sizeof(value) - 1) < 0 || !str_eq(value, "77\n"))
		return 6;
	if (sysctl_apply(&(struct oci_pairs){ bad, 1 }, proc, &err) != -ENOENT)
		return 7;
	if (sysctl_apply(&sysctl, tmp, &err) != -EINVAL)
		return 8;
	return 0;
}

static int hostname_fails(void)
{
	const struct ns_plan plan = { .hostname = "x" };

	return ns_setup(&plan, &err) == -EPERM &&
	       str_eq(err.msg, "set hostname x: operation not permitted");
}

static int beyond_the_limit(void)
{
	struct ns_plan plan = { .create = CLONE_NEWUTS };
	struct ns_spawn spawn = { .cgroup_fd = -1 };

	if (io_write_str(AT_FDCWD, "/proc/sys/user/max_uts_namespaces", "0", &err) < 0)
		return 90;
	if (ns_spawn(&plan, &spawn, &err) != -ENOSPC)
		return 91;
	return str_ends(err.msg, "no space left on device (a limit in /proc/sys/user is reached)");
}

static void test_limit(void)
{
	const struct ns_plan plan = {
		.create = CLONE_NEWUSER, // whose limits are its own
		.uid_mappings = &wide_map,
		.gid_mappings = &wide_map,
	};

	is_int(spawn_and_ask(&plan, -1, beyond_the_limit), 1);
}

static void test_setup(void)
{
	const struct ns_plan plan = { .create = CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC };

	is_int(spawn_and_ask(&plan, -1, setup_works), 0);
}

// Everything of an ordinary user's: run in a process that has become one.
static void test_ordinary(void)
{
	struct oci_id_mapping own[] = { { 0, getuid(), 1 } }, many[] = { { 0, 100000, 10 } };
	const struct oci_id_mappings own_map = { own, 1 }, many_map = { many, 1 };
	const uint64_t types = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS |
			       CLONE_NEWIPC | CLONE_NEWUTS;
	struct ns_plan plan = { .create = types,
				.uid_mappings = &own_map,
				.gid_mappings = &own_map };

	is_int(spawn_and_ask(&plan, -1, is_root), 1);
	is_int(spawn_and_ask(&plan, -1, is_dumpable), 1);
	is_int(spawn_and_ask(&plan, -1, setup_works), 0);

	// exec by its own user, who has rights in the user namespace alone
	struct holder holder = { 0 };
	is_int(hold(&plan, &holder), 1);
	is_int(spawn_and_ask(&plan, holder.pidfd, differing), bits(types));
	is_int(spawn_and_ask(&plan, holder.pidfd, is_root), 1);
	is_int(spawn_and_ask(&plan, holder.pidfd, getppid), 0);
	plan.create |= CLONE_NEWCGROUP | CLONE_NEWTIME; // which the process shares with moat
	is_int(spawn_and_ask(&plan, holder.pidfd, differing), bits(types));
	release(&holder);

	plan.gid_mappings = &many_map;
	is_int(spawn_and_ask(&plan, -1, is_root),
	       access("/usr/bin/newgidmap", X_OK) == 0 ? -EIO : -EPERM);
	ok(str_starts(err.msg, "namespaces: linux.gidMappings: "), "the error names the field");
	// In a build for gcov what that says comes first, and may be all that there is room for.
	const char *quoted = strstr(err.msg, " exit status 1: ");
	if (access("/usr/bin/newgidmap", X_OK) == 0)
		ok(quoted && (str_starts(quoted, " exit status 1: newgidmap: ") ||
			      str_starts(quoted, " exit status 1: profiling:")),
		   "newgidmap is quoted");
	else
		skip("newgidmap is quoted", "no newgidmap here");

	plan = (struct ns_plan){ .create = CLONE_NEWUTS };
	is_int(spawn_and_ask(&plan, -1, differing), -EPERM);
	is_str(err.msg,
	       "namespaces: clone with new namespaces: operation not permitted (only root, "
	       "or a new user namespace, may make it)");
	plan.create = 0;
	is_int(spawn_and_ask(&plan, -1, hostname_fails), 1);
}

static int write_subid(const char *path, const char *text)
{
	char name[] = "/tmp/test-subid.XXXXXX";
	scope_fd int fd = mkostemp(name, O_CLOEXEC);

	if (fd < 0 || fchmod(fd, 0644) < 0 || write(fd, text, strlen(text)) < 0)
		return -1;
	int ret = mount(name, path, NULL, MS_BIND, NULL);
	unlink(name);
	return ret;
}

// A user with ranges in /etc/subuid, of which the host need not know.
static int spawns_with_ranges(void)
{
	struct oci_id_mapping ids[] = { { 0, NOBODY_UID, 1 }, { 1, 200000, 1000 } };
	const struct oci_id_mappings map = { ids, 2 };
	const struct ns_plan plan = {
		.create = CLONE_NEWUSER | CLONE_NEWPID,
		.uid_mappings = &map,
		.gid_mappings = &map,
	};

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    write_subid("/etc/subuid", "nobody:200000:1000\n") < 0 ||
	    write_subid("/etc/subgid", "nobody:200000:1000\n") < 0)
		return 90;
	if (become(NOBODY_UID) < 0)
		return 91;
	const int answer = spawn_and_ask(&plan, -1, is_root_alone);
	if (answer < 0)
		printf("# %s\n", err.msg);
	return answer;
}

static void test_ranges(void)
{
	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0)
		exit(spawns_with_ranges());
	is_int(proc_wait(pid), 1);
}

static bool userns_allowed(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(become(geteuid() ? geteuid() : ORDINARY_UID) < 0 ||
		      unshare(CLONE_NEWUSER) < 0);
	return proc_wait(pid) == 0;
}

// The inode number of the first user namespace (linux/nsfs.h has it as USER_NS_INIT_INO since Linux
// 6.17; it has been the same since 3.8).
#define INITIAL_USERNS_INO 0xEFFFFFFDU

// Is this another user namespace than the first one?
static bool in_userns(void)
{
	struct stat st;

	return stat("/proc/self/ns/user", &st) == 0 && st.st_ino != INITIAL_USERNS_INO;
}

int main(void)
{
	const bool root = geteuid() == 0 && !in_userns();

	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		moats[i] = own_ino(i);
	test_bad_paths();
	if (root) {
		test_new();
		test_new_user();
		test_join();
		test_join_with_user();
		test_time();
		test_into();
		test_setup();
		test_limit();
	} else {
		skip("namespaces made and joined with rights", "needs root");
	}
	if (root && access("/usr/bin/newuidmap", X_OK) == 0 && access("/etc/subuid", F_OK) == 0)
		test_ranges();
	else
		skip("namespaces of a user with id ranges", "needs root and newuidmap");
	if (!userns_allowed()) {
		skip("namespaces of an ordinary user", "may not make user namespaces");
		return done();
	}
	if (root && become(ORDINARY_UID) < 0)
		return 1;
	test_ordinary();
	return done();
}
