// init: the container's first process on its way from `spawn` to the payload.
//
// It was cloned from the parent and has its memory: spec, plans, open descriptors. What it does is
// trusted code in a place that grows ever more hostile: from its step `enter` on, every path is the
// container's.
#pragma once

#include "runtime/create.h"

// The init's steps; see the table in create.c.
int init_join(struct creation *c, struct err *err);
int init_namespaces(struct creation *c, struct err *err);
int init_mounts(struct creation *c, struct err *err);
int init_hooks(struct creation *c, struct err *err);
int init_enter(struct creation *c, struct err *err);
int init_terminal(struct creation *c, struct err *err);
int init_sysctl(struct creation *c, struct err *err);
int init_seal(struct creation *c, struct err *err);
int init_settle(struct creation *c, struct err *err);

// When all steps are done: waits to be started, runs the startContainer hooks and becomes the
// payload. Does not return.
void init_start(struct creation *c) __attribute__((noreturn));
