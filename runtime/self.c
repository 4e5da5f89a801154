#include "runtime/self.h"

#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"

#include <fcntl.h>
#include <sys/mount.h>
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
