/* zoo/tensorflow/tensorflow.h: TensorFlow's files, a SavedModel or a frozen graph. */
#ifndef GRAFT_ZOO_TENSORFLOW_H
#define GRAFT_ZOO_TENSORFLOW_H

#include "zoo/zoo_priv.h"

/* A SavedModel or a GraphDef. Where it leaves the picture's size open, it is that of the network that
 * `name` is known to be. */
gf_status gf__savedmodel_read(const gf__source *source, const char *name, const gf_observer *obs,
                              gf__checkpoint *out, gf_error *err);

/* Whether a whole file is one of the two, and which, by what is in it; what only may be one, because it is
 * damaged, is none. */
bool gf__savedmodel_recognise(const uint8_t *bytes, size_t n_bytes, gf__source_kind *kind);

#endif
