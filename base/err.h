// err: one error, as a fixed-size record owned by the caller.
//
// A function that can fail takes `struct err *err` as its last parameter and returns 0 (or a value
// >= 0) on success, or a negative errno with *err filled. The record holds no pointers, so it
// crosses a pipe, a socket or a clone byte for byte: an error of the container's init reaches the
// user of `moat create` whole.
//
// A message reads from the outside in: `step: object: cause`. The innermost function writes the
// cause (err_set, err_sys); callers that know more prepend it (err_wrap). Nobody prints here: only
// the verbs do.
#pragma once

#include <errno.h>

#define ERR_MSG_MAX 2048

struct err {
	int code; // positive errno; 0 when no error has been recorded
	char msg[ERR_MSG_MAX];
};

// Records `code` (a positive errno) and a message. Returns -code. A message that is too long is
// cut.
int err_set(struct err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), cold));

// The text of a positive errno, its first letter small: engines know the words `permission denied`
// and `no such file or directory` as Go writes them. Good until the next call.
const char *err_text(int code);

// As err_set, with `: ` and err_text(code) appended. For system calls whose errno was saved, or
// that return -errno.
int err_sysn(struct err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), cold));

// err_sysn() of the current errno.
#define err_sys(err, ...) err_sysn((err), errno, __VA_ARGS__)

// Prepends `context: ` to the message already in *err. Returns -err->code, so that it can be
// returned at once.
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));
