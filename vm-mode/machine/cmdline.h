// cmdline: the kernel's command line. Pure.
//
// What is in it: where the console is and how much it hears, what a panic and a reboot do, where the
// virtio devices are (there is no bus to find them on), what saves time at boot, and last what the
// operator adds, which so can overrule the rest.
//
// The kernel's Documentation/admin-guide/kernel-parameters.rst.
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

struct cmdline {
	bool debug;		// the kernel's messages from the first on
	bool serial;		// there is a serial port
	size_t devices;		// virtio-mmio, at their places of vm-mode/machine/layout.h
	const char *parameters; // of the operator; NULL: none
};

// -EINVAL: the operator's parameters have a control character; -E2BIG: it is longer than the kernel
// takes. `out` is {0} before, and the caller's to free in any case.
int cmdline_make(const struct cmdline *cmdline, struct text *out, struct err *err);
