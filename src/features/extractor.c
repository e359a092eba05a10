/* features/extractor.c: a trunk, the layers wanted of it, and all that is needed to take one
 * picture there. Making an extractor looks at shapes only; the plan (which reads weights and
 * compiles kernels) waits for the first picture that is not cached.
 *
 * For data sets each thread runs pictures of its own through a plan of one thread and one picture:
 * that gives more pictures a second than all threads on one picture, and makes a picture's features
 * the same bytes whatever the number of threads. for_latency is the other bargain. */
#include <assert.h>
#include <string.h>

#include "features/extractor_priv.h"
#include "graph/graph.h"
#include "tensor/tensor.h"
#include "zoo/zoo.h"

gf_extractor_options gf_extractor_options_default(void)
{
    return (gf_extractor_options){.precision = GF_PRECISION_AUTO};
}

static gf_status init_output(gf__extractor_output *output, const gf_graph *graph,
                             const gf_output_spec *spec, gf_error *err)
{
    size_t index = 0;
    const gf_status st = gf__cut_find_layer(graph, spec, &index, &output->pool, err);
    if (st != GF_OK)
        return st;
    const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)index);
    const size_t *shape = gf_layer_shape(layer);
    const size_t n_dims = gf_layer_n_dims(layer);
    const bool is_spatial = n_dims == 3;
    if (output->pool != GF_POOL_NONE && !is_spatial)
        return gf_error_set(err, GF_EINVAL,
                            "layer %s has no height and width to pool over; ask for it unpooled",
                            gf_layer_name(layer));
    if (n_dims < 1 || n_dims > 3)
        return gf_error_set(err, GF_EUNSUPPORTED, "layer %s has %zu dimensions",
                            gf_layer_name(layer), n_dims);
    output->layer = gf__strdup(gf_layer_name(layer));
    if (output->layer == NULL)
        return gf__error_nomem(err, "a layer's name", strlen(gf_layer_name(layer)));

    const bool is_pooled = output->pool != GF_POOL_NONE;
    output->n_dims = is_pooled ? 1 : n_dims;
    output->size = 1;
    for (size_t i = 0; i < output->n_dims; i++) {
        output->shape[i] = is_pooled ? shape[2] : shape[i];
        if (!gf__mul_size(output->size, output->shape[i], &output->size))
            return gf_error_set(err, GF_ELIMIT, "layer %s has more values than fit in memory",
                                output->layer);
    }
    return GF_OK;
}

static bool are_independent(const gf_extractor *extractor, const gf_graph *graph)
{
    for (size_t i = 0; i < extractor->n_outputs && extractor->n_outputs > 1; i++) {
        size_t index = 0;
        if (gf_graph_find_layer(graph, extractor->outputs[i].layer, &index, NULL) != GF_OK ||
            !gf__layer_is_boundary(gf_graph_layer_at(graph, (ptrdiff_t)index)))
            return false;
    }
    return true;
}

static gf_status copy_text(const char *text, char **out, gf_error *err)
{
    if (text == NULL)
        return GF_OK;
    *out = gf__strdup(text);
    return *out != NULL ? GF_OK : gf__error_nomem(err, "an extractor", strlen(text));
}

/* The engine reads height x width x 3 bytes because the graph says so, and we write as many as the
 * recipe says. */
static gf_status check_input(const gf_graph *graph, const gf_recipe *recipe, gf_error *err)
{
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        if (gf_layer_n_inputs(layer) > 0)
            continue;
        const size_t *shape = gf_layer_shape(layer);
        char text[GF__SHAPE_TEXT];
        if (gf_layer_n_dims(layer) != 3 || shape[0] != recipe->height ||
            shape[1] != recipe->width || shape[2] != 3)
            return gf_error_set(
                err, GF_ESHAPE,
                "the network's input %s is %s, pictures are prepared as (%zu,%zu,3)",
                gf_layer_name(layer), gf__shape_text(shape, gf_layer_n_dims(layer), text),
                recipe->height, recipe->width);
    }
    return GF_OK;
}

static gf_status init(gf_extractor *extractor, gf_trunk *trunk, const gf_output_spec *outputs,
                      size_t n_outputs, const gf_extractor_options *options, gf_error *err)
{
    assert(n_outputs > 0);
    extractor->trunk = gf_trunk_ref(trunk);
    extractor->recipe = gf_recipe_of(trunk);
    extractor->precision = gf_precision_resolve(options->precision);
    extractor->n_threads = options->n_threads > 0 ? options->n_threads : gf_threads_available();
    extractor->max_pixels = options->max_pixels > 0 ? options->max_pixels
                                                    : gf_image_options_default().max_pixels;
    extractor->for_latency = options->for_latency;

    extractor->outputs = gf__calloc(n_outputs, sizeof *extractor->outputs);
    extractor->workers = gf__calloc((size_t)extractor->n_threads, sizeof *extractor->workers);
    if (extractor->outputs == NULL || extractor->workers == NULL)
        return gf__error_nomem(err, "an extractor", n_outputs * sizeof *extractor->outputs);
    extractor->n_outputs = n_outputs;
    const gf_graph *graph = gf_trunk_graph(trunk);
    gf_status st = check_input(graph, &extractor->recipe, err);
    if (st == GF_OK)
        st = copy_text(options->cache_dir, &extractor->cache_dir, err);
    if (st == GF_OK)
        st = copy_text(options->pack_dir, &extractor->pack_dir, err);
    for (size_t i = 0; i < n_outputs && st == GF_OK; i++)
        st = init_output(&extractor->outputs[i], graph, &outputs[i], err);
    extractor->is_cacheable = st == GF_OK && are_independent(extractor, graph);
    return st;
}

gf_status gf_extractor_new(gf_trunk *trunk, const gf_output_spec *outputs, size_t n_outputs,
                           const gf_extractor_options *options, gf_extractor **out, gf_error *err)
{
    *out = NULL;
    const gf_extractor_options defaults = gf_extractor_options_default();
    gf_extractor *extractor = gf__calloc(1, sizeof *extractor);
    if (extractor == NULL)
        return gf__error_nomem(err, "an extractor", sizeof *extractor);
    pthread_mutex_init(&extractor->plan_mutex, NULL);
    const gf_status st = init(extractor, trunk, outputs, n_outputs,
                              options != NULL ? options : &defaults, err);
    if (st == GF_OK) {
        *out = extractor;
        extractor = NULL;
    }
    gf_extractor_free(extractor);
    return st;
}

void gf_extractor_free(gf_extractor *extractor)
{
    if (extractor == NULL)
        return;
    for (int i = 0; extractor->workers != NULL && i < extractor->n_threads; i++) {
        gf_exec_free(extractor->workers[i].exec);
        gf__image_scratch_free(extractor->workers[i].scratch);
        gf__free(extractor->workers[i].pixels);
    }
    gf__free(extractor->workers);
    gf__pool_free(extractor->pool);
    gf_plan_free(extractor->plan);
    for (size_t i = 0; i < extractor->n_outputs; i++)
        gf__free(extractor->outputs[i].layer);
    gf__free(extractor->outputs);
    gf__free(extractor->cache_dir);
    gf__free(extractor->pack_dir);
    gf_trunk_free(extractor->trunk);
    pthread_mutex_destroy(&extractor->plan_mutex);
    gf__free(extractor);
}

gf_precision gf_extractor_precision(const gf_extractor *extractor)
{
    return extractor->precision;
}

size_t gf_extractor_n_outputs(const gf_extractor *extractor)
{
    return extractor->n_outputs;
}

size_t gf_extractor_output_size(const gf_extractor *extractor, size_t i)
{
    assert(i < extractor->n_outputs);
    return extractor->outputs[i].size;
}

size_t gf_extractor_output_shape(const gf_extractor *extractor, size_t i, size_t shape[3])
{
    assert(i < extractor->n_outputs);
    memcpy(shape, extractor->outputs[i].shape, 3 * sizeof *shape);
    return extractor->outputs[i].n_dims;
}

static gf_status new_plan(gf_extractor *extractor, gf_plan **out, gf_error *err)
{
    gf_output_spec *specs = gf__calloc(extractor->n_outputs, sizeof *specs);
    if (specs == NULL)
        return gf__error_nomem(err, "a plan", extractor->n_outputs * sizeof *specs);
    for (size_t i = 0; i < extractor->n_outputs; i++)
        specs[i] = (gf_output_spec){extractor->outputs[i].layer, extractor->outputs[i].pool};

    const gf_plan_options options = gf__trunk_plan_options(
        extractor->trunk, extractor->precision, extractor->for_latency ? extractor->n_threads : 1,
        extractor->pack_dir);
    const gf_status st = gf_plan_new(gf_trunk_graph(extractor->trunk), specs, extractor->n_outputs,
                                     &options, out, err);
    gf__free(specs);
    return st;
}

gf_status gf__extractor_prepare(gf_extractor *extractor, gf_error *err)
{
    gf_status st = GF_OK;
    pthread_mutex_lock(&extractor->plan_mutex);
    if (extractor->plan == NULL)
        st = new_plan(extractor, &extractor->plan, err);
    pthread_mutex_unlock(&extractor->plan_mutex);
    return st;
}

gf_status gf__extractor_ready(gf_extractor *extractor, gf__extractor_worker *worker, gf_error *err)
{
    gf_status st = GF_OK;
    if (worker->pixels == NULL) {
        const size_t n_bytes = extractor->recipe.width * extractor->recipe.height * 3;
        worker->pixels = gf__alloc_aligned(n_bytes);
        if (worker->pixels == NULL)
            return gf__error_nomem(err, "a network's input", n_bytes);
    }
    if (worker->scratch == NULL)
        st = gf__image_scratch_new(&worker->scratch, err);
    if (st == GF_OK && worker->exec == NULL) {
        st = gf__extractor_prepare(extractor, err);
        if (st == GF_OK)
            st = gf_exec_new(extractor->plan, &worker->exec, err);
    }
    return st;
}

gf_status gf__extractor_preprocess(gf_extractor *extractor, gf__extractor_worker *worker,
                                   const gf_sample *sample, const gf_view *view, gf_error *err)
{
    gf__preprocess_options options = {.recipe = extractor->recipe,
                                      .max_pixels = extractor->max_pixels};
    if (view != NULL)
        options.view = *view;
    return gf__preprocess(sample, &options, worker->scratch, worker->pixels, err);
}

gf_status gf__extractor_run(gf_extractor *extractor, gf__extractor_worker *worker,
                            float *const *features, gf_error *err)
{
    const gf_status st = gf_exec_run(worker->exec, worker->pixels, 1, err);
    for (size_t i = 0; i < extractor->n_outputs && st == GF_OK; i++)
        memcpy(features[i], gf_exec_output(worker->exec, i),
               extractor->outputs[i].size * sizeof(float));
    return st;
}

static gf_status extract(gf_extractor *extractor, const gf_sample *sample, const gf_view *view,
                         float *const *features, gf_extract_timing *timing, gf_error *err)
{
    gf__extractor_worker *worker = &extractor->workers[0];
    gf_status st = gf__extractor_ready(extractor, worker, err);
    if (st != GF_OK)
        return st;
    const double start = 1e3 * gf__clock_s();
    st = gf__extractor_preprocess(extractor, worker, sample, view, err);
    if (st != GF_OK)
        return st;
    const double decoded = 1e3 * gf__clock_s();
    st = gf__extractor_run(extractor, worker, features, err);
    if (timing != NULL)
        *timing = (gf_extract_timing){decoded - start, 1e3 * gf__clock_s() - decoded};
    return st;
}

gf_status gf_extractor_picture(gf_extractor *extractor, const void *bytes, size_t n_bytes,
                               float *const *features, gf_extract_timing *timing, gf_error *err)
{
    const gf_sample sample = {.kind = GF_SAMPLE_ENCODED, .data = bytes, .n_bytes = n_bytes};
    return extract(extractor, &sample, NULL, features, timing, err);
}

gf_status gf_extractor_sample(gf_extractor *extractor, const gf_sample *sample, const gf_view *view,
                              float *const *features, gf_error *err)
{
    return extract(extractor, sample, view, features, NULL, err);
}
