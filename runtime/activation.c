#include "runtime/activation.h"

#include "base/scope.h"
#include "base/str.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

// More than a process can have.
#define MAX_LISTEN_FDS (1 << 20)

#define NOTIFY_DIR    "notify"
#define NOTIFY_NAME   "notify.sock"
#define NOTIFY_TARGET "/run/notify"

// The sockets are for the process that LISTEN_PID names; engines that don't set it mean whoever
// they start.
static int count_listen_fds(void)
{
	const char *pid_text = getenv("LISTEN_PID"), *count_text = getenv("LISTEN_FDS");
	int pid, count;

	if (!count_text || str_to_int(count_text, &count) < 0 || count < 0 ||
	    count > MAX_LISTEN_FDS)
		return 0;
	if (pid_text && (str_to_int(pid_text, &pid) < 0 || pid != getpid()))
		return 0;
	return count;
}

const char *activation_notify_socket(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	return path && *path ? path : NULL;
}

static void add_env(struct oci_strings *env, char *variable)
{
	env->v[env->n++] = variable;
}

static void extend_env(struct oci_process *process, int listen_fds, struct arena *arena)
{
	const char *names = getenv("LISTEN_FDNAMES");
	struct oci_strings env = { .v = arena_new(arena, char *, process->env.n + 5),
				   .n = process->env.n };

	if (env.n)
		memcpy(env.v, process->env.v, env.n * sizeof(*env.v));
	if (listen_fds > 0) {
		add_env(&env, arena_printf(arena, "LISTEN_FDS=%d", listen_fds));
		add_env(&env, arena_strdup(arena, "LISTEN_PID=1"));
	}
	if (listen_fds > 0 && names)
		add_env(&env, arena_printf(arena, "LISTEN_FDNAMES=%s", names));
	if (activation_notify_socket())
		add_env(&env, arena_strdup(arena, "NOTIFY_SOCKET=" NOTIFY_TARGET "/" NOTIFY_NAME));
	process->env = env;
}

static void add_mount(struct oci_spec *spec, const char *dir, struct arena *arena)
{
	// A socket can be written to on a read-only mount; what the container would put beside it
	// is `delete`'s to clear away.
	static char *options[] = { (char *)"bind",  (char *)"ro",     (char *)"nosuid",
				   (char *)"nodev", (char *)"noexec", NULL };
	struct oci_mount *mounts = arena_new(arena, struct oci_mount, spec->mounts.n + 1);

	if (spec->mounts.n)
		memcpy(mounts, spec->mounts.v, spec->mounts.n * sizeof(*mounts));
	mounts[spec->mounts.n++] = (struct oci_mount){
		.destination = arena_strdup(arena, NOTIFY_TARGET),
		.type = arena_strdup(arena, "bind"),
		.source = arena_printf(arena, "%s/" NOTIFY_DIR, dir),
		.options = { .v = options, .n = ARRAY_SIZE(options) - 1 },
	};
	spec->mounts.v = mounts;
}

const struct oci_spec *activation_extend(const struct oci_spec *spec, const char *dir,
					 struct arena *arena, int *listen_fds)
{
	*listen_fds = count_listen_fds();
	if (*listen_fds == 0 && !activation_notify_socket())
		return spec;

	struct oci_spec *extended = arena_new(arena, struct oci_spec, 1);
	*extended = *spec;
	extended->process = arena_new(arena, struct oci_process, 1);
	*extended->process = *spec->process;
	extend_env(extended->process, *listen_fds, arena);
	if (activation_notify_socket())
		add_mount(extended, dir, arena);
	return extended;
}

int activation_prepare(const struct container *container, struct err *err)
{
	if (container->state.notify_socket && (mkdirat(container->dirfd, NOTIFY_DIR, 0755) < 0 ||
					       fchmodat(container->dirfd, NOTIFY_DIR, 0755, 0) < 0))
		return err_sys(err, "make the directory for the notify socket");
	return 0;
}

int activation_listen(const struct container *container, int *sock, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	scope_fd int fd = -1;

	*sock = -1;
	if (!container->state.notify_socket)
		return 0;
	snprintf(addr.sun_path, sizeof(addr.sun_path),
		 "/proc/self/fd/%d/" NOTIFY_DIR "/" NOTIFY_NAME, container->dirfd);
	// A `start` that was cut short has left one.
	unlinkat(container->dirfd, NOTIFY_DIR "/" NOTIFY_NAME, 0);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	// Whatever user the process runs as may write to it.
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    fchmodat(container->dirfd, NOTIFY_DIR "/" NOTIFY_NAME, 0777, 0) < 0)
		return err_sys(err, "make the notify socket");
	*sock = take_fd(&fd);
	return 0;
}

static int tell_manager(const char *path, const char *message, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	scope_fd int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_sysn(err, ENAMETOOLONG, "NOTIFY_SOCKET %s", path);
	memcpy(addr.sun_path, path, strlen(path));
	// `@` stands for the NUL that an abstract address begins with; such an address has no NUL
	// at its end.
	if (addr.sun_path[0] == '@')
		addr.sun_path[0] = '\0';
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (sock < 0 ||
	    sendto(sock, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&addr, len) < 0)
		return err_sys(err, "NOTIFY_SOCKET %s", path);
	return 0;
}

// Is READY=1 one of the lines?
static bool says_ready(char *datagram)
{
	char *save = NULL;

	for (char *line = strtok_r(datagram, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (str_eq(line, "READY=1"))
			return true;
	return false;
}

int activation_take(const struct container *container, int sock, struct err *err)
{
	char datagram[4096], message[64];
	ssize_t n = recv(sock, datagram, sizeof(datagram) - 1, MSG_DONTWAIT);

	datagram[n > 0 ? n : 0] = '\0';
	if (!says_ready(datagram))
		return 0;
	snprintf(message, sizeof(message), "MAINPID=%d\nREADY=1\n", container->state.init.pid);
	int ret = tell_manager(container->state.notify_socket, message, err);
	return ret < 0 ? ret : 1;
}

int activation_relay(const struct container *container, int sock, struct err *err)
{
	int ret = 0;

	if (sock < 0)
		return 0;
	scope_fd int pidfd = proc_pidfd(&container->state.init, err);
	if (pidfd < 0)
		return 0;
	while (ret == 0) {
		struct pollfd fds[] = { { .fd = sock, .events = POLLIN },
					{ .fd = pidfd, .events = POLLIN } };

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return err_sys(err, "wait for the notify socket");
		if (fds[0].revents & POLLIN)
			ret = activation_take(container, sock, err);
		else if (fds[1].revents)
			return 0;
	}
	return ret < 0 ? ret : 0;
}
