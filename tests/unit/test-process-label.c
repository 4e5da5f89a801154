// The label that a process takes for itself, with files in the place of a procfs.
#include "base/io.h"
#include "base/scope.h"
#include "process/process.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ATTR "thread-self/attr"

static int make_fake(char *dir)
{
	const int fd = mkdtemp(dir) ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd < 0 || mkdirat(fd, "thread-self", 0755) < 0 || mkdirat(fd, ATTR, 0755) < 0)
		return -1;
	return fd;
}

static void remove_fake(int proc, const char *dir)
{
	unlinkat(proc, ATTR "/apparmor/current", 0);
	unlinkat(proc, ATTR "/apparmor", AT_REMOVEDIR);
	unlinkat(proc, ATTR "/current", 0);
	unlinkat(proc, ATTR, AT_REMOVEDIR);
	unlinkat(proc, "thread-self", AT_REMOVEDIR);
	rmdir(dir);
}

static void add_file(int proc, const char *path, mode_t mode)
{
	close(openat(proc, path, O_CREAT | O_WRONLY | O_CLOEXEC, mode));
}

static void is_written(int proc, const char *path, const char *want)
{
	scope_free char *text = NULL;
	struct err err;

	is_str(io_read_file(proc, path, 4096, &text, NULL, &err) < 0 ? err.msg : text, want);
}

static int take(int proc, const char *profile, const char *label, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct oci_process process = { .cwd = (char *)"/",
				       .args = { (char *[]){ (char *)"true", NULL }, 1 },
				       .apparmor_profile = (char *)profile,
				       .selinux_label = (char *)label };
	struct process_plan *plan;

	if (process_plan_make(&process, NULL, &(struct process_env){ 0 }, &arena, &plan, err) < 0)
		return -err->code;
	return process_take_label(plan, proc, err);
}

int main(void)
{
	char dir[] = "/tmp/test-process-label.XXXXXX";
	struct err err = { 0 };
	scope_fd int proc = make_fake(dir);

	if (!ok(proc >= 0, "a directory"))
		return done();
	is_int(take(-1, NULL, NULL, &err), 0);
	is_int(take(-1, "", "", &err), 0);

	is_int(take(proc, "some", NULL, &err), -ENOTSUP);
	is_str(err.msg, "process.apparmorProfile: AppArmor is not enabled on this host");
	is_int(take(proc, NULL, "a:b:c:s0", &err), -ENOTSUP);
	is_str(err.msg, "process.selinuxLabel: SELinux is not enabled on this host");

	mkdirat(proc, ATTR "/apparmor", 0755);
	add_file(proc, ATTR "/apparmor/current", 0644);
	is_int(take(proc, "some", "", &err), 0);
	is_written(proc, ATTR "/apparmor/current", "changeprofile some");

	add_file(proc, ATTR "/current", 0644);
	is_int(take(proc, NULL, "a:b:c:s0", &err), 0);
	is_written(proc, ATTR "/current", "a:b:c:s0");

	remove_fake(proc, dir);
	is_int(take(proc, "some", NULL, &err), -ENOENT);
	return done();
}
