#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

bool str_ends(const char *str, const char *suffix)
{
	size_t len = strlen(str), tail = strlen(suffix);

	return len >= tail && str_eq(str + len - tail, suffix);
}

int str_to_u64(const char *str, uint64_t *value)
{
	uint64_t sum = 0;

	if (!*str)
		return -EINVAL;
	for (; *str; str++) {
		if (*str < '0' || *str > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(*str - '0'), &sum))
			return -ERANGE;
	}
	*value = sum;
	return 0;
}

int str_to_i64(const char *str, int64_t *value)
{
	bool negative = *str == '-';
	uint64_t size;
	int ret = str_to_u64(str + negative, &size);

	if (ret < 0)
		return ret;
	if (size > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	*value = negative ? (int64_t)-size : (int64_t)size;
	return 0;
}

int str_to_u32(const char *str, uint32_t *value)
{
	uint64_t wide;
	int ret = str_to_u64(str, &wide);

	if (ret < 0)
		return ret;
	if (wide > UINT32_MAX)
		return -ERANGE;
	*value = (uint32_t)wide;
	return 0;
}

int str_to_int(const char *str, int *value)
{
	int64_t wide;
	int ret = str_to_i64(str, &wide);

	if (ret < 0)
		return ret;
	if (wide < INT_MIN || wide > INT_MAX)
		return -ERANGE;
	*value = (int)wide;
	return 0;
}

static void text_reserve(struct text *text, size_t more)
{
	size_t need = text->len + more + 1;

	if (need <= text->cap)
		return;
	size_t cap = text->cap ? text->cap : 256;
	while (cap < need)
		cap *= 2;
	char *str = realloc(text->str, cap);
	if (!str) {
		fputs("moat: out of memory\n", stderr);
		_Exit(1);
	}
	text->str = str;
	text->cap = cap;
}

void text_add(struct text *text, const char *bytes, size_t len)
{
	text_reserve(text, len);
	memcpy(text->str + text->len, bytes, len);
	text->len += len;
	text->str[text->len] = '\0';
}

void text_str(struct text *text, const char *str)
{
	text_add(text, str, strlen(str));
}

void text_printf(struct text *text, const char *fmt, ...)
{
	va_list args, again;

	va_start(args, fmt);
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len > 0) {
		text_reserve(text, (size_t)len);
		vsnprintf(text->str + text->len, (size_t)len + 1, fmt, again);
		text->len += (size_t)len;
	}
	va_end(again);
}

// The length of the well-formed UTF-8 sequence at `s` (Unicode 15, table 3-7), or 0.
static size_t utf8_len(const unsigned char *s)
{
	size_t len;
	unsigned char low = 0x80, high = 0xbf;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		len = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		len = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

bool str_is_utf8(const char *str)
{
	const unsigned char *s = (const unsigned char *)str;

	for (size_t len; *s; s += len) {
		len = utf8_len(s);
		if (len == 0)
			return false;
	}
	return true;
}

void text_json(struct text *text, const char *str)
{
	static const char shorthand[] = {
		['"'] = '"', ['\\'] = '\\', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'
	};

	text_str(text, "\"");
	for (const unsigned char *s = (const unsigned char *)str; *s;) {
		size_t len = utf8_len(s);

		if (len == 0)
			text_str(text, "\\ufffd");
		else if (len == 1 && *s < sizeof(shorthand) && shorthand[*s])
			text_printf(text, "\\%c", shorthand[*s]);
		else if (len == 1 && *s < 0x20)
			text_printf(text, "\\u%04x", *s);
		else
			text_add(text, (const char *)s, len);
		s += len ? len : 1;
	}
	text_str(text, "\"");
}

void text_now(struct text *text)
{
	struct timespec now;
	struct tm tm;
	char date[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	text_printf(text, "%s.%09ldZ", date, now.tv_nsec);
}

void text_free(struct text *text)
{
	free(text->str);
	*text = (struct text){ 0 };
}
