/* kernels_priv.h: our own loops: everything that is not a convolution, a Dense layer or a
 * windowed pooling. Destination first. Values are float or bfloat16 (as uint16_t) by their
 * dtype; sums are made in float or double whatever they are. */
#ifndef GRAFT_ENGINE_KERNELS_PRIV_H
#define GRAFT_ENGINE_KERNELS_PRIV_H

#include "engine/engine_priv.h"

/* Nearest even; NaN stays NaN. */
uint16_t gf__bf16_round(float value);

/* n numbers from one dtype to another (float32, bfloat16). */
void gf__convert(void *dst, gf_dtype dst_dtype, const void *src, gf_dtype src_dtype, size_t n);
/* dst = pixel * scale + shift. */
void gf__load_pixels(void *dst, gf_dtype dtype, const uint8_t *pixels, size_t n, float scale,
                     float shift);
/* n_rows rows of row_bytes, each dst_step bytes after the last in dst: channels into a wider
 * tensor. */
void gf__place_rows(uint8_t *dst, size_t dst_step, const uint8_t *src, size_t row_bytes,
                    size_t n_rows);
/* dst (C) floats from src (P, C): mean or maximum over P. */
void gf__global_pool(float *dst, const void *src, gf_dtype dtype, size_t P, size_t C, bool is_max);
/* dst (P, C) = act(src * scale[c] + shift[c]). */
void gf__affine(void *dst, const void *src, gf_dtype dtype, const float *scale, const float *shift,
                size_t P, size_t C, gf__activation activation);
void gf__add(void *dst, const void *a, const void *b, gf_dtype dtype, size_t n,
             gf__activation activation);
/* relu, relu6, tanh and sigmoid of each number, softmax over the C of each row. */
void gf__activate(void *dst, const void *src, gf_dtype dtype, size_t P, size_t C,
                  gf__activation activation);
/* Zeros around a picture. padding top, bottom, left, right. */
void gf__pad(uint8_t *dst, const uint8_t *src, size_t height, size_t width, size_t pixel_bytes,
             const size_t padding[4]);

#endif
