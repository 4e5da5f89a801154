// vm: a virtual machine, as the runtime sees it. The only header of vm-mode/ that runtime/ needs for
// running one.
//
// vm_prepare() and vm_boot() do all that can fail for reasons that the user should hear of from
// `create`: kernel, memory, devices, the guest's boot, the container in it. vm_run() does not return:
// the process is the VMM, and ends with the program's exit status. All are called in one process, the
// container's init, which has no threads yet.
//
// What the pieces are: docs/vm-mode.md.
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The descriptors are the machine's from vm_prepare() on, also when it fails.
struct vm_config {
	unsigned int vcpus;
	uint64_t memory_bytes;
	const char *kernel_parameters; // beyond moat's own; NULL: none
	int kvm_fd;		       // /dev/kvm
	int kernel_fd;		       // ELF vmlinux or bzImage
	int agent_fd;		       // an initramfs, newc: the agent
	int initrd_fd;		       // one more, in front of it; -1: none
	int control_fd;		       // a listening socket: ROOT/ID/vm
	int root_fd;		       // the directory that the guest gets as its root
	int proc_fd;		       // the root of a procfs in which this process is
	int terminal;		       // the program's terminal, or -1 and three streams
	int streams[3];
	const char *agent_config; // PROTO_CONFIG's JSON; not needed after vm_prepare()
	size_t agent_config_len;
	bool debug; // the guest's console goes to the log
};

struct vm;

// Closes those that are open: for who has them, but makes no machine of them.
void vm_config_close(struct vm_config *config);

// The machine with its devices, its kernel loaded, and the file server's process; nothing runs yet.
int vm_prepare(const struct vm_config *config, struct vm **vm, struct err *err);

// Boots, and returns when the container has been made in the guest. -EPROTO and others: the guest's or
// the agent's error, with the end of its console where that may tell more.
int vm_boot(struct vm *vm, struct err *err);

// Serves the guest until `fd` is readable: while the container waits to be started. Negative errno
// when the guest has ended.
int vm_wait(struct vm *vm, int fd, struct err *err);

// Starts the program, closes `report_fd` when it runs, and serves the guest to its end. The usual
// signals that come to this process are the program's from here on. Returns only when the program
// could not be started.
int vm_run(struct vm *vm, int report_fd, struct err *err);
