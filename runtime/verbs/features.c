// features: what this moat on this host can do, for engines to find out before they ask for it.

#include "oci-spec/features.h"

#include "base/scope.h"
#include "base/str.h"
#include "process/process.h"
#include "rootfs/rootfs.h"
#include "runtime/runtime.h"
#include "runtime/vm_files.h"

#include <stdio.h>

// The lists of the appliers are constants; the document only reads them.
static struct oci_strings borrow(const char *const *names, size_t n)
{
	return (struct oci_strings){ .v = (char **)names, .n = n };
}

static struct oci_strings capabilities(struct arena *arena)
{
	struct oci_strings names = { .v = arena_new(arena, char *, 65) };
	const char *name;

	for (unsigned int cap = 0; cap < 64 && (name = process_cap_name(cap)); cap++)
		names.v[names.n++] = arena_strdup(arena, name);
	return names;
}

static void fill_seccomp(struct features_seccomp *seccomp, struct arena *arena)
{
	const char *const *names;
	size_t n;

	seccomp->enabled = true;
	names = process_filter_archs(&n);
	seccomp->archs = borrow(names, n);
	names = process_filter_flags(&n);
	seccomp->known_flags = borrow(names, n);
	seccomp->supported_flags = (struct oci_strings){ .v = arena_new(arena, char *, n + 1) };
	for (size_t i = 0; i < n; i++)
		if (process_filter_flag_supported(names[i]))
			seccomp->supported_flags.v[seccomp->supported_flags.n++] =
				arena_strdup(arena, names[i]);
}

// features.md "Unsafe annotations in `config.json`": those that change what moat does. A
// dot at the end: all that begin so.
static const char *const unsafe_annotations[] = { "run.oci.handler", "org.moat.vm",
						  "org.systemd.property." };

// features.md "Annotations": the guest's kernel that VM mode would run, where there is one, and the file with its
// configuration.
static void fill_annotations(struct oci_pairs *annotations, struct arena *arena)
{
	struct vm_files_kernel kernel;
	struct err err;
	scope_fd int fd = vm_files_open_kernel(arena, &kernel, &err);

	if (fd < 0)
		return;
	*annotations = (struct oci_pairs){ .v = arena_new(arena, struct oci_pair, 2) };
	annotations->v[annotations->n++] = (struct oci_pair){
		.key = arena_strdup(arena, "org.moat.vm.kernel"),
		.value = arena_strdup(arena, kernel.version ? kernel.version : "unknown"),
	};
	if (kernel.config)
		annotations->v[annotations->n++] = (struct oci_pair){
			.key = arena_strdup(arena, "org.moat.vm.kernel.config"),
			.value = arena_strdup(arena, kernel.config),
		};
}

static int run(const struct runtime *rt, const void *settings, const struct option_rest *rest,
	       struct err *err)
{
	scope_text struct text json = { 0 };
	struct features features = { 0 };
	size_t n;

	(void)settings;
	(void)rest;
	(void)err;
	features_init(&features, rt->arena);
	const char *const *options = rootfs_mount_options(&n);
	features.mount_options = borrow(options, n);
	features.linux.capabilities = capabilities(rt->arena);
	features.linux.cgroup = (struct features_cgroup){
		.v1 = true,
		.v2 = true,
		.systemd = cgroup_systemd_supported(),
		.systemd_user = cgroup_systemd_supported(),
		.rdma = true,
	};
	features.potentially_unsafe_config_annotations = borrow(unsafe_annotations,
								ARRAY_SIZE(unsafe_annotations));
	fill_seccomp(&features.linux.seccomp, rt->arena);
	// Labels are handed to the kernel's security module, whichever it is.
	features.linux.apparmor.enabled = true;
	features.linux.selinux.enabled = true;
	features.linux.mount_extensions.idmap.enabled = true;
	fill_annotations(&features.annotations, rt->arena);
	features_write(&features, &json);
	puts(json.str);
	return 0;
}

const struct verb verb_features = {
	.name = "features",
	.usage = "",
	.summary = "print what moat can do, as the runtime-spec's JSON",
	.options = no_options,
	.run = run,
};
