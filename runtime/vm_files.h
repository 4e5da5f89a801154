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
// looked for and what makes it.
int vm_files_open(const struct vm_files_wanted *wanted, int *kernel_fd, int *initrd_fd,
		  int *agent_fd, struct err *err);

// moat's own. Return a descriptor, or -ENOENT as above. *version: of the kernel, in `arena`; NULL where
// no file `version` lies beside it, or there is no kernel.
int vm_files_open_kernel(struct arena *arena, const char **version, struct err *err);
int vm_files_open_agent(struct err *err);
