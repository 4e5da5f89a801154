#include "vm-mode/machine/mptable.h"

#include "vm-mode/machine/checksum.h"
#include "vm-mode/machine/layout.h"

#include <string.h>

enum { PROCESSOR, BUS, IO_APIC, IO_INTERRUPT, LOCAL_INTERRUPT };
enum { INT, NMI };

#define CPU_ENABLED  1
#define CPU_BOOT     2
#define ALL_APICS    0xff
#define CPU_VERSION  0x14 // of an integrated APIC
#define APIC_VERSION 0x11

struct floating_pointer {
	char signature[4];
	uint32_t table;
	uint8_t length, revision, checksum, features[5];
} __attribute__((packed));

struct header {
	char signature[4];
	uint16_t length;
	uint8_t revision, checksum;
	char oem[8], product[12];
	uint32_t oem_table;
	uint16_t oem_size, entries;
	uint32_t local_apic;
	uint16_t extended_length;
	uint8_t extended_checksum, reserved;
} __attribute__((packed));

struct processor {
	uint8_t type, apic_id, apic_version, flags;
	uint32_t signature, features, reserved[2];
} __attribute__((packed));

struct bus_entry {
	uint8_t type, id;
	char name[6];
} __attribute__((packed));

struct io_apic {
	uint8_t type, id, version, flags;
	uint32_t address;
} __attribute__((packed));

struct interrupt {
	uint8_t type, kind;
	uint16_t flags; // 0: as the bus has it
	uint8_t bus, irq, apic, pin;
} __attribute__((packed));

// A table that grows in the guest's memory.
struct table {
	char *next;
	uint16_t entries;
};

static void add(struct table *table, const void *entry, size_t size)
{
	memcpy(table->next, entry, size);
	table->next += size;
	table->entries++;
}

static void add_entries(struct table *table, unsigned int vcpus, size_t devices)
{
	const uint8_t io_apic = (uint8_t)vcpus; // the id after the processors'

	for (unsigned int i = 0; i < vcpus; i++)
		add(table,
		    &(struct processor){ .type = PROCESSOR,
					 .apic_id = (uint8_t)i,
					 .apic_version = CPU_VERSION,
					 .flags = CPU_ENABLED | (i == 0 ? CPU_BOOT : 0) },
		    sizeof(struct processor));
	add(table, &(struct bus_entry){ .type = BUS, .id = 0, .name = "ISA   " },
	    sizeof(struct bus_entry));
	add(table,
	    &(struct io_apic){ .type = IO_APIC,
			       .id = io_apic,
			       .version = APIC_VERSION,
			       .flags = 1,
			       .address = (uint32_t)LAYOUT_IOAPIC },
	    sizeof(struct io_apic));
	for (size_t i = 0; i < devices; i++)
		add(table,
		    &(struct interrupt){ .type = IO_INTERRUPT,
					 .kind = INT,
					 .irq = (uint8_t)LAYOUT_IRQ(i),
					 .apic = io_apic,
					 .pin = (uint8_t)LAYOUT_IRQ(i) },
		    sizeof(struct interrupt));
	add(table,
	    &(struct interrupt){
		    .type = LOCAL_INTERRUPT, .kind = NMI, .apic = ALL_APICS, .pin = 1 },
	    sizeof(struct interrupt));
}

int mptable_write(const struct guest_memory *memory, unsigned int vcpus, size_t devices,
		  struct err *err)
{
	char *start = guest_ptr(memory, LAYOUT_MP_TABLE, LAYOUT_MP_TABLE_SIZE);
	struct floating_pointer pointer = { .signature = "_MP_",
					    .table = (uint32_t)LAYOUT_MP_TABLE + sizeof(pointer),
					    .length = sizeof(pointer) / 16,
					    .revision = 4 };
	struct header header = { .signature = "PCMP",
				 .revision = 4,
				 .oem = "MOAT    ",
				 .product = "MICROVM     ",
				 .local_apic = (uint32_t)LAYOUT_LOCAL_APIC };

	if (!start)
		return err_set(err, EINVAL, "the guest's memory is too small");
	if (vcpus == 0 || vcpus > LAYOUT_VCPUS_MAX || devices > LAYOUT_DEVICES_MAX)
		return err_set(err, EINVAL, "%u processors, %zu devices: not possible", vcpus,
			       devices);
	struct table table = { .next = start + sizeof(pointer) + sizeof(header) };
	add_entries(&table, vcpus, devices);
	header.length = (uint16_t)(table.next - start - sizeof(pointer));
	header.entries = table.entries;
	memcpy(start + sizeof(pointer), &header, sizeof(header));
	header.checksum = checksum(start + sizeof(pointer), header.length);
	memcpy(start + sizeof(pointer), &header, sizeof(header));
	pointer.checksum = checksum(&pointer, sizeof(pointer));
	memcpy(start, &pointer, sizeof(pointer));
	return 0;
}
