// The label that a Linux security module keeps of a process: for the program, by steps of the launcher's that are prepared
// here, or for this process itself.

#include "base/scope.h"
#include "base/sys.h"
#include "process/plan.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PROC_ROOT_INO 1 // of every procfs, since Linux 2.6; include/linux/proc_fs.h

// Our own /proc/PID/attr, which the launcher can use too: it is the same process. /proc is the
// container's, so each step is checked: it is the root of a procfs, and nothing is mounted between
// it and the file (CVE-2025-52881).
static int open_attr(struct err *err)
{
	const struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS,
	};
	struct statfs fs;
	struct stat st;

	scope_fd int proc = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (proc < 0 || fstatfs(proc, &fs) < 0 || fstat(proc, &st) < 0)
		return err_sys(err, "open /proc for the LSM label");
	if (fs.f_type != PROC_SUPER_MAGIC || st.st_ino != PROC_ROOT_INO)
		return err_set(err, EXDEV, "open /proc for the LSM label: it is no procfs");
	int fd = sys_openat2(proc, "self/attr", &how);
	return fd < 0 ? err_sys(err, "open /proc/self/attr") : fd;
}

// Without the LSM its file is missing, or reading it is refused.
static int check_lsm(int attr_fd, const char *lsm, const char *field, const char *file,
		     struct err *err)
{
	char label[256];

	scope_fd int fd = openat(attr_fd, file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, label, sizeof(label)) < 0)
		return err_set(err, ENOTSUP, "process.%s: %s is not enabled on this host", field,
			       lsm);
	return 0;
}

static int check_lsms(const struct process_plan *plan, int attr_fd, struct err *err)
{
	if (plan_apparmor(plan) &&
	    check_lsm(attr_fd, "AppArmor", "apparmorProfile", "apparmor/current", err) < 0)
		return -err->code;
	if (plan_selinux(plan) && check_lsm(attr_fd, "SELinux", "selinuxLabel", "current", err) < 0)
		return -err->code;
	return 0;
}

int label_prepare(struct process_plan *plan, struct err *err)
{
	if (!plan_apparmor(plan) && !plan_selinux(plan))
		return 0;
	plan->attr_fd = open_attr(err);
	if (plan->attr_fd < 0)
		return -err->code;
	return check_lsms(plan, plan->attr_fd, err);
}

// ---- this process's own ----

// In the launcher's words.
static int take(int attr_fd, const char *file, const char *what, const char *value, struct err *err)
{
	struct process_report report = { 0 };

	scope_fd int fd = openat(attr_fd, file, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, value, strlen(value)) >= 0)
		return 0;
	report.code = errno;
	snprintf(report.step, sizeof(report.step), "%s", what);
	return process_report_err(&report, err);
}

int process_take_label(const struct process_plan *plan, int proc_fd, struct err *err)
{
	const char *profile = plan_apparmor(plan), *label = plan_selinux(plan);

	if (!profile && !label)
		return 0;
	scope_fd int attr = openat(proc_fd, "thread-self/attr", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (attr < 0)
		return err_sys(err, "open /proc/thread-self/attr");
	if (check_lsms(plan, attr, err) < 0)
		return -err->code;
	if (profile && take(attr, "apparmor/current",
			    arena_printf(plan->arena, "AppArmor profile %s", profile),
			    arena_printf(plan->arena, "changeprofile %s", profile), err) < 0)
		return -err->code;
	if (label && take(attr, "current", arena_printf(plan->arena, "SELinux label %s", label),
			  label, err) < 0)
		return -err->code;
	return 0;
}
