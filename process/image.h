// image: the launcher's program with a list of system calls in it, as one ELF file.
#pragma once

#include "base/str.h"
#include "process/steps.h"

// Adds the whole file to `out`, which is empty. Pure.
void image_compose(const struct steps *steps, const struct process_channels *channels,
		   struct text *out);

// Makes the file executable from a descriptor that nothing can write through: in a sealed memory
// file, or where vm.memfd_noexec forbids that, on a file system of its own that is mounted nowhere.
// Returns the descriptor.
int image_open(const struct text *image, struct err *err);
