/* inotify(7): what happens within one kernel is told. */
#include "fstest.h"

#include <poll.h>
#include <sys/inotify.h>

static int watcher;

/* The next event is this one, of that name; nothing waits that isn't there. */
static void expect(uint32_t mask, const char *name)
{
	static char events[4096];
	static size_t at, len;
	struct pollfd ready = { .fd = watcher, .events = POLLIN };

	if (at == len) {
		IS(poll(&ready, 1, 5000), 1);
		len = (size_t)OK(read(watcher, events, sizeof(events)));
		at = 0;
	}
	const struct inotify_event *event = (const struct inotify_event *)(events + at);
	at += sizeof(*event) + event->len;
	IS(event->mask & ~(uint32_t)IN_ISDIR, mask);
	IS(strcmp(event->len > 0 ? event->name : "", name), 0);
}

static void directory(void)
{
	OK(mkdir("d", 0755));
	watcher = OK(inotify_init1(IN_CLOEXEC));
	OK(inotify_add_watch(watcher, "d",
			     IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVE | IN_ATTRIB |
				     IN_CLOSE_WRITE | IN_DELETE_SELF));
	int fd = OK(open_file("d/f", O_CREAT | O_WRONLY));
	expect(IN_CREATE, "f");
	IS(write(fd, "x", 1), 1);
	expect(IN_MODIFY, "f");
	OK(close(fd));
	expect(IN_CLOSE_WRITE, "f");
	OK(chmod("d/f", 0600));
	expect(IN_ATTRIB, "f");
	OK(rename("d/f", "d/g"));
	expect(IN_MOVED_FROM, "f");
	expect(IN_MOVED_TO, "g");
	OK(mkdir("d/sub", 0755));
	expect(IN_CREATE, "sub");
	OK(rmdir("d/sub"));
	expect(IN_DELETE, "sub");
	OK(unlink("d/g"));
	expect(IN_DELETE, "g");
	OK(rmdir("d"));
	expect(IN_DELETE_SELF, "");
	expect(IN_IGNORED, "");
}

static void file(void)
{
	put("f", "", 0644);
	watcher = OK(inotify_init1(IN_CLOEXEC));
	OK(inotify_add_watch(watcher, "f",
			     IN_OPEN | IN_ACCESS | IN_MODIFY | IN_CLOSE_NOWRITE | IN_MOVE_SELF));
	int fd = OK(open_file("f", O_RDONLY));
	char c;
	expect(IN_OPEN, "");
	OK(truncate("f", 10));
	expect(IN_MODIFY, "");
	IS(read(fd, &c, 1), 1);
	expect(IN_ACCESS, "");
	OK(close(fd));
	expect(IN_CLOSE_NOWRITE, "");
	OK(rename("f", "g"));
	expect(IN_MOVE_SELF, "");
}

const struct fs_group fs_events = {
	"events",
	(const struct fs_test[]){
		{ "inotify of a directory", directory },
		{ "inotify of a file", file },
		{ 0 },
	},
};
