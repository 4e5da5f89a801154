#include "namespaces/arrive.h"

#include "base/scope.h"
#include "base/sys.h"
#include "namespaces/idmap.h"

#include <sched.h>
#include <sys/prctl.h>

int ns_join_each(const struct ns_plan *plan, struct ns_spawn *spawn, uint64_t flags,
		 struct err *err)
{
	for (size_t i = 0; i < OCI_NS_COUNT; i++) {
		const uint64_t flag = ns_type_flag(i);

		if (!(spawn->pending & flags & flag))
			continue;
		if (setns(spawn->fds[i], (int)flag) == 0)
			spawn->pending &= ~flag;
		else if (err_sys(err, "join %s namespace %s", ns_type_name(i), plan->paths[i]) !=
			 -EPERM)
			return -err->code;
	}
	return 0;
}

// The kernel checks each with the rights of the user namespace that is entered with it as well as
// with the present ones, and joins all or none.
static int join_at_once(struct ns_spawn *spawn, struct err *err)
{
	int ret = spawn->pending ? setns(spawn->target, (int)spawn->pending) : 0;

	if (ret < 0 && errno == EINVAL && spawn->pending & CLONE_NEWUSER) {
		// The user namespace is moat's own, which can't be joined.
		spawn->userns = false;
		spawn->pending &= ~(uint64_t)CLONE_NEWUSER;
		return join_at_once(spawn, err);
	}
	if (ret < 0 && errno == ESRCH)
		return err_set(err, ESRCH, "the container's process has ended");
	if (ret < 0)
		return err_sys(err, "join the container's namespaces");
	spawn->pending = 0;
	return 0;
}

// From inside, where the rights are the container's, nobody may trace this process, which still
// holds what is moat's.
int ns_join_target(struct ns_spawn *spawn, struct err *err)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return join_at_once(spawn, err);
}

static int join_rest(const struct ns_plan *plan, struct ns_spawn *spawn, struct err *err)
{
	if (spawn->target >= 0)
		return ns_join_target(spawn, err);
	int ret = ns_join_each(plan, spawn, spawn->pending, err);
	return ret == 0 && spawn->pending ? -err->code : ret;
}

int ns_arrive(const struct ns_plan *plan, struct ns_spawn *spawn, struct err *err)
{
	const bool first = plan->create & CLONE_NEWUSER && plan->create & CLONE_NEWPID;
	int ret = join_rest(plan, spawn, err);

	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		replace_fd(&spawn->fds[i], -1);
	if (ret == 0 && spawn->userns)
		ret = idmap_become_root(plan, err);
	// Becoming another user has made the process not dumpable, so that its files in /proc are
	// root's; an ordinary user's moat couldn't set its oom_score_adj. Nobody else is in here
	// yet.
	if (ret == 0 && first && spawn->target < 0)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return ret < 0 ? err_wrap(err, "namespaces") : 0;
}
