#include "namespaces/namespaces.h"

#include "base/scope.h"
#include "base/sys.h"
#include "namespaces/birth.h"

#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

// A new network namespace has the loopback interface, down.
int ns_raise_loopback(struct err *err)
{
	struct ifreq request = { .ifr_name = "lo" };
	scope_fd int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (sock < 0 || ioctl(sock, SIOCGIFFLAGS, &request) < 0)
		return err_sys(err, "look at the loopback interface");
	request.ifr_flags |= IFF_UP;
	if (ioctl(sock, SIOCSIFFLAGS, &request) < 0)
		return err_sys(err, "bring up the loopback interface");
	return 0;
}

int ns_setup(const struct ns_plan *plan, struct err *err)
{
	if (plan->create & CLONE_NEWNET) {
		if (unshare(CLONE_NEWNET) < 0)
			return ns_make_err(err, "make network namespace");
		if (ns_raise_loopback(err) < 0)
			return -err->code;
	}
	if (plan->hostname && sethostname(plan->hostname, strlen(plan->hostname)) < 0)
		return err_sys(err, "set hostname %s", plan->hostname);
	if (plan->domainname && setdomainname(plan->domainname, strlen(plan->domainname)) < 0)
		return err_sys(err, "set domainname %s", plan->domainname);
	return 0;
}

int ns_unshare_cgroup(const struct ns_plan *plan, struct err *err)
{
	if (plan->create & CLONE_NEWCGROUP && unshare(CLONE_NEWCGROUP) < 0)
		return ns_make_err(err, "make cgroup namespace");
	return 0;
}
