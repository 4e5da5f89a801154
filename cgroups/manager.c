#include "cgroups/manager.h"

#include "base/log.h"
#include "cgroups/sdbus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_US     ((uint64_t)30 * 1000 * 1000)
#define BOOTED	       "/run/systemd/system" // sd_booted(3)
#define SYSTEM_ADDRESS "unix:path=/run/systemd/private"

#define SERVICE	  "org.freedesktop.systemd1"
#define OBJECT	  "/org/freedesktop/systemd1"
#define INTERFACE "org.freedesktop.systemd1.Manager"

// ---- what ends with its scope ----

static void close_bus(sd_bus **bus)
{
	if (!*bus)
		return;
	sdbus.sd_bus_close(*bus);
	sdbus.sd_bus_unref(*bus);
}

static void free_message(sd_bus_message **message)
{
	if (*message)
		sdbus.sd_bus_message_unref(*message);
}

static void free_error(sd_bus_error *error)
{
	if (error->name)
		sdbus.sd_bus_error_free(error);
}

#define scope_bus     __attribute__((cleanup(close_bus)))
#define scope_message __attribute__((cleanup(free_message)))
#define scope_error   __attribute__((cleanup(free_error)))

static int no_answer(int ret, struct err *err)
{
	if (ret == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT,
			       "systemd hasn't answered for %d seconds (is it well? moat can do "
			       "without: --cgroup-manager cgroupfs)",
			       (int)(TIMEOUT_US / 1000000));
	return err_sysn(err, -ret,
			"can't speak with systemd (is it running? moat can do without: "
			"--cgroup-manager cgroupfs)");
}

// What a call came to: systemd's own words where it said some.
static int call_failed(int ret, const sd_bus_error *error, struct err *err)
{
	if (!error->name || !error->message || ret == -ETIMEDOUT)
		return no_answer(ret, err);
	return err_set(err, -ret, "systemd: %s", error->message);
}

// ---- connections ----

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int require_systemd(struct stat *st, struct err *err)
{
	if (stat(BOOTED, st) < 0)
		return err_set(err, ENOTSUP,
			       "systemd isn't running here: there is no " BOOTED
			       " (choose --cgroup-manager cgroupfs)");
	return 0;
}

// Until both sides know who they are, for which sd-bus by itself waits longer.
static int await_ready(sd_bus *bus)
{
	const uint64_t deadline = now_us() + TIMEOUT_US;
	int ret;

	while ((ret = sdbus.sd_bus_is_ready(bus)) == 0) {
		ret = sdbus.sd_bus_process(bus, NULL);
		const uint64_t now = now_us();
		if (ret == 0 && now >= deadline)
			return -ETIMEDOUT;
		if (ret == 0)
			ret = sdbus.sd_bus_wait(bus, deadline - now);
		if (ret < 0 && ret != -EINTR)
			return ret;
	}
	return ret;
}

static int connect_to(const char *address, sd_bus **bus)
{
	scope_bus sd_bus *made = NULL;
	int ret = sdbus.sd_bus_new(&made);

	if (ret >= 0)
		ret = sdbus.sd_bus_set_address(made, address);
	if (ret >= 0)
		ret = sdbus.sd_bus_start(made);
	if (ret >= 0)
		ret = await_ready(made);
	if (ret < 0)
		return ret;
	*bus = made;
	made = NULL;
	return 0;
}

// D-Bus addresses have percent signs for most characters.
static void user_address(struct text *address)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	char fallback[32];

	if (!dir || !*dir) {
		snprintf(fallback, sizeof(fallback), "/run/user/%u", geteuid());
		dir = fallback;
	}
	text_str(address, "unix:path=");
	for (; *dir; dir++) {
		if (strchr("-_/.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
			   *dir))
			text_add(address, dir, 1);
		else
			text_printf(address, "%%%02x", (unsigned char)*dir);
	}
	text_str(address, "/systemd/private");
}

// A bus hands on the signals that were asked for alone.
static int watch_jobs(sd_bus *bus)
{
	return sdbus.sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
					"org.freedesktop.DBus", "AddMatch", NULL, NULL, "s",
					"type='signal',sender='" SERVICE "',path='" OBJECT
					"',interface='" INTERFACE "',member='JobRemoved'");
}

static int open_bus(bool user, sd_bus **bus)
{
	int ret = user ? sdbus.sd_bus_open_user(bus) : sdbus.sd_bus_open_system(bus);

	if (ret >= 0)
		ret = await_ready(*bus);
	if (ret >= 0)
		ret = sdbus.sd_bus_set_method_call_timeout(*bus, TIMEOUT_US);
	return ret < 0 ? ret : watch_jobs(*bus);
}

// The manager's own socket first: its calls take one way, not two, and it has no greetings.
static int open_manager(bool user, sd_bus **bus, struct err *err)
{
	scope_text struct text address = { 0 };
	struct stat st;

	if (require_systemd(&st, err) < 0 || sdbus_load(err) < 0)
		return -err->code;
	if (user)
		user_address(&address);
	int ret = connect_to(user ? address.str : SYSTEM_ADDRESS, bus);
	if (ret < 0) {
		log_debug("systemd's socket %s: %s", user ? address.str : SYSTEM_ADDRESS,
			  err_text(-ret));
		ret = open_bus(user, bus);
	} else {
		ret = sdbus.sd_bus_set_method_call_timeout(*bus, TIMEOUT_US);
	}
	return ret < 0 ? no_answer(ret, err) : 0;
}

// ---- properties on the wire ----

static int append_strings(sd_bus_message *message, const struct unit_property *property)
{
	const bool pairs = str_eq(property->type, "a(ss)");
	int ret = sdbus.sd_bus_message_open_container(message, 'a', pairs ? "(ss)" : "s");

	for (size_t i = 0; i < property->strings.n && ret >= 0; i += pairs ? 2 : 1) {
		if (pairs)
			ret = sdbus.sd_bus_message_append(message, "(ss)", property->strings.v[i],
							  property->strings.v[i + 1]);
		else
			ret = sdbus.sd_bus_message_append_basic(message, 's',
								property->strings.v[i]);
	}
	return ret < 0 ? ret : sdbus.sd_bus_message_close_container(message);
}

static int append_value(sd_bus_message *message, const struct unit_property *property)
{
	const uint64_t number = property->number;
	const char *type = property->type;

	if (str_eq(type, "ay"))
		return sdbus.sd_bus_message_append_array(message, 'y', property->bytes,
							 property->byte_count);
	switch (*type) {
	case 'a':
		return append_strings(message, property);
	case 's':
		return sdbus.sd_bus_message_append_basic(
			message, 's', property->strings.n ? property->strings.v[0] : "");
	case 'd':
		return sdbus.sd_bus_message_append(message, type, property->real);
	case 'x':
	case 't':
		return sdbus.sd_bus_message_append(message, type, number);
	default: // all that is passed as an int
		return sdbus.sd_bus_message_append(message, type, (unsigned int)number);
	}
}

static int append_property(sd_bus_message *message, const struct unit_property *property)
{
	int ret = sdbus.sd_bus_message_open_container(message, 'r', "sv");

	if (ret >= 0)
		ret = sdbus.sd_bus_message_append_basic(message, 's', property->name);
	if (ret >= 0)
		ret = sdbus.sd_bus_message_open_container(message, 'v', property->type);
	if (ret >= 0)
		ret = append_value(message, property);
	for (int i = 0; i < 2 && ret >= 0; i++)
		ret = sdbus.sd_bus_message_close_container(message);
	return ret;
}

// Its array is left open. To lists systemd adds, but for an empty one, which clears them.
static int append_properties(sd_bus_message *message, const struct unit_properties *properties,
			     bool optional)
{
	int ret = sdbus.sd_bus_message_open_container(message, 'a', "(sv)");

	for (size_t i = 0; i < properties->n && ret >= 0; i++) {
		const struct unit_property *property = &properties->v[i];
		const struct unit_property none = { .name = property->name,
						    .type = property->type };

		if (property->optional && !optional)
			continue;
		if (str_eq(property->type, "a(ss)") && property->strings.n)
			ret = append_property(message, &none);
		if (ret >= 0)
			ret = append_property(message, property);
	}
	return ret;
}

// ---- jobs ----

// Whether the message tells that the job has ended, and then how.
static bool is_end_of(sd_bus_message *message, const char *job, char *result, size_t size)
{
	const char *path, *unit, *word;
	uint32_t id;

	if (sdbus.sd_bus_message_is_signal(message, INTERFACE, "JobRemoved") <= 0 ||
	    sdbus.sd_bus_message_read(message, "uoss", &id, &path, &unit, &word) < 0 ||
	    !str_eq(path, job))
		return false;
	snprintf(result, size, "%s", word);
	return true;
}

// `done`, `canceled`, `timeout`, `failed`, `dependency`, `skipped`, …
static int wait_for_job(sd_bus *bus, const char *job, char *result, size_t size, struct err *err)
{
	const uint64_t deadline = now_us() + TIMEOUT_US;

	for (;;) {
		scope_message sd_bus_message *message = NULL;
		int ret = sdbus.sd_bus_process(bus, &message);

		if (ret < 0)
			return no_answer(ret, err);
		if (message && is_end_of(message, job, result, size))
			return 0;
		if (ret > 0)
			continue;
		const uint64_t now = now_us();
		if (now >= deadline)
			return no_answer(-ETIMEDOUT, err);
		ret = sdbus.sd_bus_wait(bus, deadline - now);
		if (ret < 0 && ret != -EINTR)
			return no_answer(ret, err);
	}
}

// Makes a call that is answered with a job, and waits for that.
static int run_job(sd_bus *bus, sd_bus_message *call, sd_bus_error *error, char *result,
		   struct err *err)
{
	scope_message sd_bus_message *reply = NULL;
	const char *job;
	int ret = sdbus.sd_bus_call(bus, call, TIMEOUT_US, error, &reply);

	if (ret < 0)
		return call_failed(ret, error, err);
	ret = sdbus.sd_bus_message_read(reply, "o", &job);
	return ret < 0 ? no_answer(ret, err) : wait_for_job(bus, job, result, 32, err);
}

// ---- starting ----

static int make_start(sd_bus *bus, const struct unit *unit, pid_t pid, bool optional,
		      sd_bus_message **call)
{
	scope_message sd_bus_message *made = NULL;
	int ret = sdbus.sd_bus_message_new_method_call(bus, &made, SERVICE, OBJECT, INTERFACE,
						       "StartTransientUnit");

	if (ret >= 0)
		ret = sdbus.sd_bus_message_append(made, "ss", unit->name, "replace");
	if (ret >= 0)
		ret = append_properties(made, &unit->properties, optional);
	if (ret >= 0 && !unit->is_slice)
		ret = sdbus.sd_bus_message_append(made, "(sv)", "PIDs", "au", 1, (uint32_t)pid);
	if (ret >= 0)
		ret = sdbus.sd_bus_message_close_container(made);
	if (ret >= 0)
		ret = sdbus.sd_bus_message_append(made, "a(sa(sv))", 0);
	if (ret < 0)
		return ret;
	*call = made;
	made = NULL;
	return 0;
}

// Why systemd has refused a call.
enum refusal { REFUSED_FOR_GOOD, REFUSED_EXISTS, REFUSED_PROPERTY };

static enum refusal refusal_of(const sd_bus_error *error)
{
	static const char *const names[] = { "org.freedesktop.DBus.Error.PropertyReadOnly",
					     "org.freedesktop.DBus.Error.UnknownProperty",
					     "org.freedesktop.DBus.Error.InvalidArgs" };

	if (sdbus.sd_bus_error_has_name(error, SERVICE ".UnitExists"))
		return REFUSED_EXISTS;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (sdbus.sd_bus_error_has_name(error, names[i]))
			return REFUSED_PROPERTY;
	}
	return REFUSED_FOR_GOOD;
}

static int try_start(sd_bus *bus, const struct unit *unit, pid_t pid, bool optional,
		     enum refusal *refusal, struct err *err)
{
	scope_message sd_bus_message *call = NULL;
	scope_error sd_bus_error error = { 0 };
	char result[32];
	int ret = make_start(bus, unit, pid, optional, &call);

	*refusal = REFUSED_FOR_GOOD;
	if (ret < 0)
		return no_answer(ret, err);
	ret = run_job(bus, call, &error, result, err);
	if (ret < 0) {
		*refusal = refusal_of(&error);
		return ret;
	}
	if (!str_eq(result, "done"))
		return err_set(err, EIO, "systemd has not started it: %s", result);
	return 0;
}

static bool has_optional(const struct unit_properties *properties)
{
	for (size_t i = 0; i < properties->n; i++) {
		if (properties->v[i].optional)
			return true;
	}
	return false;
}

int manager_start_unit(const struct unit *unit, pid_t pid, struct err *err)
{
	scope_bus sd_bus *bus = NULL;
	enum refusal refusal = REFUSED_FOR_GOOD;
	int ret = open_manager(unit->user, &bus, err);

	if (ret == 0)
		ret = try_start(bus, unit, pid, true, &refusal, err);
	if (ret < 0 && refusal == REFUSED_EXISTS) {
		// What has failed stays until it is told off; it may be just that.
		sdbus.sd_bus_call_method(bus, SERVICE, OBJECT, INTERFACE, "ResetFailedUnit", NULL,
					 NULL, "s", unit->name);
		ret = try_start(bus, unit, pid, true, &refusal, err);
	}
	if (ret < 0 && refusal == REFUSED_PROPERTY && has_optional(&unit->properties)) {
		log_debug("%s; without the newer properties", err->msg);
		ret = try_start(bus, unit, pid, false, &refusal, err);
	}
	if (ret < 0 && refusal == REFUSED_EXISTS)
		err->code = EEXIST;
	return ret < 0 ? err_wrap(err, "start the unit %s", unit->name) : 0;
}

// ---- stopping ----

int manager_stop_unit(const struct unit *unit, struct err *err)
{
	scope_bus sd_bus *bus = NULL;
	scope_message sd_bus_message *call = NULL;
	scope_error sd_bus_error error = { 0 };
	char result[32];

	if (open_manager(unit->user, &bus, err) < 0)
		return err_wrap(err, "stop the unit %s", unit->name);
	int ret = sdbus.sd_bus_message_new_method_call(bus, &call, SERVICE, OBJECT, INTERFACE,
						       "StopUnit");
	if (ret >= 0)
		ret = sdbus.sd_bus_message_append(call, "ss", unit->name, "replace");
	ret = ret < 0 ? no_answer(ret, err) : run_job(bus, call, &error, result, err);
	if (ret < 0 && sdbus.sd_bus_error_has_name(&error, SERVICE ".NoSuchUnit"))
		return 0;
	return ret < 0 ? err_wrap(err, "stop the unit %s", unit->name) : 0;
}

// ---- changing ----

static int try_change(sd_bus *bus, const struct unit *unit,
		      const struct unit_properties *properties, bool optional,
		      enum refusal *refusal, struct err *err)
{
	scope_message sd_bus_message *call = NULL;
	scope_error sd_bus_error error = { 0 };
	int ret = sdbus.sd_bus_message_new_method_call(bus, &call, SERVICE, OBJECT, INTERFACE,
						       "SetUnitProperties");

	if (ret >= 0)
		ret = sdbus.sd_bus_message_append(call, "sb", unit->name, true);
	if (ret >= 0)
		ret = append_properties(call, properties, optional);
	if (ret >= 0)
		ret = sdbus.sd_bus_message_close_container(call);
	if (ret >= 0)
		ret = sdbus.sd_bus_call(bus, call, TIMEOUT_US, &error, NULL);
	*refusal = refusal_of(&error);
	return ret < 0 ? call_failed(ret, &error, err) : 0;
}

int manager_change_unit(const struct unit *unit, const struct unit_properties *properties,
			struct err *err)
{
	scope_bus sd_bus *bus = NULL;
	enum refusal refusal = REFUSED_FOR_GOOD;
	int ret = open_manager(unit->user, &bus, err);

	if (ret == 0)
		ret = try_change(bus, unit, properties, true, &refusal, err);
	if (ret < 0 && refusal == REFUSED_PROPERTY && has_optional(properties)) {
		log_debug("%s; without the newer properties", err->msg);
		ret = try_change(bus, unit, properties, false, &refusal, err);
	}
	if (ret < 0)
		return err_wrap(err, "change the unit %s", unit->name);
	// The answer comes before the deed; the next call is looked at after it.
	ret = sdbus.sd_bus_call_method(bus, SERVICE, OBJECT, "org.freedesktop.DBus.Peer", "Ping",
				       NULL, NULL, NULL);
	return ret < 0 ? no_answer(ret, err) : 0;
}

// ---- finding ----

int manager_group(struct arena *arena, const char **group, struct err *err)
{
	scope_bus sd_bus *bus = NULL;
	scope_error sd_bus_error error = { 0 };
	char *found = NULL;
	int ret = open_manager(true, &bus, err);

	if (ret < 0)
		return err_wrap(err, "the user's systemd");
	ret = sdbus.sd_bus_get_property_string(bus, SERVICE, OBJECT, INTERFACE, "ControlGroup",
					       &error, &found);
	if (ret < 0) {
		call_failed(ret, &error, err);
		return err_wrap(err, "the user's systemd: its cgroup");
	}
	*group = arena_strdup(arena, found);
	free(found);
	return 0;
}

bool cgroup_systemd_supported(void)
{
	return true;
}

int cgroup_systemd_find(bool rootless, struct arena *arena, struct cgroup_systemd *systemd,
			struct err *err)
{
	struct stat st;

	*systemd = (struct cgroup_systemd){ .user = rootless };
	if (require_systemd(&st, err) < 0)
		return -err->code;
	// Root in a user namespace of its own isn't the system's.
	if (st.st_uid != geteuid())
		systemd->user = true;
	return systemd->user ? manager_group(arena, &systemd->group, err) : 0;
}
