#include "vm-mode/agent_config.h"

#include "oci-spec/bind.h"
#include "oci-spec/fields.h"

#include <linux/filter.h>

static const struct field config_fields[] = {
	{ "id", VALUE(agent_config, id), .flags = FIELD_REQUIRED },
	{ "bundle", VALUE(agent_config, bundle) },
	{ "spec", POINTER(agent_config, spec, spec_object), .flags = FIELD_REQUIRED },
	{ "filter", VALUE(agent_config, filter) },
	{ "filterFlags", VALUE(agent_config, filter_flags) },
	{ "keyring", VALUE(agent_config, keyring) },
	{ "dax", VALUE(agent_config, dax) },
	{ "debug", VALUE(agent_config, debug) },
};
static const struct object config_object = OBJECT_OF(agent_config, config_fields);

static const struct field exec_fields[] = {
	{ "process", POINTER(agent_exec, process, process_object), .flags = FIELD_REQUIRED },
	{ "cgroups", VALUE(agent_exec, cgroups) },
};
static const struct object exec_object = OBJECT_OF(agent_exec, exec_fields);

static void write_object(const struct object *object, const void *in, struct text *out)
{
	struct json_writer writer = { .out = out };

	bind_write(object, in, &writer, NULL);
}

void agent_config_write(const struct agent_config *config, struct text *out)
{
	write_object(&config_object, config, out);
}

void agent_exec_write(const struct agent_exec *exec, struct text *out)
{
	write_object(&exec_object, exec, out);
}

void agent_resources_write(const struct oci_resources *resources, struct text *out)
{
	write_object(&resources_object, resources, out);
}

int agent_config_parse(const char *json, size_t len, struct arena *arena,
		       struct agent_config *config, struct err *err)
{
	*config = (struct agent_config){ 0 };
	return bind_parse(&config_object, json, len, arena, config, err);
}

int agent_exec_parse(const char *json, size_t len, struct arena *arena, struct agent_exec *exec,
		     struct err *err)
{
	*exec = (struct agent_exec){ 0 };
	return bind_parse(&exec_object, json, len, arena, exec, err);
}

// ---- base64: RFC 4648, section 4 ----

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const char *agent_filter_text(const void *program, size_t count, struct arena *arena)
{
	const size_t len = count * sizeof(struct sock_filter);
	const uint8_t *in = program;
	char *text = arena_new(arena, char, (len + 2) / 3 * 4 + 1);
	char *out = text;

	for (size_t i = 0; i < len; i += 3) {
		const size_t n = len - i < 3 ? len - i : 3;
		const uint32_t bits = (uint32_t)in[i] << 16 |
				      (n > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
				      (n > 2 ? in[i + 2] : 0);

		for (size_t k = 0; k < 4; k++)
			*out++ = k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=';
	}
	return text;
}

int agent_filter_parse(const char *text, struct arena *arena, const void **program, uint16_t *count,
		       struct err *err)
{
	const size_t len = strlen(text);
	uint8_t *bytes = arena_new(arena, uint8_t, len / 4 * 3 + 3);
	size_t n = 0;
	uint32_t bits = 0;

	for (size_t i = 0; i < len; i++) {
		const char *digit = strchr(digits, text[i]);

		if (!digit && text[i] == '=' && i + 2 >= len)
			break;
		if (!digit)
			return err_set(err, EINVAL, "the filter is no base64");
		bits = bits << 6 | (uint32_t)(digit - digits);
		if (i % 4 == 0)
			continue;
		bytes[n++] = (uint8_t)(bits >> (6 - i % 4 * 2));
	}
	if (len % 4 || n % sizeof(struct sock_filter) ||
	    n / sizeof(struct sock_filter) > BPF_MAXINSNS)
		return err_set(err, EINVAL, "the filter has no whole instructions, or too many");
	*program = bytes;
	*count = (uint16_t)(n / sizeof(struct sock_filter));
	return 0;
}
