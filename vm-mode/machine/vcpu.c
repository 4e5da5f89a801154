#include "vm-mode/machine/vcpu.h"

#include "base/scope.h"
#include "vm-mode/machine/boot.h"
#include "vm-mode/machine/cpuid.h"
#include "vm-mode/machine/layout.h"

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#define STACK_BYTES	  ((size_t)256 * 1024)
#define MSR_MTRR_DEF_TYPE 0x2ff // SDM volume 3, 12.11.2.1
#define MTRR_ENABLED	  0x800 // those of ranges are none
#define MTRR_WRITE_BACK	  6
#define STILL_S		  1 // so long out of the guest a vCPU was stopped, not busy

enum request { PAUSE, RUN, STOP };

struct vcpu {
	struct vcpus *all;
	unsigned int index;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool has_thread;
	// Private to the thread.
	bool stood_still;	 // the guest doesn't know it yet
	struct timespec left_at; // when it last left the guest
};

struct vcpus {
	struct vcpus_config config;
	size_t run_bytes;
	pthread_mutex_t mutex; // of what follows, but the request, which it only guards changes of
	pthread_cond_t changed;
	atomic_int request; // enum request
	unsigned int threads, parked;
	struct vcpu vcpu[];
};

// ---- creation ----

static int set_cpuid(struct vcpu *vcpu, struct cpuid *cpuid, struct err *err)
{
	if (cpuid_set_topology(cpuid, vcpu->index, vcpu->all->config.count, err) < 0)
		return -err->code;
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0)
		return err_sys(err, "KVM: set CPUID of vCPU %u", vcpu->index);
	return 0;
}

// Memory is write-back unless the page tables say otherwise. As a processor comes out of reset it is not cached,
// and a kernel that knows MTRRs, as distributions' do, would map the DAX window so.
static int set_memory_type(const struct vcpu *vcpu, struct err *err)
{
	// struct kvm_msrs, which has no room for entries.
	const struct {
		uint32_t count, pad;
		struct kvm_msr_entry entry;
	} msrs = { .count = 1,
		   .entry = { .index = MSR_MTRR_DEF_TYPE,
			      .data = MTRR_ENABLED | MTRR_WRITE_BACK } };

	if (ioctl(vcpu->fd, KVM_SET_MSRS, &msrs) != 1)
		return err_sys(err, "KVM: set the memory type of vCPU %u", vcpu->index);
	return 0;
}

static int create_one(struct vcpus *vcpus, struct cpuid *cpuid, unsigned int index, struct err *err)
{
	struct vcpu *vcpu = &vcpus->vcpu[index];

	vcpu->all = vcpus;
	vcpu->index = index;
	vcpu->fd = ioctl(vcpus->config.vm_fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (vcpu->fd < 0)
		return err_sys(err, "KVM: make vCPU %u", index);
	void *run = mmap(NULL, vcpus->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED)
		return err_sys(err, "KVM: map vCPU %u", index);
	vcpu->run = run;
	if (set_cpuid(vcpu, cpuid, err) < 0)
		return -err->code;
	return set_memory_type(vcpu, err);
}

static void on_kick(int signal)
{
	(void)signal; // that it came is all
}

int vcpus_create(struct vcpus **vcpus, const struct vcpus_config *config, struct err *err)
{
	const struct sigaction kick = { .sa_handler = on_kick };
	struct cpuid cpuid;
	int run_bytes = ioctl(config->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (run_bytes < (int)sizeof(struct kvm_run))
		return err_sysn(err, ENOSYS, "KVM: ask for the size of a vCPU");
	if (config->count == 0 || config->count > LAYOUT_VCPUS_MAX)
		return err_set(err, EINVAL, "%u vCPUs: 1 to %d are possible", config->count,
			       LAYOUT_VCPUS_MAX);
	if (cpuid_read(config->kvm_fd, &cpuid, err) < 0)
		return -err->code;
	struct vcpus *made = calloc(1, sizeof(*made) + config->count * sizeof(struct vcpu));
	if (!made)
		return err_sysn(err, ENOMEM, "vCPUs");
	made->config = *config;
	made->run_bytes = (size_t)run_bytes;
	atomic_init(&made->request, PAUSE);
	pthread_mutex_init(&made->mutex, NULL);
	pthread_cond_init(&made->changed, NULL);
	for (unsigned int i = 0; i < config->count; i++)
		made->vcpu[i].fd = -1;
	for (unsigned int i = 0; i < config->count; i++) {
		if (create_one(made, &cpuid, i, err) < 0) {
			vcpus_free(made);
			return -err->code;
		}
	}
	sigaction(SIGRTMIN, &kick, NULL);
	*vcpus = made;
	return 0;
}

static struct kvm_segment flat_segment(uint16_t selector, bool code)
{
	return (struct kvm_segment){
		.selector = selector,
		.limit = UINT32_MAX,
		.type = code ? 11 : 3, // accessed, readable or writable
		.present = 1,
		.s = 1,
		.l = code,
		.db = !code,
		.g = 1,
	};
}

int vcpus_set_entry(struct vcpus *vcpus, uint64_t rip, uint64_t rsi, struct err *err)
{
	enum { CR0_PE = 1, CR0_MP = 2, CR0_ET = 0x10, CR0_NE = 0x20, CR0_WP = 0x10000 };
	const uint64_t cr0_pg = 0x80000000, cr4_pae = 0x20, efer_lme_lma = 0x500;
	const struct kvm_regs regs = { .rip = rip, .rsi = rsi, .rflags = 2 };
	const struct kvm_fpu fpu = { .fcw = 0x37f, .mxcsr = 0x1f80 };
	const int fd = vcpus->vcpu[0].fd;
	struct kvm_sregs sregs;

	if (ioctl(fd, KVM_GET_SREGS, &sregs) < 0)
		return err_sys(err, "KVM: read vCPU 0");
	sregs.cs = flat_segment(BOOT_CS, true);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat_segment(BOOT_DS, false);
	sregs.tr = (struct kvm_segment){ .type = 11, .present = 1, .limit = 0xffff };
	sregs.gdt = (struct kvm_dtable){ .base = LAYOUT_GDT, .limit = BOOT_GDT_LIMIT };
	sregs.idt = (struct kvm_dtable){ .base = 0, .limit = 0 };
	sregs.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | cr0_pg;
	sregs.cr3 = LAYOUT_PAGE_TABLES;
	sregs.cr4 = cr4_pae;
	sregs.efer = efer_lme_lma;
	if (ioctl(fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(fd, KVM_SET_REGS, &regs) < 0 ||
	    ioctl(fd, KVM_SET_FPU, &fpu) < 0)
		return err_sys(err, "KVM: set vCPU 0");
	return 0;
}

// ---- exits ----

static void tell_end(struct vcpu *vcpu, enum vcpu_end_kind kind, const struct err *why)
{
	const struct vcpu_end end = { .kind = kind, .why = *why };

	vcpu->all->config.ended(vcpu->all->config.owner, &end);
}

static void serve_port(struct vcpu *vcpu)
{
	const struct bus *bus = vcpu->all->config.pio;
	struct kvm_run *run = vcpu->run;
	char *data = (char *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			bus_write(bus, run->io.port, data, run->io.size);
		else
			bus_read(bus, run->io.port, data, run->io.size);
	}
}

static void serve_mmio(struct vcpu *vcpu)
{
	const struct bus *bus = vcpu->all->config.mmio;
	struct kvm_run *run = vcpu->run;

	if (run->mmio.len > sizeof(run->mmio.data))
		return;
	if (run->mmio.is_write)
		bus_write(bus, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
	else
		bus_read(bus, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
}

static uint64_t instruction_pointer(const struct vcpu *vcpu)
{
	struct kvm_regs regs;

	return ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ? 0 : regs.rip;
}

static void tell_internal_error(struct vcpu *vcpu)
{
	static const char *const kinds[] = {
		[KVM_INTERNAL_ERROR_EMULATION] = "an instruction that it can't emulate",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "an exception on top of an exception",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = "an exit while an event was delivered",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] =
			"an exit for a reason that it doesn't know",
	};
	const struct kvm_run *run = vcpu->run;
	const uint32_t kind = run->internal.suberror;
	char bytes[3 * 15 + 1] = "";
	struct err why;

	if (kind == KVM_INTERNAL_ERROR_EMULATION && run->emulation_failure.ndata > 0 &&
	    run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)
		for (unsigned int i = 0; i < 15 && i < run->emulation_failure.insn_size; i++)
			snprintf(bytes + strlen(bytes), 4, " %02x",
				 run->emulation_failure.insn_bytes[i]);
	err_set(&why, EIO, "vCPU %u: KVM's internal error %u (%s) at 0x%llx%s%s", vcpu->index, kind,
		kind < sizeof(kinds) / sizeof(*kinds) && kinds[kind] ? kinds[kind] : "unknown",
		(unsigned long long)instruction_pointer(vcpu), *bytes ? ":" : "", bytes);
	tell_end(vcpu, VCPU_END_ERROR, &why);
}

static void tell_system_event(struct vcpu *vcpu)
{
	struct err why;

	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		err_set(&why, ESHUTDOWN, "the guest has shut down");
		tell_end(vcpu, VCPU_END_EXIT, &why);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		err_set(&why, ESHUTDOWN, "the guest has reset itself");
		tell_end(vcpu, VCPU_END_RESET, &why);
		break;
	default:
		err_set(&why, EIO, "the guest has crashed");
		tell_end(vcpu, VCPU_END_CRASH, &why);
	}
}

// Does what the guest has left for. False: it is at its end, and that has been told.
static bool serve_exit(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	struct err why;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		serve_port(vcpu);
		return true;
	case KVM_EXIT_MMIO:
		serve_mmio(vcpu);
		return true;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return true;
	case KVM_EXIT_SHUTDOWN:
		err_set(&why, ESHUTDOWN, "the guest has reset itself (a triple fault)");
		tell_end(vcpu, VCPU_END_RESET, &why);
		return false;
	case KVM_EXIT_SYSTEM_EVENT:
		tell_system_event(vcpu);
		return false;
	case KVM_EXIT_INTERNAL_ERROR:
		tell_internal_error(vcpu);
		return false;
	case KVM_EXIT_FAIL_ENTRY:
		err_set(&why, EIO,
			"vCPU %u: the processor refuses to run the guest (reason 0x%llx)",
			vcpu->index,
			(unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		tell_end(vcpu, VCPU_END_ERROR, &why);
		return false;
	case KVM_EXIT_HLT: // comes here only where KVM has no interrupt controllers
		err_set(&why, EIO, "vCPU %u: the guest has halted", vcpu->index);
		tell_end(vcpu, VCPU_END_ERROR, &why);
		return false;
	default:
		err_set(&why, EIO, "vCPU %u: it left the guest for reason %u at 0x%llx",
			vcpu->index, run->exit_reason,
			(unsigned long long)instruction_pointer(vcpu));
		tell_end(vcpu, VCPU_END_ERROR, &why);
		return false;
	}
}

// ---- the thread ----

// KVM_RUN then returns at once. Written by any thread.
static void set_immediate_exit(struct vcpu *vcpu, uint8_t value)
{
	__atomic_store_n(&vcpu->run->immediate_exit, value, __ATOMIC_SEQ_CST);
}

// To be called where the request isn't RUN: waits until it is. False: STOP.
static bool park(struct vcpu *vcpu)
{
	struct vcpus *all = vcpu->all;

	// What the guest did with a device is only complete when KVM is entered again.
	set_immediate_exit(vcpu, 1);
	ioctl(vcpu->fd, KVM_RUN, 0);
	pthread_mutex_lock(&all->mutex);
	all->parked++;
	pthread_cond_broadcast(&all->changed);
	while (atomic_load(&all->request) == PAUSE)
		pthread_cond_wait(&all->changed, &all->mutex);
	if (atomic_load(&all->request) == RUN)
		all->parked--;
	vcpu->stood_still = true;
	set_immediate_exit(vcpu, 0);
	pthread_mutex_unlock(&all->mutex);
	return atomic_load(&all->request) != STOP;
}

// A guest whose time has gone on without it would take that for a stall of its own. It was paused; or this
// process was stopped, as by the freezer of its cgroup, which shows either by KVM_RUN being interrupted or,
// where it came between two of them, by the time. (Coarse: it must cost nothing. A guest without kvm-clock
// can't be told.)
static void tell_if_stopped(struct vcpu *vcpu)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (vcpu->stood_still || now.tv_sec - vcpu->left_at.tv_sec > STILL_S)
		ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, 0);
	vcpu->stood_still = false;
}

// One stay in the guest. False: the vCPU is at its end.
static bool enter(struct vcpu *vcpu)
{
	struct err why;

	tell_if_stopped(vcpu);
	const int ret = ioctl(vcpu->fd, KVM_RUN, 0);
	const int error = errno;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &vcpu->left_at);
	if (ret == 0)
		return serve_exit(vcpu);
	errno = error;
	if (errno == EINTR || errno == EAGAIN) {
		// Before the request is looked at: whoever makes one sets this after it.
		set_immediate_exit(vcpu, 0);
		vcpu->stood_still = true;
		return true;
	}
	if (errno == EFAULT)
		err_set(&why, EFAULT,
			"vCPU %u: the guest has used memory that isn't there, at 0x%llx",
			vcpu->index, (unsigned long long)instruction_pointer(vcpu));
	else
		err_sys(&why, "vCPU %u: run", vcpu->index);
	tell_end(vcpu, VCPU_END_ERROR, &why);
	return false;
}

static void *run_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	struct vcpus *all = vcpu->all;
	struct vcpu_end end = { .kind = VCPU_END_ERROR };
	char name[16];

	snprintf(name, sizeof(name), "vcpu %u", vcpu->index);
	prctl(PR_SET_NAME, name);
	if (all->config.confine && all->config.confine(&end.why) < 0) {
		all->config.ended(all->config.owner, &end);
	} else {
		do {
			if (atomic_load(&all->request) != RUN && !park(vcpu))
				return NULL;
		} while (enter(vcpu));
	}

	// At its end: for who pauses, it is.
	pthread_mutex_lock(&all->mutex);
	all->threads--;
	pthread_cond_broadcast(&all->changed);
	pthread_mutex_unlock(&all->mutex);
	return NULL;
}

int vcpus_start(struct vcpus *vcpus, struct err *err)
{
	sigset_t all, kick, saved;
	pthread_attr_t attr;
	int failed = 0;

	sigfillset(&all);
	sigdelset(&all, SIGRTMIN);
	sigemptyset(&kick);
	sigaddset(&kick, SIGRTMIN);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	// The threads take over the mask: signals are for the main thread.
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	for (unsigned int i = 0; failed == 0 && i < vcpus->config.count; i++) {
		struct vcpu *vcpu = &vcpus->vcpu[i];

		failed = pthread_create(&vcpu->thread, &attr, run_thread, vcpu);
		vcpu->has_thread = failed == 0;
		if (vcpu->has_thread) {
			pthread_mutex_lock(&vcpus->mutex);
			vcpus->threads++;
			pthread_mutex_unlock(&vcpus->mutex);
		}
	}
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	pthread_attr_destroy(&attr);
	return failed ? err_sysn(err, failed, "start a thread for a vCPU") : 0;
}

// ---- requests ----

// STOP stands.
static void set_request(struct vcpus *vcpus, enum request request)
{
	pthread_mutex_lock(&vcpus->mutex);
	if (atomic_load(&vcpus->request) != STOP)
		atomic_store(&vcpus->request, request);
	pthread_cond_broadcast(&vcpus->changed);
	pthread_mutex_unlock(&vcpus->mutex);
}

static void kick_all(struct vcpus *vcpus)
{
	for (unsigned int i = 0; i < vcpus->config.count; i++) {
		struct vcpu *vcpu = &vcpus->vcpu[i];

		if (!vcpu->has_thread)
			continue;
		set_immediate_exit(vcpu, 1);
		pthread_kill(vcpu->thread, SIGRTMIN);
	}
}

void vcpus_resume(struct vcpus *vcpus)
{
	set_request(vcpus, RUN);
}

void vcpus_pause(struct vcpus *vcpus)
{
	set_request(vcpus, PAUSE);
	kick_all(vcpus);
	pthread_mutex_lock(&vcpus->mutex);
	while (vcpus->parked < vcpus->threads)
		pthread_cond_wait(&vcpus->changed, &vcpus->mutex);
	pthread_mutex_unlock(&vcpus->mutex);
}

void vcpus_stop(struct vcpus *vcpus)
{
	set_request(vcpus, STOP);
	kick_all(vcpus);
}

void vcpus_free(struct vcpus *vcpus)
{
	if (!vcpus)
		return;
	vcpus_stop(vcpus);
	for (unsigned int i = 0; i < vcpus->config.count; i++) {
		struct vcpu *vcpu = &vcpus->vcpu[i];

		if (vcpu->has_thread)
			pthread_join(vcpu->thread, NULL);
	}
	for (unsigned int i = 0; i < vcpus->config.count; i++) {
		if (vcpus->vcpu[i].run)
			munmap(vcpus->vcpu[i].run, vcpus->run_bytes);
		replace_fd(&vcpus->vcpu[i].fd, -1);
	}
	pthread_mutex_destroy(&vcpus->mutex);
	pthread_cond_destroy(&vcpus->changed);
	free(vcpus);
}
