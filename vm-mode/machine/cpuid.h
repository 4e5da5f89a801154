// cpuid: what a vCPU says of itself: what KVM supports on this host, with moat's topology: one package
// of as many cores, one thread each, with the APIC ids 0, 1, 2, ...
//
// Leaves of KVM's own (0x40000000 on) stay as KVM gives them, so the guest finds its clock.
#pragma once

#include "base/err.h"

#include <linux/kvm.h>
#include <stdint.h>

#define CPUID_ENTRIES_MAX 256

// As struct kvm_cpuid2, whose end is open.
struct cpuid {
	uint32_t nent, padding;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX];
};

// What KVM supports; for cpuid_set_topology().
int cpuid_read(int kvm_fd, struct cpuid *cpuid, struct err *err);

// Makes it that of vCPU `apic_id` of `vcpus`. May be used again on the same. Pure. -E2BIG: there is
// no place for more leaves.
int cpuid_set_topology(struct cpuid *cpuid, unsigned int apic_id, unsigned int vcpus,
		       struct err *err);
