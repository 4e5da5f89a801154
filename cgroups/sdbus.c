#include "cgroups/sdbus.h"

#include "base/str.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

#define LIBRARY "libsystemd.so.0"

struct sdbus sdbus;

// A note for package builders that moat will load the library: `ELF dlopen metadata` of the UAPI
// group's specifications.
#define NOTE_TYPE   0x407c0c0a
#define NOTE_VENDOR "FDO"
#define NOTE_JSON                                                                               \
	"[{\"feature\":\"systemd\",\"description\":\"the systemd cgroup driver\",\"priority\":" \
	"\"recommended\",\"soname\":[\"" LIBRARY "\"]}]"

struct dlopen_note {
	uint32_t name_size, text_size, type;
	char name[sizeof(NOTE_VENDOR)];
	_Alignas(uint32_t) char text[sizeof(NOTE_JSON)];
};

static const struct dlopen_note note __attribute__((used, aligned(4), section(".note.dlopen"))) = {
	.name_size = sizeof(NOTE_VENDOR),
	.text_size = sizeof(NOTE_JSON),
	.type = NOTE_TYPE,
	.name = NOTE_VENDOR,
	.text = NOTE_JSON,
};

int sdbus_load(struct err *err)
{
	static const struct {
		const char *name;
		size_t offset;
	} functions[] = {
#define ROW(name) { #name, offsetof(struct sdbus, name) },
		SDBUS_FUNCTIONS(ROW)
#undef ROW
	};
	static void *library;

	if (library)
		return 0;
	void *opened = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
	if (!opened)
		return err_set(err, ENOTSUP, "load the systemd library: %s", dlerror());
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		void *function = dlsym(opened, functions[i].name);

		if (!function)
			return err_set(err, ENOTSUP, "%s has no function %s", LIBRARY,
				       functions[i].name);
		*(void **)((char *)&sdbus + functions[i].offset) = function;
	}
	library = opened;
	return 0;
}
