/* service/learner.c: the article's way: a graph that was cut and extended by hand, compiled, fitted
 * and asked. The frozen layers are run once a picture and their output kept; the Dense layers at
 * the end are the head. */
#include <string.h>

#include "graph/graph.h"
#include "service/service_priv.h"

struct gf_learner {
    gf_context context;
    char *home;
    gf_trunk *trunk;
    gf_graph *graph; /* borrowed */
    size_t head_start;
    gf_output_spec cut;
    gf_train_options options;
    gf_extractor *extractor,
        *single; /* data sets with the cache; one picture at a time, made when first asked */
    gf_head *head;
};

/* Only what stands in the head may be trainable. */
static gf_status check_trainable(const gf_graph *graph, size_t head_start, gf_error *err)
{
    const size_t n_layers = gf_graph_n_layers(graph);
    if (head_start == 0 || head_start == n_layers)
        return gf_error_set(err, GF_EINVAL,
                            "the graph has no Dense layers at its end to train; add them with "
                            "gf_graph_add_dense()");
    for (size_t i = 0; i < head_start; i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        if (gf_layer_n_trainable_params(layer) > 0)
            return gf_error_set(err, GF_EUNSUPPORTED,
                                "layer %zu, %s (%s), is trainable: this version trains the Dense "
                                "layers at the end only; freeze it with gf_graph_set_trainable()",
                                i, gf_layer_name(layer), gf_layer_class_name(layer));
    }
    for (size_t i = head_start; i < n_layers; i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        if (gf_layer_n_params(layer) > 0 && !gf_layer_is_trainable(layer))
            return gf_error_set(
                err, GF_EUNSUPPORTED,
                "layer %zu, %s, is frozen, but stands among the Dense layers at the "
                "end, which are trained together",
                i, gf_layer_name(layer));
    }
    return GF_OK;
}

static const char *input_name(const gf_graph *graph, const gf_layer *layer, size_t i)
{
    return gf_layer_name(gf_graph_layer_at(graph, (ptrdiff_t)gf_layer_input_at(layer, i)));
}

/* Whether the trunk has this very layer. Its name is not enough: a layer added to the cut graph may
 * have got the name of one that was cut off. */
static bool is_in_trunk(const gf_graph *graph, const gf_layer *layer, const gf_graph *trunk)
{
    size_t index = 0;
    if (gf_graph_find_layer(trunk, gf_layer_name(layer), &index, NULL) != GF_OK)
        return false;
    const gf_layer *found = gf_graph_layer_at(trunk, (ptrdiff_t)index);
    if (strcmp(gf_layer_class_name(found), gf_layer_class_name(layer)) != 0 ||
        gf_layer_n_inputs(found) != gf_layer_n_inputs(layer))
        return false;
    for (size_t i = 0; i < gf_layer_n_inputs(layer); i++)
        if (strcmp(input_name(trunk, found, i), input_name(graph, layer, i)) != 0)
            return false;
    return true;
}

/* The trunk's layer whose output the head sees. A global pooling layer that was added to the cut
 * graph is not in the trunk: there the engine pools the layer before it. */
static gf_status find_cut(const gf_graph *graph, size_t head_start, const gf_graph *trunk,
                          gf_output_spec *cut, gf_error *err)
{
    const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)head_start - 1);
    const char *class_name = gf_layer_class_name(layer);
    size_t index = 0;
    cut->layer = gf_layer_name(layer);
    cut->pool = GF_POOL_NONE;
    if (is_in_trunk(graph, layer, trunk))
        return GF_OK;
    if (strcmp(class_name, "GlobalAveragePooling2D") == 0)
        cut->pool = GF_POOL_AVG;
    else if (strcmp(class_name, "GlobalMaxPooling2D") == 0)
        cut->pool = GF_POOL_MAX;
    if (cut->pool != GF_POOL_NONE)
        cut->layer = input_name(graph, layer, 0);
    return gf_graph_find_layer(trunk, cut->layer, &index, err);
}

static gf_status make_head(gf_learner *learner, gf_error *err)
{
    gf_status st = gf_head_from_graph(learner->graph, learner->head_start, &learner->head, err);
    if (st != GF_OK)
        return st;
    const size_t found = gf_extractor_output_size(learner->extractor, 0);
    const size_t want = gf_head_n_features(learner->head);
    if (found != want)
        st = gf_error_set(
            err, GF_ESHAPE,
            "layer %s gives %zu values in trunk %s, the graph's Dense layers take %zu: "
            "was it cut from another network?",
            learner->cut.layer, found, gf_trunk_name(learner->trunk), want);
    return st;
}

gf_status gf_learner_new(const gf_context *context, gf_trunk *trunk, gf_graph *graph,
                         const gf_train_options *options, gf_learner **out, gf_error *err)
{
    *out = NULL;
    const size_t head_start = gf__graph_head_start(graph);
    gf_status st = check_trainable(graph, head_start, err);
    if (st == GF_OK)
        st = gf_train_options_check(options, err);
    if (st != GF_OK)
        return st;
    gf_learner *learner = gf__calloc(1, sizeof *learner);
    if (learner == NULL)
        return gf__error_nomem(err, "learner", sizeof *learner);
    learner->context = *context;
    learner->home = gf__strdup(context->home);
    learner->context.home = learner->home;
    learner->trunk = gf_trunk_ref(trunk);
    learner->graph = graph;
    learner->head_start = head_start;
    learner->options = *options;
    if (learner->home == NULL)
        st = gf__error_nomem(err, "home", 0);
    if (st == GF_OK)
        st = find_cut(graph, head_start, gf_trunk_graph(trunk), &learner->cut, err);
    if (st == GF_OK)
        st = gf__service_extractor(&learner->context, trunk, &learner->cut, 1, GF_PRECISION_AUTO,
                                   true, &learner->extractor, err);
    if (st == GF_OK)
        st = make_head(learner, err);
    if (st == GF_OK) {
        *out = learner;
        learner = NULL;
    }
    gf_learner_free(learner);
    return st;
}

void gf_learner_free(gf_learner *learner)
{
    if (learner == NULL)
        return;
    gf_extractor_free(learner->extractor);
    gf_extractor_free(learner->single);
    gf_head_free(learner->head);
    gf_trunk_free(learner->trunk);
    gf__free(learner->home);
    gf__free(learner);
}

static gf_status make_part(gf_learner *learner, gf__part *part, const gf_dataset *dataset,
                           const size_t *items, size_t n_items, const gf_observer *obs,
                           gf_error *err)
{
    if (gf_dataset_n_classes(dataset) != gf_head_n_classes(learner->head))
        return gf_error_set(err, GF_ESHAPE, "%s has %zu classes, the graph's last layer %zu units",
                            gf_dataset_path(dataset), gf_dataset_n_classes(dataset),
                            gf_head_n_classes(learner->head));
    const gf_status st = gf__part_init(part, dataset, items, n_items, NULL, 0, err);
    return st == GF_OK ? gf__part_extract(part, learner->extractor, obs, err) : st;
}

gf_status gf_learner_fit(gf_learner *learner, const gf_dataset *dataset, const gf_split *split,
                         const gf_train_watch *watch, gf_history **history, gf_error *err)
{
    const gf_observer *obs = watch != NULL ? &watch->observer : NULL;
    gf__part train = {0}, val = {0};
    *history = NULL;
    gf_status st = make_part(learner, &train, dataset, split != NULL ? split->train : NULL,
                             split != NULL ? split->n_train : 0, obs, err);
    if (st == GF_OK && split != NULL)
        st = make_part(learner, &val, dataset, split->test, split->n_test, obs, err);
    if (st == GF_OK) {
        const gf_fit_data train_data = gf__part_fit_data(&train, 0);
        gf_fit_data val_data = {0};
        if (split != NULL)
            val_data = gf__part_fit_data(&val, 0);
        gf_train_options options = learner->options;
        options.n_threads = gf__service_threads(&learner->context);
        const gf_fit_callbacks callbacks = {.epoch = watch != NULL ? watch->epoch : NULL,
                                            .user = watch != NULL ? watch->user : NULL};
        st = gf_fit(learner->head, &train_data, split != NULL ? &val_data : NULL, &options,
                    &callbacks, history, err);
    }
    if (st == GF_OK)
        st = gf_head_to_graph(learner->head, learner->graph, learner->head_start, err);
    gf__part_free(&train);
    gf__part_free(&val);
    return st;
}

gf_status gf_learner_evaluate(gf_learner *learner, const gf_dataset *dataset, const size_t *items,
                              size_t n_items, gf_metrics **metrics, gf_error *err)
{
    gf__part part = {0};
    gf_status st = make_part(learner, &part, dataset, items, n_items, NULL, err);
    if (st == GF_OK)
        st = gf__part_metrics(&part, 0, learner->head, metrics, err);
    gf__part_free(&part);
    return st;
}

gf_status gf_learner_predict(gf_learner *learner, const void *picture, size_t n_bytes,
                             float *scores, gf_error *err)
{
    gf_status st = GF_OK;
    if (learner->single == NULL)
        st = gf__service_extractor(&learner->context, learner->trunk, &learner->cut, 1,
                                   GF_PRECISION_AUTO, false, &learner->single, err);
    if (st != GF_OK)
        return st;
    const size_t size = gf_extractor_output_size(learner->single, 0);
    float *features = gf__malloc(size * sizeof *features);
    if (features == NULL)
        return gf__error_nomem(err, "features", size * sizeof *features);
    st = gf_extractor_picture(learner->single, picture, n_bytes, &features, NULL, err);
    if (st == GF_OK)
        st = gf_head_predict(learner->head, features, 1, scores, err);
    gf__free(features);
    return st;
}

gf_status gf_learner_save(gf_learner *learner, const gf_dataset *dataset, const char *path,
                          bool is_bundle, gf_error *err)
{
    char **names = NULL;
    size_t n_names = 0;
    gf__part part = {0};
    gf__samples samples = {.n = 0};
    const gf_recipe recipe = gf_recipe_of(learner->trunk);
    gf_status st = gf__class_names_copy(dataset, &names, &n_names, err);
    if (st == GF_OK)
        st = make_part(learner, &part, dataset, NULL, 0, NULL, err);
    if (st == GF_OK)
        st = gf__samples_new(&part, 0, learner->head, learner->extractor, &recipe,
                             learner->context.max_pixels, &samples, err);
    if (st == GF_OK) {
        const gf__model_content content = {
            .head = learner->head,
            .class_names = (const char *const *)names,
            .trunk = learner->trunk,
            .layer = learner->cut.layer,
            .pool = learner->cut.pool,
            .precision = gf_extractor_precision(learner->extractor),
            .recipe = recipe,
            .samples = samples.at,
            .n_samples = samples.n,
            .tolerance = samples.tolerance,
            .is_bundle = is_bundle,
        };
        st = gf__model_save(path, &content, err);
    }
    gf__samples_clear(&samples);
    gf__part_free(&part);
    gf__strings_free(names, n_names);
    return st;
}
