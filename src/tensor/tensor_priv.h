/* tensor/tensor_priv.h: what the files of this folder share about value types and sizes. */
#ifndef GRAFT_SRC_TENSOR_PRIV_H
#define GRAFT_SRC_TENSOR_PRIV_H

#include "base/base.h"
#include "tensor/tensor.h"

/* Bytes are copied between files and memory as they are. */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "graft runs on little-endian machines only"
#endif

typedef struct gf__dtype_info {
    const char *name; /* numpy's */
    size_t size_bytes;
    const char *npy; /* kind and size in a .npy header, "f4"; NULL: numpy has no such type */
    const char *safetensors; /* "F32" */
} gf__dtype_info;

#define GF__N_DTYPES ((size_t)GF_DTYPE_BOOL + 1)

const gf__dtype_info *gf__dtype_info_of(gf_dtype dtype);

/* Number of values and bytes of a shape; false where the product of the dimensions that are not 0
 * does not fit: then no product of some of them can wrap anywhere else. */
bool gf__shape_size(const size_t *shape, size_t n_dims, size_t item_bytes, size_t *n_values,
                    size_t *size_bytes);

#endif
