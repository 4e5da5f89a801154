#include "process/hooks.h"

#include "base/io.h"
#include "base/log.h"
#include "base/run.h"
#include "base/scope.h"
#include "process/process.h"

#include <fcntl.h>
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

// What all hooks of a list have in common.
struct occasion {
	const char *kind;
	const struct oci_hook_list *list;
	const char *state;
	size_t len;
	bool inside;
};

// That the file is there is asked first, for the error alone: the launcher has few words.
static int launcher_open(const struct run *run, struct err *err)
{
	if (faccessat(AT_FDCWD, run->path, X_OK, AT_EACCESS) < 0)
		return err_sys(err, "start it");
	return process_launcher_open(run->path, run->argv, run->envp, err);
}

static int hook_run(const struct occasion *occasion, const struct oci_hook *hook, struct err *err)
{
	char *const argv[] = { hook->path, NULL }, *const envp[] = { NULL };
	scope_fd int state_fd = state_open(occasion->state, occasion->len, err);
	scope_fd int launcher_fd = -1;

	if (state_fd < 0)
		return state_fd;
	struct run run = {
		.path = hook->path,
		.exec_fd = -1,
		.argv = hook->args.n > 0 ? hook->args.v : argv,
		// On the host's side a hook without an environment has moat's, as with other
		// runtimes.
		.envp = hook->env.n > 0	 ? hook->env.v :
			occasion->inside ? envp :
					   environ,
		.stdin_fd = state_fd,
		.timeout_s = hook->timeout.set ? hook->timeout.v : 0,
	};
	if (occasion->inside) {
		launcher_fd = launcher_open(&run, err);
		if (launcher_fd < 0)
			return launcher_fd;
		run.exec_fd = launcher_fd;
	}
	int ret = run_program(&run, err);
	if (ret == 0 && *run.output)
		log_debug("hook %s: %s", hook->path, run.output);
	return ret;
}

static int hook_run_nth(const struct occasion *occasion, size_t i, struct err *err)
{
	const struct oci_hook *hook = &occasion->list->v[i];
	int ret = hook_run(occasion, hook, err);

	return ret < 0 ? err_wrap(err, "hook %s[%zu] %s", occasion->kind, i, hook->path) : 0;
}

static int run_until_failure(const struct occasion *occasion, struct err *err)
{
	for (size_t i = 0; i < occasion->list->n; i++) {
		int ret = hook_run_nth(occasion, i, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

int hooks_run(const char *kind, const struct oci_hook_list *list, const char *state, size_t len,
	      struct err *err)
{
	return run_until_failure(&(struct occasion){ kind, list, state, len, false }, err);
}

int hooks_run_inside(const char *kind, const struct oci_hook_list *list, const char *state,
		     size_t len, struct err *err)
{
	return run_until_failure(&(struct occasion){ kind, list, state, len, true }, err);
}

void hooks_run_all(const char *kind, const struct oci_hook_list *list, const char *state,
		   size_t len)
{
	const struct occasion occasion = { kind, list, state, len, false };

	for (size_t i = 0; i < list->n; i++) {
		struct err err = { 0 };

		if (hook_run_nth(&occasion, i, &err) < 0)
			log_warn("%s", err.msg);
	}
}
