#include "process/image.h"

#include "base/io.h"
#include "base/scope.h"
#include "process/launch.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U // Linux 6.3
#endif

_Static_assert(sizeof(void *) == sizeof(uint64_t), "the launcher's structures are the kernel's");

// launcher-image.S
extern const char launcher_image[], launcher_image_end[];

// The file that is being written, and where its data segment lies: at `offset` in the file and at
// `address` in the launcher's memory. Everything is put there before what points to it, so that
// nothing has to be relocated.
struct image {
	struct text *file;
	size_t offset;
	uint64_t address;
	// The lists of strings that are there already: each attempt to execute the program has the
	// same.
	struct {
		char *const *strings;
		uint64_t address;
	} lists[2];
	size_t list_count;
};

// Adds `len` bytes to the data segment, aligned for any type. Returns their address.
static uint64_t put(struct image *image, const void *data, size_t len)
{
	static const char zeros[16];

	text_add(image->file, zeros, -image->file->len % sizeof(zeros));

	uint64_t address = image->address + (image->file->len - image->offset);
	if (len > 0)
		text_add(image->file, data, len);
	return address;
}

static void poke(struct image *image, uint64_t address, const void *data, size_t len)
{
	memcpy(image->file->str + image->offset + (address - image->address), data, len);
}

// An address of the launcher's as a member of one of the kernel's structures.
static void *pointer(uint64_t address)
{
	void *ptr;

	memcpy(&ptr, &address, sizeof(ptr));
	return ptr;
}

static uint64_t put_strings(struct image *image, char *const *strings)
{
	static const uint64_t end = 0;
	size_t count = 0;

	for (size_t i = 0; i < image->list_count; i++) {
		if (image->lists[i].strings == strings)
			return image->lists[i].address;
	}
	uint64_t list = put(image, &end, sizeof(end));
	if (image->list_count < ARRAY_SIZE(image->lists)) {
		image->lists[image->list_count].strings = strings;
		image->lists[image->list_count++].address = list;
	}

	for (; strings[count]; count++)
		text_add(image->file, (const char *)&end, sizeof(end));
	for (size_t i = 0; i < count; i++) {
		uint64_t address = put(image, strings[i], strlen(strings[i]) + 1);

		poke(image, list + i * sizeof(address), &address, sizeof(address));
	}
	return list;
}

static uint64_t put_filter(struct image *image, const struct process_filter *filter)
{
	uint64_t program = put(image, filter->program, filter->count * sizeof(struct sock_filter));
	struct sock_fprog fprog = { .len = filter->count, .filter = pointer(program) };

	return put(image, &fprog, sizeof(fprog));
}

// *fd: the address of the descriptor in the control message.
static uint64_t put_listener(struct image *image, const struct step_arg *arg, uint64_t *fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS } };
	uint64_t rights = put(image, &control, sizeof(control));
	struct iovec iov = {
		.iov_base = pointer(put(image, arg->bytes.data, arg->bytes.len)),
		.iov_len = arg->bytes.len,
	};
	struct msghdr msg = {
		.msg_iov = pointer(put(image, &iov, sizeof(iov))),
		.msg_iovlen = 1,
		.msg_control = pointer(rights),
		.msg_controllen = sizeof(control),
	};

	*fd = rights + CMSG_LEN(0);
	return put(image, &msg, sizeof(msg));
}

// Writes call number `i` at `address`.
static void put_call(struct image *image, const struct step *step, uint64_t address)
{
	struct launch_call call = {
		.nr = step->nr,
		.name = pointer(put(image, step->name, strlen(step->name) + 1)),
		.accept = step->accept,
	};
	uint64_t result = 0; // where the result of the call before goes

	for (size_t i = 0; i < ARRAY_SIZE(step->args); i++) {
		const struct step_arg *arg = &step->args[i];

		switch (arg->kind) {
		case STEP_NUMBER:
			call.args[i] = arg->number;
			break;
		case STEP_BYTES:
			call.args[i] = put(image, arg->bytes.data, arg->bytes.len);
			break;
		case STEP_STRINGS:
			call.args[i] = put_strings(image, arg->strings);
			break;
		case STEP_FILTER:
			call.args[i] = put_filter(image, arg->filter);
			break;
		case STEP_LISTENER:
			call.args[i] = put_listener(image, arg, &result);
			break;
		case STEP_RESULT:
			result = address + offsetof(struct launch_call, args) +
				 i * sizeof(call.args[i]);
			break;
		case STEP_END:
			break;
		}
	}
	poke(image, address, &call, sizeof(call));
	if (result)
		poke(image, address - sizeof(call) + offsetof(struct launch_call, save), &result,
		     sizeof(result));
}

// The segment of the launcher's file that can be written to; its data segment.
static size_t data_segment(Elf64_Phdr *segment)
{
	Elf64_Ehdr head;

	memcpy(&head, launcher_image, sizeof(head));
	for (size_t i = 0; i < head.e_phnum; i++) {
		size_t at = head.e_phoff + i * sizeof(*segment);

		memcpy(segment, launcher_image + at, sizeof(*segment));
		if (segment->p_type == PT_LOAD && segment->p_flags & PF_W)
			return at;
	}
	abort();
}

void image_compose(const struct steps *steps, const struct process_channels *channels,
		   struct text *out)
{
	Elf64_Phdr segment;
	size_t at = data_segment(&segment);
	struct image image = { .file = out,
			       .offset = segment.p_offset,
			       .address = segment.p_vaddr };
	struct launch_list list = { .report_fd = channels->report_fd, .count = (uint32_t)steps->n };

	text_add(out, launcher_image, segment.p_offset);
	put(&image, &list, sizeof(list));
	for (size_t i = 0; i < steps->n; i++)
		text_add(out, (const char *)&(struct launch_call){ 0 }, sizeof(struct launch_call));
	for (size_t i = 0; i < steps->n; i++)
		put_call(&image, &steps->v[i],
			 image.address + sizeof(list) + i * sizeof(struct launch_call));

	segment.p_filesz = segment.p_memsz = out->len - image.offset;
	memcpy(out->str + at, &segment, sizeof(segment));
}

// A file on a tmpfs that is mounted nowhere. Read-only from here on, as the seals of a memory file
// make that.
static int open_on_tmpfs(const struct text *image, struct err *err)
{
	struct mount_attr readonly = { .attr_set = MOUNT_ATTR_RDONLY };
	scope_fd int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(err, "make a tmpfs for the launcher");
	scope_fd int mount = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (mount < 0)
		return err_sys(err, "mount a tmpfs for the launcher");
	scope_fd int out = openat(mount, "launcher", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0500);
	if (out < 0 || io_write_all(out, image->str, image->len) < 0)
		return err_sys(err, "write the launcher");
	replace_fd(&out, -1);
	scope_fd int fd = openat(mount, "launcher", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open the launcher");
	if (mount_setattr(mount, "", AT_EMPTY_PATH, &readonly, sizeof(readonly)) < 0)
		return err_sys(err, "make the launcher's file system read-only");
	return take_fd(&fd);
}

int image_open(const struct text *image, struct err *err)
{
	const unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	scope_fd int fd = memfd_create("moat-launcher", flags | MFD_EXEC);

	if (fd < 0 && errno == EINVAL)
		replace_fd(&fd, memfd_create("moat-launcher", flags));
	if (fd < 0 && errno == EACCES)
		return open_on_tmpfs(image, err);
	if (fd < 0)
		return err_sys(err, "create the launcher");
	if (io_write_all(fd, image->str, image->len) < 0)
		return err_sys(err, "write the launcher");
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_sys(err, "seal the launcher");
	return take_fd(&fd);
}
