#include "vm-mode/machine/bus.h"

#include <string.h>

int bus_add(struct bus *bus, const struct bus_range *range, struct err *err)
{
	if (range->size == 0 || range->start + (range->size - 1) < range->start)
		return err_set(err, EINVAL, "%s: no range of addresses", range->name);
	for (size_t i = 0; i < bus->count; i++) {
		const struct bus_range *other = &bus->ranges[i];

		if (range->start <= other->start + (other->size - 1) &&
		    other->start <= range->start + (range->size - 1))
			return err_set(err, EEXIST, "the addresses of %s and %s overlap",
				       range->name, other->name);
	}
	if (bus->count == BUS_RANGES_MAX)
		return err_set(err, ENOSPC, "%s: no place for more devices", range->name);
	bus->ranges[bus->count++] = *range;
	return 0;
}

static const struct bus_range *find(const struct bus *bus, uint64_t addr, size_t len)
{
	for (size_t i = 0; i < bus->count; i++) {
		const struct bus_range *range = &bus->ranges[i];

		if (addr >= range->start && addr - range->start < range->size)
			return len <= range->size - (addr - range->start) ? range : NULL;
	}
	return NULL;
}

void bus_read(const struct bus *bus, uint64_t addr, void *data, size_t len)
{
	const struct bus_range *range = find(bus, addr, len);

	memset(data, range ? 0 : 0xff, len);
	if (range && range->read)
		range->read(range->owner, addr - range->start, data, len);
}

void bus_write(const struct bus *bus, uint64_t addr, const void *data, size_t len)
{
	const struct bus_range *range = find(bus, addr, len);

	if (range && range->write)
		range->write(range->owner, addr - range->start, data, len);
}
