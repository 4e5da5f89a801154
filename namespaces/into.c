#include "namespaces/namespaces.h"

#include "base/log.h"
#include "base/scope.h"
#include "base/sys.h"
#include "namespaces/birth.h"
#include "namespaces/idmap.h"

#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct entry {
	const struct ns_plan *plan;
	int pidfd;
	uint64_t flags; // of the namespaces to join
	bool userns;	// one of them is a user namespace, not moat's own
};

// All at once: the kernel checks each with the rights of the user namespace that is entered with
// it as well as with the present ones, and joins all or none.
static int enter(struct entry *entry, struct err *err)
{
	int ret = entry->flags ? setns(entry->pidfd, (int)entry->flags) : 0;

	if (ret < 0 && errno == EINVAL && entry->userns) {
		// The user namespace is moat's own, which can't be joined.
		entry->userns = false;
		entry->flags &= ~(uint64_t)CLONE_NEWUSER;
		return enter(entry, err);
	}
	return ret < 0 ? err_sys(err, "join the container's namespaces") : 0;
}

// From inside, where the rights are the container's, nobody may trace this process, which still
// holds what is moat's.
static int enter_hidden(void *context, struct err *err)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return enter(context, err);
}

static int become_root(void *context, struct err *err)
{
	const struct entry *entry = context;

	return entry->userns ? idmap_become_root(entry->plan, err) : 0;
}

static int enter_as_root(void *context, struct err *err)
{
	int ret = enter_hidden(context, err);

	return ret < 0 ? ret : become_root(context, err);
}

// A pid namespace is entered by being born into it. With the right to it, moat itself has its next
// child born there, and then its own again; that saves a stage. An ordinary user has the right only
// inside the user namespace, which moat must not enter.
static int spawn_into(struct entry *entry, struct ns_spawn *spawn, struct err *err)
{
	const struct ns_birth from_here = { .in_child = enter_as_root, .context = entry };
	const struct ns_birth by_stage = {
		.in_stage = enter_hidden,
		.in_child = become_root,
		.context = entry,
	};

	if (!(entry->flags & CLONE_NEWPID))
		return ns_birth_give(&from_here, spawn, err);

	scope_fd int self = sys_pidfd_open(getpid(), 0);
	if (self < 0)
		return err_sys(err, "pidfd of moat");
	if (setns(entry->pidfd, CLONE_NEWPID) < 0) {
		if (errno == EPERM)
			return ns_birth_give(&by_stage, spawn, err);
		return err_sys(err, "join the container's pid namespace");
	}
	entry->flags &= ~(uint64_t)CLONE_NEWPID;
	int ret = ns_birth_give(&from_here, spawn, err);
	if (ret != 0 && setns(self, CLONE_NEWPID) < 0)
		log_warn("return to moat's own pid namespace: %s", err_text(errno));
	return ret;
}

int ns_spawn_into(const struct ns_plan *plan, int pidfd, struct ns_spawn *spawn, struct err *err)
{
	struct entry entry = {
		.plan = plan,
		.pidfd = pidfd,
		.flags = plan->create | plan->join,
		.userns = ns_has(plan, CLONE_NEWUSER),
	};
	int ret = spawn_into(&entry, spawn, err);

	if (ret == -ESRCH)
		return err_set(err, ESRCH, "namespaces: the container's process has ended");
	return ret < 0 ? err_wrap(err, "namespaces") : ret;
}
