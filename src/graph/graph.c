/* graph.c: a graph's storage: layers in order, each after its inputs, with shared weights. Here are
 * building, looking up and reading; shapes.c infers, cut.c takes apart and extends, order.c sorts.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "graph/graph_priv.h"
#include "tensor/tensor.h"

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

gf_status gf__graph_new(const char *name, gf_graph **out, gf_error *err)
{
    *out = NULL;
    gf_graph *graph = gf__calloc(1, sizeof *graph);
    if (graph == NULL)
        return gf__error_nomem(err, "a graph", sizeof *graph);
    graph->name = gf__strndup(name, strnlen(name, GF__LAYER_NAME_MAX));
    if (graph->name == NULL) {
        gf_graph_free(graph);
        return gf__error_nomem(err, "a graph's name", strlen(name));
    }
    for (char *c = graph->name; *c != '\0'; c++) {
        if (is_control(*c)) /* the name goes into messages, which are one line */
            *c = '?';
    }
    *out = graph;
    return GF_OK;
}

static void layer_free(gf_layer *layer)
{
    if (layer == NULL)
        return;
    for (size_t i = 0; i < layer->n_weights; i++)
        gf_tensor_free(layer->weights[i].tensor);
    gf__free(layer->inputs);
    gf__free((void *)layer->config.name);
    gf__free(layer);
}

void gf_graph_free(gf_graph *graph)
{
    if (graph == NULL)
        return;
    for (size_t i = 0; i < graph->n_layers; i++)
        layer_free(graph->layers[i]);
    gf__free(graph->layers);
    gf__free(graph->name);
    gf__free(graph);
}

/* ---- building ---- */

/* Names come from files of strangers and go into messages, tables and file headers. */
static gf_status check_name(const gf_graph *graph, const char *name, gf_error *err)
{
    const size_t length = strlen(name);
    if (length == 0)
        return gf_error_set(err, GF_EFORMAT, "layer %zu has no name", graph->n_layers);
    if (length > GF__LAYER_NAME_MAX)
        return gf_error_set(err, GF_ELIMIT,
                            "layer %zu: its name has %zu bytes, at most %d are read",
                            graph->n_layers, length, GF__LAYER_NAME_MAX);
    for (size_t i = 0; i < length; i++) {
        if (is_control(name[i]))
            return gf_error_set(err, GF_EFORMAT, "layer %zu: its name has a control character",
                                graph->n_layers);
    }
    const size_t twin = gf__graph_index_of(graph, name);
    if (twin < graph->n_layers)
        return gf_error_set(err, GF_EFORMAT, "layers %zu and %zu are both called \"%s\"", twin,
                            graph->n_layers, name);
    return GF_OK;
}

static gf_status check_inputs(const gf_graph *graph, const gf__layer_config *config,
                              size_t n_inputs, gf_error *err)
{
    const gf__class *class = &gf__classes[config->class_id];
    if (n_inputs < class->min_inputs || n_inputs > class->max_inputs)
        return gf_error_set(err, GF_ESHAPE, "layer \"%s\" (%s) has %zu inputs, expected %zu%s",
                            config->name, class->name, n_inputs, class->min_inputs,
                            class->max_inputs > class->min_inputs ? " or more" : "");
    if (config->class_id == GF__LAYER_INPUT && graph->n_layers > 0)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "layer \"%s\" is a second input; networks with one input can be run",
                            config->name);
    return GF_OK;
}

static gf_status layer_new(const gf__layer_config *config, const size_t *inputs, size_t n_inputs,
                           gf_layer **out, gf_error *err)
{
    *out = NULL;
    gf_layer *layer = gf__calloc(1, sizeof *layer);
    if (layer == NULL)
        return gf__error_nomem(err, "a layer", sizeof *layer);
    layer->config = *config;
    layer->config.name = gf__strdup(config->name);
    layer->inputs = gf__calloc(n_inputs, sizeof *layer->inputs);
    layer->n_inputs = n_inputs;
    if (layer->config.name == NULL || layer->inputs == NULL) {
        layer_free(layer);
        return gf__error_nomem(err, "a layer", sizeof *layer);
    }
    if (n_inputs > 0)
        memcpy(layer->inputs, inputs, n_inputs * sizeof *inputs);
    *out = layer;
    return GF_OK;
}

static gf_status make_room(gf_graph *graph, gf_error *err)
{
    if (graph->n_layers == GF__GRAPH_MAX_LAYERS)
        return gf_error_set(err, GF_ELIMIT, "more than %d layers", GF__GRAPH_MAX_LAYERS);
    if (graph->n_layers < graph->capacity)
        return GF_OK;
    const size_t capacity = graph->capacity == 0 ? 32 : graph->capacity * 2;
    gf_layer **layers = gf__realloc(graph->layers, capacity * sizeof *layers);
    if (layers == NULL)
        return gf__error_nomem(err, "layers", capacity * sizeof *layers);
    graph->layers = layers;
    graph->capacity = capacity;
    return GF_OK;
}

gf_status gf__graph_add(gf_graph *graph, const gf__layer_config *config, const size_t *inputs,
                        size_t n_inputs, size_t *index, gf_error *err)
{
    gf_layer *layer = NULL;
    gf_status st = check_name(graph, config->name, err);
    if (st != GF_OK)
        goto done;
    st = check_inputs(graph, config, n_inputs, err);
    if (st != GF_OK)
        goto done;
    for (size_t i = 0; i < n_inputs; i++)
        assert(inputs[i] < graph->n_layers);
    st = layer_new(config, inputs, n_inputs, &layer, err);
    if (st != GF_OK)
        goto done;
    st = gf__classes[config->class_id].infer(graph, layer, err);
    if (st != GF_OK)
        goto done;
    st = make_room(graph, err);
    if (st != GF_OK)
        goto done;

    if (index != NULL)
        *index = graph->n_layers;
    graph->layers[graph->n_layers++] = layer;
    layer = NULL; /* moved to the graph */
done:
    layer_free(layer);
    return st;
}

void gf__graph_drop_last(gf_graph *graph)
{
    layer_free(graph->layers[--graph->n_layers]);
}

gf_status gf__graph_add_copy(gf_graph *graph, const gf_layer *from, const size_t *inputs,
                             gf_error *err)
{
    size_t index;
    const gf_status st = gf__graph_add(graph, &from->config, inputs, from->n_inputs, &index, err);
    if (st != GF_OK)
        return st;
    gf_layer *layer = graph->layers[index];
    for (size_t i = 0; i < layer->n_weights; i++) {
        if (from->weights[i].tensor != NULL)
            layer->weights[i].tensor = gf__tensor_ref(from->weights[i].tensor);
    }
    return GF_OK;
}

static gf__weight *find_weight(const gf_layer *layer, const char *name)
{
    for (size_t i = 0; i < layer->n_weights; i++) {
        if (strcmp(layer->weights[i].name, name) == 0)
            return (gf__weight *)&layer->weights[i];
    }
    return NULL;
}

gf_status gf__graph_set_weight(gf_graph *graph, size_t layer_index, const char *name,
                               gf_tensor *tensor, gf_error *err)
{
    const gf_layer *layer = graph->layers[layer_index];
    gf__weight *weight = find_weight(layer, name);
    if (weight == NULL)
        return gf_error_set(err, GF_ENOTFOUND, "layer \"%s\" (%s) has no weight \"%.40s\"",
                            layer->config.name, gf_layer_class_name(layer), name);
    if (gf_tensor_dtype(tensor) != GF_DTYPE_F32)
        return gf_error_set(err, GF_ESHAPE, "layer \"%s\": %s is %s, expected float32",
                            layer->config.name, name, gf_dtype_name(gf_tensor_dtype(tensor)));
    const size_t n_dims = gf_tensor_n_dims(tensor);
    if (n_dims != weight->n_dims ||
        memcmp(gf_tensor_shape(tensor), weight->shape, n_dims * sizeof(size_t)) != 0) {
        char got[GF__SHAPE_TEXT], want[GF__SHAPE_TEXT];
        return gf_error_set(err, GF_ESHAPE, "layer \"%s\": %s has shape %s, expected %s",
                            layer->config.name, name,
                            gf__shape_text(gf_tensor_shape(tensor), n_dims, got),
                            gf__shape_text(weight->shape, weight->n_dims, want));
    }
    gf_tensor_free(weight->tensor);
    weight->tensor = tensor;
    return GF_OK;
}

gf_status gf__graph_zero_weights(gf_graph *graph, gf_error *err)
{
    for (size_t i = 0; i < graph->n_layers; i++) {
        gf_layer *layer = graph->layers[i];
        for (size_t k = 0; k < layer->n_weights; k++) {
            gf__weight *weight = &layer->weights[k];
            if (weight->tensor != NULL)
                continue;
            const gf_status st = gf_tensor_new(GF_DTYPE_F32, weight->shape, weight->n_dims,
                                               &weight->tensor, err);
            if (st != GF_OK)
                return st;
        }
    }
    return GF_OK;
}

/* ---- looking up ---- */

const char *gf_graph_name(const gf_graph *graph)
{
    return graph->name;
}

size_t gf_graph_n_layers(const gf_graph *graph)
{
    return graph->n_layers;
}

const gf_layer *gf_graph_layer_at(const gf_graph *graph, ptrdiff_t i)
{
    const ptrdiff_t n = (ptrdiff_t)graph->n_layers;
    if (i < -n || i >= n)
        return NULL;
    return graph->layers[i < 0 ? i + n : i];
}

size_t gf__graph_output(const gf_graph *graph)
{
    assert(graph->n_layers > 0);
    return graph->n_layers - 1;
}

size_t gf__graph_index_of(const gf_graph *graph, const char *name)
{
    size_t i = 0;
    while (i < graph->n_layers && strcmp(graph->layers[i]->config.name, name) != 0)
        i++;
    return i;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    const size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Levenshtein's distance: the letters to add, drop or change. Neither text is longer than a name
 * may be. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[GF__LAYER_NAME_MAX + 1];
    const size_t n = strlen(b);
    for (size_t k = 0; k <= n; k++)
        row[k] = k;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t k = 0; k < n; k++) {
            const size_t above = row[k + 1];
            row[k + 1] = smallest(diagonal + (a[i] != b[k]), above + 1, row[k] + 1);
            diagonal = above;
        }
    }
    return row[n];
}

static const char *closest_name(const gf_graph *graph, const char *name)
{
    const char *closest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < graph->n_layers && strlen(name) <= GF__LAYER_NAME_MAX; i++) {
        const size_t distance = edit_distance(name, graph->layers[i]->config.name);
        if (distance < best) {
            best = distance;
            closest = graph->layers[i]->config.name;
        }
    }
    return closest;
}

/* False where the text is not an index at all. */
static bool parse_index(const char *text, long *index)
{
    char *end;
    if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
        return false;
    errno = 0;
    *index = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

gf_status gf_graph_find_layer(const gf_graph *graph, const char *name, size_t *index, gf_error *err)
{
    long number;
    const long n = (long)graph->n_layers;
    const size_t found = gf__graph_index_of(graph, name);
    if (found < graph->n_layers) {
        *index = found;
        return GF_OK;
    }
    if (parse_index(name, &number)) {
        if (number < -n || number >= n)
            return gf_error_set(err, GF_ENOTFOUND, "no layer %ld: \"%s\" has %ld layers, 0 to %ld",
                                number, graph->name, n, n - 1);
        *index = (size_t)(number < 0 ? number + n : number);
        return GF_OK;
    }
    const char *closest = closest_name(graph, name);
    if (closest == NULL)
        return gf_error_set(err, GF_ENOTFOUND, "no layer \"%.128s\" in \"%s\"", name, graph->name);
    return gf_error_set(err, GF_ENOTFOUND, "no layer \"%s\" in \"%s\"; the closest name is \"%s\"",
                        name, graph->name, closest);
}

/* ---- a layer ---- */

const char *gf_layer_name(const gf_layer *layer)
{
    return layer->config.name;
}

const char *gf_layer_class_name(const gf_layer *layer)
{
    return gf__classes[layer->config.class_id].name;
}

size_t gf_layer_n_dims(const gf_layer *layer)
{
    return layer->n_dims;
}

const size_t *gf_layer_shape(const gf_layer *layer)
{
    return layer->shape;
}

size_t gf_layer_n_params(const gf_layer *layer)
{
    size_t sum = 0;
    for (size_t i = 0; i < layer->n_weights; i++)
        sum += layer->weights[i].n_values;
    return sum;
}

size_t gf_layer_n_trainable_params(const gf_layer *layer)
{
    size_t sum = 0;
    for (size_t i = 0; i < layer->n_weights && layer->config.is_trainable; i++) {
        if (layer->weights[i].is_trainable)
            sum += layer->weights[i].n_values;
    }
    return sum;
}

bool gf_layer_is_trainable(const gf_layer *layer)
{
    return layer->config.is_trainable;
}

size_t gf_layer_n_inputs(const gf_layer *layer)
{
    return layer->n_inputs;
}

size_t gf_layer_input_at(const gf_layer *layer, size_t i)
{
    assert(i < layer->n_inputs);
    return layer->inputs[i];
}

const gf_tensor *gf_layer_weight(const gf_layer *layer, const char *name)
{
    const gf__weight *weight = find_weight(layer, name);
    return weight == NULL ? NULL : weight->tensor;
}

void gf_graph_set_trainable(gf_graph *graph, size_t i, bool is_trainable)
{
    assert(i < graph->n_layers);
    graph->layers[i]->config.is_trainable = is_trainable;
}

const gf__layer_config *gf__layer_config_of(const gf_layer *layer)
{
    return &layer->config;
}

size_t gf__layer_n_weights(const gf_layer *layer)
{
    return layer->n_weights;
}

const char *gf__layer_weight_name(const gf_layer *layer, size_t i)
{
    assert(i < layer->n_weights);
    return layer->weights[i].name;
}

gf_tensor *gf__layer_weight_at(const gf_layer *layer, size_t i)
{
    assert(i < layer->n_weights);
    return layer->weights[i].tensor;
}

size_t gf__layer_weight_shape(const gf_layer *layer, size_t i, size_t shape[4])
{
    assert(i < layer->n_weights);
    memcpy(shape, layer->weights[i].shape, sizeof layer->weights[i].shape);
    return layer->weights[i].n_dims;
}
