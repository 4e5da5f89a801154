#include "base/err.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, args);
	va_end(args);
	err->code = code;
	return -code;
}

const char *err_text(int code)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s", strerror(code));
	text[0] = (char)tolower(text[0]);
	return text;
}

int err_sysn(struct err *err, int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	int len = vsnprintf(err->msg, sizeof(err->msg), fmt, args);
	va_end(args);
	if (len >= 0 && (size_t)len < sizeof(err->msg))
		snprintf(err->msg + len, sizeof(err->msg) - (size_t)len, ": %s", err_text(code));
	err->code = code;
	return -code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	char inner[ERR_MSG_MAX];
	va_list args;

	memcpy(inner, err->msg, sizeof(inner));
	va_start(args, fmt);
	int len = vsnprintf(err->msg, sizeof(err->msg), fmt, args);
	va_end(args);
	if (len >= 0 && (size_t)len < sizeof(err->msg))
		snprintf(err->msg + len, sizeof(err->msg) - (size_t)len, ": %s", inner);
	return -err->code;
}
