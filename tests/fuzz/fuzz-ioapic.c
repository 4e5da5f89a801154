// fuzz-ioapic: any accesses to the I/O APIC of a machine.
//
// The input is a byte that says how many lines it has, then a row of records of eight bytes: a read or write, its
// width, where, and a value. Beyond "no crash": after each, the routes are those of the lines that are not masked, each
// leads to a local APIC, and they have not changed unless the write said so.
#include "vm-mode/machine/ioapic.h"

#include <stdlib.h>
#include <string.h>

#define MASKED	   (UINT64_C(1) << 16)
#define LOCAL_APIC UINT32_C(0xfee00000)
#define MODE_MAX   UINT32_C(0x7ff) // vector and delivery mode

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ioapic ioapic;

// What lies behind the last of the entries is the sanitizer's.
struct routes {
	size_t count;
	struct kvm_irq_routing_entry entries[LAYOUT_IOAPIC_PINS];
};

static void must(int condition)
{
	if (!condition)
		abort();
}

static void take_routes(struct routes *routes)
{
	unsigned int pin = 0;

	routes->count = ioapic_routes(&ioapic, routes->entries);
	must(routes->count <= ioapic.pins);
	for (size_t i = 0; i < routes->count; i++, pin++) {
		const struct kvm_irq_routing_entry *route = &routes->entries[i];

		while (pin < ioapic.pins && ioapic.entries[pin] & MASKED)
			pin++;
		must(pin < ioapic.pins && route->gsi == pin);
		must(route->type == KVM_IRQ_ROUTING_MSI && route->flags == 0);
		must((route->u.msi.address_lo & 0xfff00000) == LOCAL_APIC);
		must(route->u.msi.address_hi == 0 && route->u.msi.data <= MODE_MAX);
	}
	for (; pin < ioapic.pins; pin++)
		must(ioapic.entries[pin] & MASKED);
	// There are no other lines.
	for (; pin < LAYOUT_IOAPIC_PINS; pin++)
		must(ioapic.entries[pin] == 0);
}

static bool are_same(const struct routes *a, const struct routes *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->entries[i].gsi != b->entries[i].gsi ||
		    a->entries[i].u.msi.address_lo != b->entries[i].u.msi.address_lo ||
		    a->entries[i].u.msi.data != b->entries[i].u.msi.data)
			return false;
	return true;
}

// Returns whether the routes may have changed.
static bool act(const uint8_t record[8])
{
	uint64_t offset = record[1] & 1 ? 0x10 : 0; // the two registers that there are
	uint32_t value = 0;

	if (record[0] & 8) {
		memcpy(&offset, record + 1, 3);
		offset |= (uint64_t)(record[0] >> 4) << 60;
	}
	memcpy(&value, record + 4, 1 + (record[0] >> 1 & 3));
	if (record[0] & 1)
		return ioapic_write(&ioapic, offset, value);
	ioapic_read(&ioapic, offset);
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct routes before, after;

	if (size == 0)
		return 0;
	ioapic_init(&ioapic, 1 + data[0] % LAYOUT_IOAPIC_PINS);
	take_routes(&before);
	must(before.count == 0);
	for (data++, size--; size >= 8; data += 8, size -= 8) {
		const bool changed = act(data);

		take_routes(&after);
		must(changed || are_same(&before, &after));
		before = after;
	}
	return 0;
}
