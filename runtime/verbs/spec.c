// spec: writes a configuration to start from.

#include "oci-spec/spec.h"

#include "base/io.h"
#include "base/scope.h"
#include "base/str.h"
#include "runtime/runtime.h"

#include <fcntl.h>

struct settings {
	const char *bundle, *file;
	bool rootless;
};

#define AT(member) offsetof(struct settings, member)
static const struct option_row options[] = {
	{ "bundle", 'b', OPTION_STRING, AT(bundle), "DIR", "the bundle to write to (default: .)" },
	{ "file", 'f', OPTION_STRING, AT(file), "FILE",
	  "the file to write (default: config.json in the bundle)" },
	{ "rootless", 0, OPTION_FLAG, AT(rootless), NULL,
	  "a configuration that an ordinary user can run" },
	{ 0 },
};
#undef AT

static int run(const struct runtime *rt, const void *untyped, const struct option_rest *rest,
	       struct err *err)
{
	const struct settings *settings = untyped;
	const char *path = settings->file ? settings->file : "config.json";
	scope_text struct text json = { 0 };

	(void)rest;
	if (settings->bundle && *path != '/')
		path = arena_printf(rt->arena, "%s/%s", settings->bundle, path);
	spec_write(spec_default(settings->rootless, geteuid(), getegid(), rt->arena), &json);
	text_str(&json, "\n");
	scope_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 && errno == EEXIST)
		return err_set(err, EEXIST, "%s exists already: remove it first", path);
	if (fd < 0)
		return err_sys(err, "create %s", path);
	if (io_write_all(fd, json.str, json.len) < 0) {
		err_sys(err, "write %s", path);
		unlink(path);
		return -err->code;
	}
	return 0;
}

const struct verb verb_spec = {
	.name = "spec",
	.usage = "",
	.summary = "write a default config.json",
	.options = options,
	.settings_size = sizeof(struct settings),
	.run = run,
};
