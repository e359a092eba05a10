/* model/predictor.c: picture bytes into scores, the way the model was trained: the same
 * preprocessing, the same cut of the same trunk, the same head. What does not fit together is found
 * when the predictor is made, not at the first picture. */
#include <string.h>

#include "head/head.h"
#include "model/model_priv.h"

struct gf_predictor {
    gf_model *model;
    gf_extractor *extractor;
    float *features;
};

gf_predictor_options gf_predictor_options_default(void)
{
    return (gf_predictor_options){.precision = GF_PRECISION_AUTO};
}

/* float32 everywhere is the next best: it is closer to bfloat16 than bfloat16 is to being usable
 * where it is emulated. */
gf_precision gf__model_choose_precision(const gf_model *model, gf_precision wanted)
{
    if (wanted != GF_PRECISION_AUTO)
        return wanted;
    if (model->precision == GF_PRECISION_BF16 &&
        gf_precision_resolve(GF_PRECISION_AUTO) != GF_PRECISION_BF16)
        return GF_PRECISION_F32;
    return model->precision;
}

gf_status gf__model_check_recipe(const gf_model *model, const gf_trunk *trunk, gf_error *err)
{
    const gf_recipe found = gf_recipe_of(trunk), *want = &model->recipe;
    if (found.width == want->width && found.height == want->height && found.scale == want->scale &&
        found.shift == want->shift)
        return GF_OK;
    return gf_error_set(err, GF_EMISMATCH,
                        "the model prepares pictures as %zu x %zu, times %g plus %g; trunk %s as "
                        "%zu x %zu, times %g plus %g",
                        want->width, want->height, (double)want->scale, (double)want->shift,
                        gf_trunk_name(trunk), found.width, found.height, (double)found.scale,
                        (double)found.shift);
}

static gf_status check_features(const gf_model *model, const gf_extractor *extractor, gf_error *err)
{
    const size_t found = gf_extractor_output_size(extractor, 0);
    const size_t want = gf_head_n_features(model->head);
    if (found != want)
        return gf_error_set(err, GF_EMISMATCH,
                            "layer %s gives %zu values, the head was trained on %zu", model->layer,
                            found, want);
    return GF_OK;
}

gf_status gf__model_extractor(gf_model *model, const char *home,
                              const gf_extractor_options *options, gf_extractor **out,
                              gf_error *err)
{
    gf_trunk *trunk = NULL;
    gf_extractor *extractor = NULL;
    gf_extractor_options mine = *options;
    const gf_output_spec output = {model->layer, model->pool};
    *out = NULL;
    mine.precision = gf__model_choose_precision(model, options->precision);
    gf_status st = gf_model_trunk(model, home, &trunk, err);
    if (st == GF_OK)
        st = gf__model_check_recipe(model, trunk, err);
    if (st == GF_OK)
        st = gf_extractor_new(trunk, &output, 1, &mine, &extractor, err);
    if (st == GF_OK)
        st = check_features(model, extractor, err);
    if (st == GF_OK) {
        *out = extractor;
        extractor = NULL;
    }
    gf_extractor_free(extractor);
    gf_trunk_free(trunk); /* the extractor keeps it */
    return st;
}

static gf_status init(gf_predictor *predictor, const char *home,
                      const gf_predictor_options *options, gf_error *err)
{
    gf_extractor_options mine = gf_extractor_options_default();
    mine.precision = options->precision;
    mine.n_threads = options->n_threads;
    mine.max_pixels = options->max_pixels;
    mine.for_latency = true;
    char *pack_dir = home != NULL ? gf__path_join(home, "packs") : NULL;
    /* NULL also when memory is short: then weights are packed in memory */
    mine.pack_dir = pack_dir;
    gf_status st = gf__model_extractor(predictor->model, home, &mine, &predictor->extractor, err);
    gf__free(pack_dir);
    if (st == GF_OK)
        st = gf__extractor_prepare(predictor->extractor, err);
    if (st != GF_OK)
        return st;
    const size_t n = gf_extractor_output_size(predictor->extractor, 0);
    predictor->features = gf__alloc_aligned(n * sizeof(float));
    return predictor->features != NULL ? GF_OK
                                       : gf__error_nomem(err, "features", n * sizeof(float));
}

gf_status gf_predictor_new(gf_model *model, const char *home, const gf_predictor_options *options,
                           gf_predictor **out, gf_error *err)
{
    *out = NULL;
    const gf_predictor_options defaults = gf_predictor_options_default();
    gf_predictor *predictor = gf__calloc(1, sizeof *predictor);
    if (predictor == NULL)
        return gf__error_nomem(err, "a predictor", sizeof *predictor);
    predictor->model = gf_model_ref(model);
    const gf_status st = gf__model_takes_numbers(model)
                             ? GF_OK
                             : init(predictor, home, options != NULL ? options : &defaults, err);
    if (st == GF_OK) {
        *out = predictor;
        predictor = NULL;
    }
    gf_predictor_free(predictor);
    return st;
}

void gf_predictor_free(gf_predictor *predictor)
{
    if (predictor == NULL)
        return;
    gf_extractor_free(predictor->extractor);
    gf__free(predictor->features);
    gf_model_unref(predictor->model);
    gf__free(predictor);
}

gf_precision gf__predictor_precision(const gf_predictor *predictor)
{
    return predictor->extractor != NULL ? gf_extractor_precision(predictor->extractor)
                                        : predictor->model->precision;
}

/* A damaged trunk shows in its features; a head may hide that (ReLU makes 0 of what is not a
 * number). */
static gf_status check_finite(const gf_model *model, const char *what, const float *values,
                              size_t n, gf_error *err)
{
    const size_t i = gf__first_not_finite(values, n);
    if (i == n)
        return GF_OK;
    if (gf__model_takes_numbers(model))
        return gf_error_set(err, GF_EINVAL, "%s %zu is %g: the numbers are too large for the model",
                            what, i, (double)values[i]);
    return gf_error_set(err, GF_EMISMATCH,
                        "%s %zu is %g: the weights of trunk %s or of the head are damaged", what, i,
                        (double)values[i], model->trunk_name);
}

static gf_status score_row(const gf_model *model, const float *row, float *scores, float *logits,
                           gf_error *err)
{
    const gf__standardisation how = gf__model_standardisation(model);
    float *features = gf__alloc_aligned(model->n_features * sizeof *features);
    if (features == NULL)
        return gf__error_nomem(err, "numbers", model->n_features * sizeof *features);
    gf__standardise(&how, row, features, model->n_features);
    gf_status st = check_finite(model, "column", features, model->n_features, err);
    if (st == GF_OK)
        st = gf__head_predict_logits(model->head, features, 1, scores, logits, err);
    gf__free(features);
    return st;
}

gf_status gf__model_score(const gf_model *model, const float *features, float *scores,
                          float *logits, gf_error *err)
{
    gf_status st = GF_OK;
    if (gf__model_takes_numbers(model))
        st = score_row(model, features, scores, logits, err);
    else
        st = check_finite(model, "feature", features, model->n_features, err);
    if (st == GF_OK && !gf__model_takes_numbers(model))
        st = gf__head_predict_logits(model->head, features, 1, scores, logits, err);
    if (st == GF_OK)
        st = check_finite(model, "score", scores, model->n_classes, err);
    return st;
}

gf_status gf_predictor_numbers(gf_predictor *predictor, const float *numbers, size_t n,
                               float *scores, gf_predict_timing *timing, gf_error *err)
{
    const double start_s = gf__clock_s();
    const gf_status st = gf__model_predict_numbers(predictor->model, numbers, n, scores, NULL, err);
    if (timing != NULL)
        *timing = (gf_predict_timing){.head_ms = 1e3 * (gf__clock_s() - start_s)};
    return st;
}

gf_status gf_predictor_picture(gf_predictor *predictor, const void *bytes, size_t n_bytes,
                               float *scores, gf_predict_timing *timing, gf_error *err)
{
    const gf_model *model = predictor->model;
    gf_extract_timing extract = {0};
    if (gf__model_takes_numbers(model))
        return gf_error_set(err, GF_EUNSUPPORTED, "the model takes %zu numbers, not pictures",
                            model->n_features);
    gf_status st = gf_extractor_picture(predictor->extractor, bytes, n_bytes, &predictor->features,
                                        &extract, err);
    if (st != GF_OK)
        return st;
    const double start = 1e3 * gf__clock_s();
    st = gf__model_score(model, predictor->features, scores, NULL, err);
    if (timing != NULL)
        *timing = (gf_predict_timing){extract.decode_ms, extract.network_ms,
                                      1e3 * gf__clock_s() - start};
    return st;
}

gf_status gf__predictor_sample(gf_predictor *predictor, const gf_sample *sample, float *scores,
                               gf_error *err)
{
    const gf_model *model = predictor->model;
    if (sample->kind == GF_SAMPLE_NUMBERS)
        return gf_predictor_numbers(predictor, sample->data, sample->n_bytes / sizeof(float),
                                    scores, NULL, err);
    if (sample->kind == GF_SAMPLE_ENCODED || gf__model_takes_numbers(model))
        return gf_predictor_picture(predictor, sample->data, sample->n_bytes, scores, NULL, err);
    const gf_status st = gf_extractor_sample(predictor->extractor, sample, NULL,
                                             &predictor->features, err);
    return st == GF_OK ? gf__model_score(model, predictor->features, scores, NULL, err) : st;
}
