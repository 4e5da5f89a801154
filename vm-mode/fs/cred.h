// cred: in whose name the file server touches a file.
//
// The thread's file system ids (setfsuid(2)) become those of the request while something is made,
// so that it belongs to who asked for it. The server's capabilities stay as they are meanwhile
// (SECBIT_NO_SETUID_FIXUP, or raising them again): the guest's kernel has checked permissions,
// with groups that are not known here.
//
// A process without the rights (a unit test as an ordinary user) can work for its own ids only.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cred {
	uid_t uid; // our own
	gid_t gid;
	bool can_change; // CAP_SETUID and CAP_SETGID
	bool fixed_up;	 // changing the uid takes capabilities away
	bool fsetid;	 // CAP_FSETID
	uint32_t effective[2];
};

void cred_init(struct cred *cred);

// 0; -EPERM: not ours to be; -EOVERFLOW: an id that the user namespace has no number for. After a
// failure there is nothing to leave.
int cred_enter(const struct cred *cred, uid_t uid, gid_t gid);
void cred_leave(const struct cred *cred);

// FUSE_HANDLE_KILLPRIV_V2: without CAP_FSETID, the kernel takes set-user-ID and set-group-ID off a
// file that is written or truncated, as it does for the process in the guest.
void cred_drop_fsetid(const struct cred *cred);
void cred_raise_fsetid(const struct cred *cred);
