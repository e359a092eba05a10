/* train/train.h: the door of train for other folders. */
#ifndef GRAFT_SRC_TRAIN_H
#define GRAFT_SRC_TRAIN_H

#include "base/base.h"
#include "graft/train.h"

/* NaN becomes null. */
gf__json *gf__history_to_json(const gf_history *history);
gf_status gf__history_from_json(const gf__json *json, gf_history **out, gf_error *err);
gf__json *gf__metrics_to_json(const gf_metrics *metrics, const char *const *class_names);
/* [{"layer": ..., "accuracy": ...}, ...]: how a linear probe did on each. */
gf__json *gf__probes_to_json(const char *const *layers, const double *accuracy, size_t n);
gf__json *gf__train_options_to_json(const gf_train_options *options);

#endif
