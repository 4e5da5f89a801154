// filter: what filter.c, filter-compile.c and filter-cache.c share.
#pragma once

#include "process/digest.h"
#include "process/process.h"

#include <linux/filter.h>

// The kernel's flags for the profile's names (and NEW_LISTENER); *notify: some rule notifies.
// -EINVAL.
int filter_flags(const struct oci_seccomp *profile, uint32_t *flags, bool *notify, struct err *err);

// Compiles the rules: fills program and count. libseccomp, which only this calls.
int filter_compile(const struct oci_seccomp *profile, struct arena *arena,
		   struct process_filter *filter, struct err *err);

// The digest of all that a compiled program depends on: the profile's rules, libseccomp, the
// machine. Not of the listener's path, metadata or the flags.
void filter_digest(const struct oci_seccomp *profile, uint8_t digest[DIGEST_BYTES]);

// Takes program and count from the cache. False: they are not there, or not as they were written.
bool filter_cache_get(int dirfd, const uint8_t digest[DIGEST_BYTES], struct arena *arena,
		      struct process_filter *filter);
void filter_cache_put(int dirfd, const uint8_t digest[DIGEST_BYTES],
		      const struct process_filter *filter);
