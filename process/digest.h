// digest: BLAKE2b with 256 bits (RFC 7693): the name of a compiled filter is the digest of its
// profile, and whoever writes the profile must not be able to make it the digest of another's.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32

struct digest {
	uint64_t state[8];
	uint64_t total; // bytes compressed
	uint8_t block[128];
	size_t fill; // bytes in `block`, which is compressed when more follows
};

void digest_start(struct digest *digest);
void digest_add(struct digest *digest, const void *data, size_t len);
void digest_end(struct digest *digest, uint8_t out[DIGEST_BYTES]);
