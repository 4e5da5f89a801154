#include "oci-spec/json.h"
#include "tests/unit/tap.h"

#include <errno.h>

static struct err err;

static void accepts(const char *text)
{
	scope_arena struct arena arena = { 0 };
	const struct json *root;

	if (!ok(json_parse(text, strlen(text), &arena, &root, &err) == 0, text))
		printf("# %s\n", err.msg);
}

static void refuses_bytes(const char *text, size_t len, const char *message)
{
	scope_arena struct arena arena = { 0 };
	const struct json *root;

	is_int(json_parse(text, len, &arena, &root, &err), -EINVAL);
	is_str(err.msg, message);
}

static void refuses_text(const char *text, const char *message)
{
	refuses_bytes(text, strlen(text), message);
}

// The message says where, by line and column; the reason is yajl's own, or ours.
#define refuses(text, at, reason) refuses_text((text), "not valid JSON: " at ": " reason)

static void test_tree(void)
{
	static const char text[] =
		" {\"a\": [1, -2.5e3, \"x\\u00e4\\n\", null], \"b\": {\"c\": true}} ";
	scope_arena struct arena arena = { 0 };
	const struct json *root;

	is_int(json_parse(text, strlen(text), &arena, &root, &err), 0);
	is_int(root->type, JSON_OBJECT);
	is_int(root->count, 2);
	ok(!root->key && !root->next, "the root stands alone");

	const struct json *a = root->first;
	is_str(a->key, "a");
	is_int(a->type, JSON_ARRAY);
	is_int(a->count, 4);
	is_str(a->first->text, "1");
	is_str(a->first->next->text, "-2.5e3");
	is_str(a->first->next->next->text, "x\xc3\xa4\n");
	is_int(a->first->next->next->next->type, JSON_NULL);
	ok(!a->first->next->next->next->next, "the array ends");
	is_str(a->next->first->key, "c");
	ok(a->next->first->truth, "true");
}

static void test_syntax(void)
{
	accepts("0");
	accepts("[]");
	accepts("{\"\": {}, \"a\": [[]], \"b\": {\"a\": 1}}");
	refuses("", "line 1, column 1", "parse error: premature EOF");
	refuses("{\"a\": 1", "line 1, column 8", "parse error: premature EOF");
	refuses("{\n  \"a\": tru\n}", "line 2, column 11",
		"lexical error: invalid string in json text.");
	refuses("{} {}", "line 1, column 5", "parse error: trailing garbage");
	refuses("{\"a\": 1,}", "line 1, column 10",
		"parse error: invalid object key (must be a string)");
	refuses("[01]", "line 1, column 4",
		"parse error: after array element, I expect ',' or ']'");
	refuses("/* */ 1", "line 1, column 1",
		"lexical error: probable comment found in input text, comments are not enabled.");
	refuses("[\"a\nb\"]", "line 1, column 4",
		"lexical error: invalid character inside string.");
}

static void test_strings(void)
{
	static const char raw_nul[] = "[\"a\0b\"]";

	accepts("\"\xf0\x9f\x90\xb3 \\ud83d\\udc33\"");
	refuses_text("[\"a\\u0000b\"]", "[0]: a string with a NUL in it");
	refuses_text("{\"a\\u0000\": 1}", "the whole: a string with a NUL in it");
	refuses_text("{\"a\": [1, {\"b\": \"\\u0000\"}]}", "a[1].b: a string with a NUL in it");
	refuses_bytes(raw_nul, sizeof(raw_nul) - 1,
		      "not valid JSON: line 1, column 4: "
		      "lexical error: invalid character inside string.");
	refuses_text("[\"\xff\"]", "[0]: a string that is not UTF-8");
	refuses_text("[\"\xc0\x80\"]", "[0]: a string that is not UTF-8");
	refuses_text("[\"\xed\xa0\x80\"]", "[0]: a string that is not UTF-8");
	refuses_text("[\"\xe2\x82\"]", "[0]: a string that is not UTF-8");
}

static void test_depth(void)
{
	char text[2 * JSON_MAX_DEPTH + 3] = { 0 };

	memset(text, '[', JSON_MAX_DEPTH);
	memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
	accepts(text);
	memset(text, '[', JSON_MAX_DEPTH + 1);
	memset(text + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
	refuses(text, "line 1, column 66", "nested too deeply");
}

static void test_duplicates(void)
{
	scope_text struct text many = { 0 };

	accepts("{\"a\": {\"a\": 1}, \"A\": 2}");
	refuses_text("{\"a\": 1, \"a\": 1}", "a: stands twice");
	refuses_text("{\"a\": 1, \"\\u0061\": 1}", "a: stands twice");
	refuses_text("{\"x\": [0, {\"y\": {\"a\": 1, \"b\": 2, \"a\": 3}}]}",
		     "x[1].y.a: stands twice");
	refuses_text("[[], {\"a\": 1, \"a\": 1}]", "[1].a: stands twice");

	text_str(&many, "{");
	for (int i = 0; i < 1000; i++)
		text_printf(&many, "\"key %d\": 0, ", i);
	scope_text struct text unique = { 0 };
	text_printf(&unique, "%s\"last\": 0}", many.str);
	accepts(unique.str);
	text_str(&many, "\"key 517\": 0}");
	refuses_text(many.str, "key 517: stands twice");
}

static void write_sample(struct json_writer *writer)
{
	json_open_object(writer, NULL);
	json_write_str(writer, "text", "a\"b");
	json_open_array(writer, "numbers");
	json_write_i64(writer, NULL, INT64_MIN);
	json_write_u64(writer, NULL, UINT64_MAX);
	json_close_array(writer);
	json_open_object(writer, "empty");
	json_close_object(writer);
	json_open_array(writer, "none");
	json_close_array(writer);
	json_write_bool(writer, "flag", false);
	json_close_object(writer);
}

static void test_writer(void)
{
	scope_text struct text compact = { 0 };
	scope_text struct text indented = { 0 };

	write_sample(&(struct json_writer){ .out = &compact });
	is_str(compact.str,
	       "{\"text\":\"a\\\"b\",\"numbers\":[-9223372036854775808,18446744073709551615],"
	       "\"empty\":{},\"none\":[],\"flag\":false}");
	write_sample(&(struct json_writer){ .out = &indented, .indent = "  " });
	is_str(indented.str, "{\n"
			     "  \"text\": \"a\\\"b\",\n"
			     "  \"numbers\": [\n"
			     "    -9223372036854775808,\n"
			     "    18446744073709551615\n"
			     "  ],\n"
			     "  \"empty\": {},\n"
			     "  \"none\": [],\n"
			     "  \"flag\": false\n"
			     "}");
}

int main(void)
{
	test_tree();
	test_syntax();
	test_strings();
	test_depth();
	test_duplicates();
	test_writer();
	return done();
}
