#include "oci-spec/json.h"

#include "base/scope.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

// Up to here, comparing every key with every other is faster than sorting them.
#define FEW_KEYS 16

#define scope_yajl __attribute__((cleanup(free_yajl)))

static void free_yajl(yajl_handle *handle)
{
	if (*handle)
		yajl_free(*handle);
}

struct parser {
	struct arena *arena;
	struct err *err;
	const char *fault; // what is wrong where the parser stands now; NULL: yajl knows
	bool told;	   // *err is filled
	char *key;	   // of the value that comes next
	size_t depth;
	struct frame {
		struct json *node;
		struct json **tail; // where the next child goes
	} stack[JSON_MAX_DEPTH];
	struct json *root;
};

static int refuse(struct parser *parser, const char *fault)
{
	parser->fault = fault;
	return 0;
}

static struct json *add_node(struct parser *parser, enum json_type type)
{
	struct json *node = arena_new(parser->arena, struct json, 1);

	node->type = type;
	node->key = take_ptr(&parser->key);
	if (parser->depth == 0) {
		parser->root = node;
	} else {
		struct frame *top = &parser->stack[parser->depth - 1];

		*top->tail = node;
		top->tail = &node->next;
		top->node->count++;
	}
	return node;
}

// Fails at the path of what is open, and of its member `key`, or of the array's item that would
// come next.
static int refuse_at(struct parser *parser, const char *key, const char *fault)
{
	scope_text struct text path = { 0 };

	for (size_t i = 1; i < parser->depth; i++) {
		const struct json *node = parser->stack[i].node;

		if (node->key)
			text_printf(&path, "%s%s", path.len ? "." : "", node->key);
		else
			text_printf(&path, "[%u]", parser->stack[i - 1].node->count - 1);
	}
	if (key)
		text_printf(&path, "%s%s", path.len ? "." : "", key);
	else if (parser->depth > 0 && parser->stack[parser->depth - 1].node->type == JSON_ARRAY)
		text_printf(&path, "[%u]", parser->stack[parser->depth - 1].node->count);
	err_set(parser->err, EINVAL, "%s: %s", path.len ? path.str : "the whole", fault);
	parser->told = true;
	return 0;
}

static char *copy_string(struct parser *parser, const unsigned char *str, size_t len)
{
	char *copy = arena_strndup(parser->arena, (const char *)str, len);

	if (memchr(str, '\0', len))
		refuse_at(parser, parser->key, "a string with a NUL in it");
	else if (!str_is_utf8(copy))
		refuse_at(parser, parser->key, "a string that is not UTF-8");
	else
		return copy;
	return NULL;
}

static int on_null(void *ctx)
{
	add_node(ctx, JSON_NULL);
	return 1;
}

static int on_boolean(void *ctx, int truth)
{
	add_node(ctx, JSON_BOOL)->truth = truth;
	return 1;
}

static int on_number(void *ctx, const char *number, size_t len)
{
	struct parser *parser = ctx;

	add_node(parser, JSON_NUMBER)->text = arena_strndup(parser->arena, number, len);
	return 1;
}

static int on_string(void *ctx, const unsigned char *str, size_t len)
{
	struct parser *parser = ctx;
	char *copy = copy_string(parser, str, len);

	if (!copy)
		return 0;
	add_node(parser, JSON_STRING)->text = copy;
	return 1;
}

static int on_key(void *ctx, const unsigned char *str, size_t len)
{
	struct parser *parser = ctx;

	parser->key = copy_string(parser, str, len);
	return parser->key != NULL;
}

static int open_node(struct parser *parser, enum json_type type)
{
	if (parser->depth == JSON_MAX_DEPTH)
		return refuse(parser, "nested too deeply");
	struct json *node = add_node(parser, type);
	parser->stack[parser->depth++] = (struct frame){ node, &node->first };
	return 1;
}

static int on_open_object(void *ctx)
{
	return open_node(ctx, JSON_OBJECT);
}

static int on_open_array(void *ctx)
{
	return open_node(ctx, JSON_ARRAY);
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *repeated_of_few(const struct json *object)
{
	for (const struct json *a = object->first; a; a = a->next)
		for (const struct json *b = a->next; b; b = b->next)
			if (str_eq(a->key, b->key))
				return a->key;
	return NULL;
}

static const char *repeated_of_many(const struct json *object, struct arena *arena)
{
	const char **keys = arena_new(arena, const char *, object->count);
	size_t n = 0;

	for (const struct json *member = object->first; member; member = member->next)
		keys[n++] = member->key;
	qsort(keys, n, sizeof(*keys), compare_keys);
	for (size_t i = 1; i < n; i++)
		if (str_eq(keys[i - 1], keys[i]))
			return keys[i];
	return NULL;
}

static int on_close_object(void *ctx)
{
	struct parser *parser = ctx;
	const struct json *object = parser->stack[parser->depth - 1].node;
	const char *key = object->count <= FEW_KEYS ? repeated_of_few(object) :
						      repeated_of_many(object, parser->arena);

	if (key)
		// Two members of one name are read differently by different programs: what an
		// engine checked would not be what we run.
		return refuse_at(parser, key, "stands twice");
	parser->depth--;
	return 1;
}

static int on_close_array(void *ctx)
{
	struct parser *parser = ctx;

	parser->depth--;
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_map_key = on_key,
	.yajl_start_map = on_open_object,
	.yajl_end_map = on_close_object,
	.yajl_start_array = on_open_array,
	.yajl_end_array = on_close_array,
};

// `at` counts bytes; columns count bytes too.
static int syntax_error(const char *text, size_t at, const char *fault, struct err *err)
{
	size_t line = 1, column = 1;

	for (size_t i = 0; i < at; i++) {
		column++;
		if (text[i] == '\n') {
			line++;
			column = 1;
		}
	}
	return err_set(err, EINVAL, "not valid JSON: line %zu, column %zu: %.*s", line, column,
		       (int)strcspn(fault, "\n"), fault);
}

int json_parse(const char *text, size_t len, struct arena *arena, const struct json **root,
	       struct err *err)
{
	struct parser parser = { .arena = arena, .err = err };
	const unsigned char *bytes = (const unsigned char *)text;
	scope_yajl yajl_handle yajl = yajl_alloc(&callbacks, NULL, &parser);

	if (!yajl)
		return err_set(err, ENOMEM, "out of memory");
	// yajl's own check lets overlong sequences and surrogates pass: copy_string() does it.
	yajl_config(yajl, yajl_dont_validate_strings, 1);
	yajl_status status = yajl_parse(yajl, bytes, len);
	size_t at = yajl_get_bytes_consumed(yajl);
	if (status == yajl_status_ok)
		status = yajl_complete_parse(yajl);
	if (status == yajl_status_ok) {
		*root = parser.root;
		return 0;
	}
	if (parser.told)
		return -err->code;
	if (parser.fault)
		return syntax_error(text, at, parser.fault, err);
	unsigned char *message = yajl_get_error(yajl, 0, bytes, len);
	syntax_error(text, at, message ? (const char *)message : "malformed", err);
	if (message)
		yajl_free_error(yajl, message);
	return -err->code;
}

const char *json_type_name(enum json_type type)
{
	static const char *const names[] = {
		[JSON_NULL] = "null",	    [JSON_BOOL] = "a boolean", [JSON_NUMBER] = "a number",
		[JSON_STRING] = "a string", [JSON_ARRAY] = "an array", [JSON_OBJECT] = "an object",
	};

	return names[type];
}
