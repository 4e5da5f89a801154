// restore: what an update that fails half-way writes back. Private to cgroups/.
#pragma once

#include "base/arena.h"
#include "cgroups/place.h"

// Reads the files that the place's writes are going to change, and makes `back` the same place with
// the writes that bring their present content back, to be made in their order. Where a file tells
// nothing that could be written, nothing is.
void restore_plan(const struct place *place, struct arena *arena, struct place *back);
