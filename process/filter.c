#include "process/filter.h"

#include "base/log.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) // Linux 5.19
#endif

static const char *const flag_names[] = {
	"SECCOMP_FILTER_FLAG_TSYNC",
	"SECCOMP_FILTER_FLAG_LOG",
	"SECCOMP_FILTER_FLAG_SPEC_ALLOW",
	"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
};

static const uint32_t flag_bits[] = {
	SECCOMP_FILTER_FLAG_TSYNC,
	SECCOMP_FILTER_FLAG_LOG,
	SECCOMP_FILTER_FLAG_SPEC_ALLOW,
	SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
};

// 0: unknown.
static uint32_t flag_bit(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(flag_names); i++) {
		if (str_eq(flag_names[i], name))
			return flag_bits[i];
	}
	return 0;
}

const char *const *process_filter_flags(size_t *count)
{
	*count = ARRAY_SIZE(flag_names);
	return flag_names;
}

// The kernel looks at the flags first, and at the program, which is nowhere, then.
bool process_filter_flag_supported(const char *flag)
{
	uint32_t bit = flag_bit(flag);

	if (bit == SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
		bit |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	return bit && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, bit, NULL) < 0 &&
	       errno == EFAULT;
}

// What the launcher needs before anybody listens, and, should the program not start, to say so.
static int check_notify(const struct oci_strings *names, struct err *err)
{
	for (size_t i = 0; i < names->n; i++) {
		if (str_eq(names->v[i], "sendmsg") || str_eq(names->v[i], "write"))
			return err_set(err, EINVAL,
				       "linux.seccomp: SCMP_ACT_NOTIFY can't be used for %s, which "
				       "starting the container takes",
				       names->v[i]);
	}
	return 0;
}

// Does any rule notify?
static int find_notify(const struct oci_seccomp *profile, bool *notify, struct err *err)
{
	*notify = false;
	if (profile->default_action == OCI_SECCOMP_NOTIFY)
		return err_set(err, EINVAL,
			       "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY can't be the default: "
			       "nobody would be there to start the container");
	for (size_t i = 0; i < profile->syscalls.n; i++) {
		const struct oci_seccomp_rule *rule = &profile->syscalls.v[i];

		if (rule->action != OCI_SECCOMP_NOTIFY)
			continue;
		*notify = true;
		if (check_notify(&rule->names, err) < 0)
			return -err->code;
	}
	if (*notify && !profile->listener_path)
		return err_set(err, EINVAL,
			       "linux.seccomp: SCMP_ACT_NOTIFY without a listenerPath");
	return 0;
}

int filter_flags(const struct oci_seccomp *profile, uint32_t *flags, bool *notify, struct err *err)
{
	const uint32_t wait_killable = SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;

	*flags = profile->flags.n > 0 ? 0 : SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	for (size_t i = 0; i < profile->flags.n; i++) {
		uint32_t bit = flag_bit(profile->flags.v[i]);

		if (!bit)
			return err_set(err, EINVAL, "linux.seccomp.flags: unknown flag %s",
				       profile->flags.v[i]);
		*flags |= bit;
	}
	*flags &= ~(uint32_t)SECCOMP_FILTER_FLAG_TSYNC;
	if (find_notify(profile, notify, err) < 0)
		return -err->code;
	if (*notify)
		*flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	else
		*flags &= ~wait_killable; // it is about notifications
	return 0;
}

int process_filter_load(const struct oci_seccomp *profile, int cache_dirfd, struct arena *arena,
			struct process_filter *filter, struct err *err)
{
	uint8_t digest[DIGEST_BYTES];

	*filter = (struct process_filter){ 0 };
	if (filter_flags(profile, &filter->flags, &filter->notify, err) < 0)
		return -err->code;
	if (cache_dirfd < 0)
		return filter_compile(profile, arena, filter, err);
	filter_digest(profile, digest);
	if (filter_cache_get(cache_dirfd, digest, arena, filter))
		return 0;
	if (filter_compile(profile, arena, filter, err) < 0)
		return -err->code;
	filter_cache_put(cache_dirfd, digest, filter);
	return 0;
}
