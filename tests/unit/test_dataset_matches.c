/* The search for pictures that look the same against the plain comparison of all with all. */
#include "base/base.h"
#include "check.h"
#include "data/check_priv.h"

static bool is_better(const gf__match *match, int distance)
{
    return match->other == GF__NO_MATCH || distance < match->distance;
}

/* What gf__find_matches() must find, by comparing all with all. Thumbs are equal here. */
static void match_plainly(const gf__facts *facts, size_t n_own, size_t n, int near_distance,
                          gf__match *own, gf__match *across)
{
    for (size_t i = 0; i < n_own; i++) {
        own[i] = across[i] = (gf__match){GF__NO_MATCH, 0};
        for (size_t j = 0; j < n; j++) {
            if (j >= i && j < n_own)
                continue;
            gf__match *match = j < n_own ? &own[i] : &across[i];
            int distance = __builtin_popcountll(facts[i].look ^ facts[j].look);
            if (memcmp(facts[i].content, facts[j].content, GF__SAME_BYTES) == 0)
                distance = -1;
            if (distance <= near_distance && is_better(match, distance))
                *match = (gf__match){j, distance};
        }
    }
}

/* n pictures in families whose hashes differ by a few bits; every tenth has the content of its
 * neighbour. */
static void make_facts(gf__facts *facts, size_t n, gf__rng *rng)
{
    for (size_t i = 0; i < n; i++) {
        facts[i] = (gf__facts){.has_content = true, .look = gf__rng_u64(rng)};
        if (i > 0 && gf__rng_below(rng, 3) > 0) {
            facts[i].look = facts[gf__rng_below(rng, i)].look;
            for (size_t b = gf__rng_below(rng, 7); b > 0; b--)
                facts[i].look ^= UINT64_C(1) << gf__rng_below(rng, 64);
        }
        memcpy(facts[i].content, &i, sizeof i);
        if (i > 0 && gf__rng_below(rng, 10) == 0) {
            const size_t j = gf__rng_below(rng, i);
            facts[i] = facts[j];
        }
    }
}

TEST(matches__are_those_of_comparing_all_with_all)
{
    enum { N = 600, OWN = 400 };
    static gf__facts facts[N];
    static gf__match own[OWN], across[OWN], want_own[OWN], want_across[OWN];
    static const unsigned distances[] = {0, 1, 4, 8, 16};

    for (uint64_t seed = 1; seed <= 5; seed++) {
        gf__rng rng;
        gf__rng_seed(&rng, seed, 0);
        make_facts(facts, N, &rng);
        for (size_t d = 0; d < 5; d++) {
            CHECK_OK(gf__find_matches(facts, OWN, N, distances[d], NULL, own, across, &check_err));
            match_plainly(facts, OWN, N, (int)distances[d], want_own, want_across);
            for (size_t i = 0; i < OWN; i++) {
                if (own[i].other != want_own[i].other)
                    fail_msg("seed %zu, distance %u, item %zu: matches %zu (%d), expected %zu (%d)",
                             (size_t)seed, distances[d], i, own[i].other, own[i].distance,
                             want_own[i].other, want_own[i].distance);
                if (own[i].other != GF__NO_MATCH)
                    CHECK_EQ(own[i].distance, want_own[i].distance);
                /* Of pictures with the same bytes only the first is looked for by its look. */
                if (own[i].other == GF__NO_MATCH || own[i].distance >= 0 ||
                    want_across[i].distance < 0)
                    CHECK_EQ(across[i].other, want_across[i].other);
            }
        }
    }
}

TEST(matches__tell_colours_apart_and_leave_blank_pictures_out)
{
    gf__facts facts[4] = {{.has_content = true, .content = {1}, .look = 7},
                          {.has_content = true, .content = {2}, .look = 7},
                          {.has_content = true, .content = {3}, .look = 7, .is_one_colour = true},
                          {.content = {3}, .look = 7, .why = (char *)"cannot be read"}};
    gf__match own[4], across[4];

    memset(facts[1].thumb, 60, GF__THUMB_BYTES);
    CHECK_OK(gf__find_matches(facts, 4, 4, 4, NULL, own, across, &check_err));
    for (size_t i = 0; i < 4; i++)
        CHECK_EQ(own[i].other, GF__NO_MATCH);
    memset(facts[1].thumb, 5, GF__THUMB_BYTES);
    CHECK_OK(gf__find_matches(facts, 4, 4, 4, NULL, own, across, &check_err));
    CHECK_EQ(own[1].other, 0);
    CHECK_EQ(own[2].other, GF__NO_MATCH);
}

TESTS_MAIN(UNIT(matches__are_those_of_comparing_all_with_all),
           UNIT(matches__tell_colours_apart_and_leave_blank_pictures_out))
