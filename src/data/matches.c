/* matches.c: which pictures are the same, or look the same.
 *
 * Same bytes: sort by content. Same look: 64-bit difference hashes that differ in at most d bits.
 * Such a pair agrees in at least one of d + 1 parts of the hash, so pictures are sorted by each
 * part in turn and compared within runs of equal parts only. Hashes see outlines, not colours:
 * small thumbs have the last word. */
#include <stdlib.h>
#include <string.h>

#include "data/check_priv.h"

/* Mean difference of a value of the thumbs, 0-255, up to which colours are the same. */
#define SAME_COLOURS 12

static bool colours_agree(const gf__facts *a, const gf__facts *b)
{
    int sum = 0;

    for (size_t i = 0; i < GF__THUMB_BYTES; i++)
        sum += abs(a->thumb[i] - b->thumb[i]);
    return sum <= SAME_COLOURS * GF__THUMB_BYTES;
}

/* Replaces *match where (distance, other) is better. */
static void keep_better(gf__match *match, size_t other, int distance)
{
    if (match->other == GF__NO_MATCH || distance < match->distance ||
        (distance == match->distance && other < match->other))
        *match = (gf__match){other, distance};
}

/* ---- same bytes ------------------------------------------------------------------------------ */

typedef struct content_key {
    const uint8_t *content;
    size_t at;
} content_key;

static int compare_content(const void *left, const void *right)
{
    const content_key *a = left, *b = right;
    const int order = memcmp(a->content, b->content, GF__SAME_BYTES);

    if (order != 0)
        return order;
    return a->at < b->at ? -1 : a->at > b->at;
}

/* One run of equal content; at rises, so own items come before the others. */
static void match_run(const content_key *run, size_t n, size_t n_own, gf__match *own,
                      gf__match *across)
{
    size_t first_other = GF__NO_MATCH;

    for (size_t i = 0; i < n && first_other == GF__NO_MATCH; i++)
        first_other = run[i].at >= n_own ? run[i].at : GF__NO_MATCH;
    for (size_t i = 0; i < n && run[i].at < n_own; i++) {
        if (i > 0)
            own[run[i].at] = (gf__match){run[0].at, -1};
        if (first_other != GF__NO_MATCH)
            across[run[i].at] = (gf__match){first_other, -1};
    }
}

static gf_status match_content(const gf__facts *facts, size_t n_own, size_t n, gf__match *own,
                               gf__match *across, gf_error *err)
{
    content_key *keys = gf__calloc(n, sizeof *keys);
    size_t n_keys = 0;

    if (keys == NULL)
        return gf__error_nomem(err, "a table of pictures", n * sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        if (facts[i].has_content)
            keys[n_keys++] = (content_key){facts[i].content, i};
    }
    qsort(keys, n_keys, sizeof *keys, compare_content);
    for (size_t start = 0, end; start < n_keys; start = end) {
        for (end = start + 1; end < n_keys; end++) {
            if (memcmp(keys[start].content, keys[end].content, GF__SAME_BYTES) != 0)
                break;
        }
        match_run(keys + start, end - start, n_own, own, across);
    }
    gf__free(keys);
    return GF_OK;
}

/* ---- same look ------------------------------------------------------------------------------- */

typedef struct look_key {
    uint64_t part; /* of the hash, the one being sorted by */
    uint64_t look;
    size_t at;
} look_key;

typedef struct look_search {
    const gf__facts *facts;
    size_t n_own;
    int near_distance;
    gf__match *own, *across;
} look_search;

static int compare_parts(const void *left, const void *right)
{
    const look_key *a = left, *b = right;

    if (a->part != b->part)
        return a->part < b->part ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

/* Later picture b against the earlier ones of its run, a rising, so an equal hash found first is
 * the best there is. */
static void compare_with_earlier(const look_search *search, const look_key *run, size_t b)
{
    const bool is_other = run[b].at >= search->n_own;

    for (size_t a = 0; a < b && run[a].at < search->n_own; a++) {
        gf__match *match = is_other ? &search->across[run[a].at] : &search->own[run[b].at];
        const int distance = __builtin_popcountll(run[a].look ^ run[b].look);

        if (match->other != GF__NO_MATCH && match->distance <= 0) {
            if (!is_other)
                return;
            continue;
        }
        if (distance <= search->near_distance &&
            colours_agree(&search->facts[run[a].at], &search->facts[run[b].at]))
            keep_better(match, is_other ? run[b].at : run[a].at, distance);
    }
}

/* Part number p of n_parts that together are the 64 bits. */
static uint64_t part_of(uint64_t look, unsigned p, unsigned n_parts)
{
    const unsigned first = p * 64 / n_parts, end = (p + 1) * 64 / n_parts;
    const unsigned n_bits = end - first;

    return n_bits == 64 ? look : look >> first & ((UINT64_C(1) << n_bits) - 1);
}

static void search_part(const look_search *search, look_key *keys, size_t n, unsigned p,
                        unsigned n_parts)
{
    for (size_t i = 0; i < n; i++)
        keys[i].part = part_of(keys[i].look, p, n_parts);
    qsort(keys, n, sizeof *keys, compare_parts);
    for (size_t start = 0, end; start < n; start = end) {
        for (end = start + 1; end < n && keys[end].part == keys[start].part; end++)
            compare_with_earlier(search, keys + start, end - start);
    }
}

/* Blank pictures all have the same hash, and of pictures with the same bytes one is enough. */
static bool takes_part(const gf__facts *facts, const gf__match *own, size_t n_own, size_t i)
{
    return facts[i].why == NULL && !facts[i].is_one_colour &&
           (i >= n_own || own[i].other == GF__NO_MATCH);
}

static gf_status match_looks(const look_search *search, size_t n, const gf_observer *obs,
                             gf_error *err)
{
    gf_status st = GF_OK;
    const unsigned n_parts = (unsigned)search->near_distance + 1;
    look_key *keys = gf__calloc(n, sizeof *keys);
    size_t n_keys = 0;

    if (keys == NULL)
        return gf__error_nomem(err, "a table of pictures", n * sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        if (takes_part(search->facts, search->own, search->n_own, i))
            keys[n_keys++] = (look_key){.look = search->facts[i].look, .at = i};
    }
    for (unsigned p = 0; p < n_parts && st == GF_OK; p++) {
        search_part(search, keys, n_keys, p, n_parts);
        st = gf__observe_progress(obs, "compare", p + 1, n_parts, NULL, err);
    }
    gf__free(keys);
    return st;
}

gf_status gf__find_matches(const gf__facts *facts, size_t n_own, size_t n, unsigned near_distance,
                           const gf_observer *obs, gf__match *own, gf__match *across, gf_error *err)
{
    gf_status st;
    const look_search search = {facts, n_own, (int)near_distance, own, across};

    for (size_t i = 0; i < n_own; i++)
        own[i] = across[i] = (gf__match){GF__NO_MATCH, 0};
    st = match_content(facts, n_own, n, own, across, err);
    if (st != GF_OK)
        return st;
    return match_looks(&search, n, obs, err);
}
