#include "vm-mode/vm.h"

#include "base/log.h"
#include "base/proc.h"
#include "base/scope.h"
#include "base/str.h"
#include "vm-mode/control/control.h"
#include "vm-mode/control/session.h"
#include "vm-mode/devices/balloon.h"
#include "vm-mode/devices/console.h"
#include "vm-mode/devices/rng.h"
#include "vm-mode/devices/vsock.h"
#include "vm-mode/fs/device.h"
#include "vm-mode/journal.h"
#include "vm-mode/machine/machine.h"
#include "vm-mode/sandbox.h"
#include "vm-mode/size.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>

#define ROOT_TAG "root" // what the agent mounts

// The agent says HELLO seconds after the start of a guest on emulated hardware.
#define HELLO_TIMEOUT_MS 60000
// All it does after that is to mount, and to make a process.
#define READY_TIMEOUT_MS 120000

// Nobody else writes to the root.
#define CACHE_SECONDS 3600
// Smaller files are cheaper to read than to map.
#define DAX_MIN_BYTES (UINT64_C(64) << 10)

struct vm {
	struct vm_config config;
	int journal;
	bool reached[VM_STAGES];
	struct machine *machine;
	struct device *console, *balloon;
	struct vsock *vsock;
	struct fs_window window;
	struct session *session;
	struct control *control;
	struct loop_source awaited; // vm_wait()
	struct loop_source signals; // while the program runs
	int last_words;		    // where an error goes once nobody waits for it; -1: nowhere
};

// ---- stages of the start ----

static uint64_t since_called_us(const struct vm *vm)
{
	const struct timespec *called = &vm->config.called;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	const int64_t us = (int64_t)(now.tv_sec - called->tv_sec) * 1000000 +
			   (now.tv_nsec - called->tv_nsec) / 1000;
	return us > 0 ? (uint64_t)us : 0;
}

static void reach_at(struct vm *vm, enum vm_stage stage, uint64_t us)
{
	if (vm->reached[stage])
		return;
	vm->reached[stage] = true;
	journal_add_stage(vm->journal, stage, us);
	log_debug("vm: %8.3f ms  %s", (double)us / 1e3, vm_stage_name(stage));
}

static void reach(struct vm *vm, enum vm_stage stage)
{
	reach_at(vm, stage, since_called_us(vm));
}

// The agent has said HELLO: among it, since when it runs, by the guest's own clock, which may say anything.
static void reach_agent(struct vm *vm)
{
	const struct proto_hello *hello = session_hello(vm->session);
	const uint64_t now = since_called_us(vm);
	const uint64_t ago = hello->boot_us[PROTO_BOOT_HELLO] - hello->boot_us[PROTO_BOOT_AGENT];

	if (ago <= now)
		reach_at(vm, VM_STAGE_INIT, now - ago);
	reach_at(vm, VM_STAGE_AGENT, now);
}

// ---- events ----

static void on_guest_end(void *owner, const struct vcpu_end *end)
{
	struct vm *vm = owner;
	char panic[256];
	struct err why = end->why;

	log_debug("vm: %s", end->why.msg);
	// Linux resets a machine where it panics.
	console_panic(vm->console, panic, sizeof(panic));
	if (end->kind == VCPU_END_RESET && *panic)
		err_set(&why, EIO, "its kernel has panicked: %s", panic);
	session_lost(vm->session, why.msg);
	loop_stop(machine_loop(vm->machine));
}

static void on_file_server_lost(void *owner, const struct err *why)
{
	session_lost(((struct vm *)owner)->session, why->msg);
}

static void on_serial(void *owner, const char *bytes, size_t len)
{
	struct vm *vm = owner;

	reach(vm, VM_STAGE_CONSOLE);
	console_add(vm->console, bytes, len);
}

static void on_session(void *user, enum session_state state)
{
	struct vm *vm = user;

	if (state == SESSION_CREATING)
		reach_agent(vm);
	else if (state == SESSION_CREATED)
		reach(vm, VM_STAGE_CREATED);
	else if (state == SESSION_STARTING)
		reach(vm, VM_STAGE_STARTING);
	else if (state == SESSION_RUNNING)
		reach(vm, VM_STAGE_STARTED);
	if (state >= SESSION_CREATED)
		loop_stop(machine_loop(vm->machine));
}

static void on_oom(void *user)
{
	log_debug("vm: the guest's OOM killer has struck");
	control_tell_oom(((struct vm *)user)->control);
}

static void get_console_tail(void *user, char *text, size_t size)
{
	console_tail(((struct vm *)user)->console, text, size);
}

// What `update` asks of the machine.
static void on_balloon(void *user, uint64_t target, struct proto_ballooned *answer)
{
	struct vm *vm = user;

	if (target != PROTO_BALLOON_KEEP)
		balloon_set_target(vm->balloon, target < vm->config.memory_bytes ?
							target :
							vm->config.memory_bytes);
	*answer = (struct proto_ballooned){
		.target_bytes = balloon_target(vm->balloon),
		.given_bytes = balloon_actual(vm->balloon),
		.driver = vm->balloon->started,
	};
}

static const struct session_events events = {
	.changed = on_session,
	.oom = on_oom,
	.console_tail = get_console_tail,
};

// ---- making it ----

static int add_root(struct vm *vm, struct err *err)
{
	struct fs_device_config config = {
		.tag = ROOT_TAG,
		.options = { .root_fd = vm->config.fds[VM_FD_ROOT],
			     .proc_fd = vm->config.fds[VM_FD_PROC],
			     .cache_seconds = CACHE_SECONDS,
			     .dax_min_bytes = DAX_MIN_BYTES },
		.window = &vm->window,
		.confine = sandbox_file_server,
		.lost = on_file_server_lost,
		.owner = vm,
	};
	struct device *device;
	bool has_mounts;

	if (fs_has_mounts(config.options.proc_fd, config.options.root_fd, &has_mounts, err) < 0)
		return -err->code;
	config.options.writeback = !has_mounts;
	if (fs_device_create(&config, &device, err) < 0)
		return -err->code;
	return machine_add_device(vm->machine, device, "fs", vm->window.bytes > 0, err);
}

static int add_devices(struct vm *vm, struct err *err)
{
	struct device *rng;

	if (console_create(&vm->console, vm->config.debug ? log_fd() : -1, err) < 0 ||
	    machine_add_device(vm->machine, vm->console, "console", false, err) < 0 ||
	    rng_create(&rng, err) < 0 ||
	    machine_add_device(vm->machine, rng, "rng", false, err) < 0 ||
	    vsock_create(&vm->vsock, err) < 0 ||
	    machine_add_device(vm->machine, vsock_device(vm->vsock), "vsock", false, err) < 0 ||
	    balloon_create(&vm->balloon, err) < 0 ||
	    machine_add_device(vm->machine, vm->balloon, "balloon", false, err) < 0)
		return -err->code;
	return add_root(vm, err);
}

// Whoever listens, as this process's user namespace knows him, where verbs come from the outside.
static uid_t listener_of(int fd)
{
	struct ucred listener;
	socklen_t len = sizeof(listener);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &len) < 0 ? geteuid() :
									      listener.uid;
}

static int open_session(struct vm *vm, struct err *err)
{
	struct vm_config *config = &vm->config;
	const struct session_config session = {
		.loop = machine_loop(vm->machine),
		.vsock = vm->vsock,
		.agent_config = config->agent_config,
		.agent_config_len = config->agent_config_len,
		.streams = { .terminal = take_fd(&config->fds[VM_FD_TERMINAL]),
			     .in = take_fd(&config->fds[VM_FD_IN]),
			     .out = take_fd(&config->fds[VM_FD_OUT]),
			     .err = take_fd(&config->fds[VM_FD_ERR]) },
		.hello_timeout_ms = HELLO_TIMEOUT_MS,
		.ready_timeout_ms = READY_TIMEOUT_MS,
		.events = &events,
		.user = vm,
	};

	if (session_create(&session, &vm->session, err) < 0)
		return -err->code;
	const uid_t owner = listener_of(config->fds[VM_FD_CONTROL]);
	const struct control_config control = {
		.loop = machine_loop(vm->machine),
		.session = vm->session,
		.owner = owner,
		.listen_fd = take_fd(&config->fds[VM_FD_CONTROL]),
		.balloon = on_balloon,
		.user = vm,
	};
	return control_create(&control, &vm->control, err);
}

static int build(struct vm *vm, struct err *err)
{
	if (fs_window_create(&vm->window, vm_size_window(vm->config.memory_bytes), err) < 0)
		return -err->code;
	const struct machine_config machine = {
		.kvm_fd = vm->config.fds[VM_FD_KVM],
		.vcpus = vm->config.vcpus,
		.memory_bytes = vm->config.memory_bytes,
		.window = vm->window.host,
		.window_bytes = vm->window.bytes,
		.ended = on_guest_end,
		.serial = on_serial,
		.owner = vm,
		.confine_vcpu = sandbox_vcpu,
	};
	const struct machine_kernel kernel = {
		.kernel_fd = vm->config.fds[VM_FD_KERNEL],
		.initrd_fds = { vm->config.fds[VM_FD_INITRD], vm->config.fds[VM_FD_AGENT] },
		.parameters = vm->config.kernel_parameters,
		.debug = vm->config.debug,
	};

	if (machine_create(&vm->machine, &machine, err) < 0 || add_devices(vm, err) < 0 ||
	    open_session(vm, err) < 0 || sandbox_vmm(err) < 0)
		return -err->code;
	return machine_boot(vm->machine, &kernel, err);
}

void vm_config_close(struct vm_config *config)
{
	for (size_t i = 0; i < VM_FD_COUNT; i++)
		replace_fd(&config->fds[i], -1);
}

static void vm_free(struct vm *vm)
{
	if (vm->control)
		control_free(vm->control);
	if (vm->session)
		session_free(vm->session);
	machine_free(vm->machine);
	fs_window_free(&vm->window);
	vm_config_close(&vm->config);
	replace_fd(&vm->last_words, -1);
	replace_fd(&vm->journal, -1);
	free(vm);
}

int vm_prepare(const struct vm_config *config, struct vm **vm, struct err *err)
{
	struct vm *made = calloc(1, sizeof(*made));

	if (!made)
		return err_sysn(err, ENOMEM, "virtual machine");
	made->config = *config;
	const int terminal = config->fds[VM_FD_TERMINAL];
	made->last_words = fcntl(terminal < 0 ? config->fds[VM_FD_ERR] : terminal, F_DUPFD_CLOEXEC,
				 3);
	made->journal = take_fd(&made->config.fds[VM_FD_JOURNAL]);
	reach(made, VM_STAGE_VMM);
	if (build(made, err) < 0) {
		vm_free(made);
		return -err->code;
	}
	// The guest has all of it in its memory, and the file server its own descriptors.
	vm_config_close(&made->config);
	reach(made, VM_STAGE_MACHINE);
	*vm = made;
	return 0;
}

// ---- signals ----

// Engines and shells know the program by the VMM's pid. It may have just ended.
static void on_signals(struct loop_source *source, uint32_t events_seen)
{
	struct vm *vm = (struct vm *)((char *)source - offsetof(struct vm, signals));
	struct signalfd_siginfo info;
	struct err err;

	(void)events_seen;
	while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		const struct proto_signal sig = { .number = info.ssi_signo };
		const struct session_request request = {
			.type = PROTO_SIGNAL, .id = PROTO_INIT, .payload = &sig, .len = sizeof(sig)
		};

		if (session_ask(vm->session, &request, &err) < 0)
			log_debug("vm: signal %u: %s", info.ssi_signo, err.msg);
	}
}

// But SIGWINCH, which is the terminal's (vm-mode/control/session.h), and SIGRTMIN (vm-mode/machine/vcpu.h).
static int take_signals(struct vm *vm, struct err *err)
{
	const int spared[] = { SIGPIPE, SIGCHLD, SIGURG, SIGWINCH, SIGRTMIN };

	vm->signals = (struct loop_source){
		.fd = proc_take_signals(spared, ARRAY_SIZE(spared), err),
		.ready = on_signals,
	};
	if (vm->signals.fd < 0)
		return -err->code;
	return loop_watch(machine_loop(vm->machine), &vm->signals, EPOLLIN, err);
}

// ---- running it ----

// Until the session is in another state than before.
static int run_loop(struct vm *vm, struct err *err)
{
	if (loop_run(machine_loop(vm->machine), err) < 0)
		return -err->code;
	if (session_state(vm->session) != SESSION_FAILED)
		return 0;
	*err = *session_error(vm->session);
	journal_add_error(vm->journal, err->msg);
	return -err->code;
}

int vm_boot(struct vm *vm, struct err *err)
{
	reach(vm, VM_STAGE_ENTERED);
	machine_resume(vm->machine);
	while (session_state(vm->session) < SESSION_CREATED)
		if (run_loop(vm, err) < 0)
			return -err->code;
	return 0;
}

static void __attribute__((noreturn)) end_with_program(const struct vm *vm)
{
	_exit((int)session_exit(vm->session)->status);
}

static void on_awaited(struct loop_source *source, uint32_t events_seen)
{
	struct vm *vm = (struct vm *)((char *)source - offsetof(struct vm, awaited));

	(void)events_seen;
	loop_unwatch(machine_loop(vm->machine), source);
	loop_stop(machine_loop(vm->machine));
}

int vm_wait(struct vm *vm, int fd, struct err *err)
{
	vm->awaited = (struct loop_source){ .fd = fd, .ready = on_awaited };
	if (loop_watch(machine_loop(vm->machine), &vm->awaited, EPOLLIN, err) < 0)
		return -err->code;
	while (vm->awaited.added) {
		if (run_loop(vm, err) < 0)
			return -err->code;
		if (session_state(vm->session) == SESSION_ENDED)
			end_with_program(vm);
	}
	return 0;
}

static int start_program(struct vm *vm, struct err *err)
{
	const struct session_request request = { .type = PROTO_START, .id = PROTO_INIT };

	if (session_ask(vm->session, &request, err) < 0)
		return -err->code;
	while (session_state(vm->session) < SESSION_RUNNING)
		if (run_loop(vm, err) < 0)
			return -err->code;
	return 0;
}

// Nobody waits for an answer any more: what tells of the end is the log, for the engine, and the program's
// standard error, for its user. They may be one.
static void __attribute__((noreturn)) end_without_program(struct vm *vm, const struct err *err)
{
	if (log_fd() != STDERR_FILENO)
		log_error("%s", err->msg);
	dprintf(vm->last_words, "moat: %s\n", err->msg);
	_exit(1);
}

int vm_run(struct vm *vm, int report_fd, struct err *err)
{
	if (take_signals(vm, err) < 0 || start_program(vm, err) < 0)
		return -err->code;
	close(report_fd);
	while (session_state(vm->session) < SESSION_ENDED)
		if (run_loop(vm, err) < 0)
			end_without_program(vm, err);
	end_with_program(vm);
}
