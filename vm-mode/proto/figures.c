#include "vm-mode/proto/figures.h"

#include "vm-mode/proto/proto.h"

static bool is_of_a_line(char c)
{
	return proto_is_text(c) && c != '\n' && c != '\t';
}

void proto_process_add(struct text *answer, const struct proto_process *process,
		       const char *command, size_t len)
{
	struct proto_process header = *process;
	char line[PROTO_COMMAND_MAX];

	if (len > sizeof(line))
		len = sizeof(line);
	for (size_t i = 0; i < len; i++)
		line[i] = is_of_a_line(command[i]) ? command[i] : '?';
	header.command_len = (uint32_t)len;
	header.reserved = 0;
	text_add(answer, (const char *)&header, sizeof(header));
	text_add(answer, line, len);
}

size_t proto_process_read(const char *answer, size_t len, struct proto_process *process,
			  const char **command)
{
	if (len < sizeof(*process))
		return 0;
	memcpy(process, answer, sizeof(*process));
	if (process->command_len > PROTO_COMMAND_MAX ||
	    process->command_len > len - sizeof(*process))
		return 0;
	*command = answer + sizeof(*process);
	return sizeof(*process) + process->command_len;
}

int proto_check_processes(const char *answer, size_t len, struct err *err)
{
	struct proto_process process;
	const char *command;
	uint32_t last = 0;

	for (size_t n; len > 0; answer += n, len -= n) {
		n = proto_process_read(answer, len, &process, &command);
		if (n == 0)
			return err_set(err, EPROTO, "the agent's PROCESSES break off");
		if (process.pid <= last || process.pid > INT32_MAX)
			return err_set(err, EPROTO, "the agent's PROCESSES are in no order");
		for (uint32_t i = 0; i < process.command_len; i++)
			if (!is_of_a_line(command[i]))
				return err_set(err, EPROTO,
					       "the agent's PROCESSES have control characters");
		last = process.pid;
	}
	return 0;
}
