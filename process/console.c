#include "process/console.h"

#include "base/io.h"
#include "base/path.h"
#include "base/scope.h"
#include "base/str.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/major.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <termios.h>

// The spec makes /dev/ptmx a link to pts/ptmx; where the whole of /dev is a bind mount it may be a
// device of its own, for which the kernel takes the devpts beside it.
static int open_ptmx(struct err *err)
{
	static const char *const names[] = { "/dev/pts/ptmx", "/dev/ptmx" };
	scope_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	scope_fd int fd = -1;
	struct stat st;

	if (root < 0)
		return err_sys(err, "open /");
	for (size_t i = 0; i < ARRAY_SIZE(names) && fd < 0; i++)
		fd = path_open_in_root(root, names[i], O_RDWR | O_NOCTTY, 0);
	if (fd < 0)
		return err_sys(err, "open /dev/pts/ptmx (is devpts mounted in the container?)");
	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat /dev/pts/ptmx");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(TTYAUX_MAJOR, 2))
		return err_set(err, ENOTTY, "/dev/pts/ptmx: not the terminal multiplexer");
	return take_fd(&fd);
}

static int open_ptmx_apart(struct err *err)
{
	scope_fd int context = fsopen("devpts", FSOPEN_CLOEXEC);
	scope_fd int mount = -1;

	if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "ptmxmode", "0600", 0) < 0 ||
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ||
	    (mount = fsmount(context, FSMOUNT_CLOEXEC, 0)) < 0)
		return err_sys(err, "devpts for the terminal");
	int fd = openat(mount, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "open the terminal multiplexer") : fd;
}

// The terminal that belongs to the master, by descriptor: its name is not resolved.
static int open_peer(int master, struct err *err)
{
	scope_fd int fd = -1;
	struct statfs fs;
	int unlocked = 0;

	if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
		return err_sys(err, "unlock the terminal");
	fd = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open the terminal");
	if (fstatfs(fd, &fs) < 0)
		return err_sys(err, "stat the terminal");
	if (fs.f_type != DEVPTS_SUPER_MAGIC)
		return err_set(err, ENOTTY, "/dev/pts/ptmx: its terminals are not on devpts");
	return take_fd(&fd);
}

// Engines expect bare newlines from a container's terminal: what shows them adds the carriage
// return itself.
static int clear_onlcr(int fd, struct err *err)
{
	struct termios settings;

	if (tcgetattr(fd, &settings) < 0)
		return err_sys(err, "read the terminal's settings");
	settings.c_oflag &= ~(tcflag_t)ONLCR;
	if (tcsetattr(fd, TCSANOW, &settings) < 0)
		return err_sys(err, "change the terminal's settings");
	return 0;
}

static int set_size(int fd, const struct oci_console_size *size, struct err *err)
{
	const struct winsize window = {
		.ws_row = (unsigned short)size->height,
		.ws_col = (unsigned short)size->width,
	};

	if (ioctl(fd, TIOCSWINSZ, &window) < 0)
		return err_sys(err, "set the terminal's size");
	return 0;
}

static int make_stdio(int fd, struct err *err)
{
	// Fails where the process leads a session already, which is as good.
	setsid();
	if (ioctl(fd, TIOCSCTTY, 0) < 0)
		return err_sys(err, "make the terminal the controlling one");
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		if (dup2(fd, i) < 0)
			return err_sys(err, "make the terminal standard input and output");
	return 0;
}

// Takes the master over.
static int open_terminal(int ptmx, const struct oci_console_size *size, struct console *console,
			 struct err *err)
{
	scope_fd int master = ptmx;
	unsigned int number;

	if (master < 0)
		return master;
	scope_fd int slave = open_peer(master, err);
	if (slave < 0)
		return slave;
	if (ioctl(master, TIOCGPTN, &number) < 0)
		return err_sys(err, "number of the terminal");
	int ret = clear_onlcr(slave, err);
	if (ret == 0 && size)
		ret = set_size(slave, size, err);
	if (ret == 0)
		ret = make_stdio(slave, err);
	if (ret < 0)
		return ret;
	snprintf(console->name, sizeof(console->name), "/dev/pts/%u", number);
	console->master = take_fd(&master);
	return 0;
}

int console_open(const struct oci_console_size *size, struct console *console, struct err *err)
{
	return open_terminal(open_ptmx(err), size, console, err);
}

int console_open_apart(const struct oci_console_size *size, struct console *console,
		       struct err *err)
{
	return open_terminal(open_ptmx_apart(err), size, console, err);
}

int console_send(int sock, const struct console *console, struct err *err)
{
	// The data is the name of the master's file, which receivers show at most.
	static const char name[] = "/dev/ptmx";

	if (io_send_fds(sock, name, sizeof(name) - 1, &console->master, 1) < 0)
		return err_sys(err, "send the terminal");
	return 0;
}

int console_receive(int sock, struct err *err)
{
	char name[64];
	int master;
	ssize_t n = io_recv_fds(sock, name, sizeof(name), &master, 1);

	if (n < 0)
		return err_sys(err, "receive the terminal");
	if (master < 0)
		return err_set(err, EPIPE, "receive the terminal: nothing came");
	console_follow_size(master);
	return master;
}

void console_follow_size(int master)
{
	struct winsize size;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (ioctl(fd, TIOCGWINSZ, &size) == 0) {
			ioctl(master, TIOCSWINSZ, &size);
			return;
		}
}

int console_connect(const char *path, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	scope_fd int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	scope_fd int file = -1;

	if (sock < 0)
		return err_sys(err, "socket");
	if (strlen(path) < sizeof(addr.sun_path)) {
		snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	} else {
		file = open(path, O_PATH | O_CLOEXEC);
		if (file < 0)
			return err_sys(err, "open %s", path);
		snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d", file);
	}
	if (connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "connect to %s", path);
	return take_fd(&sock);
}
