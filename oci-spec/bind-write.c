#include "oci-spec/bind.h"
#include "oci-spec/kinds.h"

#include <string.h>

static bool number_is_set(const struct number_kind *kind, const void *in)
{
	static const uint64_t zero;

	if (kind->optional)
		return is_set(in);
	return memcmp(in, &zero, kind->bytes) != 0;
}

static bool is_present(const struct field *field, const void *in)
{
	switch (field->kind) {
	case KIND_BOOL:
	case KIND_OPT_BOOL: // `set` or the flag itself
		return is_set(in);
	case KIND_STRING:
	case KIND_POINTER:
		return *(void *const *)in != NULL;
	case KIND_STRINGS:
	case KIND_PAIRS:
	case KIND_NUMBERS:
	case KIND_LIST:
	case KIND_MAP:
		return ((const struct any_list *)in)->n > 0;
	case KIND_CHAR:
		return *(const char *)in != (char)field->words->v[0].value;
	case KIND_ENUM:
	case KIND_OBJECT:
		return true;
	default:
		return number_is_set(number_kind(field->kind), in);
	}
}

static void write_number(const struct field *field, const void *in, struct json_writer *writer)
{
	const struct number_kind *kind = number_kind(field->kind);
	const void *value = (const char *)in + kind->value;

	if (kind->bytes == 2)
		json_write_u64(writer, field->name, *(const uint16_t *)value);
	else if (kind->bytes == 4 && kind->is_signed)
		json_write_i64(writer, field->name, *(const int32_t *)value);
	else if (kind->bytes == 4)
		json_write_u64(writer, field->name, *(const uint32_t *)value);
	else if (kind->is_signed)
		json_write_i64(writer, field->name, *(const int64_t *)value);
	else
		json_write_u64(writer, field->name, *(const uint64_t *)value);
}

const char *words_name(const struct words *words, int value)
{
	for (size_t i = 0; i < words->n; i++)
		if (words->v[i].value == value)
			return words->v[i].name;
	return "unknown";
}

static void write_strings(const struct field *field, const struct oci_strings *in,
			  struct json_writer *writer)
{
	json_open_array(writer, field->name);
	for (size_t i = 0; i < in->n; i++)
		json_write_str(writer, NULL, in->v[i]);
	json_close_array(writer);
}

static void write_pairs(const struct field *field, const struct oci_pairs *in,
			struct json_writer *writer)
{
	json_open_object(writer, field->name);
	for (size_t i = 0; i < in->n; i++)
		json_write_str(writer, in->v[i].key, in->v[i].value);
	json_close_object(writer);
}

static void write_numbers(const struct field *field, const struct any_list *in,
			  struct json_writer *writer)
{
	const uint32_t *v = in->v;

	json_open_array(writer, field->name);
	for (size_t i = 0; i < in->n; i++)
		json_write_u64(writer, NULL, v[i]);
	json_close_array(writer);
}

static void write_list(const struct field *field, const struct any_list *in,
		       struct json_writer *writer)
{
	const struct object *object = field->object;
	const char *item = in->v;

	json_open_array(writer, field->name);
	for (size_t i = 0; i < in->n; i++, item += object->size)
		bind_write(object, item, writer, NULL);
	json_close_array(writer);
}

static void write_map(const struct field *field, const struct any_list *in,
		      struct json_writer *writer)
{
	const struct object *object = field->object;
	const char *item = in->v;

	json_open_object(writer, field->name);
	for (size_t i = 0; i < in->n; i++, item += object->size)
		bind_write(object, item, writer, *(char *const *)(item + object->key));
	json_close_object(writer);
}

static void write_field(const struct field *field, const void *in, struct json_writer *writer)
{
	int value;

	switch (field->kind) {
	case KIND_BOOL:
		json_write_bool(writer, field->name, *(const bool *)in);
		break;
	case KIND_OPT_BOOL:
		json_write_bool(writer, field->name, ((const struct opt_bool *)in)->v);
		break;
	case KIND_STRING:
		json_write_str(writer, field->name, *(char *const *)in ? *(char *const *)in : "");
		break;
	case KIND_STRINGS:
		write_strings(field, in, writer);
		break;
	case KIND_PAIRS:
		write_pairs(field, in, writer);
		break;
	case KIND_ENUM:
		memcpy(&value, in, sizeof(value));
		json_write_str(writer, field->name, words_name(field->words, value));
		break;
	case KIND_CHAR:
		json_write_str(writer, field->name, words_name(field->words, *(const char *)in));
		break;
	case KIND_NUMBERS:
		write_numbers(field, in, writer);
		break;
	case KIND_OBJECT:
		bind_write(field->object, in, writer, field->name);
		break;
	case KIND_POINTER:
		bind_write(field->object, *(void *const *)in, writer, field->name);
		break;
	case KIND_LIST:
		write_list(field, in, writer);
		break;
	case KIND_MAP:
		write_map(field, in, writer);
		break;
	default:
		write_number(field, in, writer);
	}
}

void bind_write_members(const struct object *object, const void *in, struct json_writer *writer)
{
	for (size_t i = 0; i < object->count; i++) {
		const struct field *field = &object->fields[i];
		const void *value = (const char *)in + field->offset;

		if (field->flags & (FIELD_REQUIRED | FIELD_WRITTEN) || is_present(field, value))
			write_field(field, value, writer);
	}
}

void bind_write(const struct object *object, const void *in, struct json_writer *writer,
		const char *key)
{
	json_open_object(writer, key);
	bind_write_members(object, in, writer);
	json_close_object(writer);
}
