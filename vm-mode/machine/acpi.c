#include "vm-mode/machine/acpi.h"

#include "vm-mode/machine/checksum.h"
#include "vm-mode/machine/layout.h"

#include <stdbool.h>
#include <string.h>

struct rsdp {
	char signature[8];
	uint8_t checksum; // of what comes before the length
	char oem[6];
	uint8_t revision;
	uint32_t rsdt, length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} __attribute__((packed));

// What every other table begins with.
struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision;
	char creator[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct xsdt {
	struct header header;
	uint64_t fadt, madt;
} __attribute__((packed));

struct fadt {
	struct header header;
	uint8_t unused[73]; // the FACS, the 32-bit address of the DSDT, and registers that there are not
	uint16_t boot_arch;
	uint8_t reserved;
	uint32_t flags;
	uint8_t reset[13], arm[2], minor_revision;
	uint64_t facs, dsdt;
	uint8_t registers[120];
	char hypervisor[8];
} __attribute__((packed));

// A PC's devices that are not there: no keyboard controller, no VGA, no clock; nor does it do MSI.
#define BOOT_ARCH_NO_VGA 0x04
#define BOOT_ARCH_NO_MSI 0x08
#define BOOT_ARCH_NO_RTC 0x20
#define FADT_WBINVD	 0x1
#define FADT_NO_POWER	 0x10 // button, of the fixed hardware
#define FADT_NO_SLEEP	 0x20
#define FADT_HW_REDUCED	 0x100000

struct madt {
	struct header header;
	uint32_t local_apic, flags;
} __attribute__((packed));

struct local_apic {
	uint8_t type, length, processor, apic_id;
	uint32_t flags;
} __attribute__((packed));

struct io_apic {
	uint8_t type, length, id, reserved;
	uint32_t address, first_line;
} __attribute__((packed));

enum { LOCAL_APIC, IO_APIC };
#define APIC_ENABLED 1

// ---- the DSDT: a device as ACPI's machine language has it, as long for each ----

struct aml_memory {
	uint8_t tag;
	uint16_t length;
	uint8_t writable;
	uint32_t address, size;
} __attribute__((packed));

struct aml_interrupt {
	uint8_t tag;
	uint16_t length;
	uint8_t flags, count;
	uint32_t line;
} __attribute__((packed));

struct aml_resources {
	struct aml_memory memory;
	struct aml_interrupt interrupt;
	uint8_t end_tag, end_checksum; // 0: there is none
} __attribute__((packed));

// Device(\_SB.Vnnn) { Name(_HID, "LNRO0005") Name(_UID, n) Name(_CRS, ResourceTemplate() { ... }) }
struct aml_device {
	uint8_t device_op[2], package_length[2];
	char path[10];
	char hid[6], hid_value[9];
	char uid[6];
	uint8_t uid_value;
	char crs[6];
	uint8_t crs_package_length, byte_prefix, crs_size;
	struct aml_resources resources;
} __attribute__((packed));

// What a package's length counts: all behind the operator.
#define DEVICE_LENGTH (sizeof(struct aml_device) - 2)
#define CRS_LENGTH    (sizeof(struct aml_resources) + 3)

_Static_assert(sizeof(struct rsdp) == 36, "ACPI 5.2.5.3");
_Static_assert(sizeof(struct header) == 36, "ACPI 5.2.6");
_Static_assert(offsetof(struct fadt, boot_arch) == 109, "ACPI 5.2.9");
_Static_assert(offsetof(struct fadt, flags) == 112, "ACPI 5.2.9");
_Static_assert(offsetof(struct fadt, dsdt) == 140, "ACPI 5.2.9");
_Static_assert(sizeof(struct fadt) == 276, "ACPI 5.2.9");
_Static_assert(DEVICE_LENGTH > 0x3f && DEVICE_LENGTH <= 0xfff, "its length takes two bytes");
_Static_assert(CRS_LENGTH <= 0x3f, "its length takes one byte");
_Static_assert(LAYOUT_DEVICES_MAX <= 100, "two digits");

static void fill_device(struct aml_device *aml, size_t index)
{
	const struct aml_device common = {
		.device_op = { 0x5b, 0x82 },
		// The low four bits, with the number of bytes that follow; then the others.
		.package_length = { 0x40 | (DEVICE_LENGTH & 0xf), DEVICE_LENGTH >> 4 },
		.path = "\\._SB_V000",
		.hid = "\x08_HID\x0d",
		.hid_value = "LNRO0005",
		.uid = "\x08_UID\x0a",
		.uid_value = (uint8_t)index,
		.crs = "\x08_CRS\x11",
		.crs_package_length = CRS_LENGTH,
		.byte_prefix = 0x0a,
		.crs_size = sizeof(struct aml_resources),
		.resources = { .memory = { .tag = 0x86,
					   .length = sizeof(struct aml_memory) - 3,
					   .writable = 1,
					   .address = (uint32_t)LAYOUT_VIRTIO_AT(index),
					   .size = (uint32_t)LAYOUT_VIRTIO_SIZE },
			       .interrupt = { .tag = 0x89,
					      .length = sizeof(struct aml_interrupt) - 3,
					      .flags = 0x3, // consumer; edge, active high, exclusive
					      .count = 1,
					      .line = LAYOUT_IRQ(index) },
			       .end_tag = 0x79 },
	};

	*aml = common;
	aml->path[8] = (char)('0' + index / 10);
	aml->path[9] = (char)('0' + index % 10);
}

// ---- the tables ----

// Where the next one goes.
struct place {
	char *host;
	uint64_t gpa;
};

static void set_header(struct header *header, const char *signature, uint8_t revision,
		       size_t length)
{
	*header = (struct header){ .length = (uint32_t)length,
				   .revision = revision,
				   .oem = "MOAT  ",
				   .oem_table = "MICROVM ",
				   .creator = "MOAT" };
	memcpy(header->signature, signature, sizeof(header->signature));
}

// The table at `place` is complete. Returns its address, and moves on.
static uint64_t finish(struct place *place)
{
	struct header *header = (struct header *)place->host;
	const uint64_t gpa = place->gpa, size = (header->length + UINT64_C(15)) & ~UINT64_C(15);

	header->checksum = checksum(header, header->length);
	place->host += size;
	place->gpa += size;
	return gpa;
}

static uint64_t add_dsdt(struct place *place, size_t devices)
{
	struct aml_device *device = (struct aml_device *)(place->host + sizeof(struct header));

	set_header((struct header *)place->host, "DSDT", 2,
		   sizeof(struct header) + devices * sizeof(*device));
	for (size_t i = 0; i < devices; i++)
		fill_device(&device[i], i);
	return finish(place);
}

static uint64_t add_fadt(struct place *place, uint64_t dsdt)
{
	struct fadt *fadt = (struct fadt *)place->host;

	*fadt = (struct fadt){ .boot_arch = BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_MSI | BOOT_ARCH_NO_RTC,
			       .flags = FADT_WBINVD | FADT_NO_POWER | FADT_NO_SLEEP |
					FADT_HW_REDUCED,
			       .minor_revision = 4,
			       .dsdt = dsdt };
	set_header(&fadt->header, "FACP", 6, sizeof(*fadt));
	return finish(place);
}

static uint64_t add_madt(struct place *place, unsigned int vcpus)
{
	struct madt *madt = (struct madt *)place->host;
	struct local_apic *processor = (struct local_apic *)(madt + 1);

	*madt = (struct madt){ .local_apic = (uint32_t)LAYOUT_LOCAL_APIC };
	for (unsigned int i = 0; i < vcpus; i++)
		processor[i] = (struct local_apic){ .type = LOCAL_APIC,
						    .length = sizeof(*processor),
						    .processor = (uint8_t)i,
						    .apic_id = (uint8_t)i,
						    .flags = APIC_ENABLED };
	struct io_apic *io_apic = (struct io_apic *)&processor[vcpus];
	// As in the MP table: the id after the processors'.
	*io_apic = (struct io_apic){ .type = IO_APIC,
				     .length = sizeof(*io_apic),
				     .id = (uint8_t)vcpus,
				     .address = (uint32_t)LAYOUT_IOAPIC };
	set_header(&madt->header, "APIC", 5, (size_t)((char *)(io_apic + 1) - place->host));
	return finish(place);
}

static uint64_t add_xsdt(struct place *place, uint64_t fadt, uint64_t madt)
{
	struct xsdt *xsdt = (struct xsdt *)place->host;

	*xsdt = (struct xsdt){ .fadt = fadt, .madt = madt };
	set_header(&xsdt->header, "XSDT", 1, sizeof(*xsdt));
	return finish(place);
}

int acpi_write(const struct guest_memory *memory, unsigned int vcpus, size_t devices,
	       struct err *err)
{
	char *start = guest_ptr(memory, LAYOUT_ACPI, LAYOUT_ACPI_SIZE);
	struct rsdp rsdp = {
		.signature = "RSD PTR ", .oem = "MOAT  ", .revision = 2, .length = sizeof(rsdp)
	};

	if (!start)
		return err_set(err, EINVAL, "the guest's memory is too small");
	if (vcpus == 0 || vcpus > LAYOUT_VCPUS_MAX || devices > LAYOUT_DEVICES_MAX)
		return err_set(err, EINVAL, "%u processors, %zu devices: not possible", vcpus,
			       devices);
	// Each begins at a multiple of 16.
	struct place place = { .host = start + 48, .gpa = LAYOUT_ACPI + 48 };
	const uint64_t dsdt = add_dsdt(&place, devices);
	const uint64_t fadt = add_fadt(&place, dsdt);
	const uint64_t madt = add_madt(&place, vcpus);
	rsdp.xsdt = add_xsdt(&place, fadt, madt);
	rsdp.checksum = checksum(&rsdp, offsetof(struct rsdp, length));
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	memcpy(start, &rsdp, sizeof(rsdp));
	return 0;
}
