#include "vm-mode/machine/machine.h"

#include "base/scope.h"
#include "base/str.h"
#include "vm-mode/machine/bus.h"
#include "vm-mode/machine/cmdline.h"
#include "vm-mode/machine/ioapic.h"
#include "vm-mode/machine/kvm.h"
#include "vm-mode/machine/layout.h"
#include "vm-mode/virtio/mmio.h"

#include <linux/virtio_mmio.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define PAGE_BYTES   4096
#define WINDOW_SLOT  GUEST_RANGES_MAX
#define I8042_RESET  0xfe
#define SERIAL_DATA  0
#define SERIAL_LINE  3	  // line control register
#define SERIAL_DLAB  0x80 // in it: the data register is half of the baud rate's divisor
#define SERIAL_STATE 5	  // line status register
#define SERIAL_IDLE  0x60 // all has been sent

struct machine_device {
	struct mmio *mmio;
	int irq_fd;
	uint64_t gpa;
	unsigned int irq;
};

struct machine {
	struct machine_config config;
	struct loop *loop;
	struct guest_memory memory;
	int vm_fd;
	struct bus mmio, pio;
	struct ioapic ioapic;
	pthread_mutex_t ioapic_mutex; // of it and its routes, which KVM takes long to change
	bool serial_divisor;	      // the guest sets the serial port's baud rate
	struct machine_device devices[LAYOUT_DEVICES_MAX];
	size_t device_count;
	struct vcpus *vcpus;
	// The end: whoever comes first tells it, and the loop hears of it.
	struct loop_source end_source;
	struct vcpu_end end;
};

// ---- the end of the guest ----

// On the thread of a vCPU.
static void guest_ended(void *owner, const struct vcpu_end *end)
{
	struct machine *machine = owner;
	const uint64_t one = 1;

	loop_lock(machine->loop);
	if (!machine->end.kind) {
		machine->end = *end;
		if (write(machine->end_source.fd, &one, sizeof(one)) < 0)
			abort(); // a new eventfd takes it
	}
	vcpus_stop(machine->vcpus);
	loop_unlock(machine->loop);
}

static void tell_end(struct loop_source *source, uint32_t events)
{
	struct machine *machine =
		(struct machine *)((char *)source - offsetof(struct machine, end_source));

	(void)events;
	loop_unwatch(machine->loop, source);
	machine->config.ended(machine->config.owner, &machine->end);
}

static void write_exit_port(void *owner, uint64_t offset, const void *data, size_t len)
{
	struct vcpu_end end = { .kind = VCPU_END_EXIT, .status = *(const uint8_t *)data };

	(void)offset;
	(void)len;
	err_set(&end.why, ESHUTDOWN, "the guest has ended with status %d", end.status);
	guest_ended(owner, &end);
}

// Reads are all ones, as where there is no keyboard controller.
static void write_i8042(void *owner, uint64_t offset, const void *data, size_t len)
{
	struct vcpu_end end = { .kind = VCPU_END_RESET };

	(void)offset;
	(void)len;
	if (*(const uint8_t *)data != I8042_RESET)
		return;
	err_set(&end.why, ESHUTDOWN, "the guest has reset itself");
	guest_ended(owner, &end);
}

static void read_i8042(void *owner, uint64_t offset, void *data, size_t len)
{
	(void)owner;
	(void)offset;
	memset(data, 0xff, len);
}

// ---- the serial port: output only, for a kernel's first words ----

static void read_serial(void *owner, uint64_t offset, void *data, size_t len)
{
	(void)owner;
	(void)len;
	*(uint8_t *)data = offset == SERIAL_STATE ? SERIAL_IDLE : 0;
}

static void write_serial(void *owner, uint64_t offset, const void *data, size_t len)
{
	struct machine *machine = owner;

	loop_lock(machine->loop);
	if (offset == SERIAL_LINE)
		machine->serial_divisor = *(const uint8_t *)data & SERIAL_DLAB;
	else if (offset == SERIAL_DATA && !machine->serial_divisor)
		machine->config.serial(machine->config.owner, data, len);
	loop_unlock(machine->loop);
}

// ---- the I/O APIC ----

static void read_ioapic(void *owner, uint64_t offset, void *data, size_t len)
{
	struct machine *machine = owner;

	pthread_mutex_lock(&machine->ioapic_mutex);
	const uint32_t value = ioapic_read(&machine->ioapic, offset);
	pthread_mutex_unlock(&machine->ioapic_mutex);
	memcpy(data, &value, len < sizeof(value) ? len : sizeof(value));
}

static void write_ioapic(void *owner, uint64_t offset, const void *data, size_t len)
{
	struct machine *machine = owner;
	struct kvm_irq_routing_entry routes[LAYOUT_IOAPIC_PINS];
	struct vcpu_end end = { .kind = VCPU_END_ERROR };
	uint32_t value = 0;
	int failed = 0;

	memcpy(&value, data, len < sizeof(value) ? len : sizeof(value));
	pthread_mutex_lock(&machine->ioapic_mutex);
	if (ioapic_write(&machine->ioapic, offset, value))
		failed = kvm_set_routes(machine->vm_fd, routes,
					ioapic_routes(&machine->ioapic, routes), &end.why);
	pthread_mutex_unlock(&machine->ioapic_mutex);
	if (failed)
		guest_ended(machine, &end);
}

static int add_ioapic(struct machine *machine, struct err *err)
{
	const struct bus_range range = { .start = LAYOUT_IOAPIC,
					 .size = LAYOUT_IOAPIC_SIZE,
					 .name = "I/O APIC",
					 .owner = machine,
					 .read = read_ioapic,
					 .write = write_ioapic };

	ioapic_init(&machine->ioapic, LAYOUT_PINS(machine->device_count));
	return bus_add(&machine->mmio, &range, err);
}

// ---- building ----

static int add_ports(struct machine *machine, struct err *err)
{
	const struct bus_range ports[] = {
		{ .start = LAYOUT_PORT_EXIT,
		  .size = 1,
		  .name = "exit port",
		  .owner = machine,
		  .write = write_exit_port },
		{ .start = LAYOUT_PORT_I8042,
		  .size = 1,
		  .name = "i8042",
		  .owner = machine,
		  .read = read_i8042,
		  .write = write_i8042 },
		{ .start = LAYOUT_PORT_SERIAL,
		  .size = 8,
		  .name = "serial port",
		  .owner = machine,
		  .read = read_serial,
		  .write = write_serial },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		if (ports[i].write == write_serial && !machine->config.serial)
			continue;
		if (bus_add(&machine->pio, &ports[i], err) < 0)
			return -err->code;
	}
	return 0;
}

static int add_end_source(struct machine *machine, struct err *err)
{
	machine->end_source.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (machine->end_source.fd < 0)
		return err_sys(err, "eventfd");
	machine->end_source.ready = tell_end;
	return loop_watch(machine->loop, &machine->end_source, EPOLLIN, err);
}

static int add_window(struct machine *machine, struct err *err)
{
	const uint64_t size = machine->config.window_bytes;
	const struct guest_range *last = &machine->memory.ranges[machine->memory.count - 1];
	uint64_t end = last->gpa + last->size;

	if (size == 0)
		return 0;
	if (size % PAGE_BYTES || size > LAYOUT_MEMORY_MAX)
		return err_set(err, EINVAL, "a DAX window of %llu bytes: not possible",
			       (unsigned long long)size);
	if (end < LAYOUT_HOLE_END)
		end = LAYOUT_HOLE_END;
	machine->memory.window = (struct guest_range){
		.gpa = (end + LAYOUT_WINDOW_ALIGN - 1) & ~(LAYOUT_WINDOW_ALIGN - 1),
		.size = size,
	};
	return kvm_set_memory(machine->vm_fd, WINDOW_SLOT, machine->memory.window.gpa, size,
			      machine->config.window, err);
}

static int build(struct machine *machine, struct err *err)
{
	const struct machine_config *config = &machine->config;

	if (kvm_check(config->kvm_fd, err) < 0 || loop_create(&machine->loop, err) < 0 ||
	    guest_memory_create(&machine->memory, config->memory_bytes, err) < 0)
		return -err->code;
	machine->vm_fd = kvm_create_vm(config->kvm_fd, err);
	if (machine->vm_fd < 0 || kvm_create_irqchip(machine->vm_fd, err) < 0)
		return -err->code;
	for (uint32_t i = 0; i < machine->memory.count; i++) {
		const struct guest_range *range = &machine->memory.ranges[i];

		if (kvm_set_memory(machine->vm_fd, i, range->gpa, range->size, range->host, err) <
		    0)
			return -err->code;
	}
	if (add_window(machine, err) < 0 || add_end_source(machine, err) < 0 ||
	    add_ports(machine, err) < 0)
		return -err->code;
	return 0;
}

int machine_create(struct machine **machine, const struct machine_config *config, struct err *err)
{
	struct machine *made = calloc(1, sizeof(*made));

	if (!made)
		return err_sysn(err, ENOMEM, "virtual machine");
	made->config = *config;
	made->vm_fd = made->memory.fd = made->end_source.fd = -1;
	pthread_mutex_init(&made->ioapic_mutex, NULL);
	if (build(made, err) < 0) {
		machine_free(made);
		return -err->code;
	}
	*machine = made;
	return 0;
}

void machine_free(struct machine *machine)
{
	if (!machine)
		return;
	// A vCPU may wait for the lock, to be done with a device.
	if (machine->loop)
		loop_unlock(machine->loop);
	vcpus_free(machine->vcpus);
	if (machine->loop)
		loop_lock(machine->loop);
	for (size_t i = 0; i < machine->device_count; i++) {
		mmio_free(machine->devices[i].mmio);
		close(machine->devices[i].irq_fd);
	}
	if (machine->loop && machine->end_source.added)
		loop_unwatch(machine->loop, &machine->end_source);
	replace_fd(&machine->end_source.fd, -1);
	replace_fd(&machine->vm_fd, -1);
	guest_memory_free(&machine->memory);
	loop_free(machine->loop);
	pthread_mutex_destroy(&machine->ioapic_mutex);
	free(machine);
}

struct loop *machine_loop(struct machine *machine)
{
	return machine->loop;
}

const struct guest_memory *machine_memory(const struct machine *machine)
{
	return &machine->memory;
}

// ---- devices ----

// The window, the line and the kicks.
static int wire(struct machine *machine, const struct machine_device *slot,
		const struct device *device, struct err *err)
{
	const struct bus_range range = { .start = slot->gpa,
					 .size = LAYOUT_VIRTIO_SIZE,
					 .name = device->env.name,
					 .owner = slot->mmio,
					 .read = mmio_read,
					 .write = mmio_write };

	if (bus_add(&machine->mmio, &range, err) < 0 ||
	    kvm_add_irqfd(machine->vm_fd, slot->irq, slot->irq_fd, err) < 0)
		return -err->code;
	if (device->ops->driver_spins)
		return 0;
	for (unsigned int i = 0; i < device->ops->queues; i++)
		if (kvm_add_ioeventfd(machine->vm_fd, slot->gpa + VIRTIO_MMIO_QUEUE_NOTIFY, i,
				      device->kick_fds[i], err) < 0)
			return -err->code;
	return 0;
}

int machine_add_device(struct machine *machine, struct device *device, const char *name,
		       bool window, struct err *err)
{
	const size_t index = machine->device_count;
	struct machine_device *slot = &machine->devices[index];
	struct mmio_setup setup = { .memory = &machine->memory,
				    .loop = machine->loop,
				    .name = name };
	int failed;

	if (index == LAYOUT_DEVICES_MAX) {
		failed = err_set(err, ENOSPC, "%s: no place for more devices", name);
	} else {
		*slot = (struct machine_device){ .irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
						 .gpa = LAYOUT_VIRTIO_AT(index),
						 .irq = LAYOUT_IRQ(index) };
		setup.irq_fd = slot->irq_fd;
		if (window)
			setup.windows[0] =
				(struct mmio_window){ .gpa = machine->memory.window.gpa,
						      .size = machine->memory.window.size };
		failed = slot->irq_fd < 0 ? err_sys(err, "%s: eventfd", name) :
					    mmio_create(&slot->mmio, device, &setup, err);
		if (failed && slot->irq_fd >= 0)
			close(slot->irq_fd);
	}
	if (failed) {
		if (device->ops->close)
			device->ops->close(device);
		return failed;
	}
	machine->device_count++;
	return wire(machine, slot, device, err);
}

// ---- running ----

int machine_boot(struct machine *machine, const struct machine_kernel *kernel, struct err *err)
{
	struct cmdline cmdline = { .debug = kernel->debug,
				   .serial = machine->config.serial != NULL,
				   .devices = machine->device_count,
				   .parameters = kernel->parameters };
	const struct vcpus_config vcpus = { .kvm_fd = machine->config.kvm_fd,
					    .vm_fd = machine->vm_fd,
					    .count = machine->config.vcpus,
					    .mmio = &machine->mmio,
					    .pio = &machine->pio,
					    .ended = guest_ended,
					    .owner = machine,
					    .confine = machine->config.confine_vcpu };
	scope_text struct text text = { 0 };
	uint64_t entry;

	if (add_ioapic(machine, err) < 0 || cmdline_make(&cmdline, &text, err) < 0)
		return -err->code;
	struct boot boot = { .memory = &machine->memory,
			     .kernel_fd = kernel->kernel_fd,
			     .cmdline = text.str,
			     .vcpus = machine->config.vcpus,
			     .devices = machine->device_count };
	memcpy(boot.initrd_fds, kernel->initrd_fds, sizeof(boot.initrd_fds));
	if (boot_load(&boot, &entry, err) < 0 || vcpus_create(&machine->vcpus, &vcpus, err) < 0 ||
	    vcpus_set_entry(machine->vcpus, entry, LAYOUT_BOOT_PARAMS, err) < 0)
		return -err->code;
	return vcpus_start(machine->vcpus, err);
}

void machine_resume(struct machine *machine)
{
	vcpus_resume(machine->vcpus);
}

void machine_pause(struct machine *machine)
{
	loop_unlock(machine->loop);
	vcpus_pause(machine->vcpus);
	loop_lock(machine->loop);
}
