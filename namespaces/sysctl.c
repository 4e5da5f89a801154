#include "namespaces/sysctl.h"

#include "base/io.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#define KEY_MAX 256

// What belongs to which namespace. A prefix ends with the separator, or where the kernel has a
// family of names.
static const struct {
	const char *prefix;
	enum oci_namespace_type type;
} owners[] = {
	{ "net/", OCI_NS_NETWORK },   { "fs/mqueue/", OCI_NS_IPC },
	{ "kernel/msg", OCI_NS_IPC }, { "kernel/sem", OCI_NS_IPC },
	{ "kernel/shm", OCI_NS_IPC }, { "kernel/domainname", OCI_NS_UTS },
};

// The path below /proc/sys. The first separator says which of the two ways of writing it is:
// `net.ipv4.conf.eth0/1.forwarding` or `net/ipv4/conf/eth0.1/forwarding`.
static int key_to_path(const char *key, char path[KEY_MAX], struct err *err)
{
	const size_t len = strlen(key);
	const char *first = strpbrk(key, "./");

	if (len >= KEY_MAX)
		return err_set(err, EINVAL, "linux.sysctl: %.32s…: too long", key);
	memcpy(path, key, len + 1);
	if (first && *first == '.')
		for (char *c = path; *c; c++)
			*c = *c == '.' ? '/' : *c == '/' ? '.' : *c;
	// An empty or `..` component would make another key of what was checked.
	if (!first || *path == '/' || path[len - 1] == '/' || strstr(path, "//") ||
	    strstr(path, "/../") || str_ends(path, "/.."))
		return err_set(err, EINVAL, "linux.sysctl: %s: not a kernel parameter", key);
	return 0;
}

// The type of the namespace, or -EINVAL.
static int owner_of(const char *path, const char *key, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(owners); i++)
		if (str_starts(path, owners[i].prefix))
			return (int)owners[i].type;
	if (str_eq(path, "kernel/hostname"))
		return err_set(err, EINVAL, "linux.sysctl: %s: set the field hostname instead",
			       key);
	return err_set(err, EINVAL,
		       "linux.sysctl: %s: belongs to no namespace, so it would change the host",
		       key);
}

static int check_key(const struct ns_plan *plan, const char *key, struct err *err)
{
	char path[KEY_MAX];
	int type = key_to_path(key, path, err);

	if (type == 0)
		type = owner_of(path, key, err);
	if (type < 0)
		return type;
	if (!ns_has(plan, ns_type_flag(type)) ||
	    (plan->paths[type] && ns_is_own(type, plan->paths[type])))
		return err_set(err, EINVAL,
			       "linux.sysctl: %s: the container has no %s namespace of its own",
			       key, ns_type_name(type));
	if (str_eq(path, "kernel/domainname") && plan->domainname)
		return err_set(err, EINVAL,
			       "linux.sysctl: %s: the field domainname sets it already", key);
	return 0;
}

int sysctl_check(const struct ns_plan *plan, const struct oci_pairs *sysctl, struct err *err)
{
	for (size_t i = 0; i < sysctl->n; i++) {
		int ret = check_key(plan, sysctl->v[i].key, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static int write_key(int sys, const char *key, const char *value, struct err *err)
{
	const struct open_how how = {
		.flags = O_WRONLY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS,
	};
	char path[KEY_MAX];
	int ret = key_to_path(key, path, err);

	if (ret < 0)
		return ret;
	scope_fd int fd = sys_openat2(sys, path, &how);
	if (fd < 0)
		return err_sys(err, "linux.sysctl: open %s", key);
	const size_t len = strlen(value);
	ssize_t n = write(fd, value, len);
	if (n < 0)
		return err_sys(err, "linux.sysctl: %s = %s", key, value);
	if ((size_t)n != len)
		return err_set(err, EINVAL, "linux.sysctl: %s = %s: value not taken whole", key,
			       value);
	return 0;
}

int sysctl_apply(const struct oci_pairs *sysctl, int procfd, struct err *err)
{
	struct statfs fs;
	int ret = 0;

	if (sysctl->n == 0)
		return 0;
	if (fstatfs(procfd, &fs) < 0)
		return err_sys(err, "linux.sysctl: stat /proc");
	if (fs.f_type != PROC_SUPER_MAGIC)
		return err_set(err, EINVAL, "linux.sysctl: /proc is not procfs");
	scope_fd int sys = openat(procfd, "sys", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sys < 0)
		return err_sys(err, "linux.sysctl: open /proc/sys");
	for (size_t i = 0; i < sysctl->n && ret == 0; i++)
		ret = write_key(sys, sysctl->v[i].key, sysctl->v[i].value, err);
	return ret;
}
