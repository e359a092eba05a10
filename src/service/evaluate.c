/* service/evaluate.c: a model file against labelled pictures. */
#include "service/service_priv.h"

typedef struct evaluation_job {
    const gf_context *context;
    gf_model *model;
    gf_dataset *dataset;
    gf_extractor *extractor;
    gf__part part;
    size_t *order;
    gf_evaluation *result;
} evaluation_job;

static gf_status copy_class_names(evaluation_job *job, gf_error *err)
{
    gf_evaluation *result = job->result;
    result->n_classes = gf_model_n_classes(job->model);
    result->class_names = gf__calloc(result->n_classes, sizeof *result->class_names);
    if (result->class_names == NULL)
        return gf__error_nomem(err, "class names", 0);
    for (size_t k = 0; k < result->n_classes; k++) {
        result->class_names[k] = gf__strdup(gf_model_class_at(job->model, k));
        if (result->class_names[k] == NULL)
            return gf__error_nomem(err, "class names", 0);
    }
    return GF_OK;
}

static gf_status measure(evaluation_job *job, const gf_observer *obs, gf_error *err)
{
    gf_evaluation *result = job->result;
    const bool is_table = gf__model_takes_numbers(job->model) ||
                          gf_dataset_n_columns(job->dataset) > 0;
    gf_status st = is_table ? gf__part_numbers(&job->part, job->model, err)
                            : gf__service_model_extractor(job->context, job->model, &job->extractor,
                                                          err);
    if (st == GF_OK && !is_table)
        st = gf__part_extract(&job->part, job->extractor, obs, err);
    if (st == GF_OK)
        st = gf__part_metrics(&job->part, 0, gf_model_head(job->model), &result->metrics, err);
    if (st == GF_OK)
        st = gf__part_mistakes(&job->part, result->metrics, &job->order, &result->n_mistakes, err);
    if (st == GF_OK)
        st = gf__mistake_lines(&job->part, result->metrics, job->order, result->n_mistakes,
                               (const char *const *)result->class_names, &result->mistakes, err);
    result->n_skipped = job->part.n_skipped;
    return st;
}

static gf_status write_report(const evaluation_job *job, const gf_report_picture *pictures,
                              size_t n_pictures, const char *path, const char *model_path,
                              gf_error *err)
{
    const gf_evaluation *result = job->result;
    const bool is_table = gf__model_takes_numbers(job->model);
    size_t *n_per_class = gf__calloc(result->n_classes, sizeof *n_per_class);
    if (n_per_class == NULL)
        return gf__error_nomem(err, "counts", 0);
    gf__part_count(&job->part, n_per_class);
    const gf_report_fact facts[] = {
        {"Model", model_path},
        {"Trunk", gf_model_trunk_name(job->model)},
        {"Cut at", gf_model_layer(job->model)},
        {"Precision", is_table ? "f32" : gf_precision_name(gf_extractor_precision(job->extractor))},
    };
    const gf_report_fact data[] = {{"Data set", gf_dataset_path(job->dataset)},
                                   {"Kind", gf_dataset_kind(job->dataset)}};
    const gf_report report = {.title = "Evaluation",
                              .class_names = (const char *const *)result->class_names,
                              .n_classes = result->n_classes,
                              .metrics = result->metrics,
                              .mistakes = pictures,
                              .n_mistakes = n_pictures,
                              .n_mistakes_total = result->n_mistakes,
                              .dataset = data,
                              .n_dataset = sizeof data / sizeof data[0],
                              .model = facts,
                              .n_model = is_table ? 1 : sizeof facts / sizeof facts[0],
                              .n_test_per_class = n_per_class};
    const gf_status st = gf_report_save(&report, path, err);
    gf__free(n_per_class);
    return st;
}

static gf_status save_report(const evaluation_job *job, const char *path, const char *model_path,
                             gf_error *err)
{
    gf_report_picture *pictures = NULL;
    size_t n_pictures = 0;
    gf_status st = GF_OK;
    if (!gf__model_takes_numbers(job->model))
        st = gf__report_pictures(&job->part, job->result->metrics, job->order,
                                 job->result->n_mistakes, job->context->max_pixels, &pictures,
                                 &n_pictures, err);
    if (st == GF_OK)
        st = write_report(job, pictures, n_pictures, path, model_path, err);
    gf__report_pictures_free(pictures, n_pictures);
    return st;
}

gf_status gf_service_evaluate(const gf_context *context, const char *model, const char *dataset,
                              const char *report, const gf_observer *obs, gf_evaluation **out,
                              gf_error *err)
{
    *out = NULL;
    evaluation_job job = {.context = context};
    gf_status st = GF_OK;
    job.result = gf__calloc(1, sizeof *job.result);
    if (job.result == NULL)
        return gf__error_nomem(err, "result", sizeof *job.result);
    st = gf__check_spares(report, model, "model file", err);
    if (st == GF_OK)
        st = gf__check_spares(report, dataset, "data set", err);
    if (st == GF_OK)
        st = gf_model_load(model, &job.model, err);
    if (st == GF_OK)
        st = gf__check_one_class(gf_model_head(job.model), err);
    if (st == GF_OK)
        st = copy_class_names(&job, err);
    if (st == GF_OK)
        st = gf_dataset_open(dataset, NULL, obs, &job.dataset, err);
    if (st == GF_OK)
        st = gf__part_init(&job.part, job.dataset, NULL, 0,
                           (const char *const *)job.result->class_names, job.result->n_classes,
                           err);
    if (st == GF_OK)
        st = measure(&job, obs, err);
    if (st == GF_OK && report != NULL)
        st = save_report(&job, report, model, err);
    if (st == GF_OK) {
        *out = job.result;
        job.result = NULL;
    }
    gf_evaluation_free(job.result);
    gf__free(job.order);
    gf__part_free(&job.part);
    gf_extractor_free(job.extractor);
    gf_dataset_free(job.dataset);
    gf_model_unref(job.model);
    return st;
}

void gf_evaluation_free(gf_evaluation *evaluation)
{
    if (evaluation == NULL)
        return;
    gf_metrics_free(evaluation->metrics);
    gf__strings_free(evaluation->class_names, evaluation->n_classes);
    gf__strings_free(evaluation->mistakes, evaluation->n_mistakes);
    gf__free(evaluation);
}
