#include "vm-mode/agent/job.h"

#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/sys.h"
#include "process/channel.h"
#include "vm-mode/agent/agent.h"
#include "vm-mode/agent/stream.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>

enum stage {
	JOB_SETTLING,
	JOB_READY, // the container's own: waits for START
	JOB_STARTING,
	JOB_RUNNING,
	JOB_FAILED, // the host knows
};

struct job {
	struct agent *agent;
	struct job *next;
	uint32_t id, request; // that is to be answered
	enum stage stage;
	pid_t pid;
	int pidfd;
	struct loop_source channel; // fd -1: it has said all
	int console_from;	    // where the terminal's master comes from
	struct stream *streams[3];
	struct arena arena;
	bool ended;
	struct proto_exit end;
};

uint32_t job_id(const struct job *job)
{
	return job->id;
}

static struct job *find(const struct agent *agent, uint32_t id)
{
	for (struct job *job = agent->jobs; job; job = job->next)
		if (job->id == id)
			return job;
	return NULL;
}

static void send_frame(const struct job *job, enum proto_type type, uint32_t request)
{
	control_send(job->agent, (struct proto_header){ type, 0, job->id, request }, NULL, 0);
}

static void close_channel(struct job *job)
{
	loop_unwatch(job->agent->loop, &job->channel);
	replace_fd(&job->channel.fd, -1);
	replace_fd(&job->console_from, -1);
}

static void free_job(struct job *job)
{
	for (struct job **link = &job->agent->jobs; *link; link = &(*link)->next)
		if (*link == job) {
			*link = job->next;
			break;
		}
	for (size_t i = 0; i < ARRAY_SIZE(job->streams); i++) {
		if (job->streams[i] && (job->stage == JOB_FAILED || job->stage == JOB_SETTLING))
			stream_close(job->streams[i]);
		else if (job->streams[i])
			stream_forget(job->streams[i]);
	}
	close_channel(job);
	replace_fd(&job->pidfd, -1);
	arena_free(&job->arena);
	free(job);
}

// ---- its end ----

static bool owes(struct job *job)
{
	bool owes = false;

	for (size_t i = 0; i < ARRAY_SIZE(job->streams); i++)
		if (job->streams[i])
			owes |= !stream_settle(job->streams[i]);
	return owes;
}

static void finish(struct job *job)
{
	// Nothing is to be synced before: a FUSE file system writes an inode back when a descriptor
	// or a mapping of it is closed, and here all are.
	if (job->stage != JOB_FAILED)
		control_send(job->agent, (struct proto_header){ .type = PROTO_EXIT, .id = job->id },
			     &job->end, sizeof(job->end));
	free_job(job);
}

void job_check(struct job *job)
{
	for (size_t i = 0; i < ARRAY_SIZE(job->streams); i++)
		if (job->streams[i] && stream_owes(job->streams[i]))
			return;
	if (job->ended)
		finish(job);
}

void job_lost_stream(struct job *job, const struct stream *stream)
{
	for (size_t i = 0; i < ARRAY_SIZE(job->streams); i++)
		if (job->streams[i] == stream)
			job->streams[i] = NULL;
}

// ---- what it says ----

static void fail(struct job *job, const struct err *err)
{
	job->stage = JOB_FAILED;
	control_fail(job->agent, job->id, job->request, err);
	close_channel(job);
}

static int take_terminal(struct job *job, struct err *err)
{
	char name[64];
	int master = -1;

	if (job->console_from < 0)
		return 0;
	if (io_recv_fds(job->console_from, name, sizeof(name), &master, 1) < 0 || master < 0)
		return err_set(err, EPIPE, "receive the terminal: nothing came");
	return stream_open(job->agent, job, PROTO_TERMINAL, master, &job->streams[0], err);
}

static void settled(struct job *job)
{
	struct err err;

	if (take_terminal(job, &err) < 0) {
		fail(job, &err);
		sys_pidfd_send_signal(job->pidfd, SIGKILL);
		return;
	}
	if (job->id == PROTO_INIT) {
		job->stage = JOB_READY;
		send_frame(job, PROTO_READY, job->request);
		return;
	}
	job->stage = JOB_STARTING;
	if (job->console_from >= 0)
		channel_ok(job->channel.fd);
}

// Why it has gone without a word. It stays to be waited for.
static void tell_fate(const struct job *job, struct err *err)
{
	siginfo_t end = { 0 };

	waitid(P_PIDFD, (id_t)job->pidfd, &end, WEXITED | WNOWAIT);
	if (end.si_code == CLD_EXITED)
		err_set(err, EPIPE, "the process has ended with status %d", end.si_status);
	else
		err_set(err, EPIPE, "the process was killed by signal %d%s", end.si_status,
			end.si_status == SIGKILL ? " (is the memory limit too low?)" : "");
}

static void hear(struct job *job)
{
	struct err err = { 0 };
	int ret = channel_wait(job->channel.fd, &err);

	if (ret == 1 && job->stage == JOB_SETTLING) {
		settled(job);
	} else if (ret < 0) {
		fail(job, &err);
	} else if (ret == 0 && job->stage == JOB_SETTLING) {
		tell_fate(job, &err);
		fail(job, &err);
	} else if (ret == 0) {
		if (job->stage == JOB_STARTING) {
			job->stage = JOB_RUNNING;
			send_frame(job, PROTO_STARTED, job->request);
		}
		close_channel(job);
	}
}

static void channel_ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	hear((struct job *)((char *)source - offsetof(struct job, channel)));
}

static void ended(struct job *job, int status)
{
	job->ended = true;
	job->end.signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0;
	job->end.status = WIFSIGNALED(status) ? 128 + job->end.signal :
						(uint32_t)WEXITSTATUS(status);
	while (job->channel.fd >= 0)
		hear(job);
	// The end of the container's own may be heard of before what has killed it, and is the end of the guest.
	if (job->id == PROTO_INIT)
		container_tell_oom(job->agent);
	// What has failed owes nobody anything: its streams go here, and not from within one of them.
	if (job->stage == JOB_FAILED || !owes(job))
		finish(job);
}

void job_reap(struct agent *agent)
{
	int status;

	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
		for (struct job *job = agent->jobs; job; job = job->next)
			if (job->pid == pid && !job->ended) {
				ended(job, status);
				break;
			}
}

// ---- its birth ----

// What both sides hold until the birth.
struct wiring {
	int mine[3], theirs[3]; // of the pipes
	int channel[2], console[2];
};

static void wiring_close(struct wiring *wiring)
{
	int *fds = (int *)wiring;

	for (size_t i = 0; i < sizeof(*wiring) / sizeof(*fds); i++)
		scope_close_fd(&fds[i]);
}

static int wire(struct wiring *wiring, bool terminal, struct err *err)
{
	memset(wiring, 0xff, sizeof(*wiring));
	if (channel_pair(wiring->channel, err) < 0)
		return -err->code;
	if (terminal)
		return channel_pair(wiring->console, err);
	for (int fd = 0; fd < 3; fd++) {
		int ends[2];

		if (pipe2(ends, O_CLOEXEC) < 0)
			return err_sys(err, "pipe");
		wiring->mine[fd] = ends[fd == 0];
		wiring->theirs[fd] = ends[fd != 0];
	}
	return 0;
}

static int open_streams(struct job *job, struct wiring *wiring, struct err *err)
{
	static const enum proto_stream_kind kinds[] = { PROTO_STDIN, PROTO_STDOUT, PROTO_STDERR };

	for (int fd = 0; fd < 3; fd++)
		if (wiring->mine[fd] >= 0 &&
		    stream_open(job->agent, job, kinds[fd], take_fd(&wiring->mine[fd]),
				&job->streams[fd], err) < 0)
			return -err->code;
	return 0;
}

// In the child: the descriptors of the agent's side go, so that neither misses the other's end.
static void __attribute__((noreturn)) be_child(struct child *child, struct wiring *wiring)
{
	for (int fd = 0; fd < 3; fd++) {
		replace_fd(&wiring->mine[fd], -1);
		child->stdio[fd] = wiring->theirs[fd];
	}
	replace_fd(&wiring->channel[0], -1);
	replace_fd(&wiring->console[0], -1);
	child->channel = wiring->channel[1];
	child->console_to = wiring->console[1];
	child_run(child);
}

static int bear(struct job *job, struct child *child, struct err *err)
{
	__attribute__((cleanup(wiring_close))) struct wiring wiring;

	if (wire(&wiring, child->process->terminal, err) < 0)
		return -err->code;
	int ret = child->into < 0 ? ns_spawn(child->ns_plan, &child->spawn, err) :
				    ns_spawn_into(child->ns_plan, child->into, &child->spawn, err);
	if (ret < 0)
		return ret;
	if (ret == 0)
		be_child(child, &wiring);
	job->pid = child->spawn.pid;
	job->pidfd = child->spawn.pidfd;
	job->console_from = take_fd(&wiring.console[0]);
	job->channel = (struct loop_source){ .fd = take_fd(&wiring.channel[0]),
					     .ready = channel_ready };
	if (open_streams(job, &wiring, err) < 0 || process_limit(child->plan, job->pid, err) < 0)
		return -err->code;
	// It needn't sleep for its word to go, but where its terminal isn't ready here before.
	if (job->id != PROTO_INIT && job->console_from < 0)
		channel_ok(job->channel.fd);
	return loop_watch(job->agent->loop, &job->channel, EPOLLIN, err);
}

int job_spawn(struct agent *agent, const struct proto_header *frame, struct child *child,
	      struct arena *arena, struct err *err)
{
	struct job *job = find(agent, frame->id) ? NULL : calloc(1, sizeof(*job));

	if (!job) {
		if (arena)
			arena_free(arena);
		return err_set(err, EEXIST, "process %u: is there already", frame->id);
	}
	job->agent = agent;
	job->id = frame->id;
	job->request = frame->request;
	job->pidfd = job->channel.fd = job->console_from = -1;
	if (arena)
		job->arena = *arena;
	job->next = agent->jobs;
	agent->jobs = job;
	int ret = bear(job, child, err);
	if (child->join)
		cgroup_join_close(child->join);
	if (ret == 0)
		return 0;
	if (job->pidfd >= 0)
		sys_pidfd_send_signal(job->pidfd, SIGKILL);
	free_job(job);
	return ret;
}

// ---- what the host wants of it ----

int job_start(struct agent *agent, uint32_t request, struct err *err)
{
	struct job *job = find(agent, PROTO_INIT);

	if (!job || job->stage != JOB_READY)
		return err_set(err, EINVAL, "there is no container that waits to be started");
	job->request = request;
	job->stage = JOB_STARTING;
	channel_ok(job->channel.fd);
	return 0;
}

int job_find_init(const struct agent *agent, pid_t *pid, struct err *err)
{
	const struct job *job = find(agent, PROTO_INIT);

	if (!job || job->ended || job->stage == JOB_SETTLING || job->stage == JOB_FAILED)
		return err_set(err, ESRCH, "the container's process has ended");
	*pid = job->pid;
	return job->pidfd;
}

int job_signal(const struct agent *agent, uint32_t id, int sig, struct err *err)
{
	const struct job *job = find(agent, id);

	if (!job || job->ended)
		return err_set(err, ESRCH, "process %u: has ended", id);
	if (sys_pidfd_send_signal(job->pidfd, sig) < 0)
		return err_sys(err, "send signal %d", sig);
	return 0;
}

void job_resize(const struct agent *agent, uint32_t id, struct proto_size size)
{
	const struct job *job = find(agent, id);

	if (job && job->streams[0])
		stream_resize(job->streams[0], size);
}
