// log: what happened, for whoever runs moat, on standard error or where --log says.
//
// Set up once by main; before that, warnings and errors go to standard error as text. In the
// container's init the log is still the one that the parent opened. The formats are those that
// engines read: text is `time="…" level=… msg="…"`, json is one object a line with `level`, `msg`
// and `time` (RFC 3339); containerd's shim shows the last error line to its user.
#pragma once

#include "base/err.h"

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

// Opens the target: a path, `file:PATH`, `journald:IDENTIFIER` or `syslog:IDENTIFIER`; NULL or ""
// is standard error. A file is appended to. A log daemon that isn't there is replaced by standard
// error, with a warning.
int log_open(const char *target, enum log_format format, enum log_level level, struct err *err);

// True if a message of this level would be written: guards work that only serves a message.
bool log_enabled(enum log_level level);

// The descriptor of the log, to be kept open where others are closed; -1 for none.
int log_fd(void);

// In a process that others may look into: gives the log up. Nothing is written from here on.
void log_close(void);

void log_msg(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_msg(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_msg(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                   \
	do {                                             \
		if (log_enabled(LOG_DEBUG))              \
			log_msg(LOG_DEBUG, __VA_ARGS__); \
	} while (0)
