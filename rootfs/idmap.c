#include "rootfs/idmap.h"

#include "base/io.h"
#include "base/proc.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>

static int write_map(pid_t pid, const char *file, const struct oci_id_mappings *map,
		     struct err *err)
{
	scope_text struct text lines = { 0 };
	char path[64];

	for (size_t i = 0; i < map->n; i++)
		text_printf(&lines, "%u %u %u\n", map->v[i].container_id, map->v[i].host_id,
			    map->v[i].size);
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	return io_write_str(AT_FDCWD, path, lines.str, err);
}

static int open_userns(pid_t pid, const struct oci_id_mappings *uids,
		       const struct oci_id_mappings *gids, struct err *err)
{
	char path[64];

	if (write_map(pid, "uid_map", uids, err) < 0 || write_map(pid, "gid_map", gids, err) < 0)
		return -err->code;
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "open %s", path) : fd;
}

int idmap_userns(const struct oci_id_mappings *uids, const struct oci_id_mappings *gids,
		 struct err *err)
{
	struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	scope_fd int hold = ends[0], release = ends[1];
	pid_t pid = sys_clone3(&args);
	if (pid < 0)
		return err_sys(err, "make a user namespace for id mappings");
	if (pid == 0) {
		char end;

		// Until the parent, dead or alive, lets go.
		close(release);
		(void)!read(hold, &end, 1);
		_exit(0);
	}
	int fd = open_userns(pid, uids, gids, err);
	replace_fd(&release, -1);
	proc_wait(pid);
	return fd < 0 ? err_wrap(err, "id mappings") : fd;
}
