/* features/checksum.c: XXH64 as its specification has it (Yann Collet, xxHash, "XXH64 algorithm
 * description"): four lanes of eight bytes, then the rest. Fast enough that checking every cached
 * row costs less than reading it. */
#include <string.h>

#include "features/features_priv.h"

#define PRIME_1 0x9E3779B185EBCA87u
#define PRIME_2 0xC2B2AE3D27D4EB4Fu
#define PRIME_3 0x165667B19E3779F9u
#define PRIME_4 0x85EBCA77C2B2AE63u
#define PRIME_5 0x27D4EB2F165667C5u

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static uint64_t read_u64(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static uint64_t add_word(uint64_t lane, uint64_t word)
{
    return rotate(lane + word * PRIME_2, 31) * PRIME_1;
}

static uint64_t merge_lane(uint64_t hash, uint64_t lane)
{
    return (hash ^ add_word(0, lane)) * PRIME_1 + PRIME_4;
}

/* The whole blocks of 32 bytes; *bytes and *n_bytes are moved past them. */
static uint64_t hash_blocks(const uint8_t **bytes, size_t *n_bytes, uint64_t seed)
{
    uint64_t lane[4] = {seed + PRIME_1 + PRIME_2, seed + PRIME_2, seed, seed - PRIME_1};
    for (; *n_bytes >= 32; *bytes += 32, *n_bytes -= 32) {
        for (size_t k = 0; k < 4; k++)
            lane[k] = add_word(lane[k], read_u64(*bytes + 8 * k));
    }
    uint64_t hash = rotate(lane[0], 1) + rotate(lane[1], 7) + rotate(lane[2], 12) +
                    rotate(lane[3], 18);
    for (size_t k = 0; k < 4; k++)
        hash = merge_lane(hash, lane[k]);
    return hash;
}

static uint64_t hash_rest(uint64_t hash, const uint8_t *bytes, size_t n_bytes)
{
    for (; n_bytes >= 8; bytes += 8, n_bytes -= 8)
        hash = rotate(hash ^ add_word(0, read_u64(bytes)), 27) * PRIME_1 + PRIME_4;
    if (n_bytes >= 4) {
        uint32_t word;
        memcpy(&word, bytes, sizeof word);
        hash = rotate(hash ^ (word * PRIME_1), 23) * PRIME_2 + PRIME_3;
        bytes += 4;
        n_bytes -= 4;
    }
    for (; n_bytes > 0; bytes++, n_bytes--)
        hash = rotate(hash ^ (*bytes * PRIME_5), 11) * PRIME_1;
    return hash;
}

uint64_t gf__xxh64(const void *bytes, size_t n_bytes, uint64_t seed)
{
    const uint8_t *at = bytes;
    size_t n_left = n_bytes;
    uint64_t hash = n_bytes >= 32 ? hash_blocks(&at, &n_left, seed) : seed + PRIME_5;
    hash = hash_rest(hash + n_bytes, at, n_left);
    hash = (hash ^ (hash >> 33)) * PRIME_2;
    hash = (hash ^ (hash >> 29)) * PRIME_3;
    return hash ^ (hash >> 32);
}
