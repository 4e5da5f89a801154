// vm_host: what VM mode needs of this host's kernel, for who runs a VM and for who only wants to know.
#pragma once

#include "base/err.h"
#include "runtime/runtime.h"

// Returns a descriptor of /dev/kvm.
int vm_host_open_kvm(struct err *err);

// -ENOTSUP: this KVM can't run a guest's kernel, and why (vm-mode/machine/probe.h).
int vm_host_probe(int kvm_fd, struct err *err);

// The same, asked once since the host was booted: that it can is then kept in ROOT/@kvm. For each start of
// a VM, which has better things to do.
int vm_host_require(const struct runtime *rt, int kvm_fd, struct err *err);
