// console: the guest kernel's console: a virtio console with one port, output only.
//
// Its end is kept, to be quoted when the guest dies; on request it also goes to a descriptor. It
// never waits: what a descriptor doesn't take at once is lost to it.
//
// VIRTIO 1.2, "Console Device" (5.3).
#pragma once

#include "base/err.h"
#include "vm-mode/virtio/device.h"

#define CONSOLE_KEPT_BYTES ((size_t)64 * 1024)

// The device is to be handed to the transport, which closes it. `fd` stays the caller's, and is
// best non-blocking; -1: none.
int console_create(struct device **device, int fd, struct err *err);

// More of the same console: what the guest says before it has found the device.
void console_add(struct device *device, const char *bytes, size_t len);

// Copies the last whole lines that fit into `size` - 1 bytes, and a NUL. But where the kernel has
// panicked, and what it has said since doesn't fit, the first of that. Returns their length.
size_t console_tail(const struct device *device, char *tail, size_t size);

// What the kernel has panicked for, in its own words; "": it has not, or that was long ago.
void console_panic(const struct device *device, char *words, size_t size);
