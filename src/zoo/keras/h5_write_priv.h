/* zoo/keras/h5_write_priv.h: graft-h5's second way, from tensors to a Keras HDF5 model. */
#ifndef GRAFT_ZOO_H5_WRITE_PRIV_H
#define GRAFT_ZOO_H5_WRITE_PRIV_H

#include "graft/base.h"

/* input: a safetensors file as reading makes it: tensors "LAYER/WEIGHT", metadata model_config, backend,
 * keras_version, graft_properties (may be missing), and layers: [["LAYER", ["WEIGHT", ...]], ...].
 * GF_EFORMAT, GF_EIO. */
gf_status gf__h5_write(const char *input, const char *output, gf_error *err);

#endif
