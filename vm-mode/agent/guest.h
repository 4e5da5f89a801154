// guest: what makes a freshly booted kernel a place for a container, and the end of it.
#pragma once

#include "base/err.h"
#include "vm-mode/agent_config.h"
#include "vm-mode/proto/proto.h"

// Where the shared root is mounted.
#define GUEST_ROOT "/container"

// Leaves the initramfs for a root that pivot_root(2) works from; mounts the kernel's file systems and
// cgroup v2; loads the modules that the archive has, in the order of its file modules/order, each with its parameters
// of the kernel's command line. For pid 1 of a guest, first.
int guest_prepare(struct err *err);

// Sets CLOCK_REALTIME. Where that can't be, it is warned of.
void guest_set_clock(const struct proto_clock *clock);

// What the configuration says of the guest itself: mounts the root that the host shares (virtio-fs,
// tag `root`), hostname, loopback interface.
int guest_adapt(const struct agent_config *config, struct err *err);

// Ends the machine. `why`, if there is a reason, goes to the kernel's log: that comes out by what the kernel writes to
// before it has found its console, as a kernel without a driver for that never does.
void guest_end(const char *why) __attribute__((noreturn));
