#include "vm-mode/machine/kvm.h"

#include "base/str.h"
#include "vm-mode/machine/layout.h"

#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

int kvm_check(int kvm_fd, struct err *err)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = {
		{ KVM_CAP_USER_MEMORY, "user memory" },
		{ KVM_CAP_SET_TSS_ADDR, "a TSS address" },
		{ KVM_CAP_SET_IDENTITY_MAP_ADDR, "an identity map address" },
		{ KVM_CAP_EXT_CPUID, "CPUID" },
		{ KVM_CAP_SPLIT_IRQCHIP, "local APICs" },
		{ KVM_CAP_IRQ_ROUTING, "interrupt routes" },
		{ KVM_CAP_IRQFD, "irqfd" },
		{ KVM_CAP_IOEVENTFD, "ioeventfd" },
		{ KVM_CAP_MP_STATE, "MP states" },
		{ KVM_CAP_IMMEDIATE_EXIT, "immediate exits" },
	};
	int version = ioctl(kvm_fd, KVM_GET_API_VERSION, 0);

	if (version < 0)
		return err_sys(err, "KVM: ask for its version");
	if (version != KVM_API_VERSION)
		return err_set(err, ENOSYS, "KVM: its version is %d, %d is needed", version,
			       KVM_API_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
			return err_set(err, ENOSYS, "KVM: it lacks %s", needed[i].name);
	return 0;
}

int kvm_create_vm(int kvm_fd, struct err *err)
{
	int fd;

	// A signal makes it give up (MMU notifiers are registered killably).
	do
		fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return err_sys(err, "KVM: make a machine");
	return fd;
}

int kvm_create_irqchip(int vm_fd, struct err *err)
{
	const struct kvm_enable_cap local_apics = { .cap = KVM_CAP_SPLIT_IRQCHIP,
						    .args = { LAYOUT_IOAPIC_PINS } };
	const uint64_t identity = LAYOUT_KVM_IDENTITY;

	// On Intel, KVM keeps pages of its own in the guest's address space.
	if (ioctl(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0 ||
	    ioctl(vm_fd, KVM_SET_TSS_ADDR, (unsigned long)LAYOUT_KVM_TSS) < 0)
		return err_sys(err, "KVM: place its own pages");
	if (ioctl(vm_fd, KVM_ENABLE_CAP, &local_apics) < 0)
		return err_sys(err, "KVM: make local APICs");
	return 0;
}

int kvm_set_routes(int vm_fd, const struct kvm_irq_routing_entry *routes, size_t count,
		   struct err *err)
{
	// struct kvm_irq_routing, which has no room for entries.
	struct {
		uint32_t nr, flags;
		struct kvm_irq_routing_entry entries[LAYOUT_IOAPIC_PINS];
	} table = { .nr = (uint32_t)count };

	memcpy(table.entries, routes, count * sizeof(*routes));
	if (ioctl(vm_fd, KVM_SET_GSI_ROUTING, &table) < 0)
		return err_sys(err, "KVM: lead interrupts to %zu places", count);
	return 0;
}

int kvm_set_memory(int vm_fd, uint32_t slot, uint64_t gpa, uint64_t size, void *host,
		   struct err *err)
{
	const struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return err_sys(err, "KVM: memory of %llu bytes at 0x%llx", (unsigned long long)size,
			       (unsigned long long)gpa);
	return 0;
}

int kvm_add_irqfd(int vm_fd, uint32_t line, int event_fd, struct err *err)
{
	const struct kvm_irqfd irqfd = { .fd = (uint32_t)event_fd, .gsi = line };

	if (ioctl(vm_fd, KVM_IRQFD, &irqfd) < 0)
		return err_sys(err, "KVM: irqfd for line %u", line);
	return 0;
}

int kvm_add_ioeventfd(int vm_fd, uint64_t gpa, uint32_t value, int event_fd, struct err *err)
{
	const struct kvm_ioeventfd ioeventfd = {
		.datamatch = value,
		.addr = gpa,
		.len = sizeof(value),
		.fd = event_fd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};

	if (ioctl(vm_fd, KVM_IOEVENTFD, &ioeventfd) < 0)
		return err_sys(err, "KVM: ioeventfd at 0x%llx", (unsigned long long)gpa);
	return 0;
}
