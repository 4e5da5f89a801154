/*
 * probe: what busybox can't do inside a container. Linked statically.
 *
 *   probe syscall NUMBER [ARGUMENT...]  make the system call; print its result or errno's name
 *   probe syscall32 NUMBER              the same without arguments by the 32-bit entry of x86-64
 *   probe keyring                       print the id and description of the session keyring
 *   probe notify TEXT                   send TEXT to $NOTIFY_SOCKET
 *   probe touch BYTES                   use that much memory, then print "touched"
 *   probe overwrite                     look for processes that run another program than those of
 *                                       this container and try to write to it; print "ready", and
 *                                       "overwritten" if that succeeds; go on until killed
 *   probe peek FILE                     look for processes by which FILE, a path outside of the
 *                                       container, can be read: from their root, working directory
 *                                       and descriptors; print "ready", and what of which process
 *                                       shows it; go on until killed
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static void print_result(long result)
{
	if (result < 0)
		puts(strerrorname_np(errno));
	else
		printf("%ld\n", result);
}

static void probe_syscall(char **argv)
{
	long args[7] = { 0 };

	for (int i = 0; i < 7 && argv[i]; i++)
		args[i] = strtol(argv[i], NULL, 0);
	print_result(syscall(args[0], args[1], args[2], args[3], args[4], args[5], args[6]));
}

static void probe_syscall32(char **argv)
{
#ifdef __x86_64__
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(atol(argv[0])) : "memory");
	if (result < 0) {
		errno = -result;
		result = -1;
	}
	print_result(result);
#else
	errx(2, "no 32-bit system calls here: %s", argv[0]);
#endif
}

static void probe_keyring(char **argv)
{
	char description[256] = "";
	long id = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);

	(void)argv;
	if (id < 0 ||
	    syscall(SYS_keyctl, KEYCTL_DESCRIBE, id, description, sizeof(description)) < 0)
		err(1, "keyctl");
	printf("%ld %s\n", id, description);
}

static void probe_notify(char **argv)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	int sock = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (!path || strlen(path) >= sizeof(addr.sun_path))
		errx(1, "no usable NOTIFY_SOCKET");
	strcpy(addr.sun_path, path);
	if (sendto(sock, argv[0], strlen(argv[0]), 0, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		err(1, "send to %s", path);
}

static void probe_touch(char **argv)
{
	size_t size = strtoull(argv[0], NULL, 0);
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap");
	memset(memory, 1, size);
	puts("touched");
}

/* Write to what `fd` (O_PATH) is, if it can be opened for that: not while a process executes it. */
static void overwrite_program(int fd)
{
	char path[64];
	int target;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	target = open(path, O_WRONLY | O_CLOEXEC);
	if (target < 0)
		return;
	if (write(target, "#!/bad\n", 7) == 7)
		puts("overwritten");
	close(target);
}

static void probe_overwrite(char **argv)
{
	struct stat busybox, program;
	int fds[64], n = 0;
	char path[64];

	(void)argv;
	setbuf(stdout, NULL);
	if (stat("/bin/busybox", &busybox) < 0)
		err(1, "stat /bin/busybox");
	puts("ready");
	for (int pid = 2;; pid = pid < 400 ? pid + 1 : 2) {
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/exe", pid);
		fd = open(path, O_PATH | O_CLOEXEC);
		if (fd >= 0 && fstat(fd, &program) == 0 && program.st_ino != busybox.st_ino &&
		    n < 64)
			fds[n++] = fd;
		else if (fd >= 0)
			close(fd);
		/* What was busy when it was seen is tried again, as long as this runs. */
		for (int i = 0; pid == 2 && i < n; i++)
			overwrite_program(fds[i]);
	}
}

/* Print `link` if FILE is there below it or above it. */
static void peek_from(const char *link, const char *file)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/../../../../../../../../../..%s", link, file);
	if (faccessat(AT_FDCWD, path, R_OK, 0) == 0)
		printf("seen by %s\n", link);
}

static void peek_at(int pid, const char *file)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	peek_from(path, file);
	snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
	peek_from(path, file);
	for (int fd = 3; fd < 24; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
		peek_from(path, file);
	}
}

static void probe_peek(char **argv)
{
	char line[128] = "";
	int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);

	setbuf(stdout, NULL);
	puts("ready");
	for (;;) {
		/* The last field is the pid that was given last. */
		ssize_t n = pread(fd, line, sizeof(line) - 1, 0);
		const char *last;

		if (n <= 0)
			err(1, "/proc/loadavg");
		line[n] = '\0';
		last = strrchr(line, ' ');
		for (int pid = atoi(last ? last : ""), i = 0; i < 3; i++)
			if (pid + i > 1)
				peek_at(pid + i, argv[0]);
	}
}

static const struct {
	const char *name;
	int args;
	void (*run)(char **argv);
} probes[] = {
	{ "syscall", 1, probe_syscall }, { "syscall32", 1, probe_syscall32 },
	{ "keyring", 0, probe_keyring }, { "notify", 1, probe_notify },
	{ "touch", 1, probe_touch },	 { "overwrite", 0, probe_overwrite },
	{ "peek", 1, probe_peek },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(probes) / sizeof(probes[0]); i++)
		if (!strcmp(argv[1], probes[i].name) && argc - 2 >= probes[i].args) {
			probes[i].run(argv + 2);
			return 0;
		}
	errx(2, "usage: probe syscall|syscall32|keyring|notify|touch|overwrite|peek ...");
}
