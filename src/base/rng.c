/* base/rng.c: xoshiro256** for everything of our own, MT19937 for what numpy decided long ago. */
#include "base/rng.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <sys/random.h>

#include "base/error.h"

static uint64_t splitmix64(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void gf__rng_seed(gf__rng *rng, uint64_t seed, uint64_t stream)
{
    /* The stream is mixed before it meets the seed, so that (1, 0) and (0, 1) do not meet
     * either. */
    uint64_t stream_state = stream;
    uint64_t state = seed ^ splitmix64(&stream_state);
    for (int i = 0; i < 4; i++)
        rng->state[i] = splitmix64(&state);
}

gf_status gf__random_bytes(void *bytes, size_t n_bytes, gf_error *err)
{
    uint8_t *next = bytes;
    while (n_bytes > 0) {
        const ssize_t n_got = getrandom(next, n_bytes, 0);
        if (n_got < 0 && errno != EINTR)
            return gf__error_errno(err, errno, "the system's random generator");
        if (n_got > 0) {
            next += n_got;
            n_bytes -= (size_t)n_got;
        }
    }
    return GF_OK;
}

static uint64_t rotate_left(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

/* xoshiro256** 1.0, Blackman and Vigna, public domain. */
uint64_t gf__rng_u64(gf__rng *rng)
{
    uint64_t *s = rng->state;
    const uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

double gf__rng_uniform(gf__rng *rng)
{
    return (double)(gf__rng_u64(rng) >> 11) * 0x1p-53;
}

double gf__rng_normal(gf__rng *rng)
{
    /* 1 - u is in (0,1]: its logarithm is finite. The second value of the pair is given up, so that
     * the state holds nothing but the generator. */
    const double radius = sqrt(-2.0 * log(1.0 - gf__rng_uniform(rng)));
    return radius * cos(2.0 * 3.14159265358979323846 * gf__rng_uniform(rng));
}

/* The smallest 2^k - 1 that is at least max. */
static uint64_t mask_for(uint64_t max)
{
    uint64_t mask = max;
    for (int shift = 1; shift < 64; shift *= 2)
        mask |= mask >> shift;
    return mask;
}

size_t gf__rng_below(gf__rng *rng, size_t n)
{
    assert(n > 0);
    const uint64_t max = n - 1;
    const uint64_t mask = mask_for(max);
    uint64_t value;
    do {
        value = gf__rng_u64(rng) & mask;
    } while (value > max);
    return (size_t)value;
}

static void swap_items(size_t *items, size_t i, size_t j)
{
    const size_t kept = items[i];
    items[i] = items[j];
    items[j] = kept;
}

void gf__rng_shuffle(gf__rng *rng, size_t *items, size_t n)
{
    for (size_t i = n; i-- > 1;)
        swap_items(items, i, gf__rng_below(rng, i + 1));
}

#define MT_SIZE  624
#define MT_SHIFT 397

void gf__mt19937_seed(gf__mt19937 *mt, uint32_t seed)
{
    for (uint32_t i = 0; i < MT_SIZE; i++) {
        mt->state[i] = seed;
        seed = 1812433253u * (seed ^ (seed >> 30)) + i + 1;
    }
    mt->position = MT_SIZE;
}

static void mt_refill(uint32_t *state)
{
    for (int i = 0; i < MT_SIZE; i++) {
        const uint32_t y = (state[i] & 0x80000000u) | (state[(i + 1) % MT_SIZE] & 0x7fffffffu);
        const uint32_t twist = (y & 1) != 0 ? 0x9908b0dfu : 0;
        state[i] = state[(i + MT_SHIFT) % MT_SIZE] ^ (y >> 1) ^ twist;
    }
}

uint32_t gf__mt19937_u32(gf__mt19937 *mt)
{
    if (mt->position >= MT_SIZE) {
        mt_refill(mt->state);
        mt->position = 0;
    }
    uint32_t y = mt->state[mt->position++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

double gf__mt19937_double(gf__mt19937 *mt)
{
    const uint32_t high = gf__mt19937_u32(mt) >> 5;
    const uint32_t low = gf__mt19937_u32(mt) >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
}

/* numpy's random_interval(): [0,max] by masked rejection, 32-bit draws where they suffice. */
static uint64_t mt_interval(gf__mt19937 *mt, uint64_t max)
{
    const uint64_t mask = mask_for(max);
    uint64_t value;
    do {
        value = gf__mt19937_u32(mt);
        if (max > UINT32_MAX)
            value = value << 32 | gf__mt19937_u32(mt);
        value &= mask;
    } while (value > max);
    return value;
}

void gf__mt19937_shuffle(gf__mt19937 *mt, size_t *items, size_t n)
{
    for (size_t i = n; i-- > 1;)
        swap_items(items, i, (size_t)mt_interval(mt, i));
}

void gf__mt19937_permutation(gf__mt19937 *mt, size_t *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        items[i] = i;
    gf__mt19937_shuffle(mt, items, n);
}
