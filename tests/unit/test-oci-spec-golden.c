// Documents, byte for byte: tests/unit/data.
#include "base/io.h"
#include "base/scope.h"
#include "oci-spec/features.h"
#include "oci-spec/fields.h"
#include "oci-spec/spec.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <stdlib.h>

static struct arena arena;
static struct err err;

// A file of tests/unit/data without its last newline.
static const char *golden(const char *name)
{
	const char *srcdir = getenv("srcdir");
	const char *path = arena_printf(&arena, "%s/tests/unit/data/%s", srcdir ? srcdir : ".",
					name);
	scope_free char *data = NULL;
	size_t len;

	if (io_read_file(AT_FDCWD, path, SPEC_MAX_BYTES, &data, &len, &err) < 0) {
		printf("Bail out! %s\n", err.msg);
		exit(1);
	}
	if (len > 0 && data[len - 1] == '\n')
		len--;
	return arena_strndup(&arena, data, len);
}

static void test_default(const char *file, bool rootless)
{
	const char *want = golden(file);
	const struct oci_spec *spec = spec_default(rootless, 1000, 100, &arena);
	scope_text struct text written = { 0 };
	scope_text struct text again = { 0 };

	spec_write(spec, &written);
	is_str(written.str, want);
	is_int(spec_validate(spec, &err), 0);
	is_int(spec_parse(written.str, written.len, &arena, &spec, &err), 0);
	is_int(spec_validate(spec, &err), 0);
	spec_write(spec, &again);
	is_str(again.str, want);
}

// Fails for a field that the full document doesn't try.
static void test_complete(const struct object *object, const char *document)
{
	for (size_t i = 0; i < object->count; i++) {
		const struct field *field = &object->fields[i];
		const char *row = arena_printf(&arena, "\"%s\": ", field->name);

		ok(strstr(document, row) != NULL, field->name);
		if (field->object)
			test_complete(field->object, document);
	}
}

static void test_full(void)
{
	const char *want = golden("spec-full.json");
	const struct oci_spec *spec;
	scope_text struct text written = { 0 };

	if (!ok(spec_parse(want, strlen(want), &arena, &spec, &err) == 0, "the full document"))
		printf("# %s\n", err.msg);
	spec_write(spec, &written);
	is_str(written.str, want);
	test_complete(&spec_object, want);
}

static void test_features(void)
{
	static const char *const options[] = { "bind", "ro", NULL };
	struct features features;
	scope_text struct text written = { 0 };

	features_init(&features, &arena);
	features.mount_options = (struct oci_strings){ .v = (char **)options, .n = 2 };
	features.linux.cgroup.v1 = true;
	features.linux.mount_extensions.idmap.enabled = true;
	features_write(&features, &written);
	is_str(written.str, golden("features.json"));
}

int main(void)
{
	test_default("spec-default.json", false);
	test_default("spec-rootless.json", true);
	test_full();
	test_features();
	arena_free(&arena);
	return done();
}
