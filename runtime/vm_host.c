#include "runtime/vm_host.h"

#include "vm-mode/probe.h"

#include <fcntl.h>

int vm_host_open_kvm(struct err *err)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	return fd < 0 ? err_sys(err, "open /dev/kvm%s",
				errno == ENOENT ? " (does this host have KVM?)" : "") :
			fd;
}

int vm_host_probe(int kvm_fd, struct err *err)
{
	struct kvm_verdict verdict;

	if (kvm_probe(kvm_fd, &verdict, err) < 0)
		return -err->code;
	return verdict.good ? 0 : err_set(err, ENOTSUP, "%s", verdict.why);
}
