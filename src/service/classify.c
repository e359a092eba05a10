/* service/classify.c: one picture into scores of named classes, whether a trunk's own or a trained
 * model's. */
#include <string.h>

#include "service/service_priv.h"

struct gf_classifier {
    gf_trunk *trunk; /* a trunk with its own top: extractor runs it whole */
    gf_extractor *extractor;
    gf_model *model; /* or a trained model: predictor */
    gf_predictor *predictor;
};

static gf_status open_model(gf_classifier *c, const gf_context *context, const char *path,
                            gf_precision precision, gf_error *err)
{
    gf_predictor_options options = gf_predictor_options_default();
    options.precision = precision;
    options.n_threads = context->n_threads;
    options.max_pixels = context->max_pixels;
    const gf_status st = gf_model_load(path, &c->model, err);
    if (st != GF_OK)
        return st;
    return gf_predictor_new(c->model, context->home, &options, &c->predictor, err);
}

static gf_status open_trunk(gf_classifier *c, const gf_context *context, const char *name,
                            gf_precision precision, gf_error *err)
{
    gf_status st = gf_trunk_load(context->home, name, &c->trunk, err);
    if (st != GF_OK)
        return st;
    if (gf_trunk_n_classes(c->trunk) == 0)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "trunk %s has no classes of its own (it was imported without its top); "
                            "train a head on it with graft train",
                            name);
    const gf_output_spec top = {
        .layer = gf_layer_name(gf_graph_layer_at(gf_trunk_graph(c->trunk), -1)),
        .pool = GF_POOL_NONE};
    st = gf__service_extractor(context, c->trunk, &top, 1, precision, false, &c->extractor, err);
    /* Now, so that the time of the first picture is its own. */
    return st == GF_OK ? gf__extractor_prepare(c->extractor, err) : st;
}

gf_status gf_classifier_open(const gf_context *context, const char *model, gf_precision precision,
                             gf_classifier **out, gf_error *err)
{
    *out = NULL;
    gf_classifier *c = gf__calloc(1, sizeof *c);
    if (c == NULL)
        return gf__error_nomem(err, "classifier", sizeof *c);
    bool is_model = false;
    gf_status st = gf__is_model_file(model, &is_model, err);
    if (st == GF_OK)
        st = is_model ? open_model(c, context, model, precision, err)
                      : open_trunk(c, context, model, precision, err);
    if (st == GF_OK) {
        *out = c;
        c = NULL;
    }
    gf_classifier_free(c);
    return st;
}

void gf_classifier_free(gf_classifier *classifier)
{
    if (classifier == NULL)
        return;
    gf_predictor_free(classifier->predictor);
    gf_model_unref(classifier->model);
    gf_extractor_free(classifier->extractor);
    gf_trunk_free(classifier->trunk);
    gf__free(classifier);
}

size_t gf_classifier_n_classes(const gf_classifier *classifier)
{
    return classifier->model != NULL ? gf_model_n_classes(classifier->model)
                                     : gf_trunk_n_classes(classifier->trunk);
}

const char *gf_classifier_class_at(const gf_classifier *classifier, size_t k)
{
    return classifier->model != NULL ? gf_model_class_at(classifier->model, k)
                                     : gf_trunk_class_at(classifier->trunk, k);
}

gf_status gf_classifier_picture(gf_classifier *classifier, const void *bytes, size_t n_bytes,
                                float *scores, gf_predict_timing *timing, gf_error *err)
{
    if (classifier->model != NULL)
        return gf_predictor_picture(classifier->predictor, bytes, n_bytes, scores, timing, err);
    gf_extract_timing part = {0};
    const gf_status st = gf_extractor_picture(classifier->extractor, bytes, n_bytes, &scores, &part,
                                              err);
    if (timing != NULL)
        *timing = (gf_predict_timing){.decode_ms = part.decode_ms, .network_ms = part.network_ms};
    return st;
}

size_t gf_classifier_n_inputs(const gf_classifier *classifier)
{
    return classifier->model != NULL ? gf_model_n_inputs(classifier->model) : 0;
}

gf_status gf_classifier_numbers(gf_classifier *classifier, const float *numbers, size_t n,
                                float *scores, gf_predict_timing *timing, gf_error *err)
{
    if (classifier->model == NULL)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "a trunk takes pictures, not numbers; a model file takes both");
    return gf_predictor_numbers(classifier->predictor, numbers, n, scores, timing, err);
}

void gf_top_classes(const float *scores, size_t n, size_t k, size_t *classes)
{
    size_t n_found = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = n_found < k ? n_found++ : k;
        for (; at > 0 && scores[classes[at - 1]] < scores[i]; at--)
            if (at < k)
                classes[at] = classes[at - 1];
        if (at < k)
            classes[at] = i;
    }
}
