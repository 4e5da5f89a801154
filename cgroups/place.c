#include "cgroups/place.h"

#include "base/io.h"
#include "base/log.h"
#include "base/scope.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_LINKED 8

bool place_list_has(const char *list, const char *name)
{
	const size_t len = strlen(name);

	while (list && *list) {
		size_t n = strcspn(list, " ,");

		if (n == len && memcmp(list, name, n) == 0)
			return true;
		list += n + (list[n] != '\0');
	}
	return false;
}

struct place *place_find(const struct places *places, const char *v1_name, const char *v2_name)
{
	for (size_t i = 0; i < places->n; i++) {
		struct place *place = &places->v[i];
		const char *name = place->v2 ? v2_name : v1_name;

		if (name && place_list_has(place->controllers, name))
			return place;
	}
	return NULL;
}

bool place_changes_devices(const struct place *place)
{
	// They are the last that is planned.
	return place->devices ||
	       (place->writes.n > 0 &&
		str_starts(place->writes.v[place->writes.n - 1].file, "devices."));
}

struct place *place_find_v2(const struct places *places)
{
	for (size_t i = 0; i < places->n; i++) {
		if (places->v[i].v2)
			return &places->v[i];
	}
	return NULL;
}

void place_add_write(struct place *place, struct arena *arena, unsigned int flags, const char *file,
		     const char *format, ...)
{
	va_list args;

	va_start(args, format);
	const int len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	char *value = arena_alloc(arena, (size_t)len + 1);
	va_start(args, format);
	vsnprintf(value, (size_t)len + 1, format, args);
	va_end(args);

	if (place->writes.n == place->writes.cap) {
		struct place_write *old = place->writes.v;

		place->writes.cap = old ? 2 * place->writes.cap : 4;
		place->writes.v = arena_new(arena, struct place_write, place->writes.cap);
		if (old)
			memcpy(place->writes.v, old, place->writes.n * sizeof(*old));
	}
	place->writes.v[place->writes.n++] = (struct place_write){
		.file = file,
		.value = value,
		.flags = flags,
	};
}

int place_open(const char *dir, const char *file, int flags)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", dir, file) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	int fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int place_read(const char *dir, const char *file, char *buf, size_t size)
{
	scope_fd int fd = place_open(dir, file, O_RDONLY);

	if (fd < 0)
		return fd;
	ssize_t n = read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	if (n > 0 && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
	return (int)n;
}

int place_read_all(const char *dir, const char *file, char **data)
{
	scope_fd int fd = place_open(dir, file, O_RDONLY);
	struct err err = { 0 };

	if (fd < 0)
		return fd;
	return io_read_fd(fd, file, SIZE_MAX / 4, data, NULL, &err);
}

int place_read_u64(const char *dir, const char *file, uint64_t *value)
{
	char text[64];
	int ret = place_read(dir, file, text, sizeof(text));

	if (ret < 0)
		return ret;
	if (str_to_u64(text, value) < 0)
		*value = UINT64_MAX;
	return 0;
}

static int write_value(int fd, const char *value)
{
	return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

int place_write(const char *dir, const char *file, const char *value)
{
	scope_fd int fd = place_open(dir, file, O_WRONLY);

	return fd < 0 ? fd : write_value(fd, value);
}

static int fail(const struct place *place, const struct place_write *write, int code,
		struct err *err)
{
	const char *hint = "";

	if (code == ENOENT)
		hint = " (does this kernel have it?)";
	else if (code == EBUSY && strstr(write->file, "memory"))
		hint = " (is more in use already?)";
	return err_set(err, code, "write %s to %s/%s: %s%s", write->value, place->dir, write->file,
		       err_text(code), hint);
}

// A file that stays open while writes to it follow each other: device rules come by the dozen.
struct open_file {
	int fd;
	const char *name;
};

static int write_one(const struct place *place, const struct place_write *write,
		     struct open_file *file)
{
	if (!file->name || !str_eq(file->name, write->file)) {
		replace_fd(&file->fd, -1);
		file->name = NULL;
		int fd = place_open(place->dir, write->file, O_WRONLY);
		if (fd < 0)
			return fd;
		*file = (struct open_file){ .fd = fd, .name = write->file };
	}
	return write_value(file->fd, write->value);
}

// Makes `n` linked writes: whatever the kernel refuses is tried again after the others, for as long
// as one more of them succeeds.
static int write_linked(const struct place *place, const struct place_write *writes, size_t n,
			struct open_file *file, struct err *err)
{
	bool done[MAX_LINKED] = { 0 };
	size_t left = n, before;

	do {
		before = left;
		for (size_t i = 0; i < n; i++) {
			if (done[i])
				continue;
			int ret = write_one(place, &writes[i], file);
			if (ret == -EINVAL)
				continue;
			if (ret < 0 && !(ret == -ENOENT && (writes[i].flags & WRITE_OPTIONAL)))
				return fail(place, &writes[i], -ret, err);
			done[i] = true;
			left--;
		}
	} while (left > 0 && left < before);

	for (size_t i = 0; i < n; i++) {
		if (!done[i])
			return fail(place, &writes[i], EINVAL, err);
	}
	return 0;
}

static bool has_faded(const struct place *place, const struct place_write *write, int ret)
{
	uint64_t wanted, kept;

	if (ret == -ENOENT || ret == -EOPNOTSUPP)
		return true;
	// What is kept has been rounded down to pages.
	return ret == 0 && str_to_u64(write->value, &wanted) == 0 &&
	       place_read_u64(place->dir, write->file, &kept) == 0 && kept > wanted;
}

static size_t count_linked(const struct place *place, size_t first)
{
	size_t n = 0;

	while (n < MAX_LINKED && first + n < place->writes.n &&
	       (place->writes.v[first + n].flags & WRITE_LINKED))
		n++;
	return n;
}

int place_write_all(const struct place *place, struct err *err)
{
	struct open_file file = { .fd = -1 };
	int ret = 0;

	for (size_t i = 0; i < place->writes.n && ret == 0; i++) {
		const struct place_write *write = &place->writes.v[i];
		const size_t linked = count_linked(place, i);

		if (linked > 1) {
			ret = write_linked(place, write, linked, &file, err);
			i += linked - 1;
			continue;
		}
		ret = write_one(place, write, &file);
		if (write->flags & WRITE_FADED && has_faded(place, write, ret)) {
			log_warn("%s: this kernel has no such limit any more; ignored",
				 write->file);
			ret = 0;
		}
		if (ret == 0 && (write->flags & WRITE_OR_NEXT))
			i++;
		else if (ret == -ENOENT && (write->flags & (WRITE_OPTIONAL | WRITE_OR_NEXT)))
			ret = 0;
		else if (ret < 0)
			ret = fail(place, write, -ret, err);
	}
	scope_close_fd(&file.fd);
	return ret;
}
