#include "vm-mode/proto/proto.h"

#include "base/str.h"
#include "vm-mode/proto/figures.h"

#include <string.h>

#define ERRNO_MAX  4095 // the kernel's
#define SIGNAL_MAX 64
#define DELETE	   0x7f

// ASCII alone: in UTF-8, as in Latin 1, there are more commands of terminals than these.
bool proto_is_text(char c)
{
	return (c >= ' ' && c < DELETE) || c == '\n' || c == '\t';
}

static const struct rule {
	enum proto_type type;
	uint32_t min, max; // bytes of the payload
	const char *name;
} rules[] = {
	{ PROTO_HELLO, sizeof(struct proto_hello), sizeof(struct proto_hello), "HELLO" },
	{ PROTO_READY, 0, 0, "READY" },
	{ PROTO_STARTED, 0, 0, "STARTED" },
	{ PROTO_FAILED, offsetof(struct proto_failure, message) + 1, sizeof(struct proto_failure),
	  "FAILED" },
	{ PROTO_EXIT, sizeof(struct proto_exit), sizeof(struct proto_exit), "EXIT" },
	{ PROTO_DONE, 0, 0, "DONE" },
	{ PROTO_PIDS, 0, PROTO_TO_HOST_MAX, "PIDS" },
	{ PROTO_FIGURES, 1, PROTO_TO_HOST_MAX, "FIGURES" },
	{ PROTO_OOM, 0, 0, "OOM" },
	{ PROTO_PROCESSES, 0, PROTO_TO_HOST_MAX, "PROCESSES" },
	{ PROTO_BALLOONED, sizeof(struct proto_ballooned), sizeof(struct proto_ballooned),
	  "BALLOONED" },
};

static const struct rule *find_rule(uint32_t type)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].type == type)
			return &rules[i];
	return NULL;
}

static int check_hello(const void *payload, struct err *err)
{
	struct proto_hello hello;

	memcpy(&hello, payload, sizeof(hello));
	if (hello.version != PROTO_VERSION)
		return err_set(err, EPROTO,
			       "the agent speaks version %u of the protocol, this moat version %u",
			       hello.version, PROTO_VERSION);
	return 0;
}

// The message goes to the user's terminal and to logs: it is text, and no more than that.
static int check_failure(const char *payload, size_t len, struct err *err)
{
	const char *message = payload + offsetof(struct proto_failure, message);
	int32_t code;

	len -= offsetof(struct proto_failure, message);
	memcpy(&code, payload, sizeof(code));
	if (code <= 0 || code > ERRNO_MAX)
		return err_set(err, EPROTO, "the agent's FAILED has no error code");
	if (memchr(message, '\0', len) != message + len - 1)
		return err_set(err, EPROTO, "the agent's FAILED isn't one whole text");
	for (size_t i = 0; i + 1 < len; i++)
		if (!proto_is_text(message[i]))
			return err_set(err, EPROTO, "the agent's FAILED has control characters");
	return 0;
}

static int check_exit(const void *payload, struct err *err)
{
	struct proto_exit end;

	memcpy(&end, payload, sizeof(end));
	if (end.status > 255 || end.signal > SIGNAL_MAX ||
	    (end.signal && end.status != 128 + end.signal))
		return err_set(err, EPROTO, "the agent's EXIT makes no sense: status %u, signal %u",
			       end.status, end.signal);
	return 0;
}

uint32_t proto_failure_of(const struct err *err, struct proto_failure *failure)
{
	size_t len = 0;

	failure->code = err->code;
	for (; err->msg[len]; len++)
		failure->message[len] = proto_is_text(err->msg[len]) ? err->msg[len] : '?';
	failure->message[len] = '\0';
	return (uint32_t)(offsetof(struct proto_failure, message) + len + 1);
}

int proto_check(const struct proto_header *header, const void *payload, struct err *err)
{
	const struct rule *rule = find_rule(header->type);

	if (!rule)
		return err_set(err, EPROTO, "the agent has sent a frame of unknown type %u",
			       header->type);
	if (header->len < rule->min || header->len > rule->max)
		return err_set(err, EPROTO, "the agent's %s has %u bytes, not %u to %u", rule->name,
			       header->len, rule->min, rule->max);
	if (!payload)
		return 0;
	switch (rule->type) {
	case PROTO_HELLO:
		return check_hello(payload, err);
	case PROTO_FAILED:
		return check_failure(payload, header->len, err);
	case PROTO_EXIT:
		return check_exit(payload, err);
	case PROTO_PIDS:
		if (header->len % sizeof(uint32_t))
			return err_set(err, EPROTO, "the agent's PIDS has %u bytes", header->len);
		return 0;
	case PROTO_PROCESSES:
		return proto_check_processes(payload, header->len, err);
	default:
		return 0;
	}
}
