/*
 * files DIRECTORY: how fast a directory's file system is, from within.
 *
 * Prints lines `files NAME VALUE`: MiB/s of a file written in order and of the same file read back, neither
 * of them out of a cache of this kernel's pages; then thousands of names a second: made (each with 4 KiB in
 * it), looked at, read and removed. Removes what it has made.
 *
 * As a guest's first process it takes the virtio-fs `files` as its directory, and resets the machine when
 * it is done.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK  (128 * 1024)
#define BLOCKS 256
#define NAMES  400
#define SMALL  4096

static char block[BLOCK];
static struct timespec begun;

static void begin(void)
{
	clock_gettime(CLOCK_MONOTONIC, &begun);
}

static void end(const char *name, double amount)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("files %s %.3f\n", name,
	       amount / ((double)(now.tv_sec - begun.tv_sec) +
			 (double)(now.tv_nsec - begun.tv_nsec) / 1e9));
	fflush(stdout);
}

static void sequential(void)
{
	int fd = open("big", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		err(1, "big");
	begin();
	for (int i = 0; i < BLOCKS; i++)
		if (write(fd, block, BLOCK) != BLOCK)
			err(1, "write");
	if (fsync(fd) < 0)
		err(1, "fsync");
	end("write", (double)BLOCK * BLOCKS / (1 << 20));
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	begin();
	for (int i = 0; i < BLOCKS; i++)
		if (pread(fd, block, BLOCK, (off_t)i * BLOCK) != BLOCK)
			err(1, "read");
	end("read", (double)BLOCK * BLOCKS / (1 << 20));
	close(fd);
	if (unlink("big") < 0)
		err(1, "unlink");
}

static void each(const char *what, void (*act)(const char *name))
{
	char name[32];

	begin();
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		act(name);
	}
	end(what, NAMES / 1e3);
}

static void make(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, block, SMALL) != SMALL || close(fd) < 0)
		err(1, "make %s", name);
}

static void look(const char *name)
{
	struct stat st;

	if (stat(name, &st) < 0 || st.st_size != SMALL)
		err(1, "stat %s", name);
}

static void read_again(const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, block, SMALL) != SMALL || close(fd) < 0)
		err(1, "read %s", name);
}

static void removed(const char *name)
{
	if (unlink(name) < 0)
		err(1, "unlink %s", name);
}

int main(int argc, char **argv)
{
	const char *directory = argc > 1 ? argv[1] : ".";

	if (getpid() == 1 && argc == 1) {
		directory = "/files";
		mkdir(directory, 0700);
		if (mount("files", directory, "virtiofs", 0, NULL) < 0)
			err(1, "mount");
	}
	if (chdir(directory) < 0)
		err(1, "%s", directory);
	sequential();
	each("make", make);
	each("stat", look);
	each("open", read_again);
	each("unlink", removed);
	if (getpid() == 1 && argc == 1)
		reboot(RB_AUTOBOOT);
	return 0;
}
