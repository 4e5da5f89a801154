#include "process/caps.h"

#include "base/log.h"
#include "base/str.h"
#include "process/process.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// By number.
static const char *const names[] = {
	[CAP_CHOWN] = "CAP_CHOWN",
	[CAP_DAC_OVERRIDE] = "CAP_DAC_OVERRIDE",
	[CAP_DAC_READ_SEARCH] = "CAP_DAC_READ_SEARCH",
	[CAP_FOWNER] = "CAP_FOWNER",
	[CAP_FSETID] = "CAP_FSETID",
	[CAP_KILL] = "CAP_KILL",
	[CAP_SETGID] = "CAP_SETGID",
	[CAP_SETUID] = "CAP_SETUID",
	[CAP_SETPCAP] = "CAP_SETPCAP",
	[CAP_LINUX_IMMUTABLE] = "CAP_LINUX_IMMUTABLE",
	[CAP_NET_BIND_SERVICE] = "CAP_NET_BIND_SERVICE",
	[CAP_NET_BROADCAST] = "CAP_NET_BROADCAST",
	[CAP_NET_ADMIN] = "CAP_NET_ADMIN",
	[CAP_NET_RAW] = "CAP_NET_RAW",
	[CAP_IPC_LOCK] = "CAP_IPC_LOCK",
	[CAP_IPC_OWNER] = "CAP_IPC_OWNER",
	[CAP_SYS_MODULE] = "CAP_SYS_MODULE",
	[CAP_SYS_RAWIO] = "CAP_SYS_RAWIO",
	[CAP_SYS_CHROOT] = "CAP_SYS_CHROOT",
	[CAP_SYS_PTRACE] = "CAP_SYS_PTRACE",
	[CAP_SYS_PACCT] = "CAP_SYS_PACCT",
	[CAP_SYS_ADMIN] = "CAP_SYS_ADMIN",
	[CAP_SYS_BOOT] = "CAP_SYS_BOOT",
	[CAP_SYS_NICE] = "CAP_SYS_NICE",
	[CAP_SYS_RESOURCE] = "CAP_SYS_RESOURCE",
	[CAP_SYS_TIME] = "CAP_SYS_TIME",
	[CAP_SYS_TTY_CONFIG] = "CAP_SYS_TTY_CONFIG",
	[CAP_MKNOD] = "CAP_MKNOD",
	[CAP_LEASE] = "CAP_LEASE",
	[CAP_AUDIT_WRITE] = "CAP_AUDIT_WRITE",
	[CAP_AUDIT_CONTROL] = "CAP_AUDIT_CONTROL",
	[CAP_SETFCAP] = "CAP_SETFCAP",
	[CAP_MAC_OVERRIDE] = "CAP_MAC_OVERRIDE",
	[CAP_MAC_ADMIN] = "CAP_MAC_ADMIN",
	[CAP_SYSLOG] = "CAP_SYSLOG",
	[CAP_WAKE_ALARM] = "CAP_WAKE_ALARM",
	[CAP_BLOCK_SUSPEND] = "CAP_BLOCK_SUSPEND",
	[CAP_AUDIT_READ] = "CAP_AUDIT_READ",
	[CAP_PERFMON] = "CAP_PERFMON",
	[CAP_BPF] = "CAP_BPF",
	[CAP_CHECKPOINT_RESTORE] = "CAP_CHECKPOINT_RESTORE",
};

const char *process_cap_name(unsigned int cap)
{
	return cap < ARRAY_SIZE(names) ? names[cap] : NULL;
}

uint64_t process_caps_grantable(bool userns)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (!userns) {
		syscall(SYS_capget, &head, data);
		return data[0].permitted | (uint64_t)data[1].permitted << 32;
	}
	unsigned int last = CAP_LAST_CAP;
	while (last < 63 && prctl(PR_CAPBSET_READ, last + 1) >= 0)
		last++;
	while (last > 0 && prctl(PR_CAPBSET_READ, last) < 0)
		last--;
	return UINT64_MAX >> (63 - last);
}

static int number_of(const char *name)
{
	for (unsigned int cap = 0; cap < ARRAY_SIZE(names); cap++) {
		if (str_eq(names[cap], name))
			return (int)cap;
	}
	return -1;
}

static uint64_t parse_set(const char *set, const struct oci_strings *list, uint64_t grantable)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < list->n; i++) {
		int cap = number_of(list->v[i]);

		if (cap < 0)
			log_warn("process.capabilities.%s: unknown capability %s is left out", set,
				 list->v[i]);
		else if (!(grantable >> cap & 1))
			log_warn(
				"process.capabilities.%s: %s can't be granted here and is left out",
				set, list->v[i]);
		else
			mask |= UINT64_C(1) << cap;
	}
	return mask;
}

// `mask` without what isn't in `allowed`.
static uint64_t narrow(const char *set, uint64_t mask, uint64_t allowed, const char *reason)
{
	if (!(mask & ~allowed))
		return mask;

	scope_text struct text list = { 0 };
	for (unsigned int cap = 0; cap < ARRAY_SIZE(names); cap++) {
		if (mask & ~allowed & UINT64_C(1) << cap)
			text_printf(&list, " %s", names[cap]);
	}
	// Engines write default sets like that by the million; runc and crun don't mention it.
	log_debug("process.capabilities.%s: left out, %s:%s", set, reason, list.str);
	return mask & allowed;
}

void caps_parse(const struct oci_capabilities *spec, uint64_t grantable, struct cap_sets *sets)
{
	*sets = (struct cap_sets){ 0 };
	if (!spec)
		return;
	sets->bounding = parse_set("bounding", &spec->bounding, grantable);
	sets->permitted = parse_set("permitted", &spec->permitted, grantable);
	sets->effective = narrow("effective", parse_set("effective", &spec->effective, grantable),
				 sets->permitted, "since they are not permitted");
	sets->inheritable = narrow("inheritable",
				   parse_set("inheritable", &spec->inheritable, grantable),
				   sets->bounding, "since they are not in the bounding set");
	sets->ambient = narrow("ambient", parse_set("ambient", &spec->ambient, grantable),
			       sets->permitted & sets->inheritable,
			       "since they are not both permitted and inheritable");
}
