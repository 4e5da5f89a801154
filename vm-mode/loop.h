// loop: the one event loop of the VMM's main thread.
//
// Thin over epoll(7). A source is a descriptor with a function; the structure is its owner's, who
// removes it before it goes. Handlers may add and remove sources, also their own.
//
// All that handlers touch is under one lock, the loop's. The thread that has made the loop holds it
// always but while it waits for events, so that only the other threads (a vCPU that accesses a
// device) need think of it: they bracket what they do by loop_lock() and loop_unlock(), and it is as
// if a handler did it.
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct loop_source {
	int fd;
	void (*ready)(struct loop_source *source,
		      uint32_t events); // EPOLLIN, EPOLLOUT, EPOLLHUP ...
	// Private to the loop.
	bool added;
};

int loop_create(struct loop **loop, struct err *err);
void loop_free(struct loop *loop);

// Watches source->fd for `events`; again with other events to change them, 0 for only errors and
// hang-up.
int loop_watch(struct loop *loop, struct loop_source *source, uint32_t events, struct err *err);
void loop_unwatch(struct loop *loop, struct loop_source *source);

// Waits at most `timeout_ms` (-1: for ever) and calls the handlers of what is ready. 0, or negative
// errno.
int loop_once(struct loop *loop, int timeout_ms, struct err *err);

// For other threads; and for the loop's own to let others in while it waits for them. The lock is
// recursive.
void loop_lock(struct loop *loop);
void loop_unlock(struct loop *loop);

// Until loop_stop(), which any thread may call that holds the lock.
int loop_run(struct loop *loop, struct err *err);
void loop_stop(struct loop *loop);
