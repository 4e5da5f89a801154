#include "process/digest.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie in memory");

static const uint64_t initial[8] = {
	0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
	0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

static const uint8_t sigma[12][16] = {
	{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
	{ 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
	{ 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4 },
	{ 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8 },
	{ 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13 },
	{ 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9 },
	{ 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11 },
	{ 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10 },
	{ 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5 },
	{ 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0 },
	{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
	{ 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
};

static inline uint64_t rotate(uint64_t word, unsigned int bits)
{
	return word >> bits | word << (64 - bits);
}

static inline void mix(uint64_t v[16], const uint8_t at[4], uint64_t x, uint64_t y)
{
	uint64_t *a = &v[at[0]], *b = &v[at[1]], *c = &v[at[2]], *d = &v[at[3]];

	*a += *b + x;
	*d = rotate(*d ^ *a, 32);
	*c += *d;
	*b = rotate(*b ^ *c, 24);
	*a += *b + y;
	*d = rotate(*d ^ *a, 16);
	*c += *d;
	*b = rotate(*b ^ *c, 63);
}

static void compress(struct digest *digest, uint64_t last)
{
	static const uint8_t columns[8][4] = {
		{ 0, 4, 8, 12 },  { 1, 5, 9, 13 },  { 2, 6, 10, 14 }, { 3, 7, 11, 15 },
		{ 0, 5, 10, 15 }, { 1, 6, 11, 12 }, { 2, 7, 8, 13 },  { 3, 4, 9, 14 },
	};
	uint64_t v[16], words[16];

	memcpy(words, digest->block, sizeof(words));
	memcpy(v, digest->state, sizeof(digest->state));
	memcpy(v + 8, initial, sizeof(initial));
	v[12] ^= digest->total;
	v[14] ^= last;
	for (int round = 0; round < 12; round++) {
#pragma GCC unroll 8
		for (int i = 0; i < 8; i++)
			mix(v, columns[i], words[sigma[round][2 * i]],
			    words[sigma[round][2 * i + 1]]);
	}
	for (int i = 0; i < 8; i++)
		digest->state[i] ^= v[i] ^ v[i + 8];
}

void digest_start(struct digest *digest)
{
	memset(digest, 0, sizeof(*digest));
	memcpy(digest->state, initial, sizeof(initial));
	digest->state[0] ^= 0x01010000 ^ DIGEST_BYTES; // no key, no tree
}

void digest_add(struct digest *digest, const void *data, size_t len)
{
	const uint8_t *next = data;

	while (len > 0) {
		if (digest->fill == sizeof(digest->block)) {
			digest->total += digest->fill;
			compress(digest, 0);
			digest->fill = 0;
		}
		size_t room = sizeof(digest->block) - digest->fill, n = len < room ? len : room;

		memcpy(digest->block + digest->fill, next, n);
		digest->fill += n;
		next += n;
		len -= n;
	}
}

void digest_end(struct digest *digest, uint8_t out[DIGEST_BYTES])
{
	digest->total += digest->fill;
	memset(digest->block + digest->fill, 0, sizeof(digest->block) - digest->fill);
	compress(digest, UINT64_MAX);
	memcpy(out, digest->state, DIGEST_BYTES);
}
