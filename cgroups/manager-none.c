// The manager of a moat that was built without systemd.

#include "cgroups/manager.h"

static int unsupported(struct err *err)
{
	return err_set(err, ENOTSUP,
		       "this moat was built without the systemd cgroup driver "
		       "(choose --cgroup-manager cgroupfs)");
}

bool cgroup_systemd_supported(void)
{
	return false;
}

int cgroup_systemd_find(bool rootless, struct arena *arena, struct cgroup_systemd *systemd,
			struct err *err)
{
	(void)rootless;
	(void)arena;
	*systemd = (struct cgroup_systemd){ 0 };
	return unsupported(err);
}

int manager_start_unit(const struct unit *unit, pid_t pid, struct err *err)
{
	(void)unit;
	(void)pid;
	return unsupported(err);
}

int manager_stop_unit(const struct unit *unit, struct err *err)
{
	(void)unit;
	return unsupported(err);
}

int manager_change_unit(const struct unit *unit, const struct unit_properties *properties,
			struct err *err)
{
	(void)unit;
	(void)properties;
	return unsupported(err);
}
