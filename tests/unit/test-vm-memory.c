// The guest's memory and the event loop.
#include "vm-mode/loop.h"
#include "vm-mode/machine/layout.h"
#include "vm-mode/memory.h"

#include "base/scope.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

static void test_pointers(void)
{
	static char low[8192], high[4096], window[4096];
	struct guest_memory memory = {
		.ranges = { { .gpa = 0x1000, .size = sizeof(low), .host = low },
			    { .gpa = UINT64_MAX - 4095, .size = sizeof(high), .host = high } },
		.count = 2,
		.fd = -1,
	};

	ok(guest_ptr(&memory, 0x1000, 1) == low, "the first byte");
	ok(guest_ptr(&memory, 0x1000, 8192) == low, "all of a range");
	ok(guest_ptr(&memory, 0x2fff, 1) == low + 8191, "the last byte");
	ok(!guest_ptr(&memory, 0xfff, 2), "from below it");
	ok(!guest_ptr(&memory, 0x2fff, 2), "beyond it");
	ok(!guest_ptr(&memory, 0x1000, 0), "no bytes");
	ok(!guest_ptr(&memory, 0x1001, UINT64_MAX), "a length that wraps");
	ok(guest_ptr(&memory, UINT64_MAX, 1) == high + 4095, "the last address that there is");
	ok(!guest_ptr(&memory, UINT64_MAX, 2), "beyond the last address");

	memory.window = (struct guest_range){ .gpa = 0x8000, .size = sizeof(window) };
	ok(!guest_window_ptr(&memory, 0x8000, 1), "a window that isn't here");
	memory.window.host = window;
	ok(guest_window_ptr(&memory, 0x8fff, 1) == window + 4095, "the last byte of the window");
	ok(!guest_window_ptr(&memory, 0x8fff, 2), "beyond it");
	ok(!guest_window_ptr(&memory, 0x1000, 1), "memory is not the window");
	ok(!guest_ptr(&memory, 0x8000, 1), "the window is not memory");
}

static void test_create(void)
{
	struct guest_memory memory, other;
	struct err err;

	is_int(guest_memory_create(&memory, 0, &err), -EINVAL);
	is_int(guest_memory_create(&memory, 4097, &err), -EINVAL);
	is_int(guest_memory_create(&memory, UINT64_MAX & ~UINT64_C(4095), &err), -EINVAL);

	is_int(guest_memory_create(&memory, LAYOUT_HOLE + 8192, &err), 0);
	is_int((long long)memory.count, 2);
	ok(!guest_ptr(&memory, LAYOUT_HOLE, 1), "the hole is no memory");
	ok(!guest_ptr(&memory, LAYOUT_HOLE - 1, 2), "nothing reaches into the hole");
	ok(guest_ptr(&memory, LAYOUT_HOLE_END, 8192), "the rest is at 4 GiB");
	ok(fcntl(memory.fd, F_GETFD) & FD_CLOEXEC, "the memory file is not inherited");

	// As the file server does it.
	other = memory;
	is_int(guest_memory_map(&other, &err), 0);
	*(char *)guest_ptr(&memory, LAYOUT_HOLE_END + 5, 1) = 'x';
	*(char *)guest_ptr(&memory, 5, 1) = 'y';
	ok(*(char *)guest_ptr(&other, LAYOUT_HOLE_END + 5, 1) == 'x', "both see the high memory");
	ok(*(char *)guest_ptr(&other, 5, 1) == 'y', "both see the low memory");
	other.fd = -1;
	guest_memory_free(&other);
	guest_memory_free(&memory);
	is_int(memory.fd, -1);
}

struct counted {
	struct loop_source source;
	struct loop *loop;
	struct counted *victim; // unwatched when this one is called
	int calls;
};

static void count_call(struct loop_source *source, uint32_t events)
{
	struct counted *counted = (struct counted *)source;

	counted->calls += events & EPOLLIN ? 1 : 100;
	if (counted->victim)
		loop_unwatch(counted->loop, &counted->victim->source);
	if (counted->calls == 3)
		loop_stop(counted->loop);
}

static void *stop_loop(void *loop)
{
	loop_lock(loop);
	loop_stop(loop);
	loop_unlock(loop);
	return NULL;
}

static void test_loop(void)
{
	struct counted a = { .source.ready = count_call }, b = a;
	struct loop *loop;
	struct err err;
	int ends[2];

	is_int(loop_create(&loop, &err), 0);
	is_int(pipe2(ends, O_CLOEXEC), 0);
	scope_fd int in = ends[0];
	scope_fd int out = ends[1];
	a.source.fd = in;
	b.source.fd = fcntl(in, F_DUPFD_CLOEXEC, 0);
	a.loop = b.loop = loop;
	is_int(loop_watch(loop, &a.source, EPOLLIN, &err), 0);
	is_int(loop_once(loop, 0, &err), 0);
	is_int(a.calls, 0);
	is_int(write(out, "x", 1), 1);
	is_int(loop_once(loop, 0, &err), 0);
	is_int(a.calls, 1);

	// Two are ready, and the first that is called removes the other.
	is_int(loop_watch(loop, &b.source, EPOLLIN, &err), 0);
	a.victim = &b;
	b.victim = &a;
	is_int(loop_once(loop, 0, &err), 0);
	is_int(a.calls + b.calls, 2);
	a.victim = b.victim = NULL;
	loop_unwatch(loop, &a.source);
	loop_unwatch(loop, &b.source);

	// No events: still there, but quiet. Then all of them, until it is stopped.
	a.calls = 0;
	is_int(loop_watch(loop, &a.source, 0, &err), 0);
	is_int(loop_once(loop, 0, &err), 0);
	is_int(a.calls, 0);
	is_int(loop_watch(loop, &a.source, EPOLLIN, &err), 0);
	is_int(loop_run(loop, &err), 0);
	is_int(a.calls, 3);
	close(b.source.fd);

	// By a thread that a waiting loop lets in.
	pthread_t thread;
	is_int(loop_watch(loop, &a.source, 0, &err), 0);
	is_int(pthread_create(&thread, NULL, stop_loop, loop), 0);
	is_int(loop_run(loop, &err), 0);
	pthread_join(thread, NULL);
	loop_free(loop);
}

int main(void)
{
	test_pointers();
	test_create();
	alarm(60);
	test_loop();
	return done();
}
