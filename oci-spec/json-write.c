#include "oci-spec/json.h"

#include <inttypes.h>

static void new_line(struct json_writer *writer)
{
	if (!writer->indent)
		return;
	text_str(writer->out, "\n");
	for (unsigned int i = 0; i < writer->depth; i++)
		text_str(writer->out, writer->indent);
}

// What stands before every value: the comma, the indentation, the name.
static void begin_value(struct json_writer *writer, const char *key)
{
	if (writer->more)
		text_str(writer->out, ",");
	if (writer->depth > 0)
		new_line(writer);
	if (key) {
		text_json(writer->out, key);
		text_str(writer->out, writer->indent ? ": " : ":");
	}
	writer->more = true;
}

static void open_bracket(struct json_writer *writer, const char *key, const char *bracket)
{
	begin_value(writer, key);
	text_str(writer->out, bracket);
	writer->depth++;
	writer->more = false;
}

static void close_bracket(struct json_writer *writer, const char *bracket)
{
	writer->depth--;
	if (writer->more)
		new_line(writer);
	text_str(writer->out, bracket);
	writer->more = true;
}

void json_open_object(struct json_writer *writer, const char *key)
{
	open_bracket(writer, key, "{");
}

void json_open_array(struct json_writer *writer, const char *key)
{
	open_bracket(writer, key, "[");
}

void json_close_object(struct json_writer *writer)
{
	close_bracket(writer, "}");
}

void json_close_array(struct json_writer *writer)
{
	close_bracket(writer, "]");
}

void json_write_str(struct json_writer *writer, const char *key, const char *value)
{
	begin_value(writer, key);
	text_json(writer->out, value);
}

void json_write_bool(struct json_writer *writer, const char *key, bool value)
{
	begin_value(writer, key);
	text_str(writer->out, value ? "true" : "false");
}

void json_write_i64(struct json_writer *writer, const char *key, int64_t value)
{
	begin_value(writer, key);
	text_printf(writer->out, "%" PRId64, value);
}

void json_write_u64(struct json_writer *writer, const char *key, uint64_t value)
{
	begin_value(writer, key);
	text_printf(writer->out, "%" PRIu64, value);
}

void json_write_milli(struct json_writer *writer, const char *key, uint64_t thousandths)
{
	begin_value(writer, key);
	text_printf(writer->out, "%" PRIu64 ".%03" PRIu64, thousandths / 1000, thousandths % 1000);
}
