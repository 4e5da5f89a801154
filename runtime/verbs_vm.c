#include "runtime/verbs_vm.h"

#include "base/log.h"
#include "base/scope.h"
#include "vm-mode/control/client.h"
#include "vm-mode/journal.h"
#include "vm-mode/proto/figures.h"

#include <stdlib.h>

#define ANSWER_MS \
	60000 // a guest may be slow, but not hold a verb, and the container's lock, for ever

static int is_paused(const struct container *container, struct err *err)
{
	return container->cgroup ? cgroup_frozen(container->cgroup, err) : 0;
}

// Connects, asks, and closes.
static int ask_now(const struct container *container, const struct vm_client_request *request,
		   uint32_t want, struct vm_client_answer *answer, struct err *err)
{
	scope_fd int sock = vm_client_connect(container->dirfd, ANSWER_MS, err);
	return sock < 0 ? sock : vm_client_ask(sock, request, want, answer, err);
}

int verbs_vm_require_unpaused(const struct container *container, struct err *err)
{
	int paused = is_paused(container, err);

	return paused > 0 ? err_set(err, EBUSY, "the container is paused") : paused;
}

int verbs_vm_ask(const struct container *container, const struct vm_client_request *request,
		 uint32_t want, struct vm_client_answer *answer, struct err *err)
{
	int ret = verbs_vm_require_unpaused(container, err);

	return ret < 0 ? ret : ask_now(container, request, want, answer, err);
}

// It stays with the socket, as a signal stays with a process that is paused.
static int leave_signal(const struct container *container, const struct vm_client_request *request,
			struct err *err)
{
	scope_fd int sock = vm_client_connect(container->dirfd, ANSWER_MS, err);

	return sock < 0 ? sock : vm_client_send(sock, request, err);
}

int verbs_vm_signal(const struct container *container, int sig, bool all, struct err *err)
{
	const struct proto_signal what = { .number = (uint32_t)sig, .all = all };
	const struct vm_client_request request = {
		.type = PROTO_SIGNAL, .id = PROTO_INIT, .payload = &what, .len = sizeof(what)
	};
	struct vm_client_answer *answer = arena_new(container->arena, struct vm_client_answer, 1);
	int ret = is_paused(container, err);

	if (ret == 0)
		ret = ask_now(container, &request, PROTO_DONE, answer, err);
	else if (ret > 0)
		ret = leave_signal(container, &request, err);
	if (ret == -ECONNREFUSED || ret == -ENOENT || ret == -ECONNRESET || ret == -EPIPE ||
	    ret == -ESRCH)
		return err_set(err, ESRCH, "container not running");
	return ret < 0 ? ret : 0;
}

static int compare_pids(const void *a, const void *b)
{
	const pid_t *first = a, *second = b;

	return (*first > *second) - (*first < *second);
}

int verbs_vm_pids(const struct container *container, struct arena *arena, pid_t **pids, size_t *n,
		  struct err *err)
{
	const struct vm_client_request request = { .type = PROTO_PS };
	struct vm_client_answer *answer = arena_new(arena, struct vm_client_answer, 1);
	int ret = verbs_vm_ask(container, &request, PROTO_PIDS, answer, err);

	if (ret < 0)
		return ret;
	const uint32_t *told = (const void *)answer->payload;
	*n = answer->header.len / sizeof(*told);
	*pids = arena_new(arena, pid_t, *n);
	for (size_t i = 0; i < *n; i++)
		(*pids)[i] = (pid_t)told[i];
	qsort(*pids, *n, sizeof(**pids), compare_pids);
	return 0;
}

int verbs_vm_watch_oom(const struct container *container, struct err *err)
{
	const struct vm_client_request request = { .type = PROTO_WATCH };
	struct vm_client_answer *answer = arena_new(container->arena, struct vm_client_answer, 1);
	int ret = is_paused(container, err);
	scope_fd int sock = ret < 0 ? ret : vm_client_connect(container->dirfd, ANSWER_MS, err);

	if (sock < 0)
		return sock;
	ret = ret > 0 ? vm_client_send(sock, &request, err) :
			vm_client_ask(sock, &request, PROTO_DONE, answer, err);
	return ret < 0 ? ret : take_fd(&sock);
}

int verbs_vm_hear_oom(int fd, struct err *err)
{
	static struct vm_client_answer answer;
	int ret = vm_client_receive(fd, &answer, err);

	return ret < 0 ? ret : answer.header.type == PROTO_OOM;
}

void verbs_vm_recall(struct container *container)
{
	struct container_state *state = &container->state;
	struct journal *journal = arena_new(container->arena, struct journal, 1);
	struct err err;

	if (journal_read(container->dirfd, journal, &err) < 0) {
		if (err.code != ENOENT)
			log_warn("%s", err.msg);
		return;
	}
	state->startup.v = arena_new(container->arena, struct state_stage, VM_STAGES);
	for (size_t i = 0; i < VM_STAGES; i++)
		if (journal->stage_us[i])
			state->startup.v[state->startup.n++] = (struct state_stage){
				.name = vm_stage_name(i),
				.us = journal->stage_us[i],
			};
	if (*journal->error)
		state->error = journal->error;
}

int verbs_vm_processes(const struct container *container, struct arena *arena,
		       struct process_row **rows, size_t *n, struct err *err)
{
	scope_process_rows struct process_rows told = { 0 };
	struct vm_client_answer *answer = arena_new(arena, struct vm_client_answer, 1);
	int ret;

	do {
		const struct proto_table table = { .after = told.last };
		const struct vm_client_request request = { .type = PROTO_TABLE,
							   .payload = &table,
							   .len = sizeof(table) };

		ret = verbs_vm_ask(container, &request, PROTO_PROCESSES, answer, err);
		if (ret == 0)
			ret = process_rows_take(&told, answer->payload, answer->header.len, arena,
						err);
	} while (ret > 0);
	if (ret < 0)
		return ret;
	*n = told.n;
	*rows = arena_new(arena, struct process_row, *n);
	if (*n)
		memcpy(*rows, told.bytes.str, told.bytes.len);
	return 0;
}

int verbs_vm_stats(const struct container *container, struct arena *arena,
		   struct cgroup_stats *stats, struct err *err)
{
	const struct vm_client_request request = { .type = PROTO_STATS };
	struct vm_client_answer *answer = arena_new(arena, struct vm_client_answer, 1);
	int ret = is_paused(container, err);

	if (ret == 0)
		ret = ask_now(container, &request, PROTO_FIGURES, answer, err);
	// It may have been paused just then.
	if (ret == -ETIMEDOUT && is_paused(container, err) > 0)
		ret = 1;
	if (ret != 0)
		return ret;
	return cgroup_stats_unpack(answer->payload, answer->header.len, arena, stats, err);
}
