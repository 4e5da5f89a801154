// blk: a virtio disk: a file or block device of the host, byte for byte.
//
// Requests are served one after the other in the machine's event loop, by preadv(2) and pwritev(2) on the
// guest's own memory. What that holds up is the other devices, and of the vCPUs only one that sets a device
// up: kicks and interrupts don't need the loop. Work between two turns of the loop is bounded in requests
// and in the bytes of each, and goes to the page cache; but a FLUSH waits for the host's disk, and so do the
// other devices meanwhile. A thread of its own would spare them that, for the price of a lock around each
// reset and each chain. It is worth that when disks are what a machine works on: the root file system is
// not on one.
//
// A sandbox must let it have preadv2, pwritev2, fallocate and fdatasync.
//
// VIRTIO 1.2, "Block Device" (5.2).
#pragma once

#include "base/err.h"
#include "vm-mode/virtio/device.h"

// The device is to be handed to the transport, which closes it. `fd` stays the caller's, and its size (in
// whole sectors of 512 bytes) is the disk's from now on; a descriptor that is open for reading only makes
// a disk that is read-only. `id`: what the guest sees as its serial number, at most 20 bytes of ASCII.
// -EINVAL: not open for reading, or without a size.
int blk_create(struct device **device, int fd, const char *id, struct err *err);
