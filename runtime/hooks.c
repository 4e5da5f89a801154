#include "runtime/hooks.h"

#include "base/io.h"
#include "base/log.h"
#include "base/run.h"
#include "base/scope.h"

#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

// A file of its own for each hook, and not a pipe: a hook that reads nothing, or a state larger
// than a pipe, can't stall or kill moat, and a hook may open /dev/stdin anew. Where vm.memfd_noexec
// is 2, only a file that says it isn't executable may be made; before Linux 6.3 nobody could say
// so.
static int state_open(const char *state, size_t len, struct err *err)
{
	scope_fd int fd = memfd_create("state.json", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("state.json", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "memory file for the state");
	if (io_write_all(fd, state, len) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, "write the state");
	return take_fd(&fd);
}

static int hook_run(const struct oci_hook *hook, const char *state, size_t len, struct err *err)
{
	char *const argv[] = { hook->path, NULL }, *const envp[] = { NULL };
	scope_fd int state_fd = state_open(state, len, err);

	if (state_fd < 0)
		return state_fd;
	struct run run = {
		.path = hook->path,
		.argv = hook->args.n > 0 ? hook->args.v : argv,
		.envp = hook->env.n > 0 ? hook->env.v : envp,
		.stdin_fd = state_fd,
		.timeout_s = hook->timeout.set ? hook->timeout.v : 0,
	};
	int ret = run_program(&run, err);
	if (ret == 0 && *run.output)
		log_debug("hook %s: %s", hook->path, run.output);
	return ret;
}

static int hook_run_nth(const char *kind, const struct oci_hook_list *list, size_t i,
			const char *state, size_t len, struct err *err)
{
	int ret = hook_run(&list->v[i], state, len, err);

	return ret < 0 ? err_wrap(err, "hook %s[%zu] %s", kind, i, list->v[i].path) : 0;
}

int hooks_run(const char *kind, const struct oci_hook_list *list, const char *state, size_t len,
	      struct err *err)
{
	for (size_t i = 0; i < list->n; i++) {
		int ret = hook_run_nth(kind, list, i, state, len, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

void hooks_run_all(const char *kind, const struct oci_hook_list *list, const char *state,
		   size_t len)
{
	for (size_t i = 0; i < list->n; i++) {
		struct err err = { 0 };

		if (hook_run_nth(kind, list, i, state, len, &err) < 0)
			log_warn("%s", err.msg);
	}
}
