// Extended attributes, ACLs among them: by the name of the descriptor in the working directory,
// /proc/self/fd, since there are no calls for O_PATH descriptors. What is allowed, the kernel below
// says.
#include "vm-mode/fs/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

// A size that is asked for (0) or data: how FUSE wants either.
static int answer(struct fs_request *request, uint32_t wanted, ssize_t len)
{
	struct fuse_getxattr_out *out = (struct fuse_getxattr_out *)request->out;

	if (len < 0)
		return -errno;
	if (wanted > 0)
		return (int)len;
	*out = (struct fuse_getxattr_out){ .size = (uint32_t)len };
	return sizeof(*out);
}

static size_t room(const struct fs_request *request, uint32_t wanted)
{
	return wanted < request->out_size ? wanted : request->out_size;
}

int op_getxattr(struct fs *fs, struct fs_request *request)
{
	const struct fuse_getxattr_in *in = request->args;

	(void)fs;
	if (in->size > 0 && request->out_size == 0)
		return -ERANGE;
	return answer(request, in->size,
		      getxattr(fs_fd_name(request->inode->fd).text, request->strings[0],
			       request->out, room(request, in->size)));
}

// Takes the names away that only root may know of: FUSE's client shows all that it gets. Returns the
// list's length.
static ssize_t hide_trusted(char *list, ssize_t len)
{
	ssize_t kept = 0;

	for (ssize_t at = 0; at < len;) {
		const size_t size = strnlen(list + at, (size_t)(len - at) - 1) + 1;

		if (!str_starts(list + at, "trusted.")) {
			memmove(list + kept, list + at, size);
			kept += (ssize_t)size;
		}
		at += (ssize_t)size;
	}
	return kept;
}

int op_listxattr(struct fs *fs, struct fs_request *request)
{
	const struct fuse_getxattr_in *in = request->args;
	char *list = (char *)fs->entries;

	if (in->size > 0 && request->out_size == 0)
		return -ERANGE;
	ssize_t len = listxattr(fs_fd_name(request->inode->fd).text, list, FS_OUT_MAX);
	if (len > 0 && request->header.uid != 0)
		len = hide_trusted(list, len);
	if (in->size > 0 && len > 0) {
		if ((size_t)len > room(request, in->size))
			return -ERANGE;
		memcpy(request->out, list, (size_t)len);
	}
	return answer(request, in->size, len);
}

static bool is_caps(const char *name)
{
	return str_eq(name, "security.capability");
}

// Labels and digests by which the host's security modules go: not for a guest to write.
static bool is_hosts(const char *name)
{
	return str_starts(name, "security.") && !is_caps(name);
}

// FUSE_SETXATTR_ACL_KILL_SGID: whoever has set the ACL is not of the file's group.
static int kill_sgid(const struct fs *fs, const struct inode *inode)
{
	struct statx stx;
	int ret = fs_stat(inode->fd, &stx);

	if (ret < 0 || !(stx.stx_mode & S_ISGID))
		return ret;
	return fchmodat(fs->fds_fd, fs_fd_name(inode->fd).text,
			stx.stx_mode & 07777 & ~(mode_t)S_ISGID, 0) < 0 ?
		       -errno :
		       0;
}

int op_setxattr(struct fs *fs, struct fs_request *request)
{
	const struct fuse_setxattr_in *in = request->args;
	uint32_t extra = 0;

	if (fs->flags & FUSE_SETXATTR_EXT) {
		const size_t more = sizeof(*in) - FUSE_COMPAT_SETXATTR_IN_SIZE;

		if (request->rest_len < more)
			return -EINVAL;
		request->rest += more;
		request->rest_len -= more;
		extra = in->setxattr_flags;
	}
	const char *name = wire_string(request);
	if (!name || in->size > request->rest_len || in->size > XATTR_SIZE_MAX)
		return -EINVAL;
	if (is_hosts(name))
		return -EOPNOTSUPP;
	if (setxattr(fs_fd_name(request->inode->fd).text, name, request->rest, in->size,
		     (int)in->flags) < 0)
		return -errno;
	if (is_caps(name))
		request->inode->has_caps = true;
	return extra & FUSE_SETXATTR_ACL_KILL_SGID ? kill_sgid(fs, request->inode) : 0;
}

int op_removexattr(struct fs *fs, struct fs_request *request)
{
	(void)fs;
	if (is_hosts(request->strings[0]))
		return -EOPNOTSUPP;
	if (removexattr(fs_fd_name(request->inode->fd).text, request->strings[0]) < 0)
		return -errno;
	if (is_caps(request->strings[0]))
		request->inode->has_caps = false;
	return 0;
}
