#include "vm-mode/machine/cpuid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define LEAF_FEATURES	   0x1
#define LEAF_CACHES	   0x4
#define LEAF_TOPOLOGY	   0xb
#define LEAF_TOPOLOGY_2	   0x1f
#define LEAF_AMD_FEATURES  0x80000001
#define LEAF_AMD_SIZES	   0x80000008
#define LEAF_AMD_TOPOLOGY  0x8000001e
#define ECX_TSC_DEADLINE   (UINT32_C(1) << 24)
#define ECX_HYPERVISOR	   (UINT32_C(1) << 31)
#define EDX_HTT		   (UINT32_C(1) << 28)
#define ECX_AMD_CMP_LEGACY (UINT32_C(1) << 1)
#define LEVEL_SMT	   1
#define LEVEL_CORE	   2

_Static_assert(offsetof(struct cpuid, entries) == offsetof(struct kvm_cpuid2, entries),
	       "it is given to KVM as it is");

int cpuid_read(int kvm_fd, struct cpuid *cpuid, struct err *err)
{
	*cpuid = (struct cpuid){ .nent = CPUID_ENTRIES_MAX };
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
		return err_sys(err, "KVM: ask for CPUID");
	// It comes from the local APIC that KVM emulates, which this list doesn't know of.
	if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
		for (uint32_t i = 0; i < cpuid->nent; i++)
			if (cpuid->entries[i].function == LEAF_FEATURES)
				cpuid->entries[i].ecx |= ECX_TSC_DEADLINE;
	return 0;
}

// Bits that a number below `count` needs.
static unsigned int bits_for(unsigned int count)
{
	unsigned int bits = 0;

	while ((1u << bits) < count)
		bits++;
	return bits;
}

// Whether `entry` has a leaf that is made anew.
static bool is_replaced(const struct kvm_cpuid_entry2 *entry)
{
	return entry->function == LEAF_TOPOLOGY || entry->function == LEAF_TOPOLOGY_2;
}

static void patch(struct kvm_cpuid_entry2 *entry, unsigned int apic_id, unsigned int vcpus)
{
	const unsigned int bits = bits_for(vcpus);

	switch (entry->function) {
	case LEAF_FEATURES:
		entry->ebx = (entry->ebx & 0xffff) | apic_id << 24 | vcpus << 16;
		entry->ecx |= ECX_HYPERVISOR;
		entry->edx = vcpus > 1 ? entry->edx | EDX_HTT : entry->edx & ~EDX_HTT;
		break;
	case LEAF_CACHES:
		// Cores in the package, and who shares the cache: all the last, nobody else.
		if ((entry->eax & 0x1f) == 0)
			break;
		entry->eax &= 0x3fff;
		entry->eax |= ((1u << bits) - 1) << 26;
		if ((entry->eax >> 5 & 7) >= 3)
			entry->eax |= ((1u << bits) - 1) << 14;
		break;
	case LEAF_AMD_FEATURES:
		entry->ecx = vcpus > 1 ? entry->ecx | ECX_AMD_CMP_LEGACY :
					 entry->ecx & ~ECX_AMD_CMP_LEGACY;
		break;
	case LEAF_AMD_SIZES:
		entry->ecx = (entry->ecx & ~UINT32_C(0xf0ff)) | bits << 12 | (vcpus - 1);
		break;
	case LEAF_AMD_TOPOLOGY:
		entry->eax = apic_id;
		entry->ebx = apic_id;
		entry->ecx = 0;
		break;
	}
}

// The levels of the extended topology leaves (SDM volume 2, CPUID; APM volume 3, E.4.7).
static void add_levels(struct cpuid *cpuid, uint32_t leaf, unsigned int apic_id, unsigned int vcpus)
{
	const struct kvm_cpuid_entry2 levels[] = {
		{ .ebx = 1, .ecx = LEVEL_SMT << 8 },
		{ .eax = bits_for(vcpus), .ebx = vcpus, .ecx = 1 | LEVEL_CORE << 8 },
		{ .ecx = 2 },
	};

	for (uint32_t i = 0; i < 3; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[cpuid->nent++];

		*entry = levels[i];
		entry->function = leaf;
		entry->index = i;
		entry->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		entry->edx = apic_id;
	}
}

int cpuid_set_topology(struct cpuid *cpuid, unsigned int apic_id, unsigned int vcpus,
		       struct err *err)
{
	bool has[2] = { false };
	uint32_t kept = 0;

	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (is_replaced(entry)) {
			has[entry->function == LEAF_TOPOLOGY_2] = true;
			continue;
		}
		patch(entry, apic_id, vcpus);
		cpuid->entries[kept++] = *entry;
	}
	if (kept + 6 > CPUID_ENTRIES_MAX)
		return err_set(err, E2BIG, "CPUID: more leaves than there is place for");
	cpuid->nent = kept;
	if (has[0])
		add_levels(cpuid, LEAF_TOPOLOGY, apic_id, vcpus);
	if (has[1])
		add_levels(cpuid, LEAF_TOPOLOGY_2, apic_id, vcpus);
	return 0;
}
