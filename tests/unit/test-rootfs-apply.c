// A plan applied, to good roots and hostile ones. Each case is a child in namespaces of its own,
// whose root lies on a tmpfs that ends with it; what the child found out is a line of text. Needs
// root.
#include "base/io.h"
#include "base/scope.h"
#include "base/sys.h"
#include "oci-spec/spec.h"
#include "rootfs/rootfs.h"
#include "tests/unit/quote.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

static char base[] = "/tmp/moat-rootfs-XXXXXX";

struct scenario {
	const char *mounts; // JSON members of the mounts
	const char *more;   // JSON members of linux
	bool readonly, no_pivot, userns;
	bool own_sources;
	bool new_netns;	     // so the plan is told, wrongly
	void (*setup)(void); // in the root, before
	void (*look)(void);  // inside, after: says what it sees
	int console_fd;	     // 0: none
	const char *rootfs;  // NULL: /root
};

// What the child tells.
static char told[4096];
static size_t told_len;

__attribute__((format(printf, 1, 2))) static void tell(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	told_len += (size_t)vsnprintf(told + told_len, sizeof(told) - told_len, fmt, args);
	va_end(args);
}

static void put(const char *path, const char *content)
{
	scope_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || io_write_all(fd, content, strlen(content)) < 0)
		tell("[put %s: %s]", path, strerror(errno));
}

static void tell_file(const char *path)
{
	char buf[256];
	scope_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : io_read_all(fd, buf, sizeof(buf) - 1);

	if (len < 0) {
		tell("%s: %s;", path, strerror(errno));
		return;
	}
	buf[len] = '\0';
	tell("%s: \"%s\";", path, buf);
}

static void tell_type(const char *path)
{
	static const char types[] = { [S_IFDIR >> 12] = 'd',
				      [S_IFREG >> 12] = '-',
				      [S_IFLNK >> 12] = 'l',
				      [S_IFCHR >> 12] = 'c',
				      [S_IFIFO >> 12] = 'p' };
	struct stat st;

	if (lstat(path, &st) < 0)
		tell("%s: %s;", path, strerror(errno));
	else
		tell("%s: %c%04o %u:%u;", path, types[st.st_mode >> 12], st.st_mode & 07777,
		     st.st_uid, st.st_gid);
}

static void tell_writable(const char *dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/probe", dir);
	scope_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	tell("%s: %s;", dir, fd >= 0 ? "writable" : strerror(errno));
}

static void tell_flags(const char *path)
{
	static const struct {
		unsigned long flag;
		const char *name;
	} names[] = { { ST_RDONLY, "ro" },
		      { ST_NOSUID, "nosuid" },
		      { ST_NODEV, "nodev" },
		      { ST_NOEXEC, "noexec" },
		      { ST_NOATIME, "noatime" } };
	struct statvfs fs;

	if (statvfs(path, &fs) < 0) {
		tell("%s: %s;", path, strerror(errno));
		return;
	}
	tell("%s:", path);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (fs.f_flag & names[i].flag)
			tell(" %s", names[i].name);
	tell(";");
}

static int apply(const struct scenario *scenario, struct err *err)
{
	static const struct rootfs_cgroup cgroup = { "memory,cpu", "/nowhere", "/src/dir" };
	struct arena arena = { 0 };
	struct rootfs_env env = {
		.bundle = "/",
		.rootfs = scenario->rootfs ? scenario->rootfs : "/root",
		.no_pivot = scenario->no_pivot,
		.userns = scenario->userns,
		.own_sources = scenario->own_sources,
		.new_netns = scenario->new_netns,
		.cgroups = &cgroup,
		.cgroup_count = 1,
	};
	const char *json =
		json_of(arena_printf(&arena,
				     "{'ociVersion':'1.0.2','root':{'path':'r','readonly':%s},"
				     "'mounts':[%s],'linux':{'namespaces':[{'type':'mount'}]%s}}",
				     scenario->readonly ? "true" : "false",
				     scenario->mounts ? scenario->mounts : "",
				     scenario->more ? scenario->more : ""),
			&arena);
	const struct oci_spec *spec;
	struct rootfs_plan *plan;

	if (spec_parse(json, strlen(json), &arena, &spec, err) < 0 ||
	    rootfs_plan_make(spec, &env, &arena, &plan, err) < 0 || rootfs_prepare(plan, err) < 0)
		return -1;
	if (scenario->userns && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return err_sys(err, "unshare");
	if (scenario->userns) {
		put("/proc/self/uid_map", "0 0 1\n");
		put("/proc/self/setgroups", "deny");
		put("/proc/self/gid_map", "0 0 1\n");
	} else if (unshare(CLONE_NEWNS) < 0) {
		return err_sys(err, "unshare");
	}
	if (rootfs_mount(plan, err) < 0 || rootfs_procfs(plan, err) < 0 ||
	    rootfs_enter(plan, err) < 0 ||
	    rootfs_seal(plan, scenario->console_fd ? scenario->console_fd : -1, err) < 0)
		return -1;
	rootfs_release(plan);
	return 0;
}

// The world before the container: a root of its own on a tmpfs, with /root, /src and the host's
// /proc, /sys and /dev.
static void make_world(const struct scenario *scenario)
{
	static const char *const dirs[] = { "src/dir/sub", "root/etc", "root/tmp",
					    "proc",	   "sys",      "dev" };
	static const struct {
		const char *path;
		unsigned int major, minor;
	} devices[] = { { "dev/null", 1, 3 },	{ "dev/zero", 1, 5 },	 { "dev/full", 1, 7 },
			{ "dev/random", 1, 8 }, { "dev/urandom", 1, 9 }, { "dev/tty", 5, 0 } };

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", base, "tmpfs", 0, NULL) < 0 || chdir(base) < 0)
		tell("[world: %s]", strerror(errno));
	umask(022);
	mkdir("src", 0755), mkdir("src/dir", 0755), mkdir("root", 0755);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		mkdir(dirs[i], 0755);
	put("src/file", "source");
	put("src/dir/in", "inside");
	mount("/proc", "proc", NULL, MS_BIND | MS_REC, NULL);
	mount("/sys", "sys", NULL, MS_BIND | MS_REC, NULL);
	mount("tmpfs", "dev", "tmpfs", 0, NULL);
	umask(0);
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		mknod(devices[i].path, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor));
	umask(022);
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
	    chdir("/root") < 0)
		tell("[world: %s]", strerror(errno));
	mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL);
	if (scenario->setup)
		scenario->setup();
}

static const char *run(const struct scenario *scenario)
{
	static char got[sizeof(told)];
	int ends[2];

	fflush(stdout);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return "pipe";
	pid_t pid = fork();
	if (pid == 0) {
		struct err err = { 0 };

		make_world(scenario);
		if (apply(scenario, &err) < 0)
			tell("error: %s", err.msg);
		else if (scenario->look)
			scenario->look();
		io_write_all(ends[1], told, told_len);
		_exit(0);
	}
	close(ends[1]);
	ssize_t len = io_read_all(ends[0], got, sizeof(got) - 1);
	close(ends[0]);
	waitpid(pid, NULL, 0);
	got[len < 0 ? 0 : len] = '\0';
	return got;
}

#define RUN(...) run(&(const struct scenario){ __VA_ARGS__ })
#define MOUNT(dest, type, source, options) \
	"{'destination':'" dest "','type':'" type "','source':'" source "','options':[" options "]}"
#define BIND(dest, source) MOUNT(dest, "bind", source, "'bind'")
#define PROC		   MOUNT("/proc", "proc", "proc", "")
#define DEV		   MOUNT("/dev", "tmpfs", "tmpfs", "'nosuid'")

// ---- targets ----

static void look_bind(void)
{
	tell_file("/new/deep/file");
	tell_file("/new/dir/in");
	tell_type("/new");
}

static void setup_links(void)
{
	(void)!symlink("../run/far/resolv.conf", "etc/resolv.conf");
	(void)!symlink("/etc", "abs");
	(void)!symlink("../../../../src", "up");
	(void)!symlink("loop", "loop");
}

static void look_links(void)
{
	tell_file("/run/far/resolv.conf");
	tell_file("/etc/f");
	tell_type("/src");
	tell_file("/src/g");
}

static void test_targets(void)
{
	is_str(RUN(.mounts = BIND("/new/deep/file", "/src/file") "," BIND("/new/dir", "/src/dir"),
		   .look = look_bind),
	       "/new/deep/file: \"source\";/new/dir/in: \"inside\";/new: d0755 0:0;");
	is_str(RUN(.mounts = BIND("/etc/resolv.conf", "/src/file") "," BIND(
			   "/abs/f", "/src/file") "," BIND("/up/g", "/src/file"),
		   .setup = setup_links, .look = look_links),
	       "/run/far/resolv.conf: \"source\";/etc/f: \"source\";/src: d0755 0:0;/src/g: \"source\";");
	is_str(RUN(.mounts = BIND("/loop/x", "/src/file"), .setup = setup_links),
	       "error: mount /loop/x: open the mount point: too many levels of symbolic links");
	is_str(RUN(.mounts = BIND("/etc", "/src/file")),
	       "error: mount /etc: a file can't be mounted on a directory");
	is_str(RUN(.mounts = BIND("/f", "/src/file") "," BIND("/f", "/src/dir")),
	       "error: mount /f: a directory can't be mounted on a file");
	is_str(RUN(.mounts = BIND("/x", "/src/none")),
	       "error: mount /x: source /src/none: no such file or directory");
}

static void setup_proc_link(void)
{
	(void)!symlink("/proc/sys", "x");
}

static void setup_bad_dirs(void)
{
	(void)!symlink("etc", "dev");
	(void)!symlink("etc", "proc");
}

static void test_real_places(void)
{
	is_str(RUN(.mounts = PROC "," MOUNT("/x", "tmpfs", "tmpfs", ""), .setup = setup_proc_link),
	       "error: mount /x: the mount point leads into /proc");
	is_str(RUN(.mounts = PROC, .setup = setup_bad_dirs),
	       "error: mount /proc: the mount point is a symbolic link, not a directory");
	is_str(RUN(.setup = setup_bad_dirs),
	       "error: /dev: the mount point is a symbolic link, not a directory");
	is_str(RUN(.mounts = BIND("/proc", "/src/dir")),
	       "error: mount /proc: only a procfs may be mounted there");
	is_str(RUN(.mounts = BIND("/proc", "/proc/sys")),
	       "error: mount /proc: only a procfs may be mounted there");
	is_str(RUN(.mounts = BIND("/proc", "/proc")), "");
}

static void setup_shared(void)
{
	mkdir("/root/run", 0755), mkdir("/root/run/dir", 0755), mkdir("/root/dev", 0755);
	put("/root/run/dir/in", "below");
	put("/run", "not this");
	// It leads to the world's own directory unless it is resolved inside.
	(void)!symlink("/run", "/root/var");
	mount("/root/run", "/root/run", NULL, MS_BIND, NULL);
}

static void look_shared(void)
{
	tell_file("/run/dir/in");
	tell_file("/tmp/in");
	tell_flags("/tmp");
}

static void test_own_sources(void)
{
	is_str(RUN(.mounts = MOUNT("/run", "tmpfs", "tmpfs", "") "," BIND(
			   "/run/dir", "/var/dir") "," MOUNT("/tmp", "bind", "/run/dir",
							     "'bind','nosuid','noexec'"),
		   .own_sources = true, .setup = setup_shared, .look = look_shared),
	       "/run/dir/in: \"below\";/tmp/in: \"below\";/tmp: nosuid noexec;");
	is_str(RUN(.mounts = BIND("/x", "/src/file"), .own_sources = true),
	       "error: mount /x: source /src/file in the root: no such file or directory");
}

// ---- options ----

static void look_flags(void)
{
	tell_flags("/a");
	tell_flags("/b");
	tell_flags("/b/sub");
}

static void setup_submount(void)
{
	mount("tmpfs", "/src/dir/sub", "tmpfs", MS_NOSUID, NULL);
	(void)!symlink("file", "/src/link");
	(void)!symlink("nowhere", "itself");
}

static void look_symlinks(void)
{
	char link[PATH_MAX] = "";

	(void)!readlink("/copied", link, sizeof(link) - 1);
	tell("/copied -> %s;", link);
	(void)!readlink("/itself", link, sizeof(link) - 1);
	tell("/itself -> %s;", link);
}

static void test_options(void)
{
	is_str(RUN(.mounts = MOUNT("/a", "bind", "/src/dir", "'rbind','ro','noexec'") "," MOUNT(
			   "/b", "bind", "/src/dir", "'rbind','rro','noatime'"),
		   .setup = setup_submount, .look = look_flags),
	       "/a: ro noexec;/b: ro noatime;/b/sub: ro nosuid;");
	is_str(RUN(.mounts =
			   MOUNT("/a", "tmpfs", "tmpfs", "'ro','nodev','size=1m,mode=700'") "," MOUNT(
				   "/b", "tmpfs", "tmpfs",
				   "'noexec','iversion'") "," MOUNT("/b", "tmpfs", "tmpfs",
								    "'remount','ro','nosuid'"),
		   .look = look_flags),
	       "/a: ro nodev;/b: ro nosuid noexec;/b/sub: No such file or directory;");
	is_str(RUN(.mounts = MOUNT("/a", "tmpfs", "tmpfs", "'size=x'")),
	       "error: mount /a: option size: tmpfs: Bad value for 'size': invalid argument");
	is_str(RUN(.mounts = MOUNT("/a", "nonsuch", "x", "")),
	       "error: mount /a: file system nonsuch (does the kernel have it?): no such device");
	is_str(RUN(.mounts =
			   MOUNT("/copied", "bind", "/src/link", "'bind','copy-symlink'") "," MOUNT(
				   "/itself", "bind", "/src/link", "'bind','src-nofollow'"),
		   .setup = setup_submount, .look = look_symlinks),
	       "/copied -> file;/itself -> file;");
}

static void setup_copyup(void)
{
	mkdir("data", 0751), mkdir("data/d", 0750), mkdir("data/d/e", 0755);
	put("data/d/e/f", "deep");
	chmod("data/d/e/f", 04711);
	(void)!chown("data/d", 3, 4);
	(void)!symlink("/etc/shadow", "data/link");
	mkfifo("data/fifo", 0600);
	mknod("data/null", S_IFCHR | 0666, makedev(1, 3));
}

static void look_copyup(void)
{
	tell_type("/data/d");
	tell_type("/data/d/e/f");
	tell_file("/data/d/e/f");
	tell_type("/data/link");
	tell_type("/data/fifo");
	tell_type("/data/null");
	tell_writable("/data");
}

static void look_copyup_loud(void)
{
	tell_type("/data");
	tell_file("/data/d/e/f");
}

static void setup_deep(void)
{
	char path[4 * 130] = "data";

	for (size_t i = 0; i < 120; i++) {
		mkdir(path, 0755);
		strcat(path, "/d");
	}
}

static void test_copyup(void)
{
	const char *mount = MOUNT("/data", "tmpfs", "tmpfs", "'tmpcopyup','ro'");

	is_str(RUN(.mounts = mount, .setup = setup_copyup, .look = look_copyup),
	       "/data/d: d0750 3:4;/data/d/e/f: -4711 0:0;/data/d/e/f: \"deep\";/data/link: l0777 0:0;"
	       "/data/fifo: p0600 0:0;/data/null: No such file or directory;"
	       "/data: Read-only file system;");
	// By mount(2) too, which "loud" asks for.
	mount = MOUNT("/data", "tmpfs", "tmpfs", "'tmpcopyup','loud'");
	is_str(RUN(.mounts = mount, .setup = setup_copyup, .look = look_copyup_loud),
	       "/data: d0751 0:0;/data/d/e/f: \"deep\";");
	ok(strstr(RUN(.mounts = mount, .setup = setup_deep), "more than 100 directories deep"),
	   "copy-up ends at a depth");
}

static void look_owner(void)
{
	tell_type("/a/in");
	tell_type("/b/in");
}

static void setup_owner(void)
{
	(void)!chown("/src/dir/in", 1000, 1000);
}

static void test_idmap(void)
{
	is_str(RUN(.mounts =
			   "{'destination':'/a','type':'bind','source':'/src/dir','options':['idmap'],"
			   "'uidMappings':[{'containerID':1000,'hostID':7,'size':1}],"
			   "'gidMappings':[{'containerID':1000,'hostID':8,'size':1}]}," BIND(
				   "/b", "/src/dir"),
		   .setup = setup_owner, .look = look_owner),
	       "/a/in: -0644 7:8;/b/in: -0644 1000:1000;");
}

static void look_cgroup(void)
{
	tell_type("/c/cpu");
	tell_file("/c/memory/in");
	tell_writable("/c");
}

static void test_cgroup(void)
{
	is_str(RUN(.mounts = MOUNT("/c", "cgroup", "cgroup", "'ro'"), .look = look_cgroup),
	       "/c/cpu: l0777 0:0;/c/memory/in: \"inside\";/c: Read-only file system;");
}

static void look_sysfs(void)
{
	tell_type("/sys/kernel");
	tell_flags("/sys");
}

static void test_sysfs(void)
{
	// Without rights over the network namespace the kernel refuses a sysfs of its own.
	is_str(RUN(.mounts = MOUNT("/sys", "sysfs", "sysfs", "'ro','noexec'"), .userns = true,
		   .new_netns = true, .look = look_sysfs),
	       "/sys/kernel: d0755 0:0;/sys: ro noexec;");
}

// ---- devices ----

static void look_devices(void)
{
	tell_type("/dev/null");
	tell_type("/dev/net/tun");
	tell_type("/dev/ptmx");
	tell_type("/dev/fd");
	put("/dev/null", "x");
	tell_file("/dev/null");
}

static void setup_fake_null(void)
{
	mkdir("dev", 0755);
	put("dev/null", "fake");
}

static void test_devices(void)
{
	const char *tun = ",'devices':[{'path':'/dev/net/tun','type':'c','major':10,'minor':200,"
			  "'fileMode':384,'uid':1,'gid':2}]";

	is_str(RUN(.mounts = DEV, .more = tun, .look = look_devices),
	       "/dev/null: c0666 0:0;/dev/net/tun: c0600 1:2;/dev/ptmx: l0777 0:0;/dev/fd: l0777 0:0;"
	       "/dev/null: \"\";");
	is_str(RUN(.mounts = DEV, .userns = true, .look = look_devices),
	       "/dev/null: c0666 0:0;/dev/net/tun: No such file or directory;/dev/ptmx: l0777 0:0;"
	       "/dev/fd: l0777 0:0;/dev/null: \"\";");
	is_str(RUN(.setup = setup_fake_null),
	       "error: device /dev/null: something else has that name");
}

static void look_host(void)
{
	tell_file("/src/file");
	tell_type("/dev/null");
	tell_type("/dev/ptmx");
}

static void test_host_root(void)
{
	is_str(RUN(.rootfs = "/", .look = look_host),
	       "/src/file: \"source\";/dev/null: c0666 0:0;/dev/ptmx: No such file or directory;");
}

// ---- what is sealed ----

static void look_masks(void)
{
	tell_file("/etc/secret");
	tell_writable("/etc/dir");
	tell_file("/etc/dir/in");
	tell_writable("/etc/dir2");
	tell_writable("/tmp");
	tell_flags("/var");
	tell_writable("/");
}

static void setup_masks(void)
{
	put("etc/secret", "secret");
	mkdir("etc/dir", 0755), mkdir("etc/dir2", 0755), mkdir("var", 0755);
	put("etc/dir/in", "secret");
}

#define MASKS ",'maskedPaths':['/etc/secret','/none','/etc/dir','/etc/dir2','/etc/secret/x']"

static void test_masks(void)
{
	is_str(RUN(.mounts = DEV "," MOUNT("/var", "tmpfs", "tmpfs", "'nosuid','noexec'"),
		   .more = MASKS ",'readonlyPaths':['/tmp','/none','/var']", .setup = setup_masks,
		   .look = look_masks),
	       "/etc/secret: \"\";/etc/dir: Read-only file system;"
	       "/etc/dir/in: No such file or directory;/etc/dir2: Read-only file system;"
	       "/tmp: Read-only file system;/var: ro nosuid noexec;/: writable;");
	is_str(RUN(.readonly = true, .no_pivot = true, .more = MASKS, .setup = setup_masks,
		   .look = look_masks),
	       "/etc/secret: \"\";/etc/dir: Read-only file system;"
	       "/etc/dir/in: No such file or directory;/etc/dir2: Read-only file system;"
	       "/tmp: Read-only file system;/var: ro;/: Read-only file system;");
	is_str(RUN(.mounts = DEV "," BIND("/dev/null", "/src/file"), .more = MASKS,
		   .setup = setup_masks),
	       "error: maskedPaths[0]: /etc/secret: /dev/null is not the null device");
	is_str(RUN(.mounts = DEV, .console_fd = STDOUT_FILENO),
	       "error: /dev/console: it is no terminal");
}

// ---- the host is left alone ----

// The world's mounts are shared. A process that stays outside counts them, before and after.
static int count_mounts(void)
{
	scope_free char *table = NULL;
	struct err err;
	int count = 0;

	if (io_read_file(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &table, NULL, &err) < 0)
		return -1;
	for (const char *c = table; *c; c++)
		count += *c == '\n';
	return count;
}

static int outsider; // what it waits for the end of

static void setup_outside(void)
{
	int ready[2], apart[2];
	char byte;

	if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(apart, O_CLOEXEC) < 0)
		return;
	// The parent goes on into the container and out of the namespace that the child stays in.
	if (fork() == 0) {
		int before = count_mounts();

		close(apart[1]);
		close(ready[0]);
		close(ready[1]);
		(void)!read(apart[0], &byte, 1);
		_exit(count_mounts() - before);
	}
	close(ready[1]);
	(void)!read(ready[0], &byte, 1);
	close(ready[0]);
	close(apart[0]);
	outsider = apart[1];
}

static void look_outside(void)
{
	int status;

	close(outsider);
	if (wait(&status) < 0)
		tell("wait: %s", strerror(errno));
	tell("%d mounts more outside", WEXITSTATUS(status));
}

static void test_propagation(void)
{
	static const char *const modes[] = { "",
					     ",'rootfsPropagation':'shared'",
					     ",'rootfsPropagation':'rshared'",
					     ",'rootfsPropagation':'slave'",
					     ",'rootfsPropagation':'runbindable'",
					     ",'rootfsPropagation':'rprivate'",
					     ",'rootfsPropagation':'private'" };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		for (int no_pivot = 0; no_pivot < 2; no_pivot++)
			is_str(RUN(.mounts = DEV "," BIND("/d", "/src/dir") "," PROC,
				   .more = modes[i], .no_pivot = no_pivot, .setup = setup_outside,
				   .look = look_outside),
			       "0 mounts more outside");
}

int main(void)
{
	if (geteuid() != 0) {
		skip("a plan applied", "needs root");
		return done();
	}
	if (!mkdtemp(base))
		return 1;
	test_targets();
	test_real_places();
	test_own_sources();
	test_options();
	test_copyup();
	test_idmap();
	test_cgroup();
	test_sysfs();
	test_devices();
	test_host_root();
	test_masks();
	test_propagation();
	rmdir(base);
	return done();
}
