#include "runtime/self.h"

#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"
#include "runtime/container.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

bool self_may_be_traced_by(const struct oci_process *process)
{
	const struct oci_strings *bounding = process && process->capabilities ?
						     &process->capabilities->bounding :
						     NULL;

	for (size_t i = 0; bounding && i < bounding->n; i++)
		if (str_eq(bounding->v[i], "CAP_SYS_PTRACE"))
			return true;
	return false;
}

bool self_is_exposed(const struct oci_spec *spec, bool exec)
{
	bool joins_pids = false, has_users = false;

	for (size_t i = 0; i < spec->linux->namespaces.n; i++) {
		const struct oci_namespace *ns = &spec->linux->namespaces.v[i];

		joins_pids |= ns->type == OCI_NS_PID && ns->path;
		has_users |= ns->type == OCI_NS_USER;
	}
	// What a container may do in a user namespace of its own doesn't reach moat, which comes
	// from outside of it.
	return !has_users && (joins_pids || (exec && self_may_be_traced_by(spec->process)));
}

static int note_in(const struct container *container, const char *pidns, struct err *err)
{
	char path[48];
	struct stat ours, theirs;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", container->state.init.pid);
	if (stat(pidns, &ours) < 0)
		return err_sys(err, "%s", pidns);
	// One whose init has gone is nobody's to trace.
	if (stat(path, &theirs) < 0 || theirs.st_ino != ours.st_ino)
		return 0;
	scope_fd int fd = openat(container->dirfd, "traced", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? err_sys(err, "note that a process may trace others") : 0;
}

int self_note_tracer(const struct runtime *rt, pid_t pid, struct err *err)
{
	struct oci_strings ids = { 0 };
	char pidns[48];

	snprintf(pidns, sizeof(pidns), "/proc/%d/ns/pid", pid);
	if (container_ids(rt, &ids, err) < 0)
		return -err->code;
	for (size_t i = 0; i < ids.n; i++) {
		scope_container struct container container = { .dirfd = -1 };
		struct err gone;

		if (container_open(rt, ids.v[i], CONTAINER_LOOK, &container, &gone) == 0 &&
		    note_in(&container, pidns, err) < 0)
			return -err->code;
	}
	return 0;
}

int self_protect(char *const argv[], struct err *err)
{
	struct mount_attr readonly = { .attr_set = MOUNT_ATTR_RDONLY };
	struct statvfs fs;

	if (statvfs("/proc/self/exe", &fs) < 0)
		return err_sys(err, "find moat's own binary");
	if (fs.f_flag & ST_RDONLY)
		return 0;
	scope_fd int self = open_tree(AT_FDCWD, "/proc/self/exe",
				      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (self < 0 || mount_setattr(self, "", AT_EMPTY_PATH, &readonly, sizeof(readonly)) < 0)
		return err_sys(err, "mount moat's own binary read-only");
	sys_execveat(self, "", argv, environ, AT_EMPTY_PATH);
	return err_sys(err, "execute moat from a read-only mount");
}
