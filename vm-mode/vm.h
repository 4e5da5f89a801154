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
#include <time.h>

// What a machine is made of, in struct vm_config's `fds`; -1: none.
enum vm_fd {
	VM_FD_KVM,	// /dev/kvm
	VM_FD_KERNEL,	// ELF vmlinux or bzImage
	VM_FD_AGENT,	// an initramfs, newc: the agent
	VM_FD_INITRD,	// one more, in front of it, or none
	VM_FD_CONTROL,	// a listening socket: ROOT/ID/vm
	VM_FD_JOURNAL,	// a file to append to (vm-mode/journal.h)
	VM_FD_ROOT,	// the directory that the guest gets as its root
	VM_FD_PROC,	// the root of a procfs in which this process is
	VM_FD_TERMINAL, // the program's, or three streams
	VM_FD_IN,
	VM_FD_OUT,
	VM_FD_ERR,
	VM_FD_COUNT,
};

// The descriptors are the machine's from vm_prepare() on, also when it fails.
struct vm_config {
	unsigned int vcpus;
	uint64_t memory_bytes;
	const char *kernel_parameters; // beyond moat's own; NULL: none
	int fds[VM_FD_COUNT];
	const char *agent_config; // PROTO_CONFIG's JSON; not needed after vm_prepare()
	size_t agent_config_len;
	bool debug;		// the guest's console goes to the log
	struct timespec called; // CLOCK_MONOTONIC, when the runtime was: what the journal counts from
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
// when the guest has ended, which the journal then says; whom else to tell is the caller's business. Does not
// return where a signal has ended what waits there to become the program: that is the program's end.
int vm_wait(struct vm *vm, int fd, struct err *err);

// Starts the program, closes `report_fd` when it runs, and serves the guest to its end. The usual
// signals that come to this process are the program's from here on. A guest that ends before its
// program is told of in the journal, the log and on the program's standard error, and the status is 1.
// Returns only when the program could not be started.
int vm_run(struct vm *vm, int report_fd, struct err *err);
