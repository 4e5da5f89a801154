#include "base/log.h"

#include "base/io.h"
#include "base/scope.h"
#include "base/str.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

// How a line is put: the two formats that the user chooses from, and the two protocols of the
// system's log daemons.
enum protocol { TO_TEXT, TO_JSON, TO_JOURNALD, TO_SYSLOG };

static struct {
	int fd;
	enum protocol protocol;
	enum log_level level;
	char identifier[64];
} logger = { .fd = STDERR_FILENO, .level = LOG_WARN };

static const struct {
	const char *name;
	int syslog; // severity, RFC 5424 section 6.2.1
} levels[] = {
	[LOG_ERROR] = { "error", 3 },
	[LOG_WARN] = { "warning", 4 },
	[LOG_INFO] = { "info", 6 },
	[LOG_DEBUG] = { "debug", 7 },
};

static int open_datagram(const char *path, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	scope_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(err, "socket for the log");
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "connect the log to %s", path);
	return take_fd(&fd);
}

int log_open(const char *target, enum log_format format, enum log_level level, struct err *err)
{
	static const struct {
		const char *prefix, *socket;
		enum protocol protocol;
	} daemons[] = {
		{ "journald:", "/run/systemd/journal/socket", TO_JOURNALD },
		{ "syslog:", "/dev/log", TO_SYSLOG },
	};

	logger.level = level;
	logger.protocol = format == LOG_JSON ? TO_JSON : TO_TEXT;
	if (!target || !*target)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(daemons); i++) {
		if (!str_starts(target, daemons[i].prefix))
			continue;
		int fd = open_datagram(daemons[i].socket, err);
		// A host without that daemon runs containers all the same.
		if (fd < 0) {
			log_warn("%s", err->msg);
			return 0;
		}
		snprintf(logger.identifier, sizeof(logger.identifier), "%s",
			 target + strlen(daemons[i].prefix));
		logger.protocol = daemons[i].protocol;
		logger.fd = fd;
		return 0;
	}
	const char *path = str_starts(target, "file:") ? target + strlen("file:") : target;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(err, "open log file %s", path);
	logger.fd = fd;
	return 0;
}

bool log_enabled(enum log_level level)
{
	return level <= logger.level;
}

int log_fd(void)
{
	return logger.fd;
}

void log_close(void)
{
	if (logger.fd > STDERR_FILENO)
		close(logger.fd);
	logger.fd = -1;
}

static void add_time(struct text *line)
{
	text_str(line, "\"");
	text_now(line);
	text_str(line, "\"");
}

static void add_line(struct text *line, enum log_level level, const char *msg)
{
	switch (logger.protocol) {
	case TO_TEXT:
		text_str(line, "time=");
		add_time(line);
		text_printf(line, " level=%s msg=", levels[level].name);
		text_json(line, msg);
		break;
	case TO_JSON:
		text_printf(line, "{\"level\":\"%s\",\"msg\":", levels[level].name);
		text_json(line, msg);
		text_str(line, ",\"time\":");
		add_time(line);
		text_str(line, "}");
		break;
	case TO_JOURNALD:
		// The native protocol ends a plain field at the line's end: a message stays on one
		// line.
		text_printf(line,
			    "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nMESSAGE=", levels[level].syslog,
			    logger.identifier);
		for (; *msg; msg++)
			text_add(line, *msg == '\n' ? " " : msg, 1);
		break;
	case TO_SYSLOG:
		// Facility 3, system daemons.
		text_printf(line, "<%d>%s: %s", 3 * 8 + levels[level].syslog, logger.identifier,
			    msg);
		break;
	}
	text_str(line, "\n");
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	scope_text struct text line = { 0 };
	char buf[ERR_MSG_MAX + 64];
	va_list args;

	if (!log_enabled(level))
		return;
	va_start(args, fmt);
	vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	add_line(&line, level, buf);
	io_write_all(logger.fd, line.str, line.len);
}
