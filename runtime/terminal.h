// terminal: the way of a terminal's master from the process that opens it (process/console.h) to
// whoever relays it: the engine behind --console-socket, or moat itself in the foreground.
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct terminal_route {
	int to;	  // where the process sends the master; -1: no terminal
	int from; // where moat receives it; -1: an engine does
};

#define TERMINAL_ROUTE_NONE          \
	{                            \
		.to = -1, .from = -1 \
	}

// Lays the route, before the process is born. A terminal that is not in the foreground needs
// `console_socket` (NULL: none), and nothing else may have one: -EINVAL.
int terminal_route_open(struct terminal_route *route, bool terminal, bool foreground,
			const char *console_socket, struct err *err);

// In the process, inside its root: opens the terminal, makes it the standard streams, and sends the
// master. `apart`: not from the container's devpts (console_open_apart()).
struct oci_console_size;
int terminal_route_send(struct terminal_route *route, const struct oci_console_size *size,
			bool apart, struct err *err);

// In moat: the master, or -1 without err where an engine gets it or there is no terminal.
int terminal_route_receive(struct terminal_route *route, int *master, struct err *err);

void terminal_route_close(struct terminal_route *route);
