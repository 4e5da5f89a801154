#include "process/caps.h"

#include "base/log.h"
#include "base/str.h"
#include "process/process.h"

#include <ctype.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// libcap's names are small, the spec's are not.
const char *process_cap_name(unsigned int cap)
{
	static char spelt[64][32];
	const bool known = cap < ARRAY_SIZE(spelt) && cap < (unsigned int)cap_max_bits();
	char *name = known && !*spelt[cap] ? cap_to_name((cap_value_t)cap) : NULL;

	for (size_t i = 0; name && name[i] && i < sizeof(spelt[cap]) - 1; i++)
		spelt[cap][i] = (char)toupper((unsigned char)name[i]);
	cap_free(name);
	return known ? spelt[cap] : NULL;
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

// libcap also takes numbers, and names in any case of letters; the spec doesn't.
static int number_of(const char *name)
{
	cap_value_t cap;

	if (cap_from_name(name, &cap) < 0)
		return -1;
	const char *spelt = process_cap_name((unsigned int)cap);
	return spelt && str_eq(spelt, name) ? cap : -1;
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
	for (unsigned int cap = 0; process_cap_name(cap); cap++) {
		if (mask & ~allowed & UINT64_C(1) << cap)
			text_printf(&list, " %s", process_cap_name(cap));
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
