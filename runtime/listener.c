#include "runtime/listener.h"

#include "base/scope.h"
#include "base/str.h"
#include "oci-spec/spec.h"
#include "process/console.h"

#include <fcntl.h>
#include <unistd.h>

int listener_open(struct listener *listener, const struct oci_seccomp *seccomp, struct err *err)
{
	listener->fd = console_connect(seccomp->listener_path, err);
	if (listener->fd < 0)
		return listener->fd;
	listener->procfd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return listener->procfd < 0 ? err_sys(err, "open /proc") : 0;
}

int listener_describe(struct listener *listener, const struct oci_seccomp *seccomp,
		      const struct container_state *state, struct arena *arena, struct err *err)
{
	struct container_state told = *state;
	scope_text struct text json = { 0 };
	char self[16] = "";
	int pid = listener->pid;

	if (listener->fd < 0)
		return 0;
	if (pid == 0 && (readlinkat(listener->procfd, "self", self, sizeof(self) - 1) < 0 ||
			 str_to_int(self, &pid) < 0))
		return err_sys(err, "read /proc/self");
	replace_fd(&listener->procfd, -1);
	if (told.init.pid == 0)
		told.init.pid = pid;
	text_printf(&json, "{\"ociVersion\":\"%s\",\"fds\":[\"seccompFd\"],\"pid\":%d",
		    SPEC_VERSION, pid);
	if (seccomp->listener_metadata) {
		text_str(&json, ",\"metadata\":");
		text_json(&json, seccomp->listener_metadata);
	}
	text_str(&json, ",\"state\":");
	state_write_oci(&told, state->init.pid ? STATUS_RUNNING : STATUS_CREATED, true, &json);
	text_str(&json, "}");
	listener->message = arena_strdup(arena, json.str);
	return 0;
}

void listener_close(struct listener *listener)
{
	replace_fd(&listener->fd, -1);
	replace_fd(&listener->procfd, -1);
}
