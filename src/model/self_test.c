/* model/self_test.c: does a model still say here what it said where it was made? It carries
 * pictures with the scores they gave; a trunk that was damaged, a kernel that is wrong on this CPU
 * or a changed resize filter shows in them. */
#include <math.h>

#include "model/model_priv.h"
#include "zoo/zoo.h"

/* Scores made in bfloat16 and replayed in float32 (a CPU without it), or the other way round,
 * differ by rounding that the model's own tolerance does not know. A broken model is off by
 * more. */
#define OTHER_PRECISION_TOLERANCE 0.1

size_t gf__model_n_samples(const gf_model *model)
{
    return model->n_samples;
}

gf__self_test_sample gf__model_sample_at(const gf_model *model, size_t i)
{
    const gf__model_sample *sample = &model->samples[i];
    return (gf__self_test_sample){sample->item, sample->png, sample->n_bytes, sample->numbers,
                                  sample->scores};
}

void gf__self_test_add(gf__self_test_finding *worst, const gf_model *model, size_t sample,
                       const float *scores)
{
    for (size_t k = 0; k < model->n_classes; k++) {
        const double difference = fabs((double)scores[k] -
                                       (double)model->samples[sample].scores[k]);
        if (difference > worst->difference)
            *worst = (gf__self_test_finding){difference, sample, k, (double)scores[k]};
    }
}

gf_status gf__self_test_judge(const gf__self_test_finding *worst, const gf_model *model,
                              gf_precision precision, gf_error *err)
{
    double tolerance = model->tolerance;
    if (precision != model->precision)
        tolerance = fmax(tolerance, OTHER_PRECISION_TOLERANCE);
    if (worst->difference <= tolerance)
        return GF_OK;
    const gf__model_sample *sample = &model->samples[worst->sample];
    return gf_error_set(err, GF_EMISMATCH,
                        "self-test: %.100s: score of %.60s is %.6f, expected %.6f (may differ by "
                        "%g)",
                        sample->item, model->class_names[worst->class_number], worst->found,
                        (double)sample->scores[worst->class_number], tolerance);
}

static gf_status replay(gf_predictor *predictor, const gf_model *model, size_t i, float *scores,
                        gf__self_test_finding *worst, gf_error *err)
{
    const gf__model_sample *sample = &model->samples[i];
    const gf_status st = gf__model_takes_numbers(model)
                             ? gf__model_score(model, sample->numbers, scores, NULL, err)
                             : gf_predictor_picture(predictor, sample->png, sample->n_bytes, scores,
                                                    NULL, err);
    if (st != GF_OK) {
        gf__error_prefix(err, "self-test: %.100s", sample->item);
        return st;
    }
    gf__self_test_add(worst, model, i, scores);
    return GF_OK;
}

/* Predicting trusts what a trunk's file says of itself. One inside a model is hashed on the way. */
static gf_status verify_trunk(gf_model *model, const char *home, gf_error *err)
{
    gf_trunk *trunk = NULL;
    if (gf__model_takes_numbers(model))
        return GF_OK;
    gf_status st = gf_model_trunk(model, home, &trunk, err);
    if (st == GF_OK && !gf_model_is_bundle(model))
        st = gf__trunk_verify(trunk, err);
    gf_trunk_free(trunk);
    return st;
}

gf_status gf_model_verify(gf_model *model, const char *home, const gf_predictor_options *options,
                          double *largest_difference, size_t *n_samples, gf_error *err)
{
    gf__self_test_finding worst = {0};
    gf_predictor *predictor = NULL;
    if (model->n_samples == 0)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "the model carries no self-test: there is nothing to compare with");
    float *scores = gf__calloc(model->n_classes, sizeof *scores);
    if (scores == NULL)
        return gf__error_nomem(err, "scores", model->n_classes * sizeof *scores);
    gf_status st = verify_trunk(model, home, err);
    if (st == GF_OK)
        st = gf_predictor_new(model, home, options, &predictor, err);
    for (size_t i = 0; i < model->n_samples && st == GF_OK; i++)
        st = replay(predictor, model, i, scores, &worst, err);
    if (st == GF_OK)
        st = gf__self_test_judge(&worst, model, gf__predictor_precision(predictor), err);
    if (largest_difference != NULL)
        *largest_difference = worst.difference;
    if (n_samples != NULL)
        *n_samples = model->n_samples;
    gf_predictor_free(predictor);
    gf__free(scores);
    return st;
}
