#include "runtime/vm_files.h"

#include "base/io.h"
#include "base/scope.h"
#include "base/str.h"
#include "vm-mode/machine/boot.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION_MAX 256 // bytes

// A file of moat's own.
struct vm_file {
	const char *built;     // in the tree, below the directory of the executable
	const char *installed; // absolute
	const char *makes;     // what makes it
};

static const struct vm_file kernel = { "vm-mode/kernel/built/vmlinux", PKGLIBDIR "/kernel/vmlinux",
				       "make guest-kernel; make install" };
static const struct vm_file agent = { "agent.cpio", PKGDATADIR "/agent.cpio",
				      "make; make install" };

static bool is_kept_by(uid_t owner, const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && (st.st_uid == 0 || st.st_uid == owner) &&
	       !(st.st_mode & (S_IWGRP | S_IWOTH));
}

// Can nobody but root and the executable's owner have put there what `path` names? `slash`: the end of the executable's
// directory in it.
static bool is_kept(char *path, char *slash)
{
	struct stat self;

	if (stat("/proc/self/exe", &self) < 0)
		return false;
	for (char *end = slash; end; end = strchr(end + 1, '/')) {
		*end = '\0';
		const bool kept = is_kept_by(self.st_uid, path);
		*end = '/';
		if (!kept)
			return false;
	}
	return is_kept_by(self.st_uid, path);
}

// Where the file would be in the tree; "" if that can't be known. True: it is there, and is_kept().
static bool find_built(const struct vm_file *file, char path[PATH_MAX])
{
	const ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 1);

	path[len < 0 ? 0 : len] = '\0';
	char *slash = strrchr(path, '/');
	if (!slash)
		return false;
	const size_t room = PATH_MAX - (size_t)(slash + 1 - path);
	if ((size_t)snprintf(slash + 1, room, "%s", file->built) >= room) {
		*path = '\0';
		return false;
	}
	return is_kept(path, slash);
}

static int open_own(const struct vm_file *file, const char *what, struct err *err)
{
	char path[PATH_MAX];
	int fd = find_built(file, path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		fd = open(file->installed, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_set(err, ENOENT, "no %s at %s (%s)", what, file->installed,
				file->makes) :
			fd;
}

// The directory that a file lies in; NULL if that can't be known.
static const char *directory_of(int fd, struct arena *arena)
{
	char path[PATH_MAX], self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	ssize_t len = readlink(self, path, sizeof(path) - 1);
	if (len < 0)
		return NULL;
	path[len] = '\0';
	char *slash = strrchr(path, '/');
	if (!slash)
		return NULL;
	*slash = '\0';
	return arena_strdup(arena, path);
}

// The line in the file `version` of a directory, or NULL.
static const char *read_version(const char *directory, struct arena *arena)
{
	scope_free char *text = NULL;
	struct err err;

	if (io_read_file(AT_FDCWD, arena_printf(arena, "%s/version", directory), VERSION_MAX, &text,
			 NULL, &err) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return arena_strdup(arena, text);
}

int vm_files_open_kernel(struct arena *arena, struct vm_files_kernel *about, struct err *err)
{
	int fd = open_own(&kernel, "guest kernel", err);

	if (!about)
		return fd;
	*about = (struct vm_files_kernel){ 0 };
	const char *directory = fd < 0 ? NULL : directory_of(fd, arena);
	if (!directory)
		return fd;
	about->version = read_version(directory, arena);
	about->config = arena_printf(arena, "%s/config", directory);
	if (access(about->config, R_OK) < 0)
		about->config = NULL;
	return fd;
}

int vm_files_open_agent(struct err *err)
{
	return open_own(&agent, "agent", err);
}

static int open_named(const char *path, const char *what, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? err_sys(err, "%s %s", what, path) : fd;
}

int vm_files_open_named_kernel(const char *path, uint64_t memory_bytes, struct err *err)
{
	scope_fd int fd = open_named(path, "guest kernel", err);

	if (fd < 0)
		return fd;
	if (boot_check_kernel(fd, memory_bytes, err) < 0)
		return err_wrap(err, "guest kernel %s", path);
	return take_fd(&fd);
}

int vm_files_open_named_initrd(const char *path, struct err *err)
{
	scope_fd int fd = open_named(path, "initramfs", err);

	if (fd < 0)
		return fd;
	if (boot_check_initrd(fd, err) < 0)
		return err_wrap(err, "initramfs %s", path);
	return take_fd(&fd);
}
