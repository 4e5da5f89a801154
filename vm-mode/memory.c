#include "vm-mode/memory.h"

#include "base/scope.h"
#include "vm-mode/machine/layout.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>

#define PAGE_BYTES 4096
// So that the kernel can back the guest's memory by huge pages.
#define HUGE_PAGE_BYTES ((size_t)2 * 1024 * 1024)

static void *ptr_in(const struct guest_range *range, uint64_t gpa, uint64_t len)
{
	if (len == 0 || gpa < range->gpa || gpa - range->gpa >= range->size ||
	    len > range->size - (gpa - range->gpa))
		return NULL;
	return (char *)range->host + (gpa - range->gpa);
}

void *guest_ptr(const struct guest_memory *memory, uint64_t gpa, uint64_t len)
{
	void *host = NULL;

	for (size_t i = 0; !host && i < memory->count; i++)
		host = ptr_in(&memory->ranges[i], gpa, len);
	return host;
}

void *guest_window_ptr(const struct guest_memory *memory, uint64_t gpa, uint64_t len)
{
	return memory->window.host ? ptr_in(&memory->window, gpa, len) : NULL;
}

static void plan_ranges(struct guest_memory *memory, uint64_t bytes)
{
	uint64_t low = bytes < LAYOUT_HOLE ? bytes : LAYOUT_HOLE;

	memory->ranges[0] = (struct guest_range){ .size = low };
	memory->count = 1;
	if (bytes > low) {
		memory->ranges[1] = (struct guest_range){ .gpa = LAYOUT_HOLE_END,
							  .size = bytes - low,
							  .offset = low };
		memory->count = 2;
	}
}

// A file on a tmpfs of its own, which is mounted nowhere: of a memory file the host's setting decides whether it
// has huge pages, of a tmpfs its own. -1: not here, or not for this user.
static int huge_file(void)
{
	scope_fd int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "huge", "always", 0) < 0 ||
	    fsconfig(context, FSCONFIG_SET_STRING, "size", "0", 0) < 0 ||
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;

	scope_fd int mount = fsmount(context, FSMOUNT_CLOEXEC,
				     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return mount < 0 ? -1 : openat(mount, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static int make_file(uint64_t bytes, struct err *err)
{
	scope_fd int fd = huge_file();

	if (fd < 0)
		fd = memfd_create("moat-guest", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "make a memory file for the guest");
	if (ftruncate(fd, (off_t)bytes) < 0)
		return err_sys(err, "make the guest's memory file %llu bytes long",
			       (unsigned long long)bytes);
	return take_fd(&fd);
}

int guest_memory_create(struct guest_memory *memory, uint64_t bytes, struct err *err)
{
	scope_fd int fd = -1;

	*memory = (struct guest_memory){ .fd = -1 };
	if (bytes == 0 || bytes % PAGE_BYTES || bytes > LAYOUT_MEMORY_MAX)
		return err_set(err, EINVAL, "%llu bytes of memory for the guest: not possible",
			       (unsigned long long)bytes);
	fd = make_file(bytes, err);
	if (fd < 0)
		return -err->code;
	plan_ranges(memory, bytes);
	memory->fd = fd;
	if (guest_memory_map(memory, err) < 0) {
		memory->fd = -1;
		return -err->code;
	}
	take_fd(&fd);
	return 0;
}

// An aligned piece of address space with the range's pages in it.
static void *map_range(int fd, const struct guest_range *range)
{
	size_t reserved = range->size + HUGE_PAGE_BYTES;
	char *start = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			   -1, 0);
	if (start == MAP_FAILED)
		return NULL;

	size_t before = -(uintptr_t)start % HUGE_PAGE_BYTES;
	char *host = start + before;
	if (before > 0)
		munmap(start, before);
	munmap(host + range->size, reserved - before - range->size);
	if (mmap(host, range->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 (off_t)range->offset) == MAP_FAILED) {
		munmap(host, range->size);
		return NULL;
	}
	madvise(host, range->size, MADV_DONTDUMP);
	return host;
}

static void unmap(struct guest_memory *memory)
{
	for (size_t i = 0; i < memory->count; i++) {
		if (memory->ranges[i].host)
			munmap(memory->ranges[i].host, memory->ranges[i].size);
		memory->ranges[i].host = NULL;
	}
}

int guest_memory_map(struct guest_memory *memory, struct err *err)
{
	for (size_t i = 0; i < memory->count; i++)
		memory->ranges[i].host = NULL;
	for (size_t i = 0; i < memory->count; i++) {
		memory->ranges[i].host = map_range(memory->fd, &memory->ranges[i]);
		if (!memory->ranges[i].host) {
			err_sys(err, "map %llu bytes of guest memory",
				(unsigned long long)memory->ranges[i].size);
			unmap(memory);
			return -err->code;
		}
	}
	return 0;
}

void guest_memory_free(struct guest_memory *memory)
{
	unmap(memory);
	memory->count = 0;
	replace_fd(&memory->fd, -1);
}
