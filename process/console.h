// console: the container's terminal, from its devpts to whoever holds the other end.
//
// The pair is opened by the process itself, inside its root, so that the terminal belongs to the
// container's devpts and its name means something there. Only descriptors are used: nothing below
// the root is resolved twice. The master then goes to the engine (--console-socket) or, in the
// foreground, to moat, which relays it (runtime/foreground.h).
//
// config.md "Process" (terminal, consoleSize); pty(7), ioctl_tty(2);
// Documentation/filesystems/devpts.rst.
#pragma once

#include "base/err.h"
#include "oci-spec/types.h"

struct console {
	int master;
	char name[32]; // of the terminal, in the container: `/dev/pts/0`
};

// In the process, inside its root (after pivot_root, or after joining the mount namespace): opens a
// new terminal from the container's devpts, clears ONLCR, sets the size if there is one, starts a
// session with the terminal as its controlling one, and makes it standard input, output and error.
// The caller owns console->master. Descriptor 0 is from then on the terminal itself: what shall be
// bound over /dev/console, without resolving its name.
int console_open(const struct oci_console_size *size, struct console *console, struct err *err);

// The same with a devpts that is made for this one terminal and that nobody else sees: for a process
// whose root has none of its own. The name is worth nothing then.
int console_open_apart(const struct oci_console_size *size, struct console *console,
		       struct err *err);

// Sends the master over the connected Unix socket `sock`, as engines expect it from
// --console-socket: one message with the descriptor. Also what brings it from the init to moat's
// own relay (io_recv_fds() there).
int console_send(int sock, const struct console *console, struct err *err);

// In moat, for the foreground: receives what console_send() has sent, and gives the terminal the
// size of moat's own, before the program can ask for it. Returns the master.
int console_receive(int sock, struct err *err);

// The terminal gets the size of the one that shows it: any of the standard streams that is one.
void console_follow_size(int master);

// Connects to the Unix stream socket that --console-socket or --pidfd-socket name, also when the
// path is too long for a sockaddr_un. Done before the container's process is born: it names a file
// of the host. Returns the fd.
int console_connect(const char *path, struct err *err);
