/* image/resize.c: the one resize filter, equal to Pillow's BILINEAR bit for bit.
 *
 * In and out: RGB bytes. A triangle of support max(1, scale) around half-pixel centres, first along
 * the rows, then along the columns, 8 bits in between (Pillow 13 takes the columns first where that
 * is less work, and differs by one level there; rows first can be done while they are decoded).
 * Weights are computed in double and rounded to 1/2^22; from there on everything is integer, so
 * every machine and every compiler gives the same pixels. */
#include "image/image_priv.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define WEIGHT_BITS 22
#define HALF        (1 << (WEIGHT_BITS - 1))

void gf__filter_clear(gf__filter *filter)
{
    gf__free(filter->first);
    gf__free(filter->n_taps);
    gf__free(filter->weights);
    *filter = (gf__filter){0};
}

static gf_status reserve_filter(gf__filter *filter, size_t n_out, size_t max_taps, gf_error *err)
{
    size_t n_weights = 0, n_bytes = 0;

    if (!gf__mul_size(n_out, max_taps, &n_weights) ||
        !gf__mul_size(n_weights, sizeof(int32_t), &n_bytes))
        return gf__error_nomem(err, "resize weights", SIZE_MAX);
    filter->first = gf__calloc(n_out, sizeof *filter->first);
    filter->n_taps = gf__calloc(n_out, sizeof *filter->n_taps);
    filter->weights = gf__calloc(n_weights, sizeof *filter->weights);
    if (filter->first == NULL || filter->n_taps == NULL || filter->weights == NULL) {
        gf__filter_clear(filter);
        return gf__error_nomem(err, "resize weights", n_bytes);
    }
    return GF_OK;
}

static double triangle(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* The operations and their order are Pillow's precompute_coeffs(): another order rounds
 * differently. */
static void fill_weights(gf__filter *filter, size_t i, double scale, double support)
{
    const double centre = ((double)i + 0.5) * scale;
    const double start = centre - support + 0.5;
    const size_t first = start < 0.0 ? 0 : (size_t)start;
    size_t end = (size_t)(centre + support + 0.5);
    if (end > filter->n_in)
        end = filter->n_in;
    const double step = 1.0 / support;
    int32_t *weights = filter->weights + i * filter->max_taps;
    double sum = 0.0;

    for (size_t t = first; t < end; t++)
        sum += triangle(((double)t - centre + 0.5) * step);
    for (size_t t = first; t < end; t++) {
        const double weight = triangle(((double)t - centre + 0.5) * step) / sum;
        weights[t - first] = (int32_t)(0.5 + weight * (1 << WEIGHT_BITS));
    }
    filter->first[i] = first;
    filter->n_taps[i] = end - first;
}

gf_status gf__filter_set(gf__filter *filter, size_t n_in, size_t n_out, gf_error *err)
{
    assert(n_in > 0 && n_out > 0);
    if (filter->n_in == n_in && filter->n_out == n_out)
        return GF_OK;
    const double scale = (double)n_in / (double)n_out;
    const double support = scale < 1.0 ? 1.0 : scale;
    const size_t max_taps = (size_t)ceil(support) * 2 + 2; /* at most 2 ceil + 1, and one of zero */

    gf__filter_clear(filter);
    gf_status st = reserve_filter(filter, n_out, max_taps, err);
    if (st != GF_OK)
        return st;
    filter->n_in = n_in;
    filter->n_out = n_out;
    filter->max_taps = max_taps;
    for (size_t i = 0; i < n_out; i++)
        fill_weights(filter, i, scale, support);
    return GF_OK;
}

static inline uint8_t clip(int32_t sum)
{
    const int32_t level = sum >> WEIGHT_BITS;
    return (uint8_t)(level > 255 ? 255 : level);
}

static void row_plain(const gf__filter *filter, const uint8_t *row, uint8_t *out)
{
    for (size_t i = 0; i < filter->n_out; i++) {
        const uint8_t *pixel = row + 3 * filter->first[i];
        const int32_t *weights = filter->weights + i * filter->max_taps;
        int32_t red = HALF, green = HALF, blue = HALF;
        for (size_t t = 0; t < filter->n_taps[i]; t++, pixel += 3) {
            red += pixel[0] * weights[t];
            green += pixel[1] * weights[t];
            blue += pixel[2] * weights[t];
        }
        out[3 * i] = clip(red);
        out[3 * i + 1] = clip(green);
        out[3 * i + 2] = clip(blue);
    }
}

/* A strip of the row at a time, so that its sums stay in the first cache. */
static inline __attribute__((always_inline)) void
columns_kernel(const gf__filter *filter, const uint8_t *rows, size_t n_row_bytes, uint8_t *out)
{
    enum { STRIP = 512 };
    int32_t sums[STRIP];

    for (size_t i = 0; i < filter->n_out; i++) {
        const int32_t *weights = filter->weights + i * filter->max_taps;
        for (size_t left = 0; left < n_row_bytes; left += STRIP) {
            const size_t n = n_row_bytes - left < STRIP ? n_row_bytes - left : STRIP;
            const uint8_t *source = rows + filter->first[i] * n_row_bytes + left;
            for (size_t b = 0; b < n; b++)
                sums[b] = HALF;
            for (size_t t = 0; t < filter->n_taps[i]; t++, source += n_row_bytes) {
                const int32_t weight = weights[t];
                for (size_t b = 0; b < n; b++)
                    sums[b] += source[b] * weight;
            }
            for (size_t b = 0; b < n; b++)
                out[i * n_row_bytes + left + b] = clip(sums[b]);
        }
    }
}

static void columns_plain(const gf__filter *filter, const uint8_t *rows, size_t n_row_bytes,
                          uint8_t *out)
{
    columns_kernel(filter, rows, n_row_bytes, out);
}

#if defined(__x86_64__)
/* Two taps at a time, four lanes each: red, green, blue and one that is never stored. An odd last
 * tap is paired with a weight of zero, which every row of weights has behind its taps. Integer
 * sums: equal to the plain loop. */
__attribute__((target("avx2"))) static void row_avx2(const gf__filter *filter, const uint8_t *row,
                                                     uint8_t *out)
{
    const __m128i spread = _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m256i pair = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);

    for (size_t i = 0; i < filter->n_out; i++) {
        const uint8_t *pixel = row + 3 * filter->first[i];
        const int32_t *weights = filter->weights + i * filter->max_taps;
        __m256i sums = _mm256_setzero_si256();
        for (size_t t = 0; t < filter->n_taps[i]; t += 2, pixel += 6) {
            const __m128i bytes = _mm_loadl_epi64((const void *)pixel);
            const __m256i values = _mm256_cvtepu8_epi32(_mm_shuffle_epi8(bytes, spread));
            const __m128i two = _mm_loadl_epi64((const void *)(weights + t));
            const __m256i weight = _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(two), pair);
            sums = _mm256_add_epi32(sums, _mm256_mullo_epi32(values, weight));
        }
        __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums),
                                    _mm256_extracti128_si256(sums, 1));
        sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(HALF)), WEIGHT_BITS);
        sum = _mm_packus_epi16(_mm_packus_epi32(sum, sum), sum);
        const uint32_t rgb = (uint32_t)_mm_cvtsi128_si32(sum);
        out[3 * i] = (uint8_t)rgb;
        out[3 * i + 1] = (uint8_t)(rgb >> 8);
        out[3 * i + 2] = (uint8_t)(rgb >> 16);
    }
}

/* The plain loops, with a 32-bit multiply in one instruction: in SSE2 it is a dance. */
__attribute__((target("avx2"))) static void
columns_avx2(const gf__filter *filter, const uint8_t *rows, size_t n_row_bytes, uint8_t *out)
{
    columns_kernel(filter, rows, n_row_bytes, out);
}
#endif

static const gf__resize_kernels plain_kernels = {row_plain, columns_plain};

const gf__resize_kernels *gf__resize_kernels_plain(void)
{
    return &plain_kernels;
}

const gf__resize_kernels *gf__resize_kernels_here(void)
{
#if defined(__x86_64__)
    static const gf__resize_kernels avx2_kernels = {row_avx2, columns_avx2};
    if (__builtin_cpu_supports("avx2"))
        return &avx2_kernels;
#endif
    return &plain_kernels;
}

void gf__resize_row(const gf__filter *filter, const uint8_t *row, uint8_t *out)
{
    if (filter->n_in == filter->n_out)
        memcpy(out, row, 3 * filter->n_in);
    else
        gf__resize_kernels_here()->row(filter, row, out);
}

void gf__resize_columns(const gf__filter *filter, const uint8_t *rows, size_t n_row_bytes,
                        uint8_t *out)
{
    if (filter->n_in == filter->n_out)
        memcpy(out, rows, n_row_bytes * filter->n_in);
    else
        gf__resize_kernels_here()->columns(filter, rows, n_row_bytes, out);
}

static gf_status check_target(size_t width, size_t height, gf_error *err)
{
    size_t n_bytes = 0;

    if (width == 0 || height == 0)
        return gf_error_set(err, GF_EINVAL,
                            "cannot resize to %zux%zu: both sides must be at least 1", width,
                            height);
    return gf__rgb_bytes(width, height, &n_bytes, err);
}

gf_status gf_image_resize_into(const gf_image *image, size_t width, size_t height, uint8_t *rgb,
                               gf_error *err)
{
    gf__filter x_filter = {0}, y_filter = {0};
    gf__block narrow = {0};
    size_t n_narrow_bytes = 0;
    gf_status st;

    assert(image != NULL && rgb != NULL);
    st = check_target(width, height, err);
    if (st != GF_OK)
        goto done;
    st = gf__filter_set(&x_filter, image->width, width, err);
    if (st != GF_OK)
        goto done;
    st = gf__filter_set(&y_filter, image->height, height, err);
    if (st != GF_OK)
        goto done;
    st = gf__rgb_bytes(width, image->height, &n_narrow_bytes, err);
    if (st != GF_OK)
        goto done;
    st = gf__block_reserve(&narrow, n_narrow_bytes, "resizing", err);
    if (st != GF_OK)
        goto done;

    for (size_t y = 0; y < image->height; y++)
        gf__resize_row(&x_filter, image->rgb + y * image->width * 3, narrow.data + y * width * 3);
    gf__resize_columns(&y_filter, narrow.data, width * 3, rgb);
done:
    gf__free(narrow.data);
    gf__filter_clear(&x_filter);
    gf__filter_clear(&y_filter);
    return st;
}

gf_status gf_image_resize(const gf_image *image, size_t width, size_t height, gf_image **out,
                          gf_error *err)
{
    gf_image *resized = NULL;
    gf_status st;

    *out = NULL;
    st = check_target(width, height, err);
    if (st != GF_OK)
        goto done;
    st = gf__image_new(width, height, &resized, err);
    if (st != GF_OK)
        goto done;
    st = gf_image_resize_into(image, width, height, resized->rgb, err);
    if (st != GF_OK)
        goto done;
    *out = resized;
    resized = NULL;
done:
    gf_image_free(resized);
    return st;
}
