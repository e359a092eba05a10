/* zoo/operators/operators_finish.c: from operators to a graph: what the output does not need is left out,
 * what belongs together becomes one layer, layers get their names and Keras' order. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "zoo/operators/operators_priv.h"
#include "zoo/zoo_priv.h"

#define NONE      SIZE_MAX
#define MAX_STEM  70 /* bytes of a name: the scope, ... */
#define MAX_REST  24 /* ... and twice what tells two of a scope apart */
#define NAME_TEXT (MAX_STEM + 2 * (MAX_REST + 1) + 1)

/* "a/b/conv/Conv2D": the scope is its first 8 letters, of which the last 4 are the layer's own;
 * what follows is the operator's. Without a slash all is the layer's own. */
typedef struct scope {
    const char *text;
    size_t n_chars;
    const char *own;
    size_t n_own;
    const char *rest;
} scope;

typedef struct finish {
    gf__operators *ops;
    size_t output;
    size_t *n_users;   /* of each item, among the needed ones; 0: not needed */
    size_t *joined_to; /* the item that this one became part of; itself otherwise */
    size_t *layer;     /* index in the graph */
    char **names;
    size_t *slots; /* item + 1 where the hash of its name falls; a power of 2 */
    size_t n_slots;
    scope *scopes;
    gf_graph *graph;
} finish;

static gf__operator *item_at(const finish *f, size_t i)
{
    return &f->ops->items[i];
}

/* The item behind a value: where it was joined to another, that one. */
static size_t resolve(const finish *f, size_t i)
{
    while (f->joined_to[i] != i)
        i = f->joined_to[i];
    return i;
}

static gf_status prepare(finish *f, gf_error *err)
{
    const size_t n = f->ops->n_items;
    f->n_users = gf__calloc(n, sizeof *f->n_users);
    f->joined_to = gf__calloc(n, sizeof *f->joined_to);
    f->layer = gf__calloc(n, sizeof *f->layer);
    f->names = gf__calloc(n, sizeof *f->names);
    f->scopes = gf__calloc(n, sizeof *f->scopes);
    for (f->n_slots = 16; f->n_slots < 2 * n;)
        f->n_slots *= 2;
    f->slots = gf__calloc(f->n_slots, sizeof *f->slots);
    if (f->n_users == NULL || f->joined_to == NULL || f->layer == NULL || f->names == NULL ||
        f->scopes == NULL || f->slots == NULL)
        return gf__error_nomem(err, "operators", n * sizeof *f->names);
    f->n_users[f->output] = 1;
    for (size_t i = n; i-- > 0;) {
        f->joined_to[i] = i;
        for (size_t k = 0; f->n_users[i] > 0 && k < item_at(f, i)->n_inputs; k++)
            f->n_users[item_at(f, i)->inputs[k]]++;
    }
    if (f->n_users[0] == 0)
        return gf_error_set(err, GF_EFORMAT,
                            "node \"%s\": what it puts out does not depend on the input",
                            item_at(f, f->output)->node);
    return GF_OK;
}

/* ---- joining --------------------------------------------------------------------------------- */

/* A vector added elsewhere: a normalization that does nothing else. */
static gf_status keep_bias(gf__operator *item, gf_error *err)
{
    gf_tensor *mean = NULL, *variance = NULL;
    const size_t n = gf_tensor_n_values(item->weights[0].tensor);
    gf_status st = gf__plain_norm_vector(n, 0.0f, &mean, err);
    if (st == GF_OK)
        st = gf__plain_norm_vector(n, 1.0f, &variance, err);
    if (st == GF_OK)
        st = gf__operator_add_weight(item, "moving_mean", mean, err);
    if (st == GF_OK)
        st = gf__operator_add_weight(item, "moving_variance", variance, err);
    gf_tensor_free(mean);
    gf_tensor_free(variance);
    item->kind = GF__OPERATOR_LAYER;
    item->weights[0].name = "beta";
    item->config = (gf__layer_config){
        .class_id = GF__LAYER_BATCH_NORMALIZATION, .has_center = true, .is_trainable = true};
    return st;
}

static gf_status join_bias(finish *f, size_t i, gf_error *err)
{
    gf__operator *item = item_at(f, i);
    const size_t from = item->inputs[0], to = resolve(f, from);
    gf__operator *target = item_at(f, to);
    gf__layer_config *config = &target->config;
    const bool is_norm = config->class_id == GF__LAYER_BATCH_NORMALIZATION && !config->has_center;
    const bool has_room = (config->class_id == GF__LAYER_CONV2D ||
                           config->class_id == GF__LAYER_DEPTHWISE_CONV2D ||
                           config->class_id == GF__LAYER_DENSE) &&
                          !config->has_bias && config->activation == GF__ACTIVATION_LINEAR;
    if (gf__op_is_input(f->ops, to))
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "node \"%s\" adds a number for each channel to the input; graft scales "
                            "all channels the same way",
                            item->node);
    if (target->kind != GF__OPERATOR_LAYER || (!has_room && !is_norm) || f->n_users[from] != 1)
        return keep_bias(item, err);
    config->has_bias = !is_norm;
    config->has_center = is_norm;
    f->joined_to[i] = to;
    return gf__operator_add_weight(target, is_norm ? "beta" : "bias", item->weights[0].tensor, err);
}

static void join_activation(finish *f, size_t i)
{
    const gf__operator *item = item_at(f, i);
    const size_t from = item->inputs[0], to = resolve(f, from);
    gf__operator *target = item_at(f, to);
    if (target->config.class_id != GF__LAYER_DENSE || f->n_users[from] != 1 ||
        target->config.activation != GF__ACTIVATION_LINEAR)
        return;
    target->config.activation = item->config.class_id == GF__LAYER_RELU ? GF__ACTIVATION_RELU6
                                                                        : item->config.activation;
    f->joined_to[i] = to;
}

/* The picture goes into the network scaled one way, or not at all. */
static gf_status join_affine(finish *f, gf_error *err)
{
    size_t entry = NONE;
    for (size_t i = 1; i < f->ops->n_items; i++) {
        const gf__operator *item = item_at(f, i);
        if (item->kind == GF__OPERATOR_AFFINE)
            f->joined_to[i] = 0;
        if (item->kind == GF__OPERATOR_AFFINE || f->n_users[i] == 0)
            continue;
        for (size_t k = 0; k < item->n_inputs; k++) {
            const size_t in = item->inputs[k];
            if (in != 0 && item_at(f, in)->kind != GF__OPERATOR_AFFINE)
                continue;
            if (entry != NONE && entry != in)
                return gf_error_set(err, GF_EUNSUPPORTED,
                                    "node \"%s\" sees the input scaled in another way than others "
                                    "do; graft scales it once",
                                    item->node);
            entry = in;
        }
    }
    if (entry != NONE && entry != 0) {
        f->ops->scale = item_at(f, entry)->scale;
        f->ops->shift = item_at(f, entry)->shift;
    }
    return GF_OK;
}

/* A padding before a "valid" convolution, the two being "same". */
static void fold_padding(finish *f, size_t i)
{
    gf__operator *item = item_at(f, i);
    const size_t from = item->inputs[0];
    const gf__operator *pad = item_at(f, from);
    size_t shape[3], sides[4];
    if (!f->ops->folds_padding || pad->config.class_id != GF__LAYER_ZERO_PADDING2D ||
        f->n_users[from] != 1 || item->config.is_same_padding)
        return;
    gf__op_shape(f->ops, pad->inputs[0], shape);
    for (size_t side = 0; side < 2; side++)
        gf__same_padding(shape[side], item->config.kernel[side], item->config.strides[side],
                         &sides[2 * side]);
    if (memcmp(sides, pad->config.padding, sizeof sides) != 0)
        return;
    item->config.is_same_padding = true;
    item->inputs[0] = pad->inputs[0];
    f->n_users[from] = 0;
}

static gf_status join(finish *f, gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t i = 0; i < f->ops->n_items && st == GF_OK; i++) {
        const gf__operator *item = item_at(f, i);
        const gf__layer_class class_id = item->config.class_id;
        if (f->n_users[i] == 0)
            continue;
        if (item->kind == GF__OPERATOR_BIAS)
            st = join_bias(f, i, err);
        else if (item->kind == GF__OPERATOR_AFFINE)
            continue;
        else if (class_id == GF__LAYER_ACTIVATION || class_id == GF__LAYER_RELU)
            join_activation(f, i);
        else if (class_id == GF__LAYER_CONV2D || class_id == GF__LAYER_DEPTHWISE_CONV2D)
            fold_padding(f, i);
    }
    return st != GF_OK ? st : join_affine(f, err);
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool is_layer(const finish *f, size_t i)
{
    return f->n_users[i] > 0 && f->joined_to[i] == i;
}

static size_t n_digits_at_end(const char *text, size_t n_chars)
{
    size_t n = 0;
    while (n < n_chars && text[n_chars - n - 1] >= '0' && text[n_chars - n - 1] <= '9')
        n++;
    return n;
}

/* "_2" of "conv_1_2"; 0: it does not end so. */
static size_t n_number_at_end(const char *text, size_t n_chars)
{
    const size_t n = n_digits_at_end(text, n_chars);
    return n > 0 && n + 1 < n_chars && text[n_chars - n - 1] == '_' ? n + 1 : 0;
}

static scope parse_scope(const char *node)
{
    scope s = {.text = node + strspn(node, "/")};
    const char *slash = strrchr(s.text, '/');
    s.n_chars = slash != NULL ? (size_t)(slash - s.text) : strlen(s.text);
    s.rest = s.text + s.n_chars + (slash != NULL);
    s.own = s.text + s.n_chars;
    while (s.own > s.text && s.own[-1] != '/')
        s.own--;
    s.n_own = (size_t)(s.text + s.n_chars - s.own);
    return s;
}

static bool is_same_text(const char *a, size_t n_a, const char *b, size_t n_b)
{
    return n_a == n_b && memcmp(a, b, n_a) == 0;
}

/* Another scope of another place ends the same way. */
static bool is_own_shared(const finish *f, size_t i)
{
    const scope mine = f->scopes[i];
    for (size_t k = 0; k < f->ops->n_items; k++) {
        const scope other = f->scopes[k];
        if (is_layer(f, k) && !is_same_text(other.text, other.n_chars, mine.text, mine.n_chars) &&
            is_same_text(other.own, other.n_own, mine.own, mine.n_own))
            return true;
    }
    return false;
}

/* Who traces a network twice (Keras 3 does) finds all of its scopes with a number behind them:
 * "conv_1" of the layer conv, "conv_1_2" of conv_1. Not the layers' own are they where some
 * layer has none, or where without them two would be the same. */
static bool have_all_numbers(finish *f)
{
    size_t n = 0;
    for (size_t i = 1; i < f->ops->n_items; i++) {
        const scope s = f->scopes[i];
        if (is_layer(f, i) && n_number_at_end(s.own, s.n_own) == 0)
            return false;
        n += is_layer(f, i);
    }
    for (size_t i = 1; i < f->ops->n_items; i++) {
        const scope s = f->scopes[i];
        const size_t n_s = s.n_chars - n_number_at_end(s.own, s.n_own);
        for (size_t k = 1; k < i && is_layer(f, i); k++) {
            const scope other = f->scopes[k];
            const size_t n_other = other.n_chars - n_number_at_end(other.own, other.n_own);
            if (is_layer(f, k) && is_same_text(s.text, n_s, other.text, n_other) &&
                !is_same_text(s.text, s.n_chars, other.text, other.n_chars))
                return false;
        }
    }
    return n > 1;
}

static void drop_numbers(finish *f)
{
    for (size_t i = 1; i < f->ops->n_items; i++) {
        const size_t n = n_number_at_end(f->scopes[i].own, f->scopes[i].n_own);
        f->scopes[i].n_own -= n;
        f->scopes[i].n_chars -= n;
    }
}

/* Of the item that has this name, or the free one where it would be. Four thousand nodes of one name ask for
 * millions: they are not compared with all. */
static size_t *slot_of(const finish *f, const char *name)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (const char *c = name; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    size_t at = (size_t)hash & (f->n_slots - 1);
    while (f->slots[at] != 0 && strcmp(f->names[f->slots[at] - 1], name) != 0)
        at = (at + 1) & (f->n_slots - 1);
    return &f->slots[at];
}

static bool is_taken(const finish *f, const char *name)
{
    return *slot_of(f, name) != 0;
}

/* The end of the text, '_' for what separates scopes. */
static void write_name(char name[NAME_TEXT], const char *text, size_t n_chars, size_t n_most)
{
    const size_t n_cut = n_chars > n_most ? n_chars - n_most : 0;
    const char *end = gf__operator_end_of(text, n_cut);
    snprintf(name, NAME_TEXT, "%.*s", (int)(text + n_chars - end), end);
    for (char *c = name; *c != '\0'; c++)
        *c = *c == '/' || *c == ':' ? '_' : *c;
}

static void append_name(char name[NAME_TEXT], const char *more)
{
    const size_t n = strlen(name);
    size_t n_more = strlen(more) < MAX_REST ? strlen(more) : MAX_REST;
    while (n_more > 0 && ((unsigned char)more[n_more] & 0xc0) == 0x80) /* no half of a letter */
        n_more--;
    snprintf(name + n, NAME_TEXT - n, "%s%.*s", n > 0 ? "_" : "", (int)n_more, more);
}

/* The first that is free of: the layer's scope (its own part, or all of it), that and the rest
 * of the node, that and the class, that with a number. */
static gf_status name_item(finish *f, size_t i, gf_error *err)
{
    char name[NAME_TEXT], numbered[NAME_TEXT + 24];
    const char *found = name;
    const scope s = f->scopes[i];
    const gf_layer *layer = gf_graph_layer_at(f->ops->shapes, (ptrdiff_t)i);
    if (is_own_shared(f, i))
        write_name(name, s.text, s.n_chars, MAX_STEM);
    else
        write_name(name, s.own, s.n_own, MAX_STEM);
    if (name[0] == '\0' || (is_taken(f, name) && s.rest[0] != '\0'))
        append_name(name, s.rest);
    if (name[0] == '\0' || is_taken(f, name))
        append_name(name, gf_layer_class_name(layer));
    for (size_t n = 1; is_taken(f, found); n++) {
        snprintf(numbered, sizeof numbered, "%s_%zu", name, n);
        found = numbered;
    }
    f->names[i] = gf__strdup(found);
    if (f->names[i] == NULL)
        return gf__error_nomem(err, "a layer's name", strlen(found));
    *slot_of(f, found) = i + 1;
    return GF_OK;
}

/* ---- the graph ------------------------------------------------------------------------------- */

static gf_status add_to_graph(finish *f, size_t i, gf_error *err)
{
    gf__operator *item = item_at(f, i);
    gf__layer_config config = item->config;
    size_t *in = gf__calloc(item->n_inputs + 1, sizeof *in);
    if (in == NULL)
        return gf__error_nomem(err, "a layer's inputs", item->n_inputs * sizeof *in);
    for (size_t k = 0; k < item->n_inputs; k++)
        in[k] = f->layer[resolve(f, item->inputs[k])];
    config.name = f->names[i];
    gf_status st = gf__graph_add(f->graph, &config, in, item->n_inputs, &f->layer[i], err);
    gf__free(in);
    for (size_t k = 0; k < item->n_weights && st == GF_OK; k++) {
        gf_tensor *tensor = gf__tensor_ref(item->weights[k].tensor);
        st = gf__graph_set_weight(f->graph, f->layer[i], item->weights[k].name, tensor, err);
        if (st != GF_OK)
            gf_tensor_free(tensor); /* the reference that was not taken */
    }
    return st;
}

/* An importer's own mistake, but one that would be found only when the trunk is saved. */
static gf_status check_complete(const gf_graph *graph, gf_error *err)
{
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        for (size_t k = 0; k < gf__layer_n_weights(layer); k++) {
            if (gf__layer_weight_at(layer, k) == NULL)
                return gf_error_set(err, GF_EFORMAT, "layer \"%s\": has no %s",
                                    gf_layer_name(layer), gf__layer_weight_name(layer, k));
        }
    }
    return GF_OK;
}

static gf_status build(finish *f, gf_error *err)
{
    gf_status st = gf__graph_new(gf_graph_name(f->ops->shapes), &f->graph, err);
    for (size_t i = 0; i < f->ops->n_items; i++)
        f->scopes[i] = parse_scope(item_at(f, i)->node);
    if (have_all_numbers(f))
        drop_numbers(f);
    for (size_t i = 0; i < f->ops->n_items && st == GF_OK; i++) {
        if (!is_layer(f, i))
            continue;
        st = name_item(f, i, err);
        if (st == GF_OK)
            st = add_to_graph(f, i, err);
    }
    if (st == GF_OK)
        st = check_complete(f->graph, err);
    if (st == GF_OK)
        st = gf__graph_sort_as_keras(f->graph, err);
    return st;
}

gf_status gf__operators_finish(gf__operators *ops, size_t output, gf_graph **out, gf_error *err)
{
    finish f = {.ops = ops, .output = output};
    *out = NULL;
    ops->scale = ops->shift = 0.0;
    gf_status st = prepare(&f, err);
    if (st == GF_OK)
        st = join(&f, err);
    if (st == GF_OK)
        st = build(&f, err);
    if (st == GF_OK) {
        *out = f.graph;
        f.graph = NULL; /* moved to the caller */
    }
    gf_graph_free(f.graph);
    for (size_t i = 0; f.names != NULL && i < ops->n_items; i++)
        gf__free(f.names[i]);
    gf__free(f.names);
    gf__free(f.slots);
    gf__free(f.scopes);
    gf__free(f.layer);
    gf__free(f.joined_to);
    gf__free(f.n_users);
    return st;
}

bool gf__operators_input(const gf__operators *ops, float *scale, float *shift)
{
    if (ops->scale == 0.0)
        return false;
    gf__pixel_scaling(ops->scale, ops->shift, scale, shift);
    return true;
}
