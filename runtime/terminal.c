#include "runtime/terminal.h"

#include "base/scope.h"
#include "process/channel.h"
#include "process/console.h"

int terminal_route_open(struct terminal_route *route, bool terminal, bool foreground,
			const char *console_socket, struct err *err)
{
	int ends[2];

	if (console_socket && !terminal)
		return err_set(err, EINVAL, "--console-socket: the process has no terminal");
	if (console_socket && foreground)
		return err_set(
			err, EINVAL,
			"--console-socket: moat itself relays the terminal of a process in the foreground");
	if (terminal && !foreground && !console_socket)
		return err_set(
			err, EINVAL,
			"a process with a terminal that is not in the foreground needs --console-socket");
	if (console_socket) {
		route->to = console_connect(console_socket, err);
		return route->to < 0 ? route->to : 0;
	}
	if (!terminal)
		return 0;
	if (channel_pair(ends, err) < 0)
		return -err->code;
	*route = (struct terminal_route){ .to = ends[0], .from = ends[1] };
	return 0;
}

int terminal_route_send(struct terminal_route *route, const struct oci_console_size *size,
			bool apart, struct err *err)
{
	struct console console = { .master = -1 };
	int ret = apart ? console_open_apart(size, &console, err) :
			  console_open(size, &console, err);

	if (ret < 0)
		return ret;
	ret = console_send(route->to, &console, err);
	replace_fd(&console.master, -1);
	terminal_route_close(route);
	return ret;
}

int terminal_route_receive(struct terminal_route *route, int *master, struct err *err)
{
	if (route->from < 0)
		return 0;
	int received = console_receive(route->from, err);
	if (received < 0)
		return received;
	replace_fd(master, received);
	return 0;
}

void terminal_route_close(struct terminal_route *route)
{
	replace_fd(&route->to, -1);
	replace_fd(&route->from, -1);
}
