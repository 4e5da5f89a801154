// journal: what a VM leaves of itself in the container's directory, for who asks while it runs or when it
// has gone: the stages of its start, and why it came to an end that was not its program's.
//
// A file that only grows: lines `stage NAME MICROSECONDS`, then perhaps a line `error` and after that
// nothing but the message. The VMM writes it by a descriptor that it had before it gave up the file
// system. It is read on the host, and a guest may have taken over its VMM: what doesn't read like that
// is not believed, and what is too long not read.
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

// Its name in the container's directory.
#define JOURNAL_FILE "vm.journal"

// In the order in which they come.
enum vm_stage {
	VM_STAGE_VMM, // the host has done what it does for any container: the init becomes the VMM
	VM_STAGE_MACHINE, // KVM's machine is there, with its devices and the kernel in memory
	VM_STAGE_ENTERED, // the vCPUs run
	VM_STAGE_CONSOLE, // the kernel's first words; only with --debug does it have any
	VM_STAGE_INIT, // the kernel has booted: the guest's first process runs, by the guest's clock
	VM_STAGE_AGENT,	   // it has made the guest ready, and says so
	VM_STAGE_CREATED,  // the container is made, and waits to be started
	VM_STAGE_STARTING, // the word to start has come
	VM_STAGE_STARTED,  // the program runs
	VM_STAGES,
};

struct journal {
	uint64_t stage_us[VM_STAGES]; // since the runtime was called; 0: not reached
	char error[ERR_MSG_MAX];      // "": none
};

// The stage's name in the journal and in `moat state`.
const char *vm_stage_name(enum vm_stage stage);

// Add to it. That the file can't be written is no reason to end.
void journal_add_stage(int fd, enum vm_stage stage, uint64_t us);
void journal_add_error(int fd, const char *message);

// Takes from the text what reads like a journal. Pure.
void journal_parse(const char *text, struct journal *journal);

// Of the container in this directory. -ENOENT: it has none.
int journal_read(int dirfd, struct journal *journal, struct err *err);
