/* base/rng.h: seeded random numbers. Two generators, because two promises are made: the split
 * equals scikit-learn's (numpy's legacy MT19937), and everything else has one stream per
 * purpose. And the system's own, for what nobody must guess. */
#ifndef GRAFT_BASE_RNG_H
#define GRAFT_BASE_RNG_H

#include "graft/base.h"

/* xoshiro256**, seeded through splitmix64 from (seed, stream): equal seeds with different streams
 * are independent. */
typedef struct gf__rng {
    uint64_t state[4];
} gf__rng;
void gf__rng_seed(gf__rng *rng, uint64_t seed, uint64_t stream);
uint64_t gf__rng_u64(gf__rng *rng);
double gf__rng_uniform(gf__rng *rng); /* [0,1), 53 bits */
double gf__rng_normal(gf__rng *rng);  /* mean 0, deviation 1 (Box-Muller, one value a call) */
size_t gf__rng_below(gf__rng *rng, size_t n); /* [0,n), unbiased; n > 0 */
void gf__rng_shuffle(gf__rng *rng, size_t *items, size_t n);

/* Bytes of the system's generator: for secrets. GF_EIO where it has none. */
gf_status gf__random_bytes(void *bytes, size_t n_bytes, gf_error *err);

/* numpy.random.RandomState(seed), bit for bit where these calls are concerned. */
typedef struct gf__mt19937 {
    uint32_t state[624];
    int position;
} gf__mt19937;
void gf__mt19937_seed(gf__mt19937 *mt, uint32_t seed);
uint32_t gf__mt19937_u32(gf__mt19937 *mt);
double gf__mt19937_double(gf__mt19937 *mt); /* random_sample() */
/* permutation(n): the legacy shuffle of arange(n) with masked rejection. */
void gf__mt19937_permutation(gf__mt19937 *mt, size_t *items, size_t n);
void gf__mt19937_shuffle(gf__mt19937 *mt, size_t *items, size_t n);

#endif
