#include "vm-mode/memory.h"

void *guest_ptr(const struct guest_memory *memory, uint64_t gpa, uint64_t len)
{
	for (size_t i = 0; len > 0 && i < memory->count; i++) {
		const struct guest_range *range = &memory->ranges[i];

		if (gpa >= range->gpa && gpa - range->gpa < range->size &&
		    len <= range->size - (gpa - range->gpa))
			return (char *)range->host + (gpa - range->gpa);
	}
	return NULL;
}
