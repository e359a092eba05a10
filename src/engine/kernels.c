/* kernels.c: the loops of kernels_priv.h. Plain C that the compiler vectorises; together they
 * take about one percent of a run, so nothing here is written for one instruction set. Numbers
 * that are not float pass through a small buffer of floats. */
#include <math.h>
#include <string.h>

#include "engine/kernels_priv.h"

#define CHUNK 256 /* floats on the stack between loading and storing */

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline uint16_t round_bf16(float value)
{
    const uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16) |
                          0x40u); /* quiet NaN: rounding could carry it into infinity */
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

uint16_t gf__bf16_round(float value)
{
    return round_bf16(value);
}

static void floats_to_bf16(uint16_t *restrict dst, const float *restrict src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = round_bf16(src[i]);
}

static void bf16_to_floats(float *restrict dst, const uint16_t *restrict src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = (uint32_t)src[i] << 16;
        memcpy(&dst[i], &bits, sizeof bits);
    }
}

void gf__convert(void *dst, gf_dtype dst_dtype, const void *src, gf_dtype src_dtype, size_t n)
{
    if (dst_dtype == src_dtype)
        memcpy(dst, src, n * gf_dtype_size(src_dtype));
    else if (dst_dtype == GF_DTYPE_BF16)
        floats_to_bf16(dst, src, n);
    else
        bf16_to_floats(dst, src, n);
}

void gf__load_pixels(void *dst, gf_dtype dtype, const uint8_t *pixels, size_t n, float scale,
                     float shift)
{
    if (dtype == GF_DTYPE_F32) {
        float *restrict out = dst;
        for (size_t i = 0; i < n; i++)
            out[i] = (float)pixels[i] * scale + shift;
        return;
    }
    /* 256 possible results: a table is faster than converting, and exact by construction. */
    uint16_t table[256];
    uint16_t *restrict out = dst;
    for (size_t v = 0; v < 256; v++)
        table[v] = round_bf16((float)v * scale + shift);
    for (size_t i = 0; i < n; i++)
        out[i] = table[pixels[i]];
}

void gf__place_rows(uint8_t *dst, size_t dst_step, const uint8_t *src, size_t row_bytes,
                    size_t n_rows)
{
    for (size_t row = 0; row < n_rows; row++)
        memcpy(dst + row * dst_step, src + row * row_bytes, row_bytes);
}

/* n floats starting at number `first` of src: in place where they are floats, else through
 * buffer. */
static const float *load(float *buffer, const void *src, gf_dtype dtype, size_t first, size_t n)
{
    if (dtype == GF_DTYPE_F32)
        return (const float *)src + first;
    bf16_to_floats(buffer, (const uint16_t *)src + first, n);
    return buffer;
}

static void store(void *dst, gf_dtype dtype, size_t first, const float *values, size_t n)
{
    if (dtype == GF_DTYPE_F32)
        memcpy((float *)dst + first, values, n * sizeof *values);
    else
        floats_to_bf16((uint16_t *)dst + first, values, n);
}

static void apply_relu(float *values, size_t n, gf__activation activation)
{
    if (activation != GF__ACTIVATION_RELU && activation != GF__ACTIVATION_RELU6)
        return;
    for (size_t i = 0; i < n; i++)
        values[i] = values[i] > 0.0f ? values[i] : 0.0f;
    for (size_t i = 0; activation == GF__ACTIVATION_RELU6 && i < n; i++)
        values[i] = values[i] < 6.0f ? values[i] : 6.0f;
}

/* In double, so that a float's worth is left of small values, too. */
static void apply_curve(float *values, size_t n, gf__activation activation)
{
    for (size_t i = 0; activation == GF__ACTIVATION_TANH && i < n; i++)
        values[i] = (float)tanh((double)values[i]);
    for (size_t i = 0; activation == GF__ACTIVATION_SIGMOID && i < n; i++)
        values[i] = (float)(1.0 / (1.0 + exp(-(double)values[i])));
}

/* The mean is summed in double: 71 x 71 floats of one size would lose three digits in a float. */
static void pool_channels(float *dst, const void *src, gf_dtype dtype, size_t P, size_t C,
                          size_t first, size_t n, bool is_max)
{
    float buffer[CHUNK];
    double sums[CHUNK] = {0};
    for (size_t p = 0; p < P; p++) {
        const float *x = load(buffer, src, dtype, p * C + first, n);
        if (!is_max) {
            for (size_t c = 0; c < n; c++)
                sums[c] += (double)x[c];
        } else {
            for (size_t c = 0; c < n; c++)
                dst[first + c] = p == 0 || x[c] > dst[first + c] ? x[c] : dst[first + c];
        }
    }
    for (size_t c = 0; !is_max && c < n; c++)
        dst[first + c] = (float)(sums[c] / (double)P);
}

void gf__global_pool(float *dst, const void *src, gf_dtype dtype, size_t P, size_t C, bool is_max)
{
    for (size_t first = 0; first < C; first += CHUNK)
        pool_channels(dst, src, dtype, P, C, first, C - first < CHUNK ? C - first : CHUNK, is_max);
}

void gf__affine(void *dst, const void *src, gf_dtype dtype, const float *scale, const float *shift,
                size_t P, size_t C, gf__activation activation)
{
    float in[CHUNK], out[CHUNK];
    for (size_t p = 0; p < P; p++) {
        for (size_t first = 0; first < C; first += CHUNK) {
            const size_t n = C - first < CHUNK ? C - first : CHUNK;
            const float *x = load(in, src, dtype, p * C + first, n);
            for (size_t c = 0; c < n; c++)
                out[c] = x[c] * scale[first + c] + shift[first + c];
            apply_relu(out, n, activation);
            store(dst, dtype, p * C + first, out, n);
        }
    }
}

void gf__add(void *dst, const void *a, const void *b, gf_dtype dtype, size_t n_values,
             gf__activation activation)
{
    float left[CHUNK], right[CHUNK], out[CHUNK];
    for (size_t first = 0; first < n_values; first += CHUNK) {
        const size_t n = n_values - first < CHUNK ? n_values - first : CHUNK;
        const float *x = load(left, a, dtype, first, n);
        const float *y = load(right, b, dtype, first, n);
        for (size_t i = 0; i < n; i++)
            out[i] = x[i] + y[i];
        apply_relu(out, n, activation);
        store(dst, dtype, first, out, n);
    }
}

/* exp(x - max) / sum, in three passes so that a row of any length needs no memory. */
static void softmax_row(void *dst, const void *src, gf_dtype dtype, size_t first, size_t C)
{
    float buffer[1], max = -INFINITY;
    double sum = 0.0;
    for (size_t c = 0; c < C; c++)
        max = fmaxf(max, load(buffer, src, dtype, first + c, 1)[0]);
    for (size_t c = 0; c < C; c++)
        sum += exp((double)load(buffer, src, dtype, first + c, 1)[0] - (double)max);
    for (size_t c = 0; c < C; c++) {
        const double x = (double)load(buffer, src, dtype, first + c, 1)[0];
        store(dst, dtype, first + c, &(float){(float)(exp(x - (double)max) / sum)}, 1);
    }
}

void gf__activate(void *dst, const void *src, gf_dtype dtype, size_t P, size_t C,
                  gf__activation activation)
{
    float in[CHUNK], out[CHUNK];
    for (size_t p = 0; activation == GF__ACTIVATION_SOFTMAX && p < P; p++)
        softmax_row(dst, src, dtype, p * C, C);
    for (size_t first = 0; activation != GF__ACTIVATION_SOFTMAX && first < P * C; first += CHUNK) {
        const size_t n = P * C - first < CHUNK ? P * C - first : CHUNK;
        memcpy(out, load(in, src, dtype, first, n), n * sizeof *out);
        apply_relu(out, n, activation);
        apply_curve(out, n, activation);
        store(dst, dtype, first, out, n);
    }
}

void gf__pad(uint8_t *dst, const uint8_t *src, size_t height, size_t width, size_t pixel_bytes,
             const size_t padding[4])
{
    const size_t row_bytes = width * pixel_bytes;
    const size_t left_bytes = padding[2] * pixel_bytes, right_bytes = padding[3] * pixel_bytes;
    const size_t dst_row_bytes = left_bytes + row_bytes + right_bytes;
    memset(dst, 0, padding[0] * dst_row_bytes);
    dst += padding[0] * dst_row_bytes;
    for (size_t y = 0; y < height; y++) {
        memset(dst, 0, left_bytes);
        memcpy(dst + left_bytes, src + y * row_bytes, row_bytes);
        memset(dst + left_bytes + row_bytes, 0, right_bytes);
        dst += dst_row_bytes;
    }
    memset(dst, 0, padding[1] * dst_row_bytes);
}
