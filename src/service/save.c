/* service/save.c: a head that a caller fitted with his own hands (gf_fit) into a model file like
 * any other, with class names and a self-test from the data set he gives. */
#include <math.h>
#include <string.h>

#include "service/service_priv.h"

/* What is made on the way, all ended together. */
typedef struct saving {
    const gf_save_request *request;
    gf__json *training;
    char **class_names;
    size_t n_class_names;
    gf_extractor *extractor;
    gf_output_spec cut;
    gf__part part;
    gf__samples samples;
    const char **columns;
    float *means, *scales;
} saving;

static gf_status check_classes(const gf_save_request *request, gf_error *err)
{
    const size_t n_classes = gf_head_n_classes(request->head);
    const size_t n_named = gf_dataset_n_classes(request->dataset);
    if (n_classes == n_named)
        return GF_OK;
    return gf_error_set(err, GF_ESHAPE, "%s has %zu classes, the head's last layer %zu units",
                        gf_dataset_path(request->dataset), n_named, n_classes);
}

static gf_status check_features(const saving *s, gf_error *err)
{
    const size_t found = gf_extractor_output_size(s->extractor, 0);
    const size_t want = gf_head_n_features(s->request->head);
    if (found == want)
        return GF_OK;
    return gf_error_set(err, GF_ESHAPE, "layer %s gives %zu values in trunk %s, the head takes %zu",
                        s->cut.layer, found, gf_trunk_name(s->request->trunk), want);
}

static gf_status prepare_pictures(saving *s, gf_error *err)
{
    const gf_save_request *r = s->request;
    const gf_recipe recipe = gf_recipe_of(r->trunk);
    bool needs_pool = false;
    s->cut.pool = r->pool;
    gf_status st = gf__zoo_resolve_cut(gf_trunk_graph(r->trunk), r->layer, &s->cut.layer,
                                       &needs_pool, err);
    if (st == GF_OK && needs_pool && r->pool == GF_POOL_NONE && strcmp(r->layer, "avg_pool") == 0)
        s->cut.pool = GF_POOL_AVG;
    if (st == GF_OK)
        st = gf__service_extractor(&r->context, r->trunk, &s->cut, 1, r->precision, true,
                                   &s->extractor, err);
    if (st == GF_OK)
        st = check_features(s, err);
    if (st == GF_OK)
        st = gf__part_extract(&s->part, s->extractor, NULL, err);
    if (st == GF_OK)
        st = gf__samples_new(&s->part, 0, r->head, s->extractor, &recipe, r->context.max_pixels,
                             &s->samples, err);
    return st;
}

static gf_status prepare_numbers(saving *s, gf_error *err)
{
    const gf_save_request *r = s->request;
    const size_t n = gf_dataset_n_columns(r->dataset);
    if (n != gf_head_n_features(r->head))
        return gf_error_set(err, GF_ESHAPE, "%s: rows of %zu numbers, the head takes %zu",
                            gf_dataset_path(r->dataset), n, gf_head_n_features(r->head));
    s->means = gf__calloc(n, sizeof *s->means);
    s->scales = gf__calloc(n, sizeof *s->scales);
    if (s->means == NULL || s->scales == NULL)
        return gf__error_nomem(err, "numbers", n * sizeof *s->means);
    for (size_t i = 0; i < n; i++) {
        s->means[i] = r->means != NULL ? r->means[i] : 0.0F;
        s->scales[i] = r->scales != NULL ? r->scales[i] : 1.0F;
        if (!isfinite(s->means[i]) || !isfinite(s->scales[i]) || !(s->scales[i] > 0))
            return gf_error_set(err, GF_EINVAL,
                                "column %zu: mean %g and scale %g, expected a scale above 0", i,
                                (double)s->means[i], (double)s->scales[i]);
    }
    const gf__standardisation how = {s->means, s->scales};
    gf_status st = gf__column_names_new(r->dataset, &s->columns, err);
    if (st == GF_OK)
        st = gf__part_rows(&s->part, &how, err);
    return st == GF_OK ? gf__samples_of_numbers(&s->part, r->head, &s->samples, err) : st;
}

static gf_status write_model(const saving *s, gf_error *err)
{
    const gf_save_request *r = s->request;
    gf__model_content content = {
        .head = r->head,
        .class_names = (const char *const *)s->class_names,
        .trunk = r->trunk,
        .column_names = s->columns,
        .standardisation = {s->means, s->scales},
        .training = s->training,
        .samples = s->samples.at,
        .n_samples = s->samples.n,
        .tolerance = s->samples.tolerance,
        .is_bundle = r->is_bundle,
    };
    if (r->trunk != NULL) {
        content.layer = s->cut.layer;
        content.pool = s->cut.pool;
        content.precision = gf_extractor_precision(s->extractor);
        content.recipe = gf_recipe_of(r->trunk);
    }
    return gf__model_save(r->output, &content, err);
}

static gf_status read_training(saving *s, gf_error *err)
{
    const char *text = s->request->training;
    if (text == NULL)
        return GF_OK;
    const gf_status st = gf__json_parse(text, strlen(text), &s->training, err);
    if (st != GF_OK)
        gf__error_prefix(err, "training");
    return st;
}

gf_status gf_service_save(const gf_save_request *request, gf_error *err)
{
    saving s = {.request = request};
    gf_status st = check_classes(request, err);
    if (st == GF_OK)
        st = read_training(&s, err);
    if (st == GF_OK)
        st = gf__class_names_copy(request->dataset, &s.class_names, &s.n_class_names, err);
    if (st == GF_OK)
        st = gf__part_init(&s.part, request->dataset, NULL, 0, NULL, 0, err);
    if (st == GF_OK)
        st = request->trunk != NULL ? prepare_pictures(&s, err) : prepare_numbers(&s, err);
    if (st == GF_OK)
        st = write_model(&s, err);
    gf__samples_clear(&s.samples);
    gf__part_free(&s.part);
    gf_extractor_free(s.extractor);
    gf__strings_free(s.class_names, s.n_class_names);
    gf__json_free(s.training);
    gf__free(s.columns);
    gf__free(s.means);
    gf__free(s.scales);
    return st;
}
