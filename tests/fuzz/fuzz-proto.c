// Frames from the guest: four numbers, then the payload. Whatever passes the check must be safe to
// look into, as the host does.
#include "vm-mode/proto/proto.h"

#include "base/scope.h"
#include "cgroups/cgroups.h"
#include "vm-mode/proto/figures.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at_processes(const char *payload, size_t len)
{
	struct proto_process process;
	const char *command;

	for (size_t at = 0, n; at < len; at += n) {
		n = proto_process_read(payload + at, len - at, &process, &command);
		if (n == 0 || (process.command_len && memchr(command, '\n', process.command_len)))
			abort();
	}
}

// What is accepted is what would be written.
static void look_at_figures(const char *payload, size_t len)
{
	scope_arena struct arena arena = { 0 };
	scope_text struct text again = { 0 };
	struct cgroup_stats stats, same;
	struct err err = { 0 };

	if (cgroup_stats_unpack(payload, len, &arena, &stats, &err) < 0) {
		if (err.code != EPROTO)
			abort();
		return;
	}
	cgroup_stats_pack(&stats, &again);
	if (again.len != len || cgroup_stats_unpack(again.str, len, &arena, &same, &err) < 0)
		abort();
}

// The payload in memory of exactly its size, so that reading beyond it shows.
static void look(const struct proto_header *header, const uint8_t *data)
{
	char *payload = malloc(header->len ? header->len : 1);
	struct err err = { 0 };

	memcpy(payload, data, header->len);
	if (proto_check(header, payload, &err) < 0) {
		if (err.code != EPROTO || !*err.msg)
			abort();
	} else if (header->type == PROTO_FAILED) {
		const size_t text = offsetof(struct proto_failure, message);

		if (strlen(payload + text) != header->len - text - 1)
			abort();
	} else if (header->type == PROTO_PROCESSES) {
		look_at_processes(payload, header->len);
	} else if (header->type == PROTO_FIGURES) {
		look_at_figures(payload, header->len);
	}
	free(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proto_header header;
	struct err err = { 0 };

	if (size < sizeof(header))
		return 0;
	memcpy(&header, data, sizeof(header));
	// The way of the host: the header alone, then with as many bytes as it says.
	if (proto_check(&header, NULL, &err) == 0 && header.len > PROTO_TO_HOST_MAX)
		abort();
	header.len = (uint32_t)(size - sizeof(header));
	if (proto_check(&header, NULL, &err) == 0)
		look(&header, data + sizeof(header));
	return 0;
}
