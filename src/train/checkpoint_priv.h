/* train/checkpoint_priv.h: the whole state of a training between two epochs, kept in a file. */
#ifndef GRAFT_TRAIN_CHECKPOINT_PRIV_H
#define GRAFT_TRAIN_CHECKPOINT_PRIV_H

#include "train/optimizer_priv.h"

typedef struct gf__training {
    /* what is asked for; a checkpoint of another training is refused */
    const gf_train_options *options;
    const char *data_id; /* may be NULL */
    size_t n_train, n_views, n_val;
    /* what changes */
    gf_head *head;
    gf__optimizer *optimizer;
    float *best_weights; /* as gf__head_params(); NULL without early stopping */
    gf_history *history; /* room for options->n_epochs; best_epoch 0 before the first */
} gf__training;

/* Written aside and renamed: a kill at any moment leaves the previous one. */
gf_status gf__checkpoint_save(const char *path, const gf__training *training, gf_error *err);
/* GF_ENOTFOUND where there is none; GF_EMISMATCH names what differs; the state is changed only on
 * success. */
gf_status gf__checkpoint_load(const char *path, gf__training *training, gf_error *err);

#endif
