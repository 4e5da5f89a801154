// The I/O APIC's registers, as a guest sees them, and the routes that come of them.
#include "vm-mode/machine/ioapic.h"

#include "tests/unit/tap.h"

static struct ioapic ioapic;

static uint32_t get(uint32_t reg)
{
	ioapic_write(&ioapic, 0, reg);
	return ioapic_read(&ioapic, 0x10);
}

static bool set(uint32_t reg, uint32_t value)
{
	ioapic_write(&ioapic, 0, reg);
	return ioapic_write(&ioapic, 0x10, value);
}

static void test_registers(void)
{
	ioapic_init(&ioapic, 7);
	is_int(get(1), 0x11 | 6 << 16);
	set(0, 0xffffffff);
	is_int(get(0), 0x0f000000);
	is_int(ioapic_read(&ioapic, 0), 0);
	is_int(get(0x10 + 2 * 6), 0x10000);
	is_int(get(0x10 + 2 * 7), 0);
	ok(!set(0x10 + 2 * 7, 0x41) && get(0x10 + 2 * 7) == 0, "no line behind the last");
	ok(!set(0xff, 0x41) && get(0xff) == 0, "nor at the end");
	ok(!ioapic_write(&ioapic, 0x40, 1) && ioapic_read(&ioapic, 0x40) == 0, "no other register");
	set(0x10, 0xffffffff);
	is_int(get(0x10), 0x1afff);
	set(0x11, 0xffffffff);
	is_int((int)get(0x11), (int)0xff000000);
}

static void test_routes(void)
{
	struct kvm_irq_routing_entry routes[LAYOUT_IOAPIC_PINS];

	ioapic_init(&ioapic, LAYOUT_IOAPIC_PINS);
	is_int((long long)ioapic_routes(&ioapic, routes), 0);
	// As Linux does it: the processor, then vector and mask.
	ok(!set(0x10 + 2 * 5 + 1, 0x03000000), "masked");
	ok(set(0x10 + 2 * 5, 0x31), "open");
	ok(!set(0x10 + 2 * 5, 0x31), "the same again");
	is_int((long long)ioapic_routes(&ioapic, routes), 1);
	is_int(routes[0].gsi, 5);
	is_int(routes[0].type, KVM_IRQ_ROUTING_MSI);
	is_int(routes[0].u.msi.address_lo, 0xfee03000);
	is_int(routes[0].u.msi.address_hi, 0);
	is_int(routes[0].u.msi.data, 0x31);
	// Another processor, while it is open; logical, lowest priority, level triggered, which it isn't.
	ok(set(0x10 + 2 * 5 + 1, 0x01000000), "another processor");
	ok(set(0x10 + 2 * 5, 0x8932), "another way");
	is_int((long long)ioapic_routes(&ioapic, routes), 1);
	is_int(routes[0].u.msi.address_lo, 0xfee01004);
	is_int(routes[0].u.msi.data, 0x132);
	ok(set(0x10 + 2 * 23, 0x40), "the last line");
	is_int((long long)ioapic_routes(&ioapic, routes), 2);
	is_int(routes[1].gsi, 23);
	ok(set(0x10 + 2 * 5, 0x10032), "masked again");
	is_int((long long)ioapic_routes(&ioapic, routes), 1);
}

int main(void)
{
	test_registers();
	test_routes();
	return done();
}
