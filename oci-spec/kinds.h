// kinds: how each kind of oci-spec/bind.h lies in memory; what its decoder and encoder share.
#pragma once

#include "oci-spec/bind.h"

// What LIST() looks like, whatever it lists.
struct __attribute__((may_alias)) any_list {
	void *v;
	size_t n;
};

// Where an optional number keeps its value; `set` always comes first.
struct number_kind {
	uint8_t bytes, value;
	bool is_signed, optional;
	int64_t min;
	uint64_t max;
};

// NULL for a kind that is no number.
const struct number_kind *number_kind(enum kind kind);

static inline bool is_set(const void *optional)
{
	return *(const bool *)optional;
}
