// create: a container out of a bundle, as one table of steps.
//
// Two processes walk the same table (create.c): the parent, which is `moat create` or `moat run`,
// and the init, which the step `spawn` bears. Each takes the rows of its side in order; at a
// barrier each waits for the other. When a step of the parent fails, or the init says that one of
// its own did, the parent undoes its finished steps backwards; the init and all it did in its
// namespaces go with the `spawn` step.
//
// runtime.md, "Lifecycle" 1 to 5.
#pragma once

#include "base/err.h"
#include "namespaces/namespaces.h"
#include "oci-spec/types.h"
#include "process/process.h"
#include "rootfs/rootfs.h"
#include "runtime/conf.h"
#include "runtime/container.h"
#include "runtime/listener.h"
#include "runtime/payload.h"
#include "runtime/runtime.h"
#include "runtime/terminal.h"

#include <time.h>

// The options of `create` and `run`.
struct create_settings {
	const char *bundle, *config, *console_socket, *pidfd_socket, *pid_file;
	const char *vm_kernel, *vm_initrd;
	bool vm, no_pivot, no_new_keyring, no_subreaper;
	int preserve_fds;
	bool detach, keep; // `run` alone
};

// The rows for `struct create_settings` that both verbs have.
#define CREATE_OPTION_ROWS(AT)                                                                 \
	{ "bundle", 'b', OPTION_STRING, AT(bundle), "DIR", "the bundle (default: .)" },        \
		{ "config",   'f',    OPTION_STRING,                                           \
		  AT(config), "FILE", "the configuration (default: BUNDLE/config.json)" },     \
		{ "console-socket",   0,      OPTION_STRING,                                   \
		  AT(console_socket), "PATH", "Unix socket that receives the terminal" },      \
		{ "pidfd-socket",   0,	    OPTION_STRING,                                     \
		  AT(pidfd_socket), "PATH", "Unix socket that receives a pidfd of the init" }, \
		{ "pid-file",	0,	OPTION_STRING,                                         \
		  AT(pid_file), "FILE", "where to write the init's pid" },                     \
		{ "vm", 0, OPTION_FLAG, AT(vm), NULL, "isolate it as a microVM" },             \
		{ "vm-kernel",	 0,	 OPTION_FILE,                                          \
		  AT(vm_kernel), "FILE", "the guest's kernel: an ELF vmlinux or a bzImage" },  \
		{ "vm-initrd",	 0,	 OPTION_FILE,                                          \
		  AT(vm_initrd), "FILE", "an initramfs with what that kernel needs" },         \
		{ "no-pivot",	0,    OPTION_FLAG,                                             \
		  AT(no_pivot), NULL, "move the root instead of pivot_root(2)" },              \
		{ "no-new-keyring",   0,    OPTION_FLAG,                                       \
		  AT(no_new_keyring), NULL, "keep the caller's session keyring" },             \
		{ "preserve-fds",   0,	 OPTION_INT,                                           \
		  AT(preserve_fds), "N", "pass descriptors 3 to 2+N on" },                     \
	{                                                                                      \
		"no-subreaper", 0, OPTION_FLAG, AT(no_subreaper), NULL,                        \
			"don't reap the container's orphans"                                   \
	}

enum side { SIDE_PARENT, SIDE_INIT, SIDE_BOTH };

// A container that is being made. Both sides have it: the init inherits the parent's as it was at
// `spawn`.
struct creation {
	const struct runtime *rt;
	const struct create_settings *settings;
	const char *id;
	struct arena *arena;
	struct timespec called; // CLOCK_MONOTONIC, when this began
	bool gated; // the init waits for `moat start`; otherwise for the parent's own word

	const char *bundle; // absolute
	char *config;	    // the text of config.json
	size_t config_len;
	const struct oci_spec *spec;
	const struct conf *conf; // moat.conf
	const struct payload_ops *payload;
	struct payload_guest *guest; // VM mode's own; NULL otherwise

	struct container container;
	const struct cgroup_host *cgroup_host;
	const struct cgroup_plan *cgroup_plan;
	struct ns_plan ns_plan;
	struct rootfs_plan *rootfs_plan;
	struct process_plan *process_plan;
	int preserve_fds; // --preserve-fds and the sockets of LISTEN_FDS
	struct process_filter filter;

	enum side side;
	struct terminal_route terminal;
	struct listener listener;
	int channel;	  // this side's end
	int init_channel; // the init's end, until `spawn`
	int gate;	  // -1 unless gated
	int master;	  // the terminal's other end for the foreground, -1: none
	struct cgroup_join *join;
	struct ns_spawn init;
};

// An empty creation, for `id`.
void creation_init(struct creation *c, const struct runtime *rt,
		   const struct create_settings *settings, const char *id);

// Makes the container. On success the init waits to be started: gated, at the gate; else at
// c->channel. On failure nothing of it is left, and the error names the step.
int create_container(struct creation *c, struct err *err);

// Ends a creation on the parent's side: closes what is open. The container lives on.
void creation_close(struct creation *c);

// Undoes a creation that succeeded, as if its last step had failed: for `run`, when the start
// fails.
void creation_undo(struct creation *c);
