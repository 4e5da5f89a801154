#include "vm-mode/loop.h"

#include "base/scope.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define BATCH_MAX 16

struct loop {
	int epoll_fd;
	pthread_mutex_t mutex;
	bool stop;
	struct loop_source waker; // of a loop that waits: another thread has stopped it
	// What epoll told last, so that a source that goes is not called any more.
	struct epoll_event batch[BATCH_MAX];
	int batch_count;
};

static void init_mutex(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(mutex, &attr);
	pthread_mutexattr_destroy(&attr);
}

static void awake(struct loop_source *source, uint32_t events)
{
	uint64_t times;

	(void)events;
	if (read(source->fd, &times, sizeof(times)) < 0)
		return; // it has been read already
}

int loop_create(struct loop **loop, struct err *err)
{
	scope_free struct loop *made = calloc(1, sizeof(*made));

	if (!made)
		return err_sysn(err, ENOMEM, "event loop");
	made->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (made->epoll_fd < 0)
		return err_sys(err, "event loop");
	init_mutex(&made->mutex);
	pthread_mutex_lock(&made->mutex);
	made->waker = (struct loop_source){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
					    .ready = awake };
	if (made->waker.fd < 0)
		err_sys(err, "event loop");
	if (made->waker.fd < 0 || loop_watch(made, &made->waker, EPOLLIN, err) < 0) {
		loop_free(take_ptr(&made));
		return -err->code;
	}
	*loop = take_ptr(&made);
	return 0;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	close(loop->epoll_fd);
	replace_fd(&loop->waker.fd, -1);
	pthread_mutex_unlock(&loop->mutex);
	pthread_mutex_destroy(&loop->mutex);
	free(loop);
}

int loop_watch(struct loop *loop, struct loop_source *source, uint32_t events, struct err *err)
{
	struct epoll_event event = { .events = events, .data.ptr = source };
	int op = source->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (epoll_ctl(loop->epoll_fd, op, source->fd, &event) < 0)
		return err_sys(err, "watch descriptor %d", source->fd);
	source->added = true;
	return 0;
}

void loop_unwatch(struct loop *loop, struct loop_source *source)
{
	if (!source->added)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->added = false;
	for (int i = 0; i < loop->batch_count; i++)
		if (loop->batch[i].data.ptr == source)
			loop->batch[i].data.ptr = NULL;
}

void loop_lock(struct loop *loop)
{
	pthread_mutex_lock(&loop->mutex);
}

void loop_unlock(struct loop *loop)
{
	pthread_mutex_unlock(&loop->mutex);
}

int loop_once(struct loop *loop, int timeout_ms, struct err *err)
{
	struct pollfd wait = { .fd = loop->epoll_fd, .events = POLLIN };

	// What is ready is asked for under the lock: else another thread might remove a source
	// between its being told of and its being called.
	loop_unlock(loop);
	poll(&wait, 1, timeout_ms);
	loop_lock(loop);
	int count = epoll_wait(loop->epoll_fd, loop->batch, BATCH_MAX, 0);

	if (count < 0 && errno != EINTR)
		return err_sys(err, "wait for events");
	loop->batch_count = count > 0 ? count : 0;
	for (int i = 0; i < loop->batch_count; i++) {
		struct loop_source *source = loop->batch[i].data.ptr;

		if (source)
			source->ready(source, loop->batch[i].events);
	}
	loop->batch_count = 0;
	return 0;
}

int loop_run(struct loop *loop, struct err *err)
{
	loop->stop = false;
	while (!loop->stop)
		if (loop_once(loop, -1, err) < 0)
			return -err->code;
	return 0;
}

void loop_stop(struct loop *loop)
{
	const uint64_t one = 1;

	loop->stop = true;
	if (write(loop->waker.fd, &one, sizeof(one)) < 0)
		return; // it will wake all the same
}
