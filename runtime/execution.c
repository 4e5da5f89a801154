#include "runtime/execution.h"

#include <unistd.h>

int execution_open_cgroup(struct execution *e, const struct oci_strings *subs, struct err *err)
{
	if (container_open_cgroup(&e->container, err) < 0)
		return -err->code;
	if (!e->container.cgroup)
		return 0;
	if (cgroup_join_open(e->container.cgroup, subs, e->rt->arena, &e->join, err) < 0)
		return -err->code;
	e->child.cgroup_fd = cgroup_join_fd(e->join);
	return 0;
}

int execution_take_streams(struct execution *e, struct err *err)
{
	if (e->spec->terminal)
		return terminal_route_send(&e->terminal, e->spec->console_size, false, err);
	setsid();
	return 0;
}
