#include "namespaces/namespaces.h"

#include "base/io.h"
#include "base/scope.h"
#include "base/sys.h"
#include "namespaces/arrive.h"
#include "namespaces/birth.h"
#include "namespaces/idmap.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

struct passage {
	const struct ns_plan *plan;
	struct ns_spawn *spawn;
};

static void close_namespaces(struct ns_spawn *spawn)
{
	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		replace_fd(&spawn->fds[i], -1);
}

static int open_namespace(enum oci_namespace_type type, const char *path, struct err *err)
{
	scope_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "open %s namespace %s", ns_type_name(type), path);
	int flag = ioctl(fd, NS_GET_NSTYPE);
	if (flag < 0 || (uint64_t)flag != ns_type_flag(type))
		return err_set(err, EINVAL, "%s: not a %s namespace", path, ns_type_name(type));
	return take_fd(&fd);
}

static int open_namespaces(const struct ns_plan *plan, struct ns_spawn *spawn, struct err *err)
{
	const char *user = plan->paths[OCI_NS_USER];

	spawn->target = -1;
	spawn->pending = plan->join;
	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		spawn->fds[i] = -1;
	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		if (plan->paths[i]) {
			spawn->fds[i] = open_namespace(i, plan->paths[i], err);
			if (spawn->fds[i] < 0)
				return -err->code;
		}
	// Joining the user namespace that one is in is an error to the kernel; to us it is done.
	if (user && ns_is_own(OCI_NS_USER, user))
		spawn->pending &= ~(uint64_t)CLONE_NEWUSER;
	spawn->userns = (plan->create | spawn->pending) & CLONE_NEWUSER;
	return 0;
}

static int write_offset(int proc, int clock, const struct oci_time_offset *offset, struct err *err)
{
	char line[64];

	if (!offset)
		return 0;
	snprintf(line, sizeof(line), "%d %" PRId64 " %u\n", clock, offset->secs, offset->nanosecs);
	int ret = io_write_str(proc, "timens_offsets", line, err);
	return ret < 0 ? err_wrap(err, "linux.timeOffsets") : 0;
}

// The offsets can be set as long as nobody is in the time namespace; the first one in is the child.
// They are the new user namespace's to set, if there is one.
static int make_time_namespace(const struct ns_plan *plan, int proc, struct err *err)
{
	if (unshare((int)(plan->create & CLONE_NEWUSER) | CLONE_NEWTIME) < 0)
		return ns_make_err(err, "make time namespace");
	int ret = write_offset(proc, CLOCK_MONOTONIC, plan->time_offsets->monotonic, err);
	return ret < 0 ? ret :
			 write_offset(proc, CLOCK_BOOTTIME, plan->time_offsets->boottime, err);
}

// Rights are with the caller first, and after the user namespace has been entered with what belongs
// to that: each namespace is tried at both times.
static int in_stage(void *context, struct err *err)
{
	const uint64_t all = ~(uint64_t)0, in_time = CLONE_NEWPID | CLONE_NEWUSER;
	const struct passage *passage = context;
	const struct ns_plan *plan = passage->plan;
	struct ns_spawn *spawn = passage->spawn;
	// Opened before another mount namespace takes it out of sight.
	scope_fd int proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int ret;

	if (proc < 0)
		return err_sys(err, "open /proc/self");
	if (spawn->pending & in_time)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	ret = ns_join_each(plan, spawn, all & ~(uint64_t)CLONE_NEWUSER, err);
	if (ret == 0 && spawn->pending & CLONE_NEWUSER) {
		ret = ns_join_each(plan, spawn, CLONE_NEWUSER, err);
		if (ret == 0 && !(spawn->pending & CLONE_NEWUSER))
			ret = idmap_expect(plan, proc, err);
		if (ret == 0)
			ret = ns_join_each(plan, spawn, all, err);
	}
	// Too late for these once the child is born.
	if (ret == 0 && spawn->pending & in_time)
		ret = -err->code;
	if (ret == 0 && plan->time_offsets)
		ret = make_time_namespace(plan, proc, err);
	return ret;
}

static int in_parent(void *context, pid_t child, struct err *err)
{
	const struct passage *passage = context;

	return idmap_write(passage->plan, child, err);
}

int ns_spawn(const struct ns_plan *plan, struct ns_spawn *spawn, struct err *err)
{
	struct passage passage = { .plan = plan, .spawn = spawn };
	struct ns_birth birth = {
		.flags = plan->create & ~(uint64_t)(CLONE_NEWCGROUP | CLONE_NEWNET),
		.in_stage = plan->stage ? in_stage : NULL,
		.in_parent = plan->create & CLONE_NEWUSER ? in_parent : NULL,
		.context = &passage,
	};

	// The stage makes these two, see make_time_namespace().
	if (plan->time_offsets)
		birth.flags &= ~(uint64_t)(CLONE_NEWTIME | CLONE_NEWUSER);
	int ret = open_namespaces(plan, spawn, err);
	if (ret == 0)
		ret = ns_birth_give(&birth, spawn, err);
	if (ret != 0)
		close_namespaces(spawn);
	return ret < 0 ? err_wrap(err, "namespaces") : ret;
}
