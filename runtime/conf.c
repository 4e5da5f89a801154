#include "runtime/conf.h"

#include "base/io.h"
#include "base/scope.h"
#include "oci-spec/bind.h"
#include "vm-mode/machine/layout.h"
#include "vm-mode/size.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#define CONF_PATH     "/etc/moat/moat.conf"
#define CONF_VARIABLE "MOAT_CONF"
#define CONF_MAX      ((size_t)64 * 1024)

// ---- its fields ----

#define CLOSED_OBJECT_OF(T, table)                                       \
	{                                                                \
		FIELDS(table), .size = sizeof(struct T), .closed = true, \
	}

static const struct words mode_words = WORDS(WORD_FOR(CONF_CONTAINER, "container"),
					     WORD_FOR(CONF_VM, "vm"));

static const struct field kernel_fields[] = {
	{ "path", VALUE(oci_vm_kernel, path), .flags = FIELD_ABSOLUTE },
	{ "parameters", VALUE(oci_vm_kernel, parameters) },
	{ "initrd", VALUE(oci_vm_kernel, initrd), .flags = FIELD_ABSOLUTE },
};
static const struct object kernel_object = CLOSED_OBJECT_OF(oci_vm_kernel, kernel_fields);

static const struct field vm_fields[] = {
	{ "kernel", OBJECT(conf_vm, kernel, kernel_object) },
	{ "vcpus", VALUE(conf_vm, vcpus), RANGE(1, LAYOUT_VCPUS_MAX) },
	{ "memory", VALUE(conf_vm, memory), RANGE(VM_MEMORY_MIN_BYTES, LAYOUT_MEMORY_MAX) },
};
static const struct object vm_object = CLOSED_OBJECT_OF(conf_vm, vm_fields);

static const struct field conf_fields[] = {
	{ "mode", ENUM(conf, mode, mode_words) },
	{ "vm", OBJECT(conf, vm, vm_object) },
};
static const struct object conf_object = CLOSED_OBJECT_OF(conf, conf_fields);

int conf_parse(const char *json, size_t len, struct arena *arena, struct conf *conf,
	       struct err *err)
{
	*conf = (struct conf){ 0 };
	return bind_parse(&conf_object, json, len, arena, conf, err);
}

// ---- the file ----

// Who can write to it decides how containers are isolated.
static int check_owner(int fd, bool rootless, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat");
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "not a regular file");
	// In a user namespace that has no name for the host's root, its files are nobody's.
	if (st.st_uid != 0 && st.st_uid != geteuid() && !rootless)
		return err_set(err, EPERM, "belongs to user %u, not to root", st.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, EPERM, "others than its owner may write to it (mode %04o)",
			       st.st_mode & 07777);
	return 0;
}

int conf_load(bool rootless, struct arena *arena, const struct conf **conf, struct err *err)
{
	const char *named = getenv(CONF_VARIABLE);
	const bool is_named = named && *named;
	const char *path = is_named ? named : CONF_PATH;
	struct conf *read = arena_new(arena, struct conf, 1);
	scope_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	scope_free char *text = NULL;
	size_t len;

	*conf = read;
	if (fd < 0 && errno == ENOENT && !is_named)
		return 0;
	if (fd < 0)
		return err_sys(err, "%s", path);
	if (check_owner(fd, rootless, err) < 0)
		return err_wrap(err, "%s", path);
	if (io_read_fd(fd, path, CONF_MAX, &text, &len, err) < 0)
		return -err->code;
	if (conf_parse(text, len, arena, read, err) < 0)
		return err_wrap(err, "%s", path);
	read->path = arena_strdup(arena, path);
	return 0;
}
