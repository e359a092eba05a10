/* train/fit_priv.h: what a training is looked at for before it starts. */
#ifndef GRAFT_TRAIN_FIT_PRIV_H
#define GRAFT_TRAIN_FIT_PRIV_H

#include "train/train.h"

/* The arguments of gf_fit() against one another; val and callbacks may be NULL. The message names the
 * option, or the row and its value. */
gf_status gf__fit_check(const gf_head *head, const gf_fit_data *train, const gf_fit_data *val,
                        const gf_train_options *options, const gf_fit_callbacks *callbacks,
                        gf_error *err);

#endif
