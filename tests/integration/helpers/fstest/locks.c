/* Locks of files, between processes: flock(2), fcntl(2) and those of open file descriptions. */
#include "fstest.h"

#include <signal.h>
#include <sys/file.h>

/* Two processes that take turns. */
static int to_child[2], to_parent[2];

static void turns(void)
{
	OK(pipe2(to_child, O_CLOEXEC));
	OK(pipe2(to_parent, O_CLOEXEC));
}

static void say(int ends[2])
{
	IS(write(ends[1], "", 1), 1);
}

static void hear(int ends[2])
{
	char c;

	IS(read(ends[0], &c, 1), 1);
}

static int set(int fd, int command, short type, off_t start, off_t len)
{
	struct flock lock = { .l_type = type, .l_start = start, .l_len = len };

	return fcntl(fd, command, &lock);
}

/* Who is in the way of a write lock there: F_UNLCK for nobody. */
static struct flock owner(int fd, off_t start, off_t len)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = start, .l_len = len };

	OK(fcntl(fd, F_GETLK, &lock));
	return lock;
}

static void whole_files(void)
{
	put("f", "", 0644);
	turns();
	pid_t pid = child();
	if (pid == 0) {
		int own = OK(open_file("f", O_RDONLY));

		hear(to_child);
		FAILS(EWOULDBLOCK, flock(own, LOCK_EX | LOCK_NB));
		FAILS(EWOULDBLOCK, flock(own, LOCK_SH | LOCK_NB));
		say(to_parent);
		hear(to_child);
		OK(flock(own, LOCK_SH | LOCK_NB));
		FAILS(EWOULDBLOCK, flock(own, LOCK_EX | LOCK_NB));
		say(to_parent);
		/* Waits until it is closed. */
		OK(flock(own, LOCK_EX));
		child_end();
	}
	int fd = OK(open_file("f", O_RDONLY));
	OK(flock(fd, LOCK_EX));
	say(to_child);
	hear(to_parent);
	OK(flock(fd, LOCK_SH));
	say(to_child);
	hear(to_parent);
	OK(close(fd));
	child_wait(pid);
	/* The lock is the description's: a copy of the descriptor holds it. */
	fd = OK(open_file("f", O_RDONLY));
	int copy = OK(fcntl(fd, F_DUPFD_CLOEXEC, 0)), other = OK(open_file("f", O_RDONLY));
	OK(flock(fd, LOCK_EX));
	OK(close(fd));
	FAILS(EWOULDBLOCK, flock(other, LOCK_EX | LOCK_NB));
	OK(flock(copy, LOCK_UN));
	OK(flock(other, LOCK_EX | LOCK_NB));
}

static void ranges(void)
{
	put("f", "0123456789", 0644);
	turns();
	int fd = OK(open_file("f", O_RDWR));
	pid_t pid = child();
	if (pid == 0) {
		int own = OK(open_file("f", O_RDWR));

		hear(to_child);
		IS(owner(own, 0, 100).l_pid, getppid());
		IS(owner(own, 0, 100).l_start, 10);
		IS(owner(own, 0, 100).l_len, 20);
		IS(owner(own, 0, 10).l_type, F_UNLCK);
		FAILS(EAGAIN, set(own, F_SETLK, F_WRLCK, 15, 1));
		FAILS(EAGAIN, set(own, F_SETLK, F_RDLCK, 29, 1));
		OK(set(own, F_SETLK, F_WRLCK, 30, 10));
		OK(set(own, F_SETLK, F_WRLCK, 0, 10));
		say(to_parent);
		hear(to_child);
		IS(owner(own, 10, 20).l_start, 10);
		IS(owner(own, 10, 20).l_len, 5);
		OK(set(own, F_SETLK, F_WRLCK, 15, 15));
		say(to_parent);
		hear(to_child);
		child_end();
	}
	OK(set(fd, F_SETLK, F_WRLCK, 10, 20));
	say(to_child);
	hear(to_parent);
	FAILS(EAGAIN, set(fd, F_SETLK, F_RDLCK, 35, 0));
	OK(set(fd, F_SETLK, F_UNLCK, 15, 0));
	say(to_child);
	hear(to_parent);
	say(to_child);
	/* With its process go a process's locks. */
	child_wait(pid);
	OK(set(fd, F_SETLK, F_WRLCK, 0, 0));
	FAILS(EBADF, set(OK(open_file("f", O_RDONLY)), F_SETLK, F_WRLCK, 0, 1));
}

static void closing(void)
{
	put("f", "", 0644);
	int fd = OK(open_file("f", O_RDWR)), other = OK(open_file("f", O_RDWR));

	OK(set(fd, F_SETLK, F_WRLCK, 0, 0));
	OK(close(other));
	/* Any close of the file by the process gives its locks up. */
	pid_t pid = child();
	if (pid == 0) {
		OK(set(fd, F_SETLK, F_WRLCK, 0, 0));
		child_end();
	}
	child_wait(pid);
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void waiting(void)
{
	struct sigaction action = { .sa_handler = on_alarm };

	OK(sigaction(SIGALRM, &action, NULL));
	put("f", "", 0644);
	turns();
	int fd = OK(open_file("f", O_RDWR));
	OK(set(fd, F_SETLK, F_WRLCK, 0, 1));
	pid_t pid = child();
	if (pid == 0) {
		int own = OK(open_file("f", O_RDWR));

		/* A signal ends the wait. */
		alarm(1);
		FAILS(EINTR, set(own, F_SETLKW, F_WRLCK, 0, 1));
		OK(set(own, F_SETLK, F_WRLCK, 1, 1));
		say(to_parent);
		if (set(own, F_SETLKW, F_WRLCK, 0, 1) < 0)
			IS(errno, EDEADLK);
		child_end();
	}
	hear(to_parent);
	/* Whoever is the second to wait is told that nobody could go on; else this would never end. */
	if (set(fd, F_SETLKW, F_WRLCK, 1, 1) < 0)
		IS(errno, EDEADLK);
	OK(set(fd, F_SETLK, F_UNLCK, 0, 0));
	child_wait(pid);
}

static void descriptions(void)
{
	put("f", "", 0644);
	int one = OK(open_file("f", O_RDWR)), two = OK(open_file("f", O_RDWR));

	OK(set(one, F_OFD_SETLK, F_WRLCK, 0, 10));
	FAILS(EAGAIN, set(two, F_OFD_SETLK, F_WRLCK, 5, 10));
	FAILS(EAGAIN, set(two, F_SETLK, F_RDLCK, 5, 10));
	OK(set(two, F_OFD_SETLK, F_WRLCK, 10, 10));
	struct flock lock = { .l_type = F_WRLCK, .l_len = 5 };
	OK(fcntl(two, F_OFD_GETLK, &lock));
	IS(lock.l_type, F_WRLCK);
	IS(lock.l_pid, -1);
	pid_t pid = child();
	if (pid == 0) {
		/* The same description: no conflict. */
		OK(set(one, F_OFD_SETLK, F_RDLCK, 0, 10));
		child_end();
	}
	child_wait(pid);
	OK(set(two, F_OFD_SETLK, F_RDLCK, 0, 10));
	OK(close(one));
	OK(set(two, F_OFD_SETLK, F_WRLCK, 0, 0));
}

/* Many processes count in a file, each under the lock. */
static void counted(void)
{
	pid_t pids[4];
	char text[16];

	put("f", "0000000", 0644);
	for (int i = 0; i < 4; i++) {
		pids[i] = child();
		if (pids[i] == 0) {
			int fd = OK(open_file("f", O_RDWR));

			for (int n = 0; n < 50; n++) {
				OK(i % 2 ? set(fd, F_SETLKW, F_WRLCK, 0, 0) :
					   set(fd, F_OFD_SETLKW, F_WRLCK, 0, 0));
				IS(pread(fd, text, 7, 0), 7);
				text[7] = '\0';
				snprintf(text, sizeof(text), "%07d", atoi(text) + 1);
				IS(pwrite(fd, text, 7, 0), 7);
				OK(i % 2 ? set(fd, F_SETLK, F_UNLCK, 0, 0) :
					   set(fd, F_OFD_SETLK, F_UNLCK, 0, 0));
			}
			child_end();
		}
	}
	for (int i = 0; i < 4; i++)
		child_wait(pids[i]);
	HAS("f", "0000200");
}

const struct fs_group fs_locks = {
	"locks",
	(const struct fs_test[]){
		{ "flock", whole_files },
		{ "fcntl: ranges", ranges },
		{ "fcntl: given up by a close", closing },
		{ "fcntl: waiting, a signal, a deadlock", waiting },
		{ "of open file descriptions", descriptions },
		{ "several processes count", counted },
		{ 0 },
	},
};
