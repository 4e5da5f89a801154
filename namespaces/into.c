#include "namespaces/namespaces.h"

#include "base/io.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/sys.h"
#include "namespaces/arrive.h"
#include "namespaces/birth.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static int in_stage(void *context, struct err *err)
{
	return ns_join_target(context, err);
}

static int leave_and_join(void *context, struct err *err)
{
	struct ns_spawn *spawn = context;
	int ret = spawn->leave(spawn->leave_context, err);

	return ret < 0 ? ret : ns_join_target(spawn, err);
}

// Nobody in there sees the child before it has left all that is the host's.
static int spawn_from_inside(struct ns_spawn *spawn, struct err *err)
{
	const struct ns_birth birth = {
		.in_stage = leave_and_join,
		.context = spawn,
		.stage_in_cgroup = true,
	};

	return ns_birth_give(&birth, spawn, err);
}

static int pid_of(int pidfd, pid_t *pid, struct err *err)
{
	scope_free char *info = NULL;
	char path[48];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	if (io_read_file(AT_FDCWD, path, 4096, &info, NULL, err) < 0)
		return -err->code;
	const char *line = strstr(info, "\nPid:");
	if (!line || sscanf(line, "\nPid: %d", pid) != 1 || *pid <= 0)
		return err_set(err, ESRCH, "the container's process has ended");
	return 0;
}

// The container may share namespaces with moat, though its plan has them. Joining one's own takes
// rights like any other, which an ordinary user doesn't have.
static int drop_own(struct ns_spawn *spawn, struct err *err)
{
	char path[64];
	pid_t pid = 0;
	int ret = pid_of(spawn->target, &pid, err);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < OCI_NS_COUNT; i++) {
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, ns_type_file(i));
		if (spawn->pending & ns_type_flag(i) && ns_is_own(i, path))
			spawn->pending &= ~ns_type_flag(i);
	}
	spawn->userns = spawn->pending & CLONE_NEWUSER;
	return 0;
}

// An ordinary user has the rights only inside the user namespace, which moat itself must not enter.
static int spawn_with_theirs(struct ns_spawn *spawn, struct err *err)
{
	struct ns_birth birth = { .context = spawn };
	int ret = drop_own(spawn, err);

	if (ret < 0)
		return ret;
	// Out of the container's cgroup namespace the kernel moves nobody into the cgroup.
	if (spawn->pending & CLONE_NEWPID) {
		birth.in_stage = in_stage;
		birth.stage_in_cgroup = true;
	}
	return ns_birth_give(&birth, spawn, err);
}

// A pid namespace is entered by being born into it. Moat itself has its next child born there, and
// then its own again; that saves a stage.
static int spawn_with_moats(struct ns_spawn *spawn, int self, struct err *err)
{
	const struct ns_birth birth = { 0 };

	// The child's, from its birth: it still has moat's root.
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	spawn->pending &= ~(uint64_t)CLONE_NEWPID;
	int ret = ns_birth_give(&birth, spawn, err);
	// The root of a user namespace has no right to. It harms nobody: who is born next is born for
	// the same exec.
	if (ret != 0 && setns(self, CLONE_NEWPID) < 0)
		log_debug("return to moat's own pid namespace: %s", strerror(errno));
	return ret;
}

static int spawn_into(struct ns_spawn *spawn, struct err *err)
{
	scope_fd int self = sys_pidfd_open(getpid(), 0);

	if (self < 0)
		return err_sys(err, "pidfd of moat");
	// With this right moat has all others.
	if (spawn->pending & CLONE_NEWPID && setns(spawn->target, CLONE_NEWPID) == 0)
		return spawn_with_moats(spawn, self, err);
	if (spawn->pending & CLONE_NEWPID && errno == ESRCH)
		return err_set(err, ESRCH, "the container's process has ended");
	if (spawn->pending & CLONE_NEWPID && errno != EPERM)
		return err_sys(err, "join the container's pid namespace");
	return spawn_with_theirs(spawn, err);
}

int ns_spawn_into(const struct ns_plan *plan, int pidfd, struct ns_spawn *spawn, struct err *err)
{
	spawn->pending = plan->create | plan->join;
	spawn->userns = ns_has(plan, CLONE_NEWUSER);
	spawn->target = pidfd;
	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		spawn->fds[i] = -1;
	int ret = spawn->leave ? spawn_from_inside(spawn, err) : spawn_into(spawn, err);
	return ret < 0 ? err_wrap(err, "namespaces") : ret;
}
