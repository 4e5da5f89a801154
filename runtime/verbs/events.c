// events: a container's figures, again and again, and a word when the out-of-memory killer strikes.
//
// One JSON object a line, in the form that runc gave engines: {"type": "stats"|"oom", "id": ID,
// "data": {…}}.

#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "runtime/container.h"
#include "runtime/payload.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define ENDING_MS 1000

struct settings {
	const char *interval;
	bool stats;
};

#define AT(member) offsetof(struct settings, member)
static const struct option_row options[] = {
	{ "interval", 0, OPTION_STRING, AT(interval), "TIME",
	  "time between two lines of figures, as 500ms, 1m30s or 5s (default)" },
	{ "stats", 0, OPTION_FLAG, AT(stats), NULL, "print the figures once and end" },
	{ 0 },
};
#undef AT

// ---- JSON ----

static void add_usage(struct text *json, const char *name, const struct cgroup_memory_usage *usage)
{
	text_printf(json, "\"%s\":{\"limit\":%lu,\"usage\":%lu,\"max\":%lu,\"failcnt\":%lu},", name,
		    usage->limit_bytes, usage->usage_bytes, usage->max_usage_bytes, usage->failcnt);
}

static void add_psi_line(struct text *json, const char *name, const struct cgroup_psi *psi)
{
	text_printf(json, "\"%s\":{\"avg10\":%.2f,\"avg60\":%.2f,\"avg300\":%.2f,\"total\":%lu}",
		    name, psi->avg10, psi->avg60, psi->avg300, psi->total_us);
}

static void add_psi(struct text *json, const struct cgroup_psi_pair *psi)
{
	if (!psi->present)
		return;
	text_str(json, ",\"psi\":{");
	add_psi_line(json, "some", &psi->some);
	text_str(json, ",");
	add_psi_line(json, "full", &psi->full);
	text_str(json, "}");
}

static void add_cpu(struct text *json, const struct cgroup_stats *stats)
{
	text_printf(json, "\"cpu\":{\"usage\":{\"total\":%lu,\"percpu\":[", stats->cpu_total_ns);
	for (size_t i = 0; i < stats->cpu_percpu_ns.n; i++)
		text_printf(json, "%s%lu", i ? "," : "", stats->cpu_percpu_ns.v[i]);
	text_printf(
		json,
		"],\"kernel\":%lu,\"user\":%lu},\"throttling\":{\"periods\":%lu,\"throttledPeriods\":%lu,\"throttledTime\":%lu}",
		stats->cpu_kernel_ns, stats->cpu_user_ns, stats->cpu_periods,
		stats->cpu_throttled_periods, stats->cpu_throttled_ns);
	add_psi(json, &stats->cpu_psi);
	text_str(json, "}");
}

static void add_memory(struct text *json, const struct cgroup_stats *stats)
{
	text_printf(json, "\"memory\":{\"cache\":%lu,", stats->memory_cache_bytes);
	add_usage(json, "usage", &stats->memory);
	add_usage(json, "swap", &stats->swap);
	add_usage(json, "kernel", &stats->kernel);
	add_usage(json, "kernelTCP", &stats->kernel_tcp);
	text_str(json, "\"raw\":{");
	for (size_t i = 0; i < stats->memory_raw.n; i++)
		text_printf(json, "%s\"%s\":%lu", i ? "," : "", stats->memory_raw.v[i].name,
			    stats->memory_raw.v[i].value);
	text_str(json, "}");
	add_psi(json, &stats->memory_psi);
	text_str(json, "}");
}

static void add_blkio_list(struct text *json, const char *name,
			   const struct cgroup_blkio_entry *entries, size_t n)
{
	text_printf(json, "\"%s\":[", name);
	for (size_t i = 0; i < n; i++) {
		text_printf(json, "%s{\"major\":%lu,\"minor\":%lu,", i ? "," : "", entries[i].major,
			    entries[i].minor);
		if (entries[i].op)
			text_printf(json, "\"op\":\"%s\",", entries[i].op);
		text_printf(json, "\"value\":%lu}", entries[i].value);
	}
	text_str(json, "]");
}

static void add_hugetlb(struct text *json, const struct cgroup_stats *stats)
{
	text_str(json, "\"hugetlb\":{");
	for (size_t i = 0; i < stats->hugetlb.n; i++)
		text_printf(json, "%s\"%s\":{\"usage\":%lu,\"max\":%lu,\"failcnt\":%lu}",
			    i ? "," : "", stats->hugetlb.v[i].page_size,
			    stats->hugetlb.v[i].usage_bytes, stats->hugetlb.v[i].max_bytes,
			    stats->hugetlb.v[i].failcnt);
	text_str(json, "}");
}

static void print_event(const char *type, const char *id, const struct cgroup_stats *stats)
{
	scope_text struct text json = { 0 };

	text_printf(&json, "{\"type\":\"%s\",\"id\":\"%s\"", type, id);
	if (stats) {
		text_str(&json, ",\"data\":{");
		add_cpu(&json, stats);
		text_str(&json, ",");
		add_memory(&json, stats);
		text_printf(&json, ",\"pids\":{\"current\":%lu,\"limit\":%lu},\"blkio\":{",
			    stats->pids_current, stats->pids_limit);
		add_blkio_list(&json, "ioServiceBytesRecursive", stats->io_service_bytes.v,
			       stats->io_service_bytes.n);
		text_str(&json, ",");
		add_blkio_list(&json, "ioServicedRecursive", stats->io_serviced.v,
			       stats->io_serviced.n);
		add_psi(&json, &stats->io_psi);
		text_str(&json, "},");
		add_hugetlb(&json, stats);
		text_str(&json, ",\"intel_rdt\":{},\"network_interfaces\":null}");
	}
	text_str(&json, "}");
	puts(json.str);
	fflush(stdout);
}

// ---- watching ----

// The milliseconds of a unit as Go knows it, 0: there is none of that name.
static double unit_ms(const char *name, size_t len)
{
	static const struct {
		const char *name;
		double ms;
	} units[] = { { "ns", 1e-6 }, { "us", 1e-3 }, { "µs", 1e-3 },	  { "μs", 1e-3 },
		      { "ms", 1 },    { "s", 1000 },  { "m", 60 * 1000 }, { "h", 60 * 60 * 1000 } };

	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strlen(units[i].name) == len && memcmp(units[i].name, name, len) == 0)
			return units[i].ms;
	return 0;
}

// A duration as Go writes it, one or more numbers with a unit each: `500ms`, `1.5s`, `1m30s`.
static int parse_interval(const char *text, int *ms, struct err *err)
{
	static const char number[] = "0123456789.";
	const char *at = text;
	double total = 0;

	while (*at) {
		const size_t len = strspn(at, number), unit_len = strcspn(at + len, number);
		const double unit = unit_ms(at + len, unit_len);
		char *end;

		total += strtod(at, &end) * unit;
		// What strtod() takes beyond a plain number, as an exponent, is none to Go.
		if (len == 0 || end != at + len || unit == 0)
			break;
		at += len + unit_len;
	}
	if (*at || total <= 0 || total > INT_MAX)
		return err_set(err, EINVAL,
			       "option --interval: `%s` is not a time as 500ms, 1.5s, 1m30s", text);
	*ms = total < 1 ? 1 : (int)total;
	return 0;
}

// 1: there are none of a VM that is paused.
static int print_stats(const struct container *container, struct err *err)
{
	const struct payload_verbs *verbs = payload_verbs_of(container);
	scope_arena struct arena arena = { 0 };
	struct cgroup_stats stats = { 0 };
	int ret = verbs->stats ? verbs->stats(container, &arena, &stats, err) :
				 cgroup_stats(container->cgroup, &arena, &stats, err);

	if (ret == 0)
		print_event("stats", container->state.id, &stats);
	return ret;
}

// What is watched, by its place.
enum { INIT, CGROUP, GUEST, SOURCES };

// 1: an out-of-memory killer has struck, the host's or the guest's.
static int hear_oom(struct pollfd *fds, struct cgroup_oom *oom, const struct payload_verbs *verbs,
		    struct err *err)
{
	int struck = fds[CGROUP].revents ? cgroup_oom_read(oom, err) : 0;

	if (struck != 0 || !fds[GUEST].revents)
		return struck;
	struck = verbs->hear_oom(fds[GUEST].fd, err);
	if (struck >= 0)
		return struck;
	// With the guest the init goes, too, which is told of.
	if (struck != -ECONNRESET)
		log_warn("out of memory in the guest is not told of any more: %s", err->msg);
	fds[GUEST].fd = -1;
	return 0;
}

// What has struck the init itself may come after its end.
static void tell_last_ooms(const struct container *container, struct pollfd *fds,
			   struct cgroup_oom *oom)
{
	const struct payload_verbs *verbs = payload_verbs_of(container);
	struct err ignored;

	if (oom && cgroup_oom_read(oom, &ignored) == 1)
		print_event("oom", container->state.id, NULL);
	fds[CGROUP].revents = 0;
	fds[GUEST].revents = fds[GUEST].fd >= 0;
	while (hear_oom(fds, oom, verbs, &ignored) == 1)
		print_event("oom", container->state.id, NULL);
}

// Until the init ends: figures at each interval, and every out-of-memory event at once.
static int watch(const struct container *container, int interval_ms, struct err *err)
{
	const struct payload_verbs *verbs = payload_verbs_of(container);
	struct cgroup_oom *oom = NULL;
	scope_fd int pidfd = proc_pidfd(&container->state.init, err);
	scope_fd int guest = -1;

	if (pidfd < 0)
		return pidfd;
	if (verbs->watch_oom && (guest = verbs->watch_oom(container, err)) < 0)
		return guest;
	if (cgroup_oom_open(container->cgroup, container->arena, &oom, err) < 0 &&
	    err->code != ENOTSUP)
		return -err->code;
	struct pollfd fds[SOURCES] = {
		[INIT] = { .fd = pidfd, .events = POLLIN },
		[CGROUP] = { .fd = oom ? cgroup_oom_fd(oom) : -1, .events = POLLIN },
		[GUEST] = { .fd = guest, .events = POLLIN },
	};
	int ret = 0;
	while (ret == 0) {
		int ready = poll(fds, SOURCES, interval_ms);

		if (ready < 0 && errno != EINTR)
			ret = err_sys(err, "poll");
		else if (fds[INIT].revents)
			break;
		else if (ready > 0 && (ret = hear_oom(fds, oom, verbs, err)) == 1)
			print_event("oom", container->state.id, NULL);
		else if (ready == 0)
			ret = print_stats(container, err);
		// There are none of a container that is about to end.
		if (ret < 0 && poll(fds, 1, ENDING_MS) == 1)
			ret = 0;
		ret = ret > 0 ? 0 : ret;
	}
	if (ret == 0)
		tell_last_ooms(container, fds, oom);
	if (oom)
		cgroup_oom_close(oom);
	return ret;
}

static int run(const struct runtime *rt, const void *untyped, const struct option_rest *rest,
	       struct err *err)
{
	const struct settings *settings = untyped;
	scope_container struct container container = { .dirfd = -1 };
	int interval_ms = 5000;

	if (settings->interval && parse_interval(settings->interval, &interval_ms, err) < 0)
		return -err->code;
	if (container_open(rt, rest->argv[0], CONTAINER_LOOK, &container, err) < 0 ||
	    container_require_running(&container, err) < 0 ||
	    container_open_cgroup(&container, err) < 0)
		return -err->code;
	if (!container.cgroup)
		return err_set(err, ENOTSUP, "container %s has no cgroup, which events needs",
			       rest->argv[0]);
	if (!settings->stats)
		return watch(&container, interval_ms, err);
	int ret = print_stats(&container, err);
	return ret > 0 ? err_set(err, EBUSY, "the container is paused") : ret;
}

const struct verb verb_events = {
	.name = "events",
	.usage = "ID",
	.summary = "print a container's figures and out-of-memory events",
	.options = options,
	.settings_size = sizeof(struct settings),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
