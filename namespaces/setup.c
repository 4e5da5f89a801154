#include "namespaces/namespaces.h"

#include "base/sys.h"
#include "namespaces/birth.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// A new network namespace has the loopback interface, first of all and down.
#define LOOPBACK_INDEX 1

static int exchange(struct mnl_socket *nl, struct nlmsghdr *msg, void *buf, size_t size,
		    struct err *err)
{
	ssize_t n;

	if (mnl_socket_sendto(nl, msg, msg->nlmsg_len) < 0)
		return err_sys(err, "bring up the loopback interface: send");
	n = mnl_socket_recvfrom(nl, buf, size);
	if (n < 0)
		return err_sys(err, "bring up the loopback interface: receive");
	// The socket isn't bound by us, so its port is not known; there is but one answer.
	if (mnl_cb_run(buf, (size_t)n, msg->nlmsg_seq, 0, NULL, NULL) < 0)
		return err_sys(err, "bring up the loopback interface");
	return 0;
}

static int bring_up_loopback(struct err *err)
{
	char request[256], answer[1024]; // MNL_SOCKET_BUFFER_SIZE is for dumps
	struct nlmsghdr *msg = mnl_nlmsg_put_header(request);
	struct ifinfomsg *link;

	msg->nlmsg_type = RTM_NEWLINK;
	msg->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	msg->nlmsg_seq = 1;
	link = mnl_nlmsg_put_extra_header(msg, sizeof(*link));
	link->ifi_family = AF_UNSPEC;
	link->ifi_index = LOOPBACK_INDEX;
	link->ifi_change = link->ifi_flags = IFF_UP;

	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl)
		return err_sys(err, "bring up the loopback interface: netlink");
	int ret = exchange(nl, msg, answer, sizeof(answer), err);
	mnl_socket_close(nl);
	return ret;
}

int ns_setup(const struct ns_plan *plan, struct err *err)
{
	if (plan->create & CLONE_NEWNET) {
		if (unshare(CLONE_NEWNET) < 0)
			return ns_make_err(err, "make network namespace");
		if (bring_up_loopback(err) < 0)
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
