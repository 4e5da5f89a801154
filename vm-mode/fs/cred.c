#include "vm-mode/fs/cred.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int caps_get(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return (int)syscall(SYS_capget, &header, data);
}

// Of this thread.
static void caps_set_effective(const uint32_t effective[2])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (caps_get(data) < 0)
		return;
	for (int i = 0; i < 2; i++)
		data[i].effective = effective[i] & data[i].permitted;
	syscall(SYS_capset, &header, data);
}

static bool has(const struct cred *cred, int cap)
{
	return cred->effective[CAP_TO_INDEX(cap)] & CAP_TO_MASK(cap);
}

void cred_init(struct cred *cred)
{
	struct __user_cap_data_struct data[2] = { { 0 } };
	int bits = prctl(PR_GET_SECUREBITS);

	*cred = (struct cred){ .uid = geteuid(), .gid = getegid() };
	if (caps_get(data) == 0)
		for (int i = 0; i < 2; i++)
			cred->effective[i] = data[i].effective;
	cred->can_change = has(cred, CAP_SETUID) && has(cred, CAP_SETGID);
	cred->fsetid = has(cred, CAP_FSETID);
	cred->fixed_up = bits < 0 || (!(bits & SECBIT_NO_SETUID_FIXUP) &&
				      prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP) < 0);
}

// They return the former id, whatever happened.
static bool set_gid(gid_t gid)
{
	setfsgid(gid);
	return (gid_t)setfsgid((gid_t)-1) == gid;
}

static bool set_uid(uid_t uid)
{
	setfsuid(uid);
	return (uid_t)setfsuid((uid_t)-1) == uid;
}

int cred_enter(const struct cred *cred, uid_t uid, gid_t gid)
{
	if (uid == cred->uid && gid == cred->gid)
		return 0;
	if (!cred->can_change)
		return -EPERM;
	if (!set_gid(gid) || !set_uid(uid)) {
		cred_leave(cred);
		return -EOVERFLOW;
	}
	if (cred->fixed_up && cred->uid == 0)
		caps_set_effective(cred->effective);
	return 0;
}

void cred_leave(const struct cred *cred)
{
	if (!cred->can_change)
		return;
	set_uid(cred->uid);
	set_gid(cred->gid);
	if (cred->fixed_up && cred->uid == 0)
		caps_set_effective(cred->effective);
}

void cred_drop_fsetid(const struct cred *cred)
{
	uint32_t effective[2] = { cred->effective[0], cred->effective[1] };

	effective[CAP_TO_INDEX(CAP_FSETID)] &= ~CAP_TO_MASK(CAP_FSETID);
	if (cred->fsetid)
		caps_set_effective(effective);
}

void cred_raise_fsetid(const struct cred *cred)
{
	if (cred->fsetid)
		caps_set_effective(cred->effective);
}
