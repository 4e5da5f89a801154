// exec_vm: the process of moat that stands for one which runs in a container's VM.
//
// Engines know a process of `exec` by a pid: they wait for it, signal it, and give it a terminal. In VM
// mode that pid is a process of moat's, outside of the guest, which ends as the guest's process does,
// hands its signals and its terminal's size on, and takes it along when it is killed. The streams
// themselves are the VMM's to carry.
#pragma once

#include "base/err.h"
#include "oci-spec/types.h"
#include "runtime/container.h"

struct exec_vm {
	const struct container *container;
	const struct oci_process *process;
	const struct oci_strings *cgroups; // `exec --cgroup`
	// Closed, with all else but descriptors 0 to 2, when the program runs (process/channel.h).
	int channel;
};

// In that process, with its streams, or its terminal as controlling one, as descriptors 0 to 2. Returns
// the exit status of the guest's process (128 + SIGKILL where it has gone with the VM), or the error why
// it could not be started.
int exec_vm_stand_in(const struct exec_vm *exec, struct err *err);
