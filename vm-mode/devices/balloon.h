// balloon: gives memory that the guest doesn't use back to the host.
//
// The guest reports free pages of its own accord (free page reporting), and on request inflates the
// balloon: in both cases their place in the memory file is emptied. The guest may use such pages again
// at any time; they come back as zeros.
//
// VIRTIO_BALLOON_F_DEFLATE_ON_OOM is not offered: the host's cgroup counts on what the balloon holds, and a
// guest that took it back would lose its VMM to the host's OOM killer instead of a process to its own. Without
// it the guest's MemTotal shrinks as well.
//
// VIRTIO 1.2, "Traditional Memory Balloon Device" (5.5), with VIRTIO_BALLOON_F_REPORTING.
#pragma once

#include "base/err.h"
#include "vm-mode/virtio/device.h"

// The device is to be handed to the transport, which closes it.
int balloon_create(struct device **device, struct err *err);

// Asks the guest to give away `bytes` of its memory, in all; it gets to that as it can.
void balloon_set_target(struct device *device, uint64_t bytes);

uint64_t balloon_target(const struct device *device);

// What it has given so far, by its own account.
uint64_t balloon_actual(const struct device *device);
