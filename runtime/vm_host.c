#include "runtime/vm_host.h"

#include "base/io.h"
#include "base/scope.h"
#include "base/str.h"
#include "runtime/container.h"
#include "vm-mode/machine/probe.h"

#include <fcntl.h>

#define KEPT	    "@kvm" // in the state directory: the boot in which the probe has passed
#define BOOT_ID_MAX 64

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

int vm_host_require(const struct runtime *rt, int kvm_fd, struct err *err)
{
	scope_free char *boot = NULL, *kept = NULL;
	scope_fd int root = container_open_root(rt, err);
	struct err unimportant;

	if (root < 0)
		return root;
	if (io_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", BOOT_ID_MAX, &boot, NULL,
			 err) < 0)
		return -err->code;
	if (io_read_file(root, KEPT, BOOT_ID_MAX, &kept, NULL, &unimportant) == 0 &&
	    str_eq(kept, boot))
		return 0;
	if (vm_host_probe(kvm_fd, err) < 0)
		return err_set(err, err->code, "%s (moat check tells what to do)",
			       arena_strdup(rt->arena, err->msg));
	// What can't be kept is asked again.
	io_replace_file(root, KEPT, 0600, boot, strlen(boot), &unimportant);
	return 0;
}
