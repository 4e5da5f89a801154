// vm_files: where the guest's kernel and agent are.
//
// The operator's word comes first. Else, for a moat that runs from the tree where it was built, the files are those
// that were built with it; or they lie where `make install` puts them. A tree that others than root and the
// executable's owner can write to comes last. Nothing is ever looked for in a bundle.
#pragma once

#include "base/arena.h"
#include "base/err.h"

#include <stdint.h>

// What the operator names. Return a descriptor; errors name the file. -ENOEXEC and others of vm-mode/machine/boot.h: it
// is no kernel (an ELF vmlinux or a bzImage) for a guest with so much memory, or no initramfs.
int vm_files_open_named_kernel(const char *path, uint64_t memory_bytes, struct err *err);
int vm_files_open_named_initrd(const char *path, struct err *err);

// What the files beside moat's own kernel tell of it; NULL where there is none.
struct vm_files_kernel {
	const char *version; // one line
	const char *config;  // the path of its configuration
};

// moat's own. Return a descriptor, or -ENOENT, saying where it was looked for and what makes it. *about, unless that is
// NULL, is in `arena`.
int vm_files_open_kernel(struct arena *arena, struct vm_files_kernel *about, struct err *err);
int vm_files_open_agent(struct err *err);
