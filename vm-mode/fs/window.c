#include "vm-mode/fs/window.h"

#include "base/io.h"
#include "base/scope.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define PAGE_BYTES 4096

static void *reserve(void *at, uint64_t bytes, int flags)
{
	return mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1,
		    0);
}

int fs_window_create(struct fs_window *window, uint64_t bytes, struct err *err)
{
	*window = (struct fs_window){ 0 };
	if (bytes == 0)
		return 0;
	if (bytes % FS_WINDOW_SLOT)
		return err_set(err, EINVAL, "the size of the DAX window is no multiple of 2 MiB");
	// On a border of 2 MiB, so that large pages of a file can be large pages of the guest.
	char *start = reserve(NULL, bytes + FS_WINDOW_SLOT, 0);
	if (start == MAP_FAILED)
		return err_sys(err, "reserve %llu bytes for the DAX window",
			       (unsigned long long)bytes);
	const size_t before = -(uintptr_t)start % FS_WINDOW_SLOT;
	if (before > 0)
		munmap(start, before);
	munmap(start + before + bytes, FS_WINDOW_SLOT - before);
	*window = (struct fs_window){ .host = start + before, .bytes = bytes };
	return 0;
}

void fs_window_free(struct fs_window *window)
{
	if (window->host)
		munmap(window->host, window->bytes);
	*window = (struct fs_window){ 0 };
}

int fs_window_map(const struct fs_window *window, const struct fs_mapping *mapping, int fd)
{
	const uint64_t offset = mapping->window_offset, len = mapping->len;
	struct stat st;

	if (len == 0 || offset % FS_WINDOW_SLOT || len % FS_WINDOW_SLOT ||
	    offset >= window->bytes || len > window->bytes - offset ||
	    mapping->file_offset % PAGE_BYTES || mapping->file_offset > INT64_MAX - len)
		return -EINVAL;
	char *at = (char *)window->host + offset;
	if (mapping->prot == 0)
		return reserve(at, len, MAP_FIXED) == MAP_FAILED ? -errno : 0;
	if (mapping->prot != PROT_READ && mapping->prot != (PROT_READ | PROT_WRITE))
		return -EINVAL;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return mmap(at, len, (int)mapping->prot, MAP_SHARED | MAP_FIXED, fd,
		    (off_t)mapping->file_offset) == MAP_FAILED ?
		       -errno :
		       0;
}

int fs_window_serve(const struct fs_window *window, int sock)
{
	struct pollfd ready = { .fd = sock, .events = POLLIN };
	struct fs_mapping mapping;
	int fd = -1;

	if (poll(&ready, 1, 0) == 0)
		return 0;
	ssize_t len = io_recv_fds(sock, &mapping, sizeof(mapping), &fd, 1);
	scope_fd int file = fd;
	if (len <= 0)
		return -EPIPE;
	const int32_t answer = len == sizeof(mapping) ? fs_window_map(window, &mapping, file) :
							-EINVAL;
	// A server that asks and asks, and takes no answers, is none of ours any more.
	return send(sock, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -EPIPE : 1;
}
