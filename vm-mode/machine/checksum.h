// checksum: of a firmware's tables (ACPI, MP): the byte that makes all of them add up to 0.
#pragma once

#include <stddef.h>
#include <stdint.h>

// The place for it is 0 before, or is not among the `len` bytes.
static inline uint8_t checksum(const void *data, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += ((const uint8_t *)data)[i];
	return (uint8_t)-sum;
}
