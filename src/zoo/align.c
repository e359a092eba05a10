/* zoo/align.c: a network of another framework as the architecture that it is. Exporters keep what a network
 * computes, not its layers: they fold normalizations into convolutions, name and order layers in their
 * own way, and cannot say everything that Keras' layers say. Where what is computed is one of the tables'
 * networks, the graph becomes the table's: its names, its order, its settings, with the graph's
 * weights. */
#include <stdio.h>
#include <string.h>

#include "tensor/tensor.h"
#include "zoo/zoo_priv.h"

#define NONE  SIZE_MAX
#define APART (SIZE_MAX - 1) /* a Concatenate whose inputs are in the next one */

typedef struct alignment {
    const gf_graph *graph, *table;
    size_t *at;      /* layer of the graph for each of the table */
    bool *is_folded; /* of each of the table: a normalization that is its convolution's bias */
    bool *is_used;   /* layers of the graph */
    size_t *now;     /* layer in the new graph for each of the old */
    gf_graph *made;
} alignment;

static const gf_layer *graph_layer(const alignment *a, size_t i)
{
    return gf_graph_layer_at(a->graph, (ptrdiff_t)i);
}

static const gf_layer *table_layer(const alignment *a, size_t i)
{
    return gf_graph_layer_at(a->table, (ptrdiff_t)i);
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool has_no_padding(const gf__layer_config *c)
{
    return c->padding[0] + c->padding[1] + c->padding[2] + c->padding[3] == 0;
}

/* What is computed: "same" without padding is "valid", a missing gamma is one of ones. */
static bool computes_the_same(const gf__layer_config *got, const gf__layer_config *want,
                              bool is_bias_apart)
{
    const double epsilon_off = got->epsilon > want->epsilon ? got->epsilon - want->epsilon
                                                            : want->epsilon - got->epsilon;
    const bool is_padded_alike = got->is_same_padding == want->is_same_padding ||
                                 (has_no_padding(got) && has_no_padding(want));
    return got->class_id == want->class_id && got->filters == want->filters &&
           got->units == want->units &&
           memcmp(got->kernel, want->kernel, sizeof got->kernel) == 0 &&
           memcmp(got->strides, want->strides, sizeof got->strides) == 0 && is_padded_alike &&
           (got->has_bias == want->has_bias || is_bias_apart) &&
           (!got->has_scale || want->has_scale) && got->has_center == want->has_center &&
           epsilon_off < 1e-8 && got->activation == want->activation &&
           got->max_value == want->max_value &&
           (want->class_id != GF__LAYER_ZERO_PADDING2D ||
            memcmp(got->padding, want->padding, sizeof got->padding) == 0);
}

/* A normalization of the table whose place in the graph is its convolution. */
static bool is_folded_norm(const gf__layer_config *got, const gf__layer_config *want)
{
    return want->class_id == GF__LAYER_BATCH_NORMALIZATION && want->has_center && got->has_bias &&
           (got->class_id == GF__LAYER_CONV2D || got->class_id == GF__LAYER_DEPTHWISE_CONV2D);
}

/* The table's layer i is the graph's layer g, if no other is and it is no other. */
static bool assign(alignment *a, size_t i, size_t g)
{
    if (a->at[i] == NONE && !a->is_used[g]) {
        a->at[i] = g;
        a->is_used[g] = true;
    }
    return a->at[i] == g;
}

/* Concatenates of one another may be one in the graph: the inner ones' inputs are the outer's. */
static bool follow_concatenate(alignment *a, const gf_layer *want, const gf_layer *got)
{
    const bool is_whole = gf_layer_n_inputs(got) == gf_layer_n_inputs(want);
    size_t n = 0;
    for (size_t k = 0; k < gf_layer_n_inputs(want); k++) {
        const size_t i = gf_layer_input_at(want, k);
        const gf_layer *inner = table_layer(a, i);
        const bool is_inner = !is_whole && a->at[i] == NONE &&
                              gf__layer_config_of(inner)->class_id == GF__LAYER_CONCATENATE;
        const size_t n_here = is_inner ? gf_layer_n_inputs(inner) : 1;
        if (is_inner)
            a->at[i] = APART;
        for (size_t m = 0; m < n_here; m++, n++)
            if (n >= gf_layer_n_inputs(got) ||
                !assign(a, is_inner ? gf_layer_input_at(inner, m) : i, gf_layer_input_at(got, n)))
                return false;
    }
    return n == gf_layer_n_inputs(got);
}

/* From the layer's place in the graph to those of its inputs. */
static bool follow(alignment *a, size_t i)
{
    const gf_layer *want = table_layer(a, i), *got;
    if (a->at[i] == NONE || a->at[i] == APART)
        return a->at[i] == APART;
    got = graph_layer(a, a->at[i]);
    const gf__layer_config *settings = gf__layer_config_of(got);
    if (is_folded_norm(settings, gf__layer_config_of(want))) {
        const size_t conv = gf_layer_input_at(want, 0);
        if (a->at[conv] != NONE)
            return false; /* others see the convolution without its normalization */
        a->at[conv] = a->at[i];
        a->is_folded[i] = a->is_folded[conv] = true;
        return true;
    }
    if (!computes_the_same(settings, gf__layer_config_of(want), a->is_folded[i]))
        return false;
    if (settings->class_id == GF__LAYER_CONCATENATE)
        return follow_concatenate(a, want, got);
    if (gf_layer_n_inputs(got) != gf_layer_n_inputs(want))
        return false;
    for (size_t k = 0; k < gf_layer_n_inputs(want); k++)
        if (!assign(a, gf_layer_input_at(want, k), gf_layer_input_at(got, k)))
            return false;
    return true;
}

/* From the table's end, which is layer `last` of the graph, to its input. */
static bool align_from(alignment *a, size_t last)
{
    const size_t n = gf_graph_n_layers(a->table);
    for (size_t i = 0; i < n; i++) {
        a->at[i] = NONE;
        a->is_folded[i] = false;
    }
    memset(a->is_used, 0, gf_graph_n_layers(a->graph) * sizeof *a->is_used);
    if (!assign(a, n - 1, last))
        return false;
    for (size_t i = n; i-- > 0;)
        if (!follow(a, i))
            return false;
    return memcmp(gf_layer_shape(graph_layer(a, a->at[0])), gf_layer_shape(table_layer(a, 0)),
                  3 * sizeof(size_t)) == 0;
}

static bool align(alignment *a)
{
    const gf_layer *want = gf_graph_layer_at(a->table, -1);
    /* The last of its class is the only one: what follows a network's blocks is its top. */
    for (size_t i = gf_graph_n_layers(a->graph); i-- > 0;)
        if (strcmp(gf_layer_class_name(graph_layer(a, i)), gf_layer_class_name(want)) == 0)
            return align_from(a, i);
    return false;
}

/* ---- the new graph --------------------------------------------------------------------------- */

static gf_status set_all(alignment *a, size_t layer, const char *weight, size_t n, float value,
                         gf_error *err)
{
    gf_tensor *tensor = NULL;
    gf_status st = gf_tensor_new(GF_DTYPE_F32, &n, 1, &tensor, err);
    for (size_t i = 0; st == GF_OK && i < n; i++)
        ((float *)gf_tensor_mutable_data(tensor))[i] = value;
    if (st == GF_OK)
        st = gf__graph_set_weight(a->made, layer, weight, tensor, err);
    if (st != GF_OK)
        gf_tensor_free(tensor);
    return st;
}

static gf_status share(alignment *a, size_t layer, const char *weight, const gf_layer *from,
                       const char *their_weight, gf_error *err)
{
    const gf_tensor *found = gf_layer_weight(from, their_weight);
    if (found == NULL)
        return gf_error_set(err, GF_EFORMAT, "layer \"%s\" has no %s", gf_layer_name(from),
                            their_weight);
    gf_tensor *tensor = gf__tensor_ref((gf_tensor *)(uintptr_t)found);
    const gf_status st = gf__graph_set_weight(a->made, layer, weight, tensor, err);
    if (st != GF_OK)
        gf_tensor_free(tensor);
    return st;
}

/* Of a normalization that is in its convolution: only the bias is left to be done. */
static gf_status unfold(alignment *a, size_t layer, const gf_layer *from,
                        const gf__layer_config *config, gf_error *err)
{
    const size_t n = gf_layer_shape(from)[2];
    gf_status st = share(a, layer, "beta", from, "bias", err);
    if (st == GF_OK && config->has_scale)
        st = set_all(a, layer, "gamma", n, 1.0f, err);
    if (st == GF_OK)
        st = set_all(a, layer, "moving_mean", n, 0.0f, err);
    if (st == GF_OK)
        st = set_all(a, layer, "moving_variance", n, 1.0f - (float)config->epsilon, err);
    return st;
}

static gf_status set_weights(alignment *a, size_t layer, const gf_layer *from, gf_error *err)
{
    gf_status st = GF_OK;
    const gf_layer *made = gf_graph_layer_at(a->made, (ptrdiff_t)layer);
    for (size_t k = 0; k < gf__layer_n_weights(made) && st == GF_OK; k++) {
        const char *name = gf__layer_weight_name(made, k);
        size_t shape[4];
        if (strcmp(name, "gamma") == 0 && gf_layer_weight(from, name) == NULL) {
            gf__layer_weight_shape(made, k, shape);
            st = set_all(a, layer, name, shape[0], 1.0f, err);
        } else {
            st = share(a, layer, name, from, name, err);
        }
    }
    return st;
}

static gf_status add_table_layer(alignment *a, size_t i, gf_error *err)
{
    const gf_layer *want = table_layer(a, i);
    const gf_layer *from = a->at[i] != APART ? graph_layer(a, a->at[i]) : NULL;
    const gf__layer_config *config = gf__layer_config_of(want);
    size_t *inputs = gf__calloc(gf_layer_n_inputs(want) + 1, sizeof *inputs), index = 0;
    if (inputs == NULL)
        return gf__error_nomem(err, "a layer's inputs", 64);
    for (size_t k = 0; k < gf_layer_n_inputs(want); k++)
        inputs[k] = gf_layer_input_at(want, k);
    gf_status st = gf__graph_add(a->made, config, inputs, gf_layer_n_inputs(want), &index, err);
    if (st == GF_OK && a->is_folded[i] && config->class_id == GF__LAYER_BATCH_NORMALIZATION)
        st = unfold(a, index, from, config, err);
    else if (st == GF_OK && from != NULL)
        st = set_weights(a, index, from, err);
    if (from != NULL)
        a->now[a->at[i]] = index; /* the normalization's, where it shares its place */
    gf__free(inputs);
    return st;
}

/* What follows the architecture's layers: the graph's own top, under its own names where they are free. */
static gf_status add_top_layer(alignment *a, size_t g, gf_error *err)
{
    char name[GF__LAYER_NAME_TEXT];
    const gf_layer *from = graph_layer(a, g);
    gf__layer_config config = *gf__layer_config_of(from);
    size_t *inputs = gf__calloc(gf_layer_n_inputs(from) + 1, sizeof *inputs), index = 0;
    if (inputs == NULL)
        return gf__error_nomem(err, "a layer's inputs", 64);
    for (size_t k = 0; k < gf_layer_n_inputs(from); k++)
        inputs[k] = a->now[gf_layer_input_at(from, k)];
    if (gf_graph_find_layer(a->made, config.name, &index, NULL) == GF_OK) {
        snprintf(name, sizeof name, "%.100s_top_%zu", config.name, g);
        config.name = name;
    }
    gf_status st = gf__graph_add(a->made, &config, inputs, gf_layer_n_inputs(from), &index, err);
    if (st == GF_OK)
        st = set_weights(a, index, from, err);
    a->now[g] = index;
    gf__free(inputs);
    return st;
}

static gf_status make(alignment *a, gf_error *err)
{
    gf_status st = gf__graph_new(gf_graph_name(a->table), &a->made, err);
    for (size_t i = 0; i < gf_graph_n_layers(a->table) && st == GF_OK; i++)
        st = add_table_layer(a, i, err);
    for (size_t g = 0; g < gf_graph_n_layers(a->graph) && st == GF_OK; g++)
        if (!a->is_used[g])
            st = add_top_layer(a, g, err);
    return st;
}

gf_status gf__graph_align(gf_graph **graph, const gf_graph *table, bool *is_aligned, gf_error *err)
{
    const size_t n = gf_graph_n_layers(table), n_graph = gf_graph_n_layers(*graph);
    alignment a = {.graph = *graph, .table = table};
    gf_status st = GF_OK;
    a.at = gf__calloc(n, sizeof *a.at);
    a.is_folded = gf__calloc(n, sizeof *a.is_folded);
    a.is_used = gf__calloc(n_graph, sizeof *a.is_used);
    a.now = gf__calloc(n_graph, sizeof *a.now);
    *is_aligned = false;
    if (a.at == NULL || a.is_folded == NULL || a.is_used == NULL || a.now == NULL)
        st = gf__error_nomem(err, "places of layers", (n + n_graph) * sizeof *a.at);
    if (st == GF_OK && align(&a)) {
        st = make(&a, err);
        if (st == GF_OK) {
            gf_graph_free(*graph);
            *graph = a.made;
            a.made = NULL;
            *is_aligned = true;
        }
    }
    gf_graph_free(a.made);
    gf__free(a.at);
    gf__free(a.is_folded);
    gf__free(a.is_used);
    gf__free(a.now);
    return st;
}
