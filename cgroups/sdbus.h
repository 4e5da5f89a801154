// sdbus: libsystemd's functions for D-Bus, loaded when they are asked for. Private to cgroups/.
//
// Whoever doesn't use the systemd driver doesn't pay for the library, and needn't have it.
#pragma once

#include "base/err.h"

#include <systemd/sd-bus.h>

#define SDBUS_FUNCTIONS(X)                \
	X(sd_bus_call)                    \
	X(sd_bus_call_method)             \
	X(sd_bus_close)                   \
	X(sd_bus_error_free)              \
	X(sd_bus_error_has_name)          \
	X(sd_bus_get_property_string)     \
	X(sd_bus_is_ready)                \
	X(sd_bus_message_append)          \
	X(sd_bus_message_append_array)    \
	X(sd_bus_message_append_basic)    \
	X(sd_bus_message_close_container) \
	X(sd_bus_message_is_signal)       \
	X(sd_bus_message_new_method_call) \
	X(sd_bus_message_open_container)  \
	X(sd_bus_message_read)            \
	X(sd_bus_message_unref)           \
	X(sd_bus_new)                     \
	X(sd_bus_open_system)             \
	X(sd_bus_open_user)               \
	X(sd_bus_process)                 \
	X(sd_bus_set_address)             \
	X(sd_bus_set_method_call_timeout) \
	X(sd_bus_start)                   \
	X(sd_bus_unref)                   \
	X(sd_bus_wait)

// Each under its own name: sdbus.sd_bus_call(...). Good after sdbus_load().
struct sdbus {
#define SDBUS_MEMBER(name) __typeof__(name) *(name);
	SDBUS_FUNCTIONS(SDBUS_MEMBER)
#undef SDBUS_MEMBER
};
extern struct sdbus sdbus;

// -ENOTSUP: the library isn't there, or is too old.
int sdbus_load(struct err *err);
