#include "runtime/container.h"

#include "base/io.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "runtime/rootless.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

// A record has the spec's annotations in it, whose bytes JSON may write as six.
#define STATE_MAX_BYTES (8 * SPEC_MAX_BYTES)

static const char id_characters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-.";

static bool id_is_valid(const char *id)
{
	size_t len = strlen(id);

	return len > 0 && len <= NAME_MAX && strspn(id, id_characters) == len && !str_eq(id, ".") &&
	       !str_eq(id, "..");
}

int container_check_id(const char *id, struct err *err)
{
	if (!id_is_valid(id))
		return err_set(err, EINVAL,
			       "container id `%s`: expected 1 to %d of A-Z a-z 0-9 _ + - . (and "
			       "neither `.` nor `..`)",
			       id, NAME_MAX);
	return 0;
}

static int make_dirs(const char *path, mode_t mode)
{
	char prefix[PATH_MAX];
	size_t len = strlen(path);

	if (len >= sizeof(prefix)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(prefix, path, len + 1);
	for (char *slash = strchr(prefix + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(prefix, 0755) < 0 && errno != EEXIST)
			return -1;
		*slash = '/';
	}
	return mkdir(prefix, mode) < 0 && errno != EEXIST ? -1 : 0;
}

int container_open_root(const struct runtime *rt, struct err *err)
{
	int fd = open(rt->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	// The sticky bit keeps the cleaners of an XDG_RUNTIME_DIR away.
	if (fd < 0 && errno == ENOENT && make_dirs(rt->root, rt->rootless ? 01700 : 0700) == 0)
		fd = open(rt->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "state directory %s", rt->root);
	return fd;
}

int container_new(const struct runtime *rt, const char *id, struct container *container,
		  struct err *err)
{
	scope_fd int root = -1, dir = -1;

	*container = (struct container){ .rt = rt, .arena = rt->arena, .dirfd = -1 };
	if (container_check_id(id, err) < 0)
		return -err->code;
	root = container_open_root(rt, err);
	if (root < 0)
		return root;
	if (mkdirat(root, id, 0700) < 0) {
		if (errno == EEXIST)
			return err_set(err, EEXIST, "container with id %s already exists", id);
		return err_sys(err, "make %s/%s", rt->root, id);
	}
	dir = openat(root, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || flock(dir, LOCK_EX) < 0) {
		err_sys(err, "lock %s/%s", rt->root, id);
		unlinkat(root, id, AT_REMOVEDIR);
		return -err->code;
	}
	container->dirfd = take_fd(&dir);
	container->state.id = id;
	return 0;
}

// Whether the directory still has a name: it may have been deleted while we waited for the lock.
static bool still_there(int dirfd)
{
	struct stat st;

	return fstat(dirfd, &st) == 0 && st.st_nlink > 0;
}

static int load_state(struct container *container, struct err *err)
{
	const char *id = container->state.id;
	scope_free char *json = NULL;
	size_t len;

	if (io_read_file(container->dirfd, "state.json", STATE_MAX_BYTES, &json, &len, err) < 0) {
		if (err->code == ENOENT)
			return err_set(
				err, EAGAIN,
				"container %s has no record: it is being created, or was left half made",
				id);
		return -err->code;
	}
	int ret = state_parse(json, len, container->arena, &container->state, err);
	container->state.id = id;
	container->has_record = ret == 0;
	return ret < 0 ? err_wrap(err, "state.json of container %s", id) : 0;
}

int container_plan_cgroup(const struct runtime *rt, const char *id, const struct oci_spec *spec,
			  const struct cgroup_host **host, const struct cgroup_plan **plan,
			  struct err *err)
{
	struct cgroup_options options = {
		.driver = rt->cgroup_driver,
		.id = id,
		.rootless = rt->rootless,
		.annotations = &spec->annotations,
	};

	if (cgroup_host_detect(rt->arena, host, err) < 0 ||
	    (options.driver == CGROUP_SYSTEMD &&
	     cgroup_systemd_find(rt->rootless, rt->arena, &options.systemd, err) < 0))
		return -err->code;
	return cgroup_plan_make(*host, spec->linux, &options, rt->arena, plan, err);
}

// The cgroup of a container whose record is gone is the one that its configuration asks for.
static int salvage(struct container *container, struct err *err)
{
	const struct cgroup_host *host = NULL;
	const struct cgroup_plan *plan = NULL;

	container->state = (struct container_state){
		.id = container->state.id,
		.cgroup_driver = cgroup_driver_name(container->rt->cgroup_driver),
	};
	if (container_load_spec(container, err) < 0 ||
	    container_plan_cgroup(container->rt, container->state.id, container->spec, &host, &plan,
				  err) < 0)
		return -err->code;
	cgroup_plan_paths(plan, container->arena, &container->state.cgroup_paths);
	return 0;
}

int container_open(const struct runtime *rt, const char *id, enum container_access access,
		   struct container *container, struct err *err)
{
	scope_fd int root = -1, dir = -1;

	*container = (struct container){ .rt = rt, .arena = rt->arena, .dirfd = -1 };
	if (container_check_id(id, err) < 0)
		return -err->code;
	root = open(rt->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0)
		dir = openat(root, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 && errno != ENOENT)
		return err_sys(err, "container %s", id);
	if (dir >= 0 && access != CONTAINER_LOOK && flock(dir, LOCK_EX) < 0)
		return err_sys(err, "lock container %s", id);
	if (dir < 0 || !still_there(dir))
		return err_set(err, ENOENT, "container %s does not exist", id);
	container->dirfd = take_fd(&dir);
	container->state.id = id;
	if (load_state(container, err) == 0)
		return 0;
	if (access == CONTAINER_SALVAGE) {
		log_warn("%s", err->msg);
		// Without a configuration either, nothing but the directory was ever made.
		if (salvage(container, err) < 0)
			log_warn("%s", err->msg);
		return 0;
	}
	container_close(container);
	return -err->code;
}

void container_unlock(const struct container *container)
{
	flock(container->dirfd, LOCK_UN);
}

int container_relock(const struct container *container, struct err *err)
{
	if (flock(container->dirfd, LOCK_EX) < 0)
		return err_sys(err, "lock container %s", container->state.id);
	if (!still_there(container->dirfd))
		return err_set(err, ENOENT, "container %s does not exist", container->state.id);
	return 0;
}

void container_close(struct container *container)
{
	replace_fd(&container->dirfd, -1);
	cgroup_close(&container->cgroup);
}

int container_save(struct container *container, struct err *err)
{
	scope_text struct text json = { 0 };

	state_write(&container->state, &json);
	if (io_replace_file(container->dirfd, "state.json", 0600, json.str, json.len, err) < 0)
		return err_wrap(err, "record of container %s", container->state.id);
	container->has_record = true;
	return 0;
}

int container_load_spec(struct container *container, struct err *err)
{
	scope_free char *json = NULL;
	size_t len;

	if (container->spec)
		return 0;
	if (io_read_file(container->dirfd, "config.json", SPEC_MAX_BYTES, &json, &len, err) < 0 ||
	    spec_parse(json, len, container->arena, &container->spec, err) < 0)
		return err_wrap(err, "configuration of container %s", container->state.id);
	container->spec = rootless_extend(container->spec, container->arena);
	return 0;
}

int container_open_cgroup(struct container *container, struct err *err)
{
	enum cgroup_driver driver;

	if (container->cgroup || container->state.cgroup_paths.n == 0)
		return 0;
	// What the command line says is for new containers.
	if (!cgroup_driver_parse(container->state.cgroup_driver, &driver))
		return err_set(err, EINVAL, "state.json of container %s: unknown cgroup driver: %s",
			       container->state.id, container->state.cgroup_driver);
	return cgroup_load(&container->state.cgroup_paths, driver, &container->cgroup, err);
}

int container_status(struct container *container, enum container_status *status, struct err *err)
{
	int frozen = 0;

	if (container->state.init.pid == 0) {
		*status = STATUS_CREATING;
		return 0;
	}
	if (!proc_alive(&container->state.init)) {
		*status = STATUS_STOPPED;
		return 0;
	}
	if (container_open_cgroup(container, err) < 0)
		return -err->code;
	if (container->cgroup)
		frozen = cgroup_frozen(container->cgroup, err);
	if (frozen < 0)
		return frozen;
	if (frozen)
		*status = STATUS_PAUSED;
	else
		*status = faccessat(container->dirfd, "gate", F_OK, AT_SYMLINK_NOFOLLOW) == 0 ?
				  STATUS_CREATED :
				  STATUS_RUNNING;
	return 0;
}

int container_require_running(struct container *container, struct err *err)
{
	enum container_status status = STATUS_STOPPED;

	if (container_status(container, &status, err) < 0)
		return -err->code;
	if (status == STATUS_CREATING || status == STATUS_STOPPED)
		return err_set(err, ESRCH, "container %s is not running (it is %s)",
			       container->state.id, container_status_name(status));
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

// The names in an open directory, sorted; those that `keep` refuses are left out.
static int list_names(int dirfd, bool (*keep)(const char *name), struct arena *arena,
		      struct oci_strings *names)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	size_t cap = 0;

	*names = (struct oci_strings){ 0 };
	if (!dir) {
		scope_close_fd(&fd);
		return -1;
	}
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (!keep(entry->d_name))
			continue;
		if (names->n == cap) {
			char **grown = arena_new(arena, char *, cap = cap ? cap * 2 : 16);
			if (names->n)
				memcpy(grown, names->v, names->n * sizeof(*grown));
			names->v = grown;
		}
		names->v[names->n++] = arena_strdup(arena, entry->d_name);
	}
	closedir(dir);
	if (names->n)
		qsort(names->v, names->n, sizeof(*names->v), compare_names);
	return 0;
}

static bool not_dots(const char *name)
{
	return !str_eq(name, ".") && !str_eq(name, "..");
}

// Removes a file, or a directory with files in it (that of the notify socket).
static int remove_entry(const struct container *container, int dirfd, const char *name)
{
	struct oci_strings names;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return -1;
	scope_fd int dir = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || list_names(dir, not_dots, container->arena, &names) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++)
		if (unlinkat(dir, names.v[i], 0) < 0 && errno != ENOENT)
			return -1;
	return unlinkat(dirfd, name, AT_REMOVEDIR);
}

int container_remove(struct container *container, struct err *err)
{
	const char *id = container->state.id;
	struct oci_strings names;

	if (list_names(container->dirfd, not_dots, container->arena, &names) < 0)
		return err_sys(err, "list the directory of container %s", id);
	// The record goes last: while it is there, a `delete` that was cut short can be done again.
	for (size_t i = 0; i < names.n; i++)
		if (!str_eq(names.v[i], "state.json") &&
		    remove_entry(container, container->dirfd, names.v[i]) < 0)
			return err_sys(err, "remove %s of container %s", names.v[i], id);
	if (unlinkat(container->dirfd, "state.json", 0) < 0 && errno != ENOENT)
		return err_sys(err, "remove the record of container %s", id);
	scope_fd int root = container_open_root(container->rt, err);
	if (root < 0)
		return root;
	if (unlinkat(root, id, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_sys(err, "remove the directory of container %s", id);
	return 0;
}

int container_ids(const struct runtime *rt, struct oci_strings *ids, struct err *err)
{
	scope_fd int root = open(rt->root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	*ids = (struct oci_strings){ 0 };
	if (root < 0 && errno == ENOENT)
		return 0;
	if (root < 0 || list_names(root, id_is_valid, rt->arena, ids) < 0)
		return err_sys(err, "state directory %s", rt->root);
	return 0;
}

const char *container_hook_state(struct container *container, enum container_status status)
{
	scope_text struct text json = { 0 };

	state_write_oci(&container->state, status, true, &json);
	return arena_strndup(container->arena, json.str, json.len);
}
