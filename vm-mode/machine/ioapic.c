#include "vm-mode/machine/ioapic.h"

#define REG_SELECT  0x00
#define REG_WINDOW  0x10
#define REG_ID	    0
#define REG_VERSION 1
#define REG_ARBITER 2
#define REG_ENTRIES 0x10 // two registers each

#define VERSION_82093 UINT32_C(0x11) // in bits 16 to 23 the number of the last line
#define ID_BITS	      UINT32_C(0x0f000000)

// Of an entry. What a level triggered line would show of itself (bits 12 and 14) is always 0.
#define MESSAGE_BITS UINT64_C(0x7ff) // vector and delivery mode; then the kind of destination
#define LOGICAL	     (UINT64_C(1) << 11)
#define MASKED	     (UINT64_C(1) << 16)
#define TO_SHIFT     56
#define WRITABLE     UINT64_C(0xff0000000001afff)

// A message to a processor's local APIC (SDM volume 3, 11.11).
#define MSI_ADDRESS  UINT32_C(0xfee00000)
#define MSI_TO_SHIFT 12
#define MSI_LOGICAL  (UINT32_C(1) << 2)

void ioapic_init(struct ioapic *ioapic, unsigned int pins)
{
	*ioapic = (struct ioapic){ .pins = pins };
	for (unsigned int i = 0; i < pins; i++)
		ioapic->entries[i] = MASKED;
}

// The line of the selected register; false: it is no line's.
static bool find_entry(const struct ioapic *ioapic, unsigned int *pin, bool *high)
{
	if (ioapic->selected < REG_ENTRIES || (ioapic->selected - REG_ENTRIES) / 2 >= ioapic->pins)
		return false;
	*pin = (ioapic->selected - REG_ENTRIES) / 2;
	*high = ioapic->selected % 2;
	return true;
}

uint32_t ioapic_read(const struct ioapic *ioapic, uint64_t offset)
{
	unsigned int pin;
	bool high;

	if (offset == REG_SELECT)
		return ioapic->selected;
	if (offset != REG_WINDOW)
		return 0;
	if (find_entry(ioapic, &pin, &high))
		return (uint32_t)(ioapic->entries[pin] >> (high ? 32 : 0));
	switch (ioapic->selected) {
	case REG_ID:
	case REG_ARBITER:
		return ioapic->id;
	case REG_VERSION:
		return VERSION_82093 | (ioapic->pins - 1) << 16;
	default:
		return 0;
	}
}

bool ioapic_write(struct ioapic *ioapic, uint64_t offset, uint32_t value)
{
	unsigned int pin;
	bool high;

	if (offset == REG_SELECT)
		ioapic->selected = value & 0xff;
	if (offset != REG_WINDOW)
		return false;
	if (ioapic->selected == REG_ID)
		ioapic->id = value & ID_BITS;
	if (!find_entry(ioapic, &pin, &high))
		return false;

	const uint64_t old = ioapic->entries[pin];
	const uint64_t new = high ? (old & UINT32_MAX) | (uint64_t)value << 32 :
				    (old & ~(uint64_t)UINT32_MAX) | value;
	ioapic->entries[pin] = new &WRITABLE;
	// While it is masked it leads nowhere.
	return ioapic->entries[pin] != old && !(ioapic->entries[pin] & old & MASKED);
}

size_t ioapic_routes(const struct ioapic *ioapic, struct kvm_irq_routing_entry *routes)
{
	size_t count = 0;

	for (unsigned int i = 0; i < ioapic->pins; i++) {
		const uint64_t entry = ioapic->entries[i];

		if (entry & MASKED)
			continue;
		routes[count++] = (struct kvm_irq_routing_entry){
			.gsi = i,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = MSI_ADDRESS |
						 (uint32_t)(entry >> TO_SHIFT) << MSI_TO_SHIFT |
						 (entry & LOGICAL ? MSI_LOGICAL : 0),
				   .data = (uint32_t)(entry & MESSAGE_BITS) },
		};
	}
	return count;
}
