#include "runtime/seccomp_cache.h"

#include "base/scope.h"
#include "runtime/container.h"

#include <fcntl.h>
#include <sys/stat.h>

int seccomp_cache_load(const struct runtime *rt, const struct oci_seccomp *profile,
		       struct process_filter *filter, struct err *err)
{
	scope_fd int root = -1, cache = -1;

	*filter = (struct process_filter){ 0 };
	if (!profile)
		return 0;
	root = container_open_root(rt, err);
	if (root < 0)
		return root;
	cache = openat(root, "@seccomp", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (cache < 0 && errno == ENOENT &&
	    (mkdirat(root, "@seccomp", 0700) == 0 || errno == EEXIST))
		cache = openat(root, "@seccomp", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return process_filter_load(profile, cache, rt->arena, filter, err);
}
