/* data/check_priv.h: what the check of a data set knows of each picture, and how equal pictures are
 * found. */
#ifndef GRAFT_DATA_CHECK_PRIV_H
#define GRAFT_DATA_CHECK_PRIV_H

#include "data/dataset_priv.h"

/* A picture of 4 x 4 pixels: tells apart pictures of one outline and different colours. */
#define GF__THUMB_SIDE  4
#define GF__THUMB_BYTES (GF__THUMB_SIDE * GF__THUMB_SIDE * 3)
#define GF__SAME_BYTES  16

typedef struct gf__facts {
    char *why;        /* why it cannot be read or decoded; NULL where it can */
    bool has_content; /* its bytes were there: content is set */
    bool is_one_colour;
    uint8_t content[GF__SAME_BYTES]; /* half of the SHA-256: enough to say "the same" */
    uint8_t thumb[GF__THUMB_BYTES];
    uint64_t look;          /* difference hash */
    gf_image_format format; /* UNKNOWN in an .npz */
    int orientation;
    size_t width, height;
} gf__facts;

/* Reads, hashes and decodes item i. What is wrong with the picture is a fact, not an error; errors
 * are GF_ENOMEM. */
gf_status gf__inspect(const gf_dataset *dataset, size_t i, uint64_t max_pixels, gf__facts *facts,
                      gf_error *err);

/* An item like one that comes before it, or like one of the other data set. */
typedef struct gf__match {
    size_t other; /* GF__NO_MATCH */
    int distance; /* bits that differ in the difference hash; -1 for the same bytes */
} gf__match;
#define GF__NO_MATCH SIZE_MAX

/* facts: n_own of the data set, then those of the other one, n in all. own[i] is the match of item
 * i with an earlier one of its set (the closest, the first of equals), across[i] with one of the
 * others; n_own of each. Pairs of at most near_distance bits; fewer comparisons than n * n: a pair
 * that differs in d bits has one of d + 1 parts of the hash in common. */
gf_status gf__find_matches(const gf__facts *facts, size_t n_own, size_t n, unsigned near_distance,
                           const gf_observer *obs, gf__match *own, gf__match *across,
                           gf_error *err);

#endif
