/* tensor/tensor.h: the door of tensor for other folders. */
#ifndef GRAFT_SRC_TENSOR_H
#define GRAFT_SRC_TENSOR_H

#include "graft/tensor.h"
#include "tensor/archive.h"

/* Gives back the memory that reading the tensors of an opened file has filled. */
void gf__safetensors_release_pages(const gf_safetensors *file);

/* A tensor that views bytes owned by somebody else, who must outlive it. */
gf_status gf__tensor_view(gf_dtype dtype, const size_t *shape, size_t n_dims, const void *data,
                          gf_tensor **out, gf_error *err);
gf_status gf__tensor_copy(const gf_tensor *tensor, gf_tensor **out, gf_error *err);
/* One more owner; gf_tensor_free() drops one. Weights are shared by graphs cut from one another. */
gf_tensor *gf__tensor_ref(gf_tensor *tensor);

float gf__f16_to_f32(uint16_t half);
uint16_t gf__f32_to_f16(float value); /* round to nearest even, NaN stays NaN */
float gf__bf16_to_f32(uint16_t bfloat);
uint16_t gf__f32_to_bf16(float value); /* round to nearest even, NaN stays NaN */

/* "(200,299,299,3)" into text; for messages. Returns text. */
#define GF__SHAPE_TEXT 128
const char *gf__shape_text(const size_t *shape, size_t n_dims, char text[GF__SHAPE_TEXT]);

/* .npy header and data, from memory. The tensor is a copy. */
gf_status gf__npy_parse(const uint8_t *bytes, size_t n_bytes, gf_tensor **out, gf_error *err);
/* gf_npz_open() from bytes that the caller keeps alive. */
gf_status gf__npz_parse(const uint8_t *bytes, size_t n_bytes, gf_npz **out, gf_error *err);

#endif
