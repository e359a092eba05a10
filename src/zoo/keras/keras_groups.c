/* keras_groups.c: which group of model.weights.h5 is whose. Not a layer's name decides, which depends on what
 * else the program had built, but its class in lower case and how many of that class came before:
 * conv2d, conv2d_1, ... in the order of the model's layers. A model that is a layer has a group like any
 * other, and in it another root: functional/layers/conv2d. */
#include <ctype.h>
#include <string.h>

#include "zoo/keras/keras_priv.h"

/* What Keras 2.13 and 2.14 call the root: they walk through a table that has a layer with weights under two
 * names, and 2.13 counts both. */
#define OLD_ROOT "_layer_checkpoint_dependencies"

/* ---- names ---- */

/* MaxPooling2D: max_pooling2d, ReLU: re_lu. As Keras: a word begins with a capital behind a small letter,
 * or before one. */
static void to_snake_case(const char *class_name, gf__buffer *out)
{
    for (const char *c = class_name; *c != '\0'; c++) {
        const bool is_start = isupper((unsigned char)*c) && c > class_name &&
                              (islower((unsigned char)c[1]) || islower((unsigned char)c[-1]));
        gf__buffer_printf(out, is_start ? "_%c" : "%c", tolower((unsigned char)*c));
    }
}

static size_t *find_count(gf__keras_groups *groups, const char *base)
{
    for (size_t i = 0; i < groups->n_bases; i++)
        if (strcmp(groups->bases[i].name, base) == 0)
            return &groups->bases[i].n;
    gf__keras_group_base *bases = gf__realloc(groups->bases, (groups->n_bases + 1) * sizeof *bases);
    if (bases == NULL)
        return NULL;
    groups->bases = bases;
    char *name = gf__strdup(base);
    if (name == NULL)
        return NULL;
    bases[groups->n_bases] = (gf__keras_group_base){name, 0};
    return &bases[groups->n_bases++].n;
}

char *gf__keras_group_next(gf__keras_groups *groups, const char *class_name, size_t n_uses)
{
    char *name = NULL;
    gf__buffer base = {0};
    to_snake_case(class_name, &base);
    gf__buffer_append(&base, "", 1);
    size_t *count = gf__buffer_status(&base, NULL) == GF_OK ? find_count(groups, base.data) : NULL;
    if (count != NULL) {
        name = *count == 0 ? gf__strdup(base.data) : gf__asprintf("%s_%zu", base.data, *count);
        *count += n_uses;
    }
    gf__buffer_free(&base);
    return name;
}

void gf__keras_groups_free(gf__keras_groups *groups)
{
    for (size_t i = 0; i < groups->n_bases; i++)
        gf__free(groups->bases[i].name);
    gf__free(groups->bases);
    *groups = (gf__keras_groups){0};
}

/* ---- weights ---- */

typedef struct assignment {
    const gf_safetensors *file;
    const gf__config_notes *notes;
    gf_graph *graph;
    const char *root;
    bool is_counted_twice;
    gf_error *err;
} assignment;

/* Then all numbers are even: no second layer of a class is number 1. */
static bool is_counted_twice(const gf_safetensors *file, const char *root)
{
    bool is_twice = strcmp(root, OLD_ROOT) == 0;
    for (size_t i = 0; is_twice && i < gf_safetensors_n_tensors(file); i++)
        is_twice = strstr(gf_safetensors_name_at(file, i), "_1/") == NULL;
    return is_twice;
}

/* *out is NULL where there is none. */
static gf_status find_weight(const assignment *a, const char *group, size_t i, gf_tensor **out)
{
    char *name = gf__asprintf("%s/vars/%zu", group, i);
    if (name == NULL)
        return gf__error_nomem(a->err, "a weight's name", strlen(group));
    *out = (gf_tensor *)(uintptr_t)gf_safetensors_find(a->file, name);
    gf__free(name);
    return GF_OK;
}

static gf_status check_count(const assignment *a, const gf_layer *layer, const char *group)
{
    const size_t n = gf__layer_n_weights(layer);
    gf_tensor *tensor = NULL;
    size_t n_found = 0;
    for (;; n_found++) {
        const gf_status st = find_weight(a, group, n_found, &tensor);
        if (st != GF_OK)
            return st;
        if (tensor == NULL || n_found > n)
            break;
    }
    if (n_found == n)
        return GF_OK;
    return gf_error_set(
        a->err, GF_EMISMATCH, "layer \"%.100s\" has %zu weights, its group %s/%s has %s%zu",
        gf_layer_name(layer), n, a->root, group, n_found > n ? "at least " : "", n_found);
}

static gf_status assign_layer(const assignment *a, size_t index, const char *group)
{
    const gf_layer *layer = gf_graph_layer_at(a->graph, (ptrdiff_t)index);
    gf_status st = check_count(a, layer, group);
    for (size_t i = 0; st == GF_OK && i < gf__layer_n_weights(layer); i++) {
        gf_tensor *tensor = NULL;
        st = find_weight(a, group, i, &tensor);
        if (st != GF_OK)
            return st;
        st = gf__graph_set_weight(a->graph, index, gf__layer_weight_name(layer, i),
                                  gf__tensor_ref(tensor), a->err);
        if (st != GF_OK)
            gf_tensor_free(tensor); /* the reference that was not taken */
    }
    return st;
}

static const char *class_of(const assignment *a, const gf__config_entry *entry)
{
    return entry->json != NULL
               ? gf__json_string(gf__json_find(entry->json, "class_name"), "")
               : gf_layer_class_name(gf_graph_layer_at(a->graph, (ptrdiff_t)entry->layer));
}

static bool has_weights(const assignment *a, size_t i)
{
    const gf__config_entry *entries = a->notes->entries;
    for (size_t k = i; k <= i + entries[i].n_inner; k++) {
        const gf_layer *layer = gf_graph_layer_at(a->graph, (ptrdiff_t)entries[k].layer);
        if (entries[k].layer != SIZE_MAX && gf__layer_n_weights(layer) > 0)
            return true;
    }
    return false;
}

static gf_status assign_model(const assignment *a, size_t m, const char *prefix);

static gf_status assign_entry(const assignment *a, size_t i, const char *group)
{
    const gf__config_entry *entry = &a->notes->entries[i];
    if (entry->n_inner == 0)
        return has_weights(a, i) ? assign_layer(a, entry->layer, group) : GF_OK;
    char *prefix = gf__asprintf("%s/%s/", group, a->root);
    if (prefix == NULL)
        return gf__error_nomem(a->err, "a group's name", strlen(group));
    const gf_status st = assign_model(a, i, prefix);
    gf__free(prefix);
    return st;
}

/* As deep as the notes are, which are bounded. */
static gf_status assign_model(const assignment *a, size_t m, const char *prefix)
{
    gf_status st = GF_OK;
    gf__keras_groups groups = {0};
    const gf__config_entry *entries = a->notes->entries;
    const size_t end = m + 1 + entries[m].n_inner;
    for (size_t i = m + 1; i < end && st == GF_OK; i += 1 + entries[i].n_inner) {
        if (entries[i].json == NULL && entries[i].layer == SIZE_MAX)
            continue; /* an input that nobody wrote down */
        const size_t n_uses = a->is_counted_twice && has_weights(a, i) ? 2 : 1;
        char *name = gf__keras_group_next(&groups, class_of(a, &entries[i]), n_uses);
        char *group = name != NULL ? gf__asprintf("%s%s", prefix, name) : NULL;
        st = group != NULL ? assign_entry(a, i, group)
                           : gf__error_nomem(a->err, "a group's name", strlen(prefix));
        gf__free(group);
        gf__free(name);
    }
    gf__keras_groups_free(&groups);
    return st;
}

gf_status gf__keras_assign(const gf_safetensors *file, const gf__config_notes *notes,
                           gf_graph *graph, gf_error *err)
{
    const char *root = gf_safetensors_metadata(file, "root");
    assignment a = {.file = file, .notes = notes, .graph = graph, .root = root, .err = err};
    if (root == NULL)
        return gf_error_set(err, GF_EFORMAT, "its layers are not in groups of a .keras archive");
    a.is_counted_twice = is_counted_twice(file, root);
    return assign_model(&a, 0, "");
}
