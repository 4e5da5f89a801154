// vm_files: where the guest's kernel and agent are.
//
// The operator's word comes first. Else the files lie where `make install` puts them; or, for a moat
// that runs from the tree where it was built, there. Nothing is ever looked for in a bundle.
#pragma once

#include "base/arena.h"
#include "base/err.h"

// NULL: moat's own.
struct vm_files_wanted {
	const char *kernel; // an ELF vmlinux or a bzImage
	const char *initrd; // an initramfs that this kernel needs; moat's own kernel needs none
};

// Opens kernel, initramfs (-1: none) and agent: the caller's descriptors. -ENOENT, saying where it was
// looked for and what makes it. -ENOEXEC: what the operator named is no kernel (vm-mode/machine/boot.h).
int vm_files_open(const struct vm_files_wanted *wanted, int *kernel_fd, int *initrd_fd,
		  int *agent_fd, struct err *err);

// What the files beside moat's own kernel tell of it; NULL where there is none.
struct vm_files_kernel {
	const char *version; // one line
	const char *config;  // the path of its configuration
};

// moat's own. Return a descriptor, or -ENOENT as above. *about is in `arena`.
int vm_files_open_kernel(struct arena *arena, struct vm_files_kernel *about, struct err *err);
int vm_files_open_agent(struct err *err);
