/* zoo/tensorflow/tensor_bundle.h: TensorFlow's checkpoints: PREFIX.index, a sorted table from names to
 * places, and PREFIX.data-00000-of-00001 with the values. The table is LevelDB's: blocks of
 * entries that share beginnings of keys, a block that names the blocks, a footer. */
#ifndef GRAFT_ZOO_TENSOR_BUNDLE_H
#define GRAFT_ZOO_TENSOR_BUNDLE_H

#include "tensor/tensor.h"

typedef struct gf__tensor_bundle gf__tensor_bundle; /* opaque */

/* prefix: "DIR/variables/variables". Errors name the file. */
gf_status gf__tensor_bundle_open(const char *prefix, gf__tensor_bundle **out, gf_error *err);
/* The index alone, from bytes: for tests and fuzzing. Its tensors cannot be loaded. */
gf_status gf__tensor_bundle_parse(const void *bytes, size_t n_bytes, gf__tensor_bundle **out,
                                  gf_error *err);
void gf__tensor_bundle_close(gf__tensor_bundle *bundle);

size_t gf__tensor_bundle_n_tensors(const gf__tensor_bundle *bundle);
const char *gf__tensor_bundle_name_at(const gf__tensor_bundle *bundle, size_t i);
/* A new tensor of float32, its checksum compared. GF_ENOTFOUND without such a name. */
gf_status gf__tensor_bundle_load(const gf__tensor_bundle *bundle, const char *name, gf_tensor **out,
                                 gf_error *err);

#endif
