#include "base/io.h"
#include "base/scope.h"
#include "process/plan.h"

#include <fcntl.h>
#include <stdio.h>

static const struct {
	const char *name;
	int resource;
} resources[] = {
	{ "RLIMIT_AS", RLIMIT_AS },
	{ "RLIMIT_CORE", RLIMIT_CORE },
	{ "RLIMIT_CPU", RLIMIT_CPU },
	{ "RLIMIT_DATA", RLIMIT_DATA },
	{ "RLIMIT_FSIZE", RLIMIT_FSIZE },
	{ "RLIMIT_LOCKS", RLIMIT_LOCKS },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },
	{ "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
	{ "RLIMIT_NICE", RLIMIT_NICE },
	{ "RLIMIT_NOFILE", RLIMIT_NOFILE },
	{ "RLIMIT_NPROC", RLIMIT_NPROC },
	{ "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },
	{ "RLIMIT_RTTIME", RLIMIT_RTTIME },
	{ "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
	{ "RLIMIT_STACK", RLIMIT_STACK },
};

static int resource_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
		if (str_eq(resources[i].name, name))
			return resources[i].resource;
	}
	return -1;
}

int limits_parse(struct process_plan *plan, struct err *err)
{
	size_t count = plan->process->rlimits.n;
	uint32_t seen = 0;

	plan->limits = arena_new(plan->arena, struct plan_limit, count);
	plan->limit_count = count;
	for (size_t i = 0; i < count; i++) {
		const struct oci_rlimit *from = &plan->process->rlimits.v[i];
		int resource = resource_of(from->type);

		if (resource < 0)
			return err_set(err, EINVAL, "process.rlimits: unknown limit %s",
				       from->type);
		if (seen & UINT32_C(1) << resource)
			return err_set(err, EINVAL, "process.rlimits: %s stands twice", from->type);
		if (from->soft > from->hard)
			return err_set(err, EINVAL,
				       "process.rlimits: %s: the soft limit is above the hard one",
				       from->type);
		seen |= UINT32_C(1) << resource;
		plan->limits[i] = (struct plan_limit){
			.resource = resource,
			.name = from->type,
			.value = { .rlim_cur = from->soft, .rlim_max = from->hard },
		};
	}
	return 0;
}

// The kernel asks for CAP_SYS_RESOURCE to lower the value below what the process was started with;
// writing what is there already may be refused too, and is then no failure.
static int set_oom_score_adj(pid_t pid, int32_t value, struct err *err)
{
	char path[64], want[16], have[16] = "";

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	snprintf(want, sizeof(want), "%d\n", value);
	scope_fd int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open %s", path);
	if (write(fd, want, strlen(want)) >= 0)
		return 0;

	int code = errno;
	if (pread(fd, have, sizeof(have) - 1, 0) > 0 && str_eq(have, want))
		return 0;
	err_sysn(err, code, "process.oomScoreAdj: write %d to %s", value, path);
	if (code == EACCES)
		return err_wrap(err, "lowering it needs CAP_SYS_RESOURCE");
	return -code;
}

// Only upwards: the launcher sets the limits as they shall be, when nothing is left to be done that
// a low one could make fail. The soft limit, which may be above the old hard one, is its as well.
static int raise_limit(pid_t pid, const struct plan_limit *limit, struct err *err)
{
	struct rlimit64 value;

	if (prlimit64(pid, limit->resource, NULL, &value) < 0)
		return err_sys(err, "get %s", limit->name);
	if (limit->value.rlim_max <= value.rlim_max)
		return 0;
	value.rlim_max = limit->value.rlim_max;
	if (prlimit64(pid, limit->resource, &value, NULL) == 0)
		return 0;
	err_sys(err, "raise %s to %llu", limit->name, (unsigned long long)limit->value.rlim_max);
	return err->code == EPERM ? err_wrap(err, "raising a hard limit needs CAP_SYS_RESOURCE") :
				    -err->code;
}

int process_limit(const struct process_plan *plan, pid_t pid, struct err *err)
{
	for (size_t i = 0; i < plan->limit_count; i++) {
		if (raise_limit(pid, &plan->limits[i], err) < 0)
			return -err->code;
	}
	if (plan->process->oom_score_adj.set)
		return set_oom_score_adj(pid, plan->process->oom_score_adj.v, err);
	return 0;
}
