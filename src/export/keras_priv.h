/* export/keras_priv.h: between keras.c (both forms of Keras' files) and keras_archive.c (what makes a .keras
 * archive of it). Never leaves this folder. */
#ifndef GRAFT_EXPORT_KERAS_PRIV_H
#define GRAFT_EXPORT_KERAS_PRIV_H

#include "export/export_priv.h"

/* GF_EUNSUPPORTED: a name that Keras 3 does not take. */
gf_status gf__keras_check_names(const gf_graph *graph, gf_error *err);
/* The zip archive of a finished model.weights.h5, with config.json and metadata.json, written to path. */
gf_status gf__keras_write_archive(const gf__export_source *source, const char *weights,
                                  const char *path, gf_error *err);

#endif
