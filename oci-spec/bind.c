#include "oci-spec/bind.h"

#include "base/path.h"
#include "oci-spec/kinds.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Where the decoder is, for messages: a chain up to the root, which has nothing above it.
struct place {
	const struct place *up;
	const char *key; // NULL: an array's item
	size_t index;
};

struct decoder {
	struct arena *arena;
	struct err *err;
};

static void add_path(struct text *path, const struct place *at)
{
	if (!at->up)
		return;
	add_path(path, at->up);
	if (at->key)
		text_printf(path, "%s%s", path->len ? "." : "", at->key);
	else
		text_printf(path, "[%zu]", at->index);
}

static int __attribute__((format(printf, 3, 4), cold))
refuse(struct decoder *decoder, const struct place *at, const char *fmt, ...)
{
	scope_text struct text path = { 0 };
	struct err *err = decoder->err;
	va_list args;

	err->code = EINVAL;
	va_start(args, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, args);
	va_end(args);
	add_path(&path, at);
	return path.len ? err_wrap(err, "%s", path.str) : -EINVAL;
}

static int expect(struct decoder *decoder, const struct json *node, enum json_type type,
		  const struct place *at)
{
	if (node->type == type)
		return 0;
	return refuse(decoder, at, "expected %s, found %s", json_type_name(type),
		      json_type_name(node->type));
}

static const struct number_kind number_kinds[] = {
	[KIND_U32] = { .bytes = 4, .max = UINT32_MAX },
	[KIND_U64] = { .bytes = 8, .max = UINT64_MAX },
	[KIND_I32] = { .bytes = 4, .is_signed = true, .min = INT32_MIN, .max = INT32_MAX },
	[KIND_I64] = { .bytes = 8, .is_signed = true, .min = INT64_MIN, .max = INT64_MAX },
#define OPTIONAL(type) .optional = true, .value = offsetof(struct type, v)
	[KIND_OPT_U16] = { .bytes = 2, .max = UINT16_MAX, OPTIONAL(opt_u16) },
	[KIND_OPT_U32] = { .bytes = 4, .max = UINT32_MAX, OPTIONAL(opt_u32) },
	[KIND_OPT_U64] = { .bytes = 8, .max = UINT64_MAX, OPTIONAL(opt_u64) },
	[KIND_OPT_I32] = { .bytes = 4,
			   .is_signed = true,
			   .min = INT32_MIN,
			   .max = INT32_MAX,
			   OPTIONAL(opt_i32) },
	[KIND_OPT_I64] = { .bytes = 8,
			   .is_signed = true,
			   .min = INT64_MIN,
			   .max = INT64_MAX,
			   OPTIONAL(opt_i64) },
#undef OPTIONAL
};

const struct number_kind *number_kind(enum kind kind)
{
	if (kind >= ARRAY_SIZE(number_kinds) || number_kinds[kind].bytes == 0)
		return NULL;
	return &number_kinds[kind];
}

// Reads an integer that lies between `min` and `max` as two's complement. Fractions and exponents
// are no integers, even where their value is one: the writer's type is not the field's.
static int read_integer(const char *text, int64_t min, uint64_t max, uint64_t *bits)
{
	int ret;

	if (text[0] == '-') {
		int64_t value;

		ret = str_to_i64(text, &value);
		if (ret < 0)
			return ret;
		*bits = (uint64_t)value;
		return value < min ? -ERANGE : 0;
	}
	ret = str_to_u64(text, bits);
	if (ret < 0)
		return ret;
	return *bits > max || (min > 0 && *bits < (uint64_t)min) ? -ERANGE : 0;
}

static int decode_number(struct decoder *decoder, const struct field *field,
			 const struct json *node, void *out, const struct place *at)
{
	const struct number_kind *kind = number_kind(field->kind);
	bool ranged = field->min || field->max;
	int64_t min = ranged ? field->min : kind->min;
	uint64_t max = ranged ? (uint64_t)field->max : kind->max;
	uint64_t bits = 0;

	if (node->type != JSON_NUMBER)
		return refuse(decoder, at, "expected an integer, found %s",
			      json_type_name(node->type));
	int ret = read_integer(node->text, min, max, &bits);
	if (ret == -EINVAL)
		return refuse(decoder, at, "expected an integer, found %s", node->text);
	if (bits == UINT64_MAX && node->text[0] != '-' && field->flags & FIELD_ALL_ONES)
		return 0;
	if (ret == -ERANGE)
		return refuse(decoder, at,
			      "expected a number from %" PRId64 " to %" PRIu64 ", found %s", min,
			      max, node->text);
	if (kind->optional)
		*(bool *)out = true;
	out = (char *)out + kind->value;
	switch (kind->bytes) {
	case 2:
		*(uint16_t *)out = (uint16_t)bits;
		break;
	case 4:
		*(uint32_t *)out = (uint32_t)bits;
		break;
	default:
		*(uint64_t *)out = bits;
	}
	return 0;
}

static int decode_bool(struct decoder *decoder, const struct field *field, const struct json *node,
		       void *out, const struct place *at)
{
	if (expect(decoder, node, JSON_BOOL, at) < 0)
		return -EINVAL;
	if (field->kind == KIND_OPT_BOOL)
		*(struct opt_bool *)out = (struct opt_bool){ .set = true, .v = node->truth };
	else
		*(bool *)out = node->truth;
	return 0;
}

static int refuse_word(struct decoder *decoder, const struct words *words, const char *text,
		       const struct place *at)
{
	scope_text struct text list = { 0 };

	for (size_t i = 0; i < words->n; i++)
		text_printf(&list, "%s%s", i ? ", " : "", words->v[i].name);
	return refuse(decoder, at, "\"%s\" is not one of %s", text, list.str);
}

static const struct word *find_word(const struct words *words, const char *text)
{
	for (size_t i = 0; i < words->n; i++)
		if (str_eq(words->v[i].name, text))
			return &words->v[i];
	return NULL;
}

// What a field demands of a string.
static int check_string(struct decoder *decoder, const struct field *field, const char *text,
			const struct place *at)
{
	if (field->words && !find_word(field->words, text))
		return refuse_word(decoder, field->words, text, at);
	if (field->flags & FIELD_ABSOLUTE && !path_is_abs(text))
		return refuse(decoder, at, "\"%s\" is not an absolute path", text);
	return 0;
}

static int decode_string(struct decoder *decoder, const struct field *field,
			 const struct json *node, char **out, const struct place *at)
{
	if (expect(decoder, node, JSON_STRING, at) < 0)
		return -EINVAL;
	if (!*node->text)
		return field->flags & FIELD_REQUIRED ? refuse(decoder, at, "is empty") : 0;
	*out = node->text;
	return check_string(decoder, field, node->text, at);
}

static int decode_word(struct decoder *decoder, const struct field *field, const struct json *node,
		       void *out, const struct place *at)
{
	if (expect(decoder, node, JSON_STRING, at) < 0)
		return -EINVAL;
	const struct word *word = find_word(field->words, node->text);
	if (!word && !*node->text && !(field->flags & FIELD_REQUIRED))
		word = &field->words->v[0];
	if (!word)
		return refuse_word(decoder, field->words, node->text, at);
	if (field->kind == KIND_CHAR)
		*(char *)out = (char)word->value;
	else
		memcpy(out, &word->value, sizeof(word->value));
	return 0;
}

static int decode_strings(struct decoder *decoder, const struct field *field,
			  const struct json *node, struct oci_strings *out, const struct place *at)
{
	struct place item = { .up = at };

	if (expect(decoder, node, JSON_ARRAY, at) < 0)
		return -EINVAL;
	out->v = arena_new(decoder->arena, char *, (size_t)node->count + 1);
	for (const struct json *child = node->first; child; child = child->next, item.index++) {
		if (expect(decoder, child, JSON_STRING, &item) < 0 ||
		    check_string(decoder, field, child->text, &item) < 0)
			return -EINVAL;
		out->v[out->n++] = child->text;
	}
	return 0;
}

static int decode_pairs(struct decoder *decoder, const struct json *node, struct oci_pairs *out,
			const struct place *at)
{
	if (expect(decoder, node, JSON_OBJECT, at) < 0)
		return -EINVAL;
	out->v = arena_new(decoder->arena, struct oci_pair, node->count);
	for (const struct json *child = node->first; child; child = child->next) {
		struct place member = { .up = at, .key = child->key };

		if (!*child->key)
			return refuse(decoder, at, "an empty key");
		if (expect(decoder, child, JSON_STRING, &member) < 0)
			return -EINVAL;
		out->v[out->n++] = (struct oci_pair){ child->key, child->text };
	}
	return 0;
}

static int decode_numbers(struct decoder *decoder, const struct json *node, struct any_list *out,
			  const struct place *at)
{
	static const struct field number = { .kind = KIND_U32 };
	struct place item = { .up = at };

	if (expect(decoder, node, JSON_ARRAY, at) < 0)
		return -EINVAL;
	uint32_t *v = arena_new(decoder->arena, uint32_t, node->count);
	out->v = v;
	for (const struct json *child = node->first; child; child = child->next, item.index++)
		if (decode_number(decoder, &number, child, &v[out->n++], &item) < 0)
			return -EINVAL;
	return 0;
}

static int decode_object(struct decoder *decoder, const struct object *object,
			 const struct json *node, void *out, const struct place *at);

// KIND_LIST, or KIND_MAP, which differs in that the items have keys.
static int decode_list(struct decoder *decoder, const struct field *field, const struct json *node,
		       struct any_list *out, const struct place *at)
{
	const struct object *object = field->object;
	bool keyed = field->kind == KIND_MAP;

	if (expect(decoder, node, keyed ? JSON_OBJECT : JSON_ARRAY, at) < 0)
		return -EINVAL;
	char *next = arena_alloc_array(decoder->arena, node->count, object->size);
	out->v = next;
	for (const struct json *child = node->first; child; child = child->next) {
		struct place item = { .up = at, .key = child->key, .index = out->n };

		if (keyed && !*child->key)
			return refuse(decoder, at, "an empty key");
		if (keyed)
			*(char **)(next + object->key) = child->key;
		if (decode_object(decoder, object, child, next, &item) < 0)
			return -EINVAL;
		next += object->size;
		out->n++;
	}
	return 0;
}

static int decode_pointer(struct decoder *decoder, const struct field *field,
			  const struct json *node, void *out, const struct place *at)
{
	void *target = arena_alloc(decoder->arena, field->object->size);

	memcpy(out, &target, sizeof(target));
	return decode_object(decoder, field->object, node, target, at);
}

static int decode_field(struct decoder *decoder, const struct field *field, const struct json *node,
			void *out, const struct place *at)
{
	switch (field->kind) {
	case KIND_BOOL:
	case KIND_OPT_BOOL:
		return decode_bool(decoder, field, node, out, at);
	case KIND_STRING:
		return decode_string(decoder, field, node, out, at);
	case KIND_STRINGS:
		return decode_strings(decoder, field, node, out, at);
	case KIND_PAIRS:
		return decode_pairs(decoder, node, out, at);
	case KIND_ENUM:
	case KIND_CHAR:
		return decode_word(decoder, field, node, out, at);
	case KIND_NUMBERS:
		return decode_numbers(decoder, node, out, at);
	case KIND_OBJECT:
		return decode_object(decoder, field->object, node, out, at);
	case KIND_POINTER:
		return decode_pointer(decoder, field, node, out, at);
	case KIND_LIST:
	case KIND_MAP:
		return decode_list(decoder, field, node, out, at);
	default:
		return decode_number(decoder, field, node, out, at);
	}
}

// A field that the object lacks.
static int decode_absent(struct decoder *decoder, const struct field *field, void *out,
			 const struct place *at)
{
	static const struct json nothing = { .type = JSON_OBJECT };
	struct place place = { .up = at, .key = field->name };

	if (field->flags & FIELD_REQUIRED)
		return refuse(decoder, &place, "is missing");
	if (field->flags & FIELD_PRESENT)
		return decode_pointer(decoder, field, &nothing, out, &place);
	if (field->kind == KIND_CHAR)
		*(char *)out = (char)field->words->v[0].value;
	return 0;
}

// The row of a name; `object->count` for none. Writers keep the order of the specification, as our
// tables do: the row after the last one found is the likeliest.
static size_t find_field(const struct object *object, const char *name, size_t likeliest)
{
	if (likeliest < object->count && str_eq(object->fields[likeliest].name, name))
		return likeliest;
	for (size_t i = 0; i < object->count; i++)
		if (str_eq(object->fields[i].name, name))
			return i;
	return object->count;
}

static int decode_object(struct decoder *decoder, const struct object *object,
			 const struct json *node, void *out, const struct place *at)
{
	uint32_t seen = 0;
	size_t i = 0;

	if (expect(decoder, node, JSON_OBJECT, at) < 0)
		return -EINVAL;
	for (const struct json *member = node->first; member; member = member->next) {
		struct place place = { .up = at, .key = member->key };

		i = find_field(object, member->key, i);
		if (i == object->count) {
			if (object->closed)
				return refuse(decoder, &place, "is not known");
			continue;
		}
		const struct field *field = &object->fields[i];
		if (member->type != JSON_NULL || field->flags & FIELD_REQUIRED) {
			seen |= UINT32_C(1) << i;
			if (decode_field(decoder, field, member, (char *)out + field->offset,
					 &place) < 0)
				return -EINVAL;
		}
		i++;
	}
	for (i = 0; i < object->count; i++) {
		const struct field *field = &object->fields[i];

		if (!(seen & UINT32_C(1) << i) &&
		    decode_absent(decoder, field, (char *)out + field->offset, at) < 0)
			return -EINVAL;
	}
	return 0;
}

int bind_parse(const struct object *object, const char *json, size_t len, struct arena *arena,
	       void *out, struct err *err)
{
	struct decoder decoder = { .arena = arena, .err = err };
	const struct place root = { 0 };
	const struct json *node;
	int ret = json_parse(json, len, arena, &node, err);

	if (ret < 0)
		return ret;
	return decode_object(&decoder, object, node, out, &root);
}
