/* graft/tensor.h: dense arrays in row-major order, and the files they come in: .npy, .npz,
 * safetensors.
 *
 *     gf_npz *file = NULL;
 *     gf_tensor *pictures = NULL;
 *     st = gf_npz_open("opera.npz", &file, err);
 *     st = gf_npz_load(file, "features", &pictures, err);     uint8 (200,299,299,3)
 *     gf_npz_close(file);
 *
 * Threads: a tensor or an open file may be read by any number of threads.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAFT_TENSOR_H
#define GRAFT_TENSOR_H

#include "graft/base.h"

GF_BEGIN_DECLS

typedef enum gf_dtype {
    GF_DTYPE_F32,
    GF_DTYPE_F64,
    GF_DTYPE_F16,
    GF_DTYPE_BF16,
    GF_DTYPE_U8,
    GF_DTYPE_I8,
    GF_DTYPE_U16,
    GF_DTYPE_I16,
    GF_DTYPE_U32,
    GF_DTYPE_I32,
    GF_DTYPE_U64,
    GF_DTYPE_I64,
    GF_DTYPE_BOOL
} gf_dtype;

#define GF_TENSOR_MAX_DIMS 8

/* opaque: owns its values, or views a mapped file that must outlive it */
typedef struct gf_tensor gf_tensor;

GF_API const char *gf_dtype_name(gf_dtype dtype); /* "float32", numpy's names; static storage */
GF_API size_t gf_dtype_size(gf_dtype dtype);      /* bytes a value */

/* A new zeroed tensor, 64-byte aligned. n_dims 0 is a single value. Errors GF_ENOMEM, GF_ESHAPE
 * (too many dimensions, or a size that does not fit). End with gf_tensor_free(). */
GF_API gf_status gf_tensor_new(gf_dtype dtype, const size_t *shape, size_t n_dims, gf_tensor **out,
                               gf_error *err);
GF_API void gf_tensor_free(gf_tensor *tensor);

GF_API gf_dtype gf_tensor_dtype(const gf_tensor *tensor);
GF_API size_t gf_tensor_n_dims(const gf_tensor *tensor);
GF_API const size_t *gf_tensor_shape(const gf_tensor *tensor); /* n_dims values, borrowed */
GF_API size_t gf_tensor_n_values(const gf_tensor *tensor);
GF_API size_t gf_tensor_size_bytes(const gf_tensor *tensor);
GF_API const void *gf_tensor_data(const gf_tensor *tensor); /* borrowed */
GF_API void *gf_tensor_mutable_data(gf_tensor *tensor);     /* NULL for a view */
/* The values as float; NULL unless the tensor is GF_DTYPE_F32. Borrowed. */
GF_API const float *gf_tensor_f32(const gf_tensor *tensor);

/* A new float32 tensor of the same shape, converted from any dtype. */
GF_API gf_status gf_tensor_to_f32(const gf_tensor *tensor, gf_tensor **out, gf_error *err);

/* numpy .npy, versions 1.0 to 3.0, little-endian, C order (Fortran order is transposed on
 * reading). */
GF_API gf_status gf_npy_load(const char *path, gf_tensor **out, gf_error *err);
GF_API gf_status gf_npy_save(const char *path, const gf_tensor *tensor, gf_error *err);

/* numpy .npz: a zip of .npy members, stored or deflated. Names without ".npy". Unicode string
 * members (numpy's dtype U) are read by gf_npz_load_strings only. */
typedef struct gf_npz gf_npz;
GF_API gf_status gf_npz_open(const char *path, gf_npz **out, gf_error *err);
GF_API void gf_npz_close(gf_npz *file);
GF_API size_t gf_npz_n_members(const gf_npz *file);
GF_API const char *gf_npz_name_at(const gf_npz *file, size_t i); /* borrowed */
GF_API bool gf_npz_has(const gf_npz *file, const char *name);
GF_API gf_status gf_npz_load(gf_npz *file, const char *name, gf_tensor **out, gf_error *err);
/* A one-dimensional member of strings. *strings is one block of n pointers and text; end it with
 * gf_strings_free(). */
GF_API gf_status gf_npz_load_strings(gf_npz *file, const char *name, char ***strings, size_t *n,
                                     gf_error *err);
GF_API void gf_strings_free(char **strings);

/* One member to write: a tensor, or n_strings strings (written as numpy's U), or rows made on
 * demand. */
typedef struct gf_npz_member {
    const char *name;
    const gf_tensor *tensor;
    const char *const *strings;
    size_t n_strings;
    /* Rows on demand, for data that does not fit in memory: dtype and shape (first dimension the
     * number of rows), and a callback that fills row i, called in order. Used when tensor and
     * strings are NULL. */
    gf_dtype dtype;
    const size_t *shape;
    size_t n_dims;
    gf_status (*fill_row)(void *user, size_t i, void *row, gf_error *err);
    void *user;
} gf_npz_member;
/* Written aside and renamed; the same members give the same bytes (no dates). Stored, or
 * deflated. */
GF_API gf_status gf_npz_save(const char *path, const gf_npz_member *members, size_t n_members,
                             bool is_compressed, gf_error *err);

/* safetensors: named tensors behind a JSON header; the file is mapped and tensors are views of it.
 * Format: docs/formats.md and the safetensors project's own page. Dtypes F64 F32 F16 BF16 I64 I32
 * I16 I8 U64 U32 U16 U8 BOOL. */
typedef struct gf_safetensors gf_safetensors;
GF_API gf_status gf_safetensors_open(const char *path, gf_safetensors **out, gf_error *err);
/* The same from bytes that the caller keeps alive. */
GF_API gf_status gf_safetensors_parse(const void *bytes, size_t n_bytes, gf_safetensors **out,
                                      gf_error *err);
GF_API void gf_safetensors_close(gf_safetensors *file); /* views become invalid */
GF_API size_t gf_safetensors_n_tensors(const gf_safetensors *file);
GF_API const char *gf_safetensors_name_at(const gf_safetensors *file, size_t i); /* borrowed */
GF_API const gf_tensor *gf_safetensors_find(const gf_safetensors *file,
                                            const char *name); /* NULL, or borrowed */
/* Value of a __metadata__ key; NULL where there is none. Borrowed. */
GF_API const char *gf_safetensors_metadata(const gf_safetensors *file, const char *key);

typedef struct gf_named_tensor {
    const char *name;
    const gf_tensor *tensor;
} gf_named_tensor;
typedef struct gf_metadata {
    const char *key;
    const char *value;
} gf_metadata;
/* Written aside and renamed; tensors in the order given, header padded so that data is 64-byte
 * aligned. */
GF_API gf_status gf_safetensors_save(const char *path, const gf_named_tensor *tensors,
                                     size_t n_tensors, const gf_metadata *metadata,
                                     size_t n_metadata, gf_error *err);

GF_END_DECLS

#endif
