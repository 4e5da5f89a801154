// The payload of VM mode: the init becomes the virtual machine monitor, and its guest's agent applies
// the rest of the spec (docs/vm-mode.md).

#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/scope.h"
#include "base/str.h"
#include "runtime/create.h"
#include "runtime/payload.h"
#include "runtime/seccomp_cache.h"
#include "runtime/vm_files.h"
#include "runtime/vm_host.h"
#include "vm-mode/agent_config.h"
#include "vm-mode/control/client.h"
#include "vm-mode/control/hostfd.h"
#include "vm-mode/journal.h"
#include "vm-mode/size.h"
#include "vm-mode/split.h"
#include "vm-mode/vm.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>

#define CONTROL_BACKLOG 64

struct payload_guest {
	const struct oci_spec *whole; // as it was in config.json
	const struct oci_spec *spec;  // the guest's part
	struct vm_size size;
	struct process_plan *host_plan; // what of the process's is set on the VMM
	struct vm_config config;
	int null_fd;
	struct text agent_config;
	struct vm *vm;
};

// ---- in the parent ----

// What this host has.
static struct vm_size host_size(void)
{
	struct sysinfo info;
	cpu_set_t set;

	sysinfo(&info);
	return (struct vm_size){ .vcpus = sched_getaffinity(0, sizeof(set), &set) < 0 ?
						  1 :
						  (unsigned int)CPU_COUNT(&set),
				 .memory_bytes = (uint64_t)info.totalram * info.mem_unit };
}

static int check_hw_config(const struct oci_vm_hw_config *config, struct err *err)
{
	const char *of_host = config->device_tree ? "deviceTree" :
			      config->dtdevs.n	  ? "dtdevs" :
			      config->iomems.n	  ? "iomems" :
			      config->irqs.n	  ? "irqs" :
						    NULL;

	if (!of_host)
		return 0;
	return err_set(err, ENOTSUP,
		       "vm.hwConfig.%s: devices of the host can't be handed to the guest", of_host);
}

// What the spec's `vm` object may ask for and moat has not: another hypervisor, a disk image, devices.
static int check_vm_object(const struct oci_vm *vm, struct err *err)
{
	if (vm && vm->hypervisor && vm->hypervisor->path && !str_eq(vm->hypervisor->path, ""))
		return err_set(
			err, ENOTSUP,
			"vm.hypervisor.path: %s can't be used: moat is the hypervisor itself",
			vm->hypervisor->path);
	if (vm && vm->image && vm->image->path && !str_eq(vm->image->path, ""))
		return err_set(
			err, ENOTSUP,
			"vm.image.path: %s can't be used: the root file system is the bundle's",
			vm->image->path);
	return vm && vm->hw_config ? check_hw_config(vm->hw_config, err) : 0;
}

static int divide(struct creation *c, struct err *err)
{
	struct payload_guest *guest = arena_new(c->arena, struct payload_guest, 1);
	const struct vm_size usual = { .vcpus = c->conf->vm.vcpus.v,
				       .memory_bytes = c->conf->vm.memory.v };
	const struct vm_size available = host_size();
	const struct oci_spec *host;

	c->guest = guest;
	guest->whole = c->spec;
	guest->null_fd = -1;
	for (size_t i = 0; i < VM_FD_COUNT; i++)
		guest->config.fds[i] = -1;
	if (check_vm_object(c->spec->vm, err) < 0 ||
	    vm_size_of(c->spec, &usual, &available, &guest->size, err) < 0 ||
	    vm_split(c->spec, c->arena, &host, &guest->spec, err) < 0)
		return -err->code;
	host->linux->resources = (struct oci_resources *)vm_size_resources(host->linux->resources,
									   &guest->size, c->arena);
	c->spec = host;
	return 0;
}

// The spec's, or else moat.conf's; never a part of each.
static const struct oci_vm_kernel *wanted_kernel(const struct creation *c)
{
	const struct oci_vm *vm = c->guest->whole->vm;

	return vm && vm->kernel ? vm->kernel : &c->conf->vm.kernel;
}

// What the operator has named.
static int open_named(struct creation *c, struct err *err)
{
	int *fds = c->guest->config.fds;
	const char *kernel = wanted_kernel(c)->path, *initrd = wanted_kernel(c)->initrd;

	// An initramfs has the modules of one kernel.
	if (c->settings->vm_kernel) {
		kernel = c->settings->vm_kernel;
		initrd = NULL;
	}
	if (c->settings->vm_initrd)
		initrd = c->settings->vm_initrd;
	if (kernel) {
		fds[VM_FD_KERNEL] = vm_files_open_named_kernel(kernel, c->guest->size.memory_bytes,
							       err);
		if (fds[VM_FD_KERNEL] < 0)
			return -err->code;
	}
	if (initrd)
		fds[VM_FD_INITRD] = vm_files_open_named_initrd(initrd, err);
	return initrd && fds[VM_FD_INITRD] < 0 ? -err->code : 0;
}

// What is moat's own.
static int open_own(struct creation *c, struct err *err)
{
	int *fds = c->guest->config.fds;

	if (fds[VM_FD_KERNEL] < 0)
		fds[VM_FD_KERNEL] = vm_files_open_kernel(c->arena, NULL, err);
	if (fds[VM_FD_KERNEL] < 0)
		return -err->code;
	fds[VM_FD_AGENT] = vm_files_open_agent(err);
	return fds[VM_FD_AGENT] < 0 ? -err->code : 0;
}

// What a guest needs that this host has, or not: before anything is made.
static int open_machine(struct creation *c, struct err *err)
{
	int *kvm = &c->guest->config.fds[VM_FD_KVM];

	if (open_named(c, err) < 0)
		return err_wrap(err, "VM mode");
	*kvm = vm_host_open_kvm(err);
	if (*kvm < 0 || vm_host_require(c->rt, *kvm, err) < 0 || open_own(c, err) < 0)
		return err_wrap(err, "VM mode");
	return 0;
}

static const char *kernel_parameters(struct creation *c)
{
	const struct oci_strings *parameters = &wanted_kernel(c)->parameters;
	scope_text struct text line = { 0 };

	if (parameters->n == 0)
		return NULL;
	for (size_t i = 0; i < parameters->n; i++)
		text_printf(&line, "%s%s", i ? " " : "", parameters->v[i]);
	return arena_strdup(c->arena, line.str);
}

static void write_agent_config(struct creation *c)
{
	struct payload_guest *guest = c->guest;
	const struct agent_config config = {
		.id = c->id,
		.bundle = c->bundle,
		.spec = guest->spec,
		.filter = c->filter.count ?
				  agent_filter_text(c->filter.program, c->filter.count, c->arena) :
				  NULL,
		.filter_flags = c->filter.flags,
		.keyring = c->container.state.session_keyring,
		.dax = true,
		.debug = c->rt->debug,
	};

	agent_config_write(&config, &guest->agent_config);
	guest->config.agent_config = guest->agent_config.str;
	guest->config.agent_config_len = guest->agent_config.len;
}

// The guest makes its own plan; here it is made to find what is wrong with the spec, and to be printed.
static int plan_process(struct creation *c, struct err *err)
{
	struct payload_guest *guest = c->guest;
	struct oci_process *vmm = arena_new(c->arena, struct oci_process, 1);
	const struct process_env guest_env = { .keyring = c->container.state.session_keyring,
					       .filter = &c->filter,
					       .caps = process_caps_grantable(true) };
	const struct process_env vmm_env = { .caps = process_caps_grantable(false) };

	// Of the process's properties these alone are the VMM's: labels are of the host's policy.
	*vmm = (struct oci_process){ .args = guest->whole->process->args,
				     .cwd = guest->whole->process->cwd,
				     .oom_score_adj = guest->whole->process->oom_score_adj,
				     .apparmor_profile = guest->whole->process->apparmor_profile,
				     .selinux_label = guest->whole->process->selinux_label };
	if (process_plan_make(guest->spec->process, guest->spec->linux, &guest_env, c->arena,
			      &c->process_plan, err) < 0)
		return -err->code;
	return process_plan_make(vmm, NULL, &vmm_env, c->arena, &guest->host_plan, err);
}

// What later verbs are to know of it.
static void record(struct creation *c)
{
	struct container_state *state = &c->container.state;

	state->vm_memory_bytes = c->guest->size.memory_bytes;
	state->vm_vcpus = c->guest->size.vcpus;
	state->vm_limit_bytes = vm_size_limit(c->guest->whole->linux->resources);
}

static int plan(struct creation *c, struct err *err)
{
	struct payload_guest *guest = c->guest;

	if (c->preserve_fds > 0)
		return err_set(err, ENOTSUP, "descriptors can't be passed on into a VM");
	// Else `start` would wait for a word that never comes.
	if (c->container.state.notify_socket)
		return err_set(err, ENOTSUP, "NOTIFY_SOCKET can't be passed on into a VM");
	log_debug("plan: vm %u vCPUs, %llu MiB", guest->size.vcpus,
		  (unsigned long long)(guest->size.memory_bytes >> 20));
	if (seccomp_cache_load(c->rt, guest->whole->linux->seccomp, &c->filter, err) < 0 ||
	    plan_process(c, err) < 0 || open_machine(c, err) < 0)
		return -err->code;
	guest->config.vcpus = guest->size.vcpus;
	guest->config.memory_bytes = guest->size.memory_bytes;
	record(c);
	guest->config.kernel_parameters = kernel_parameters(c);
	guest->config.debug = c->rt->debug;
	guest->config.called = c->called;
	write_agent_config(c);
	return 0;
}

static int listen_for_verbs(struct creation *c, struct err *err)
{
	const struct sockaddr_un addr = io_socket_address(c->container.dirfd, CONTROL_SOCKET);
	scope_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, CONTROL_BACKLOG) < 0)
		return err_sys(err, "socket of the virtual machine monitor");
	c->guest->config.fds[VM_FD_CONTROL] = take_fd(&fd);
	return 0;
}

// It goes with the container's directory.
static int open_journal(struct creation *c, struct err *err)
{
	const int fd = openat(c->container.dirfd, JOURNAL_FILE,
			      O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);

	c->guest->config.fds[VM_FD_JOURNAL] = fd;
	return fd < 0 ? err_sys(err, "make " JOURNAL_FILE) : 0;
}

// The init has no /proc by which it could open its streams anew, as non-blocking ones of its own.
static int open_streams(struct payload_guest *guest, struct err *err)
{
	for (int fd = 0; fd <= 2; fd++) {
		int *stream = &guest->config.fds[VM_FD_IN + fd];

		*stream = hostfd_reopen(fd);
		if (*stream < 0)
			*stream = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (*stream < 0)
			return err_sys(err, "standard streams");
	}
	return 0;
}

static int sources(struct creation *c, struct err *err)
{
	c->guest->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (c->guest->null_fd < 0)
		return err_sys(err, "/dev/null");
	if (open_journal(c, err) < 0 ||
	    (!c->spec->process->terminal && open_streams(c->guest, err) < 0))
		return -err->code;
	return listen_for_verbs(c, err);
}

// The socket above all: verbs shall be refused there as soon as the VMM has gone.
static void release(struct creation *c)
{
	if (!c->guest)
		return;
	vm_config_close(&c->guest->config);
	replace_fd(&c->guest->null_fd, -1);
}

static int limit(struct creation *c, struct err *err)
{
	return process_limit(c->guest->host_plan, c->init.pid, err);
}

// ---- in the init ----

static int arrive(struct creation *c, struct err *err)
{
	int proc = rootfs_procfs(c->rootfs_plan, err);

	if (proc < 0)
		return proc;
	proc = fcntl(proc, F_DUPFD_CLOEXEC, 3);
	c->guest->config.fds[VM_FD_PROC] = proc;
	if (proc < 0)
		return err_sys(err, "procfs");
	return 0;
}

// The terminal is known to nobody else yet, and so may be made non-blocking. From here on the VMM has
// nothing to do with descriptors 0 to 2.
static int take_streams(struct creation *c, struct err *err)
{
	struct payload_guest *guest = c->guest;

	if (c->spec->process->terminal) {
		int *terminal = &guest->config.fds[VM_FD_TERMINAL];

		*terminal = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
		if (*terminal < 0 || fcntl(*terminal, F_SETFL, O_NONBLOCK) < 0)
			return err_sys(err, "terminal");
	}
	for (int fd = 0; fd <= 2; fd++)
		if (fd != log_fd() && dup2(guest->null_fd, fd) < 0)
			return err_sys(err, "standard streams");
	return 0;
}

// No execve(2) will close what the init has inherited: of the runtime's own, and of its caller's.
static int shed_fds(struct creation *c, struct err *err)
{
	int keep[VM_FD_COUNT + 3] = { log_fd(), c->channel, c->gate };

	memcpy(keep + 3, c->guest->config.fds, sizeof(c->guest->config.fds));
	if (proc_close_fds(3, keep, ARRAY_SIZE(keep)) < 0)
		return err_sys(err, "close descriptors");
	return 0;
}

// What an engine or a hook has put into the network namespace is there, but not for the guest.
static void warn_of_network(void)
{
	scope_text struct text names = { 0 };
	struct ifaddrs *list = NULL;

	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next)
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_PACKET &&
		    (i->ifa_flags & (IFF_UP | IFF_LOOPBACK)) == IFF_UP)
			text_printf(&names, "%s%s", names.len > 0 ? ", " : "", i->ifa_name);
	freeifaddrs(list);
	if (names.len > 0)
		log_warn("VM mode has no network yet: the guest doesn't get %s", names.str);
}

// The agent names the step that has failed, as container mode does. Where it is this one, creation adds it again.
static int name_step_once(struct err *err)
{
	static const char name[] = "settle: ";

	if (str_starts(err->msg, name))
		memmove(err->msg, err->msg + strlen(name), strlen(err->msg + strlen(name)) + 1);
	return -err->code;
}

static int settle(struct creation *c, struct err *err)
{
	struct payload_guest *guest = c->guest;

	int *root = &guest->config.fds[VM_FD_ROOT];

	*root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*root < 0)
		return err_sys(err, "open the root");
	warn_of_network();
	if (take_streams(c, err) < 0 || shed_fds(c, err) < 0 ||
	    process_take_label(guest->host_plan, guest->config.fds[VM_FD_PROC], err) < 0 ||
	    vm_prepare(&guest->config, &guest->vm, err) < 0)
		return -err->code;
	text_free(&guest->agent_config);
	return vm_boot(guest->vm, err) < 0 ? name_step_once(err) : 0;
}

static int wait(struct creation *c, int fd, struct err *err)
{
	return vm_wait(c->guest->vm, fd, err);
}

static int enter(struct creation *c, int report_fd, struct err *err)
{
	return vm_run(c->guest->vm, report_fd, err);
}

const struct payload_ops payload_vm = {
	.mode = "vm",
	.own_terminal = true,
	.divide = divide,
	.plan = plan,
	.sources = sources,
	.release = release,
	.limit = limit,
	.arrive = arrive,
	.settle = settle,
	.wait = wait,
	.enter = enter,
};
