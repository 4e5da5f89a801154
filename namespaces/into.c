#include "namespaces/namespaces.h"

#include "base/log.h"
#include "base/scope.h"
#include "base/sys.h"
#include "namespaces/arrive.h"
#include "namespaces/birth.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

static int in_stage(void *context, struct err *err)
{
	return ns_join_target(context, err);
}

// A pid namespace is entered by being born into it. With the right to it, moat itself has its next
// child born there, and then its own again; that saves a stage. An ordinary user has the right only
// inside the user namespace, which moat must not enter.
static int spawn_into(struct ns_spawn *spawn, struct err *err)
{
	const struct ns_birth from_here = { 0 };
	const struct ns_birth by_stage = { .in_stage = in_stage, .context = spawn };

	if (!(spawn->pending & CLONE_NEWPID))
		return ns_birth_give(&from_here, spawn, err);

	scope_fd int self = sys_pidfd_open(getpid(), 0);
	if (self < 0)
		return err_sys(err, "pidfd of moat");
	if (setns(spawn->target, CLONE_NEWPID) < 0) {
		if (errno == EPERM)
			return ns_birth_give(&by_stage, spawn, err);
		if (errno == ESRCH)
			return err_set(err, ESRCH, "the container's process has ended");
		return err_sys(err, "join the container's pid namespace");
	}
	spawn->pending &= ~(uint64_t)CLONE_NEWPID;
	int ret = ns_birth_give(&from_here, spawn, err);
	if (ret != 0 && setns(self, CLONE_NEWPID) < 0)
		log_warn("return to moat's own pid namespace: %s", err_text(errno));
	return ret;
}

int ns_spawn_into(const struct ns_plan *plan, int pidfd, struct ns_spawn *spawn, struct err *err)
{
	spawn->pending = plan->create | plan->join;
	spawn->userns = ns_has(plan, CLONE_NEWUSER);
	spawn->target = pidfd;
	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		spawn->fds[i] = -1;
	int ret = spawn_into(spawn, err);
	return ret < 0 ? err_wrap(err, "namespaces") : ret;
}
