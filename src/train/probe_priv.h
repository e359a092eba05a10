/* train/probe_priv.h: the probe's two halves, for each other and for the tests. */
#ifndef GRAFT_TRAIN_PROBE_PRIV_H
#define GRAFT_TRAIN_PROBE_PRIV_H

#include "train/train.h"

/* Rows are dealt into parts; a fold is one part, or where there are only two folds, two parts, so
 * that a part can be left out of a training set to choose the ridge on. */
enum { GF__PROBE_MAX_PARTS = 64 };

/* A ridge classifier's data, in the smaller of two forms (see ridge.c). */
typedef struct gf__ridge gf__ridge;
/* part_of (n): the part of each row, below n_parts. labels are read during the call only. */
gf_status gf__ridge_new(const float *features, const size_t *labels, const size_t *part_of,
                        size_t n_parts, size_t n, size_t n_features, size_t n_classes,
                        gf__pool *pool, gf__ridge **out, gf_error *err);
void gf__ridge_free(gf__ridge *ridge);

/* Working memory for one thread. */
typedef struct gf__ridge_work gf__ridge_work;
gf_status gf__ridge_work_new(const gf__ridge *ridge, gf__ridge_work **out, gf_error *err);
void gf__ridge_work_free(gf__ridge_work *work);

/* Sets up for training on all parts but those of the bit set left_out. */
void gf__ridge_choose(const gf__ridge *ridge, uint64_t left_out, gf__ridge_work *work);
/* Solves for one ridge; false where the matrix is singular to working precision. */
bool gf__ridge_solve(const gf__ridge *ridge, double lambda, gf__ridge_work *work);
/* Predicts the rows of a part with the last solution and gives how many come out right. scores (n,
 * n_classes) in the caller's order of rows, filled for these rows; may be NULL. */
size_t gf__ridge_count(const gf__ridge *ridge, size_t part, gf__ridge_work *work, double *scores);

/* The probe on given folds (below n_folds): out-of-fold scores (n, n_classes; may be NULL) and
 * accuracy. */
gf_status gf__probe_run(const float *features, const size_t *labels, const size_t *folds,
                        size_t n_folds, size_t n, size_t n_features, size_t n_classes,
                        const gf_probe_options *options, double *scores, double *accuracy,
                        gf_error *err);

#endif
