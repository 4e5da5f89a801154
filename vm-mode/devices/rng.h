// rng: a virtio entropy source: what getrandom(2) gives.
//
// VIRTIO 1.2, "Entropy Device" (5.4).
#pragma once

#include "base/err.h"
#include "vm-mode/virtio/device.h"

// The device is to be handed to the transport, which closes it.
int rng_create(struct device **device, struct err *err);
