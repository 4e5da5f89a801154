// probe: can this host's KVM run a standard kernel? There are KVMs, in software, that run a guest's
// user programs but not its kernel as the processor would.
//
// A guest of a few instructions makes a system call: it goes to ring 3, executes SYSCALL, tells in
// which ring it arrived, goes back by SYSRET, and tells again. That takes about a millisecond.
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct kvm_verdict {
	bool good;
	char why[256]; // if it isn't, for the user: `this host's KVM can't run a standard kernel: ...`
};

// 0 and a verdict, or negative errno where the question can't be asked.
int kvm_probe(int kvm_fd, struct kvm_verdict *verdict, struct err *err);
