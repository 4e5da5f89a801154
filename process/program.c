#include "process/plan.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

// Where args[0] is looked for when env says nothing: what shells take.
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// 0 if `path` can be executed by root, or an errno. Whether the user may is for execve to say.
static int executable(const char *path)
{
	struct stat st;

	if (access(path, X_OK) < 0 || stat(path, &st) < 0)
		return errno;
	return S_ISDIR(st.st_mode) ? EISDIR : 0;
}

static int find_as_named(const char *name, struct err *err)
{
	switch (executable(name)) {
	case 0:
		return 0;
	case EISDIR:
		return err_set(err, EISDIR, "exec: \"%s\": is a directory", name);
	case EACCES:
		return err_set(err, EACCES, "exec: \"%s\": permission denied", name);
	case ENOENT:
		return err_set(err, ENOENT, "exec: \"%s\": stat %s: no such file or directory",
			       name, name);
	default:
		return err_sys(err, "exec: \"%s\"", name);
	}
}

static size_t count_directories(const char *path)
{
	size_t count = 1;

	for (; *path; path++)
		count += *path == ':';
	return count;
}

// From the first directory that has the program on, every directory is a candidate: what root finds
// executable the user may not be allowed to execute, and then execvp(3) would go on too.
static int find_in_path(struct process_plan *plan, const char *name, struct err *err)
{
	const char *path = environ_get(plan, "PATH");
	const char **programs;
	size_t count = 0;

	if (!path)
		path = DEFAULT_PATH;
	programs = arena_new(plan->arena, const char *, count_directories(path));
	while (*path && *name) {
		size_t len = strcspn(path, ":");
		const char *candidate = len == 0 ? arena_printf(plan->arena, "./%s", name) :
						   arena_printf(plan->arena, "%.*s/%s", (int)len,
								path, name);

		if (count > 0 || executable(candidate) == 0)
			programs[count++] = candidate;
		path += len;
		path += *path == ':';
	}
	if (count == 0)
		return err_set(err, ENOENT, "exec: \"%s\": executable file not found in $PATH",
			       name);
	plan->programs = programs;
	plan->program_count = count;
	return 0;
}

int program_find(struct process_plan *plan, struct err *err)
{
	const char *name = plan->process->args.v[0];

	return strchr(name, '/') ? find_as_named(name, err) : find_in_path(plan, name, err);
}
