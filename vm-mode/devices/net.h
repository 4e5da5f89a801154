// net: a virtio network card with a tap device of the host behind it.
//
// One pair of queues. Packets go from the tap into the guest's buffers and back by readv(2) and
// writev(2), with the virtio header, which a tap with IFF_VNET_HDR speaks itself: nothing is copied or
// looked into here. Checksums and segmentation are left to whichever end can (offloads); what the guest
// takes the tap is told only once its driver has agreed.
//
// Nothing is queued here either. While the guest has put out no buffers, the tap isn't read, and drops
// what its own queue doesn't hold; while the tap takes no more, the guest's packets stay in its queue. The
// work of one turn of the machine's event loop is bounded in packets.
//
// The tap may go while the guest runs: then the guest sees its link go down.
//
// A sandbox must let it have readv, writev, and TUNSETOFFLOAD of ioctl: when the driver is ready, which is on
// a vCPU's thread.
//
// VIRTIO 1.2, "Network Device" (5.1).
#pragma once

#include "base/err.h"
#include "vm-mode/virtio/device.h"

#define NET_MAC_BYTES 6

// The device is to be handed to the transport, which closes it. `tap_fd`, of net_open_tap(), stays the
// caller's. `mtu`: bytes of an Ethernet frame's payload, as the tap's interface has it.
int net_create(struct device **device, int tap_fd, const uint8_t mac[NET_MAC_BYTES], uint16_t mtu,
	       struct err *err);

// Opens (or makes) the tap interface `name` of the current network namespace, as the device needs it.
// Returns a descriptor, close-on-exec and non-blocking. Needs /dev/net/tun, and CAP_NET_ADMIN or an
// interface that the user was given.
int net_open_tap(const char *name, struct err *err);
