// vm: a virtual machine, as the runtime sees it. The only header of vm-mode/ that runtime/ needs for
// running one.
//
// vm_prepare() does all that can fail for reasons that the user should hear of from `create`: the
// kernel's image, memory, the devices. vm_run() does not return: the process becomes the VMM, and
// ends with the program's exit status.
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// All descriptors are the caller's until vm_prepare() has succeeded, then the machine's.
struct vm_config {
	unsigned int vcpus;
	uint64_t memory_bytes;
	const char *kernel_parameters; // beyond moat's own; NULL: none
	int kvm_fd;		       // /dev/kvm
	int kernel_fd;		       // ELF vmlinux or bzImage
	int agent_fd;		       // an initramfs, newc, perhaps compressed: the agent
	int initrd_fd;		       // one more in front of it, or -1
	int control_fd;		       // listening: ROOT/ID/vm
	int root_fd;		       // the container's root, what the file server serves
	const char *agent_config;      // PROTO_CONFIG's JSON
	size_t agent_config_len;
	bool terminal; // descriptor 0 is the container's terminal; else 0, 1 and 2 are its streams
	bool debug;    // the guest's console goes to the log
};

struct vm;

int vm_prepare(const struct vm_config *config, struct vm **vm, struct err *err);

// Boots, waits until the agent has said READY, or fails with the end of the guest's console in the
// error.
int vm_boot(struct vm *vm, struct err *err);

// Lets the program start, tells so on `report_fd` (closed: it runs; else as in process/channel.h) and
// runs the machine to its end. Returns only on failure before the start.
int vm_run(struct vm *vm, int report_fd, struct err *err);
