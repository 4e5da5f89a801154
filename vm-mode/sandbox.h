// sandbox: what is taken from the VMM's processes and threads, from each before it has to do with the
// guest.
//
//     sandbox_vmm()       capabilities, new privileges, core dumps, tracers, the file system (Landlock,
//                         where the kernel has it), and all system calls but those of the event loop:
//                         for the main thread and the threads that it will make
//     sandbox_vcpu()      the rest of the system calls that a vCPU's thread has no use for
//     sandbox_file_server()  as sandbox_vmm(), but that the capabilities on files stay, and the calls are
//                         those of the server
//
//     sandbox_landlock()  of sandbox_vmm(), the file system alone, for its test
//
// A call that isn't on the list kills the process (SECCOMP_RET_KILL_PROCESS); one that libraries try and
// do without fails with EPERM or ENOSYS. What the lists hold, and what they are worth:
// docs/threat-model.md. seccomp(2), Documentation/userspace-api/landlock.rst.
#pragma once

#include "base/err.h"

// In the main thread, before vCPUs are made.
int sandbox_vmm(struct err *err);

// In the thread itself, first.
int sandbox_vcpu(struct err *err);

// In the file server's process: fs_device_config.confine.
int sandbox_file_server(struct err *err);

// Descriptors that are open stay usable. Returns Landlock's version; 0: this kernel has none.
int sandbox_landlock(struct err *err);
