/* service/samples.c: the self-test that goes into a model: a few pictures as the network sees them,
 * with the scores the head gives them. */
#include "service/service_priv.h"

/* Scores may differ by this much: another CPU's kernels sum in another order, and bf16 has 8 bits. */
#define TOLERANCE_F32  1e-3
#define TOLERANCE_BF16 5e-2

static gf_status add_sample(const gf__part *part, size_t row, const gf_recipe *recipe,
                            uint64_t max_pixels, gf__samples *out, gf_error *err)
{
    gf__self_test_sample *sample = &out->at[out->n];
    uint8_t *png = NULL;
    const gf_status st = gf__recipe_picture(part->dataset, part->items[row], recipe, max_pixels,
                                            &png, &sample->n_bytes, err);
    if (st != GF_OK)
        return st;
    sample->png = png;
    sample->item = gf_dataset_item_at(part->dataset, part->items[row]);
    out->n++;
    return GF_OK;
}

gf_status gf__samples_new(const gf__part *part, size_t output, const gf_head *head,
                          const gf_extractor *extractor, const gf_recipe *recipe,
                          uint64_t max_pixels, gf__samples *out, gf_error *err)
{
    const size_t n_classes = gf_head_n_classes(head), size = gf_head_n_features(head);
    const float *features = gf_tensor_f32(part->features[output]);
    const bool is_bf16 = gf_extractor_precision(extractor) == GF_PRECISION_BF16;
    *out = (gf__samples){.tolerance = is_bf16 ? TOLERANCE_BF16 : TOLERANCE_F32};
    out->scores = gf__calloc(GF__SELF_TEST_SAMPLES * n_classes, sizeof *out->scores);
    if (out->scores == NULL)
        return gf__error_nomem(err, "self-test", GF__SELF_TEST_SAMPLES * n_classes * sizeof(float));
    for (size_t k = 0; k < n_classes && out->n < GF__SELF_TEST_SAMPLES; k++) {
        size_t row = 0;
        while (row < part->n && part->labels[row] != k)
            row++;
        if (row == part->n)
            continue;
        float *scores = out->scores + out->n * n_classes;
        out->at[out->n].scores = scores;
        gf_status st = gf_head_predict(head, features + row * size, 1, scores, err);
        if (st == GF_OK)
            st = add_sample(part, row, recipe, max_pixels, out, err);
        if (st != GF_OK)
            return st;
    }
    return GF_OK;
}

void gf__samples_clear(gf__samples *samples)
{
    for (size_t i = 0; i < samples->n; i++)
        gf_image_bytes_free((uint8_t *)(uintptr_t)samples->at[i].png);
    gf__free(samples->scores);
    *samples = (gf__samples){0};
}
