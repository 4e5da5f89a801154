// What is found on hosts of every layout, told by files and magic numbers of the test's own.
#include "cgroups/host.h"
#include "tests/unit/tap.h"

#include "base/io.h"
#include "base/str.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/test-cgroups-host.XXXXXX";
static const char *mounted[16]; // paths below root; the v2 ones begin with a `2`

static long fake_magic(const char *path)
{
	const char *below = path + strlen(root);

	for (size_t i = 0; mounted[i]; i++) {
		const bool v2 = mounted[i][0] == '2';

		if (str_eq(below, mounted[i] + v2))
			return v2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC;
	}
	return str_eq(below, "") ? TMPFS_MAGIC : -1;
}

static const char *write_file(const char *name, const char *content)
{
	static char paths[4][128];
	static unsigned int next;
	char *path = paths[next++ % 4];
	struct err err;

	snprintf(path, sizeof(paths[0]), "%s/%s", root, name);
	int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	io_replace_file(dir, name, 0600, content, strlen(content), &err);
	close(dir);
	return path;
}

// The host as text, with the test's directory taken out.
static void check_host(const char *self_cgroup, const char *mountinfo, const char *want)
{
	static const char *const layouts[] = { "legacy", "hybrid", "unified" };
	scope_arena struct arena arena = { 0 };
	scope_text struct text got = { 0 };
	const struct cgroup_host *host = NULL;
	struct err err = { 0 };
	const struct host_sources sources = {
		.root = root,
		.self_cgroup = write_file("self", self_cgroup),
		.mountinfo = mountinfo ? write_file("mountinfo", mountinfo) : "/nonexistent",
		.magic = fake_magic,
	};

	if (host_read(&sources, &arena, &host, &err) < 0)
		text_str(&got, err.msg);
	else
		text_str(&got, layouts[host->layout]);
	for (size_t i = 0; host && i < host->hierarchies.n; i++) {
		const struct cgroup_hierarchy *h = &host->hierarchies.v[i];
		const char *at = h->mount_point;

		text_printf(&got, "\n%s|%s|%s|%s|%s", h->name, h->v2 ? "v2" : h->options,
			    h->controllers, str_starts(at, root) ? at + strlen(root) : at, h->own);
	}
	is_str(got.str, want);
}

static void set_mounted(const char *const paths[])
{
	size_t i;

	for (i = 0; paths[i]; i++)
		mounted[i] = paths[i];
	mounted[i] = NULL;
}

static void test_layouts(void)
{
	write_file("cgroup.controllers", "cpu io memory\n");
	set_mounted((const char *[]){ "2", "2/user/me", NULL });
	check_host("1:name=systemd:/x\n0::/user/me\n", NULL,
		   "unified\n|v2|cpu io memory||/user/me");
	set_mounted((const char *[]){ "2", NULL });
	check_host("0::/../outside\n", NULL, "unified\n|v2|cpu io memory||/");
	check_host("0::/host/path/of/a/container\n", NULL, "unified\n|v2|cpu io memory||/");

	set_mounted((const char *[]){ "/memory/sub", "/cpu,cpuacct", "/systemd", NULL });
	check_host("3:memory:/sub\n2:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n", NULL,
		   "legacy\nmemory|memory|memory|/memory|/sub\n"
		   "cpu,cpuacct|cpu,cpuacct|cpu,cpuacct|/cpu,cpuacct|/\n"
		   "systemd|name=systemd|name=systemd|/systemd|/");

	set_mounted((const char *[]){ "/pids", "2/unified", NULL });
	check_host("1:pids:/\n0::/\n", NULL,
		   "hybrid\npids|pids|pids|/pids|/\nunified|v2|hugetlb|/unified|/");
}

static void test_mountinfo(void)
{
	set_mounted((const char *[]){ "/pids", NULL });
	// Under another name, escaped, and bound from below its root.
	check_host("3:cpu,cpuacct:/docker/id/in\n2:memory:/docker/id\n1:pids:/\n",
		   "20 1 0:19 / /proc rw - proc proc rw\n"
		   "31 20 0:30 /docker/id /cg/cpuacct,cpu rw shared:5 master:1 - cgroup cgroup "
		   "rw,cpuacct,cpu\n"
		   "32 20 0:31 /docker/id /my\\040mem\\134 rw - cgroup cgroup rw,memory\n",
		   "legacy\ncpu,cpuacct|cpu,cpuacct|cpu,cpuacct|/cg/cpuacct,cpu|/in\n"
		   "memory|memory|memory|/my mem\\|/\n"
		   "pids|pids|pids|/pids|/");
	// A hierarchy mounted nowhere is not one that can be used; nor one that is another's part.
	check_host("2:cpu:/\n1:pids:/\n",
		   "31 20 0:30 / /cg/x rw - cgroup cgroup rw,cpuset\nnonsense\n",
		   "legacy\npids|pids|pids|/pids|/");
	check_host("2:cpu,cpuacct:/\n", "31 20 0:30 / /cg/x rw - cgroup cgroup rw,cpu\n", "legacy");
}

static void test_errors(void)
{
	char want[128];

	set_mounted((const char *[]){ NULL });
	snprintf(want, sizeof(want),
		 "find the cgroups of this host: %s/self: unexpected line: nonsense", root);
	check_host("nonsense\n", NULL, want);
	check_host("1:cpu:/\n", NULL,
		   "find the cgroups of this host: open /nonexistent: no such file or directory");
}

int main(void)
{
	char unified[64];

	if (!mkdtemp(root))
		return 1;
	snprintf(unified, sizeof(unified), "%s/unified", root);
	mkdir(unified, 0700);
	write_file("unified-controllers", "hugetlb\n");
	char from[96], to[96];
	snprintf(from, sizeof(from), "%s/unified-controllers", root);
	snprintf(to, sizeof(to), "%s/cgroup.controllers", unified);
	if (rename(from, to) < 0)
		return 1;

	test_layouts();
	test_mountinfo();
	test_errors();

	unlink(to);
	rmdir(unified);
	unlink(write_file("self", ""));
	unlink(write_file("mountinfo", ""));
	unlink(write_file("cgroup.controllers", ""));
	rmdir(root);
	return done();
}
