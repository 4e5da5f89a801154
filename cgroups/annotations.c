// The annotations org.systemd.property.NAME: values in the text form of GVariants, as far as units
// have properties of such types: numbers, booleans, strings, lists of strings.

#include "cgroups/unit.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define KEY_PREFIX   "org.systemd.property."
#define NAME_LEN_MIN 3
#define US_IN_S	     1000000

static const struct {
	const char *word, *type;
	int64_t min;
	uint64_t max;
} types[] = {
	{ "boolean", "b", 0, 1 },
	{ "byte", "y", 0, UINT8_MAX },
	{ "int16", "n", INT16_MIN, INT16_MAX },
	{ "uint16", "q", 0, UINT16_MAX },
	{ "int32", "i", INT32_MIN, INT32_MAX },
	{ "uint32", "u", 0, UINT32_MAX },
	{ "int64", "x", INT64_MIN, INT64_MAX },
	{ "uint64", "t", 0, UINT64_MAX },
	{ "double", "d", 0, 0 },
	{ "string", "s", 0, 0 },
	{ "", "as", 0, 0 }, // has no word
};

struct reader {
	const char *at;
	struct arena *arena;
	struct unit_property *property;
};

static void skip_blanks(struct reader *reader)
{
	reader->at += strspn(reader->at, " \t\n");
}

// ---- the type ----

// `uint64 5` or `@t 5`. What isn't a type is left for the value.
static void read_type(struct reader *reader)
{
	const bool is_signature = *reader->at == '@';
	const char *at = reader->at + is_signature;
	const size_t len = strcspn(at, " ");

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const char *word = is_signature ? types[i].type : types[i].word;

		if (len == 0 || strlen(word) != len || memcmp(word, at, len) != 0)
			continue;
		reader->property->type = types[i].type;
		reader->at = at + len;
		skip_blanks(reader);
		return;
	}
}

// True if the value may be of this type; then it is.
static bool settle_type(struct reader *reader, const char *type)
{
	if (reader->property->type && !str_eq(reader->property->type, type))
		return false;
	reader->property->type = type;
	return true;
}

// ---- the value ----

static bool read_string(struct reader *reader, char **string)
{
	static const char letters[] = "abfnrtv", meanings[] = "\a\b\f\n\r\t\v";
	const char quote = *reader->at++;
	char *out = arena_strdup(reader->arena, reader->at);

	*string = out;
	for (; *reader->at && *reader->at != quote; reader->at++) {
		char c = *reader->at;

		if (c == '\\') {
			c = *++reader->at;
			if (!c || strchr("uU", c))
				return false;
			const char *letter = strchr(letters, c);
			c = letter ? meanings[letter - letters] : c;
		}
		*out++ = c;
	}
	*out = '\0';
	return *reader->at && *reader->at++ == quote;
}

static bool is_quote(char c)
{
	return c == '\'' || c == '"';
}

static bool read_list(struct reader *reader)
{
	struct oci_strings *strings = &reader->property->strings;

	strings->v = arena_new(reader->arena, char *, strlen(reader->at));
	reader->at++;
	skip_blanks(reader);
	while (*reader->at != ']') {
		if (!is_quote(*reader->at) || !read_string(reader, &strings->v[strings->n++]))
			return false;
		skip_blanks(reader);
		if (*reader->at == ',')
			reader->at++;
		else if (*reader->at != ']')
			return false;
		skip_blanks(reader);
	}
	reader->at++;
	// Of an empty one the type must be told.
	return (strings->n || reader->property->type) && settle_type(reader, "as");
}

static bool fits(const struct unit_property *property, bool negative)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (!str_eq(types[i].type, property->type))
			continue;
		return negative ? (int64_t)property->number >= types[i].min :
				  property->number <= types[i].max;
	}
	return false;
}

static bool read_number(struct reader *reader)
{
	struct unit_property *property = reader->property;
	const size_t len = strcspn(reader->at, " \t\n");
	const char *word = arena_strndup(reader->arena, reader->at, len);
	const bool negative = *word == '-';
	char *end;

	reader->at += len;
	if (!isdigit((unsigned char)word[negative]))
		return false;
	if (property->type ? str_eq(property->type, "d") : word[strcspn(word, ".eE")] != '\0') {
		property->real = strtod(word, &end);
		return !*end && settle_type(reader, "d");
	}
	int ret = negative ? str_to_i64(word, (int64_t *)&property->number) :
			     str_to_u64(word, &property->number);
	// Without a word for it, it is an int32.
	if (!property->type)
		property->type = "i";
	return ret == 0 && !strchr("bsa", *property->type) && fits(property, negative);
}

static bool read_boolean(struct reader *reader)
{
	const bool value = str_starts(reader->at, "true");

	reader->property->number = value;
	reader->at += strlen(value ? "true" : "false");
	return settle_type(reader, "b");
}

static bool read_value(struct reader *reader)
{
	struct oci_strings *strings = &reader->property->strings;

	if (is_quote(*reader->at)) {
		strings->v = arena_new(reader->arena, char *, 1);
		strings->n = 1;
		return read_string(reader, &strings->v[0]) && settle_type(reader, "s");
	}
	if (*reader->at == '[')
		return read_list(reader);
	if (str_starts(reader->at, "true") || str_starts(reader->at, "false"))
		return read_boolean(reader);
	return read_number(reader);
}

static bool parse_value(const char *text, struct arena *arena, struct unit_property *property)
{
	struct reader reader = { .at = text, .arena = arena, .property = property };

	skip_blanks(&reader);
	read_type(&reader);
	if (!read_value(&reader))
		return false;
	skip_blanks(&reader);
	return !*reader.at;
}

// ---- the property ----

// On D-Bus times are called …USec, and are microseconds.
static int convert_seconds(struct unit_property *property, struct arena *arena)
{
	const size_t len = strlen(property->name), suffix = strlen("Sec");
	const char *name = property->name;

	if (len <= suffix || !str_ends(name, "Sec") ||
	    !islower((unsigned char)name[len - suffix - 1]))
		return 0;
	if (str_eq(property->type, "d") && property->real >= 0 && property->real < 1e12)
		property->number = (uint64_t)(property->real * US_IN_S);
	else if (!strchr("ynqiuxt", *property->type) ||
		 (strchr("nix", *property->type) && (int64_t)property->number < 0) ||
		 __builtin_mul_overflow(property->number, (uint64_t)US_IN_S, &property->number))
		return -1;
	property->name = arena_printf(arena, "%.*sUSec", (int)(len - suffix), name);
	property->type = "t";
	return 0;
}

static bool is_name(const char *name)
{
	const size_t len = strlen(name);

	for (size_t i = 0; i < len; i++) {
		if (!isalpha((unsigned char)name[i]))
			return false;
	}
	return len >= NAME_LEN_MIN;
}

static int set_annotation(struct unit_properties *properties, struct arena *arena,
			  const struct oci_pair *annotation, struct err *err)
{
	struct unit_property property = { .name = annotation->key + strlen(KEY_PREFIX) };

	if (!is_name(property.name))
		return err_set(err, EINVAL, "annotation %s: not the name of a unit's property",
			       annotation->key);
	// What the record says of the cgroup must be true.
	if (str_eq(property.name, "Slice") || str_eq(property.name, "PIDs"))
		return err_set(err, EINVAL, "annotation %s: this property is moat's to set",
			       annotation->key);
	if (!parse_value(annotation->value, arena, &property))
		return err_set(err, EINVAL,
			       "annotation %s: not a GVariant of a kind known here, as 'text', "
			       "true, uint64 5 or ['a', 'b']: %s",
			       annotation->key, annotation->value);
	if (convert_seconds(&property, arena) < 0)
		return err_set(err, EINVAL, "annotation %s: not a number of seconds: %s",
			       annotation->key, annotation->value);
	unit_set(properties, arena, &property);
	return 0;
}

int unit_set_annotations(struct unit_properties *properties, struct arena *arena,
			 const struct oci_pairs *annotations, struct err *err)
{
	for (size_t i = 0; annotations && i < annotations->n; i++) {
		int ret = 0;

		if (str_starts(annotations->v[i].key, KEY_PREFIX))
			ret = set_annotation(properties, arena, &annotations->v[i], err);
		if (ret < 0)
			return ret;
	}
	return 0;
}
