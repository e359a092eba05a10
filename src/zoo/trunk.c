/* trunk.c: trunks at rest and loaded. A trunk file is safetensors: float32 weights called
 * "<layer>/<weight>", and a JSON document under the metadata key "graft":
 *
 *     {"format": 1, "kind": "trunk", "name": "inception_v3", "origin": "...", "sha256": "...",
 *      "architecture": "inception_v3" or null, "classes": ["tench", ...],
 *      "input": {"width": 299, "height": 299, "scale": 0.00784313772, "shift": -1},
 *      "graph": {Keras' model configuration}}
 *
 * sha256 is over the graph's compact JSON and then, for every weight in the graph's order, a line
 * "\n<layer>/<weight> <shape>\n" and its bytes: what the network computes, not how the file is laid
 * out. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zoo/zoo_priv.h"

struct gf_trunk {
    atomic_int n_owners;
    char *name;
    char *origin;
    char sha256[GF__SHA256_HEX];
    float scale, shift;
    char **class_names;
    size_t n_classes;
    gf_graph *graph;
    gf_safetensors *file; /* the graph's weights are views of it, or NULL */
};

static void free_texts(char **texts, size_t n)
{
    for (size_t i = 0; texts != NULL && i < n; i++)
        gf__free(texts[i]);
    gf__free(texts);
}

void gf__checkpoint_free(gf__checkpoint *checkpoint)
{
    gf_graph_free(checkpoint->graph);
    gf_safetensors_close(checkpoint->file);
    free_texts(checkpoint->class_names, checkpoint->n_classes);
    gf__free(checkpoint->origin);
    *checkpoint = (gf__checkpoint){0};
}

/* ---- names ---- */

char *gf__trunk_path(const char *home, const char *name)
{
    return gf__asprintf("%s/trunks/%s.safetensors", home, name);
}

gf_status gf__trunk_check_name(const char *name, gf_error *err)
{
    const size_t length = strlen(name);
    const size_t n_good = strspn(
        name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
    if (length == 0 || length > 64 || n_good != length || name[0] == '.')
        return gf_error_set(
            err, GF_EINVAL,
            "\"%.64s\" cannot name a trunk: 1 to 64 letters, digits, '_', '-' and '.'", name);
    return GF_OK;
}

static bool is_path(const char *name)
{
    return strchr(name, '/') != NULL || strcmp(gf__path_extension(name), ".safetensors") == 0;
}

/* ---- making ---- */

gf_status gf__trunk_take(const gf__trunk_parts *parts, gf_trunk **out, gf_error *err)
{
    *out = NULL;
    if (strlen(parts->sha256) != GF__SHA256_HEX - 1)
        return gf_error_set(err, GF_EFORMAT,
                            "sha256: expected 64 hexadecimal digits, found \"%.70s\"",
                            parts->sha256);
    gf_trunk *trunk = gf__calloc(1, sizeof *trunk);
    if (trunk == NULL)
        return gf__error_nomem(err, "a trunk", sizeof *trunk);
    atomic_init(&trunk->n_owners, 1);
    trunk->scale = parts->scale;
    trunk->shift = parts->shift;
    memcpy(trunk->sha256, parts->sha256, GF__SHA256_HEX);
    trunk->name = gf__strdup(parts->name);
    trunk->origin = gf__strdup(parts->origin);
    if (trunk->name == NULL || trunk->origin == NULL) {
        gf_trunk_free(trunk);
        return gf__error_nomem(err, "a trunk's name", strlen(parts->name));
    }
    trunk->graph = parts->graph;
    trunk->file = parts->file;
    *out = trunk;
    return GF_OK;
}

gf_trunk *gf_trunk_ref(gf_trunk *trunk)
{
    atomic_fetch_add(&trunk->n_owners, 1);
    return trunk;
}

void gf__trunk_release_pages(const gf_trunk *trunk)
{
    if (trunk->file != NULL)
        gf__safetensors_release_pages(trunk->file);
}

void gf_trunk_free(gf_trunk *trunk)
{
    if (trunk == NULL || atomic_fetch_sub(&trunk->n_owners, 1) > 1)
        return;
    gf_graph_free(trunk->graph);
    gf_safetensors_close(trunk->file);
    free_texts(trunk->class_names, trunk->n_classes);
    gf__free(trunk->name);
    gf__free(trunk->origin);
    gf__free(trunk);
}

gf_status gf__trunk_verify(const gf_trunk *trunk, gf_error *err)
{
    char hex[GF__SHA256_HEX];
    const gf_status st = gf__graph_sha256(trunk->graph, hex, err);
    if (st != GF_OK)
        return st;
    if (strcmp(hex, trunk->sha256) != 0)
        return gf_error_set(
            err, GF_EMISMATCH,
            "trunk \"%s\" is damaged: its weights have SHA-256 %.12s..., recorded is "
            "%.12s...; import it again",
            trunk->name, hex, trunk->sha256);
    return GF_OK;
}

/* ---- loading ---- */

static gf_status check_format(const gf__json *document, gf_error *err)
{
    size_t format;
    const char *kind;
    gf_status st = gf__json_get_size(document, "format", &format, err);
    if (st == GF_OK)
        st = gf__json_get_string(document, "kind", &kind, err);
    if (st != GF_OK)
        return st;
    if (strcmp(kind, "trunk") != 0)
        return gf_error_set(err, GF_EFORMAT, "holds a %.40s, expected a trunk", kind);
    if (format < 1 || format > GF__TRUNK_FORMAT)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "trunk format %zu, this version reads up to %d; a later graft wrote it",
                            format, GF__TRUNK_FORMAT);
    return GF_OK;
}

static gf_status view_weights(const gf_safetensors *file, gf_graph *graph, gf_error *err)
{
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        for (size_t k = 0; k < gf__layer_n_weights(layer); k++) {
            const char *weight = gf__layer_weight_name(layer, k);
            char name[GF__LAYER_NAME_TEXT];
            snprintf(name, sizeof name, "%s/%s", gf_layer_name(layer), weight);
            gf_tensor *tensor = (gf_tensor *)gf_safetensors_find(file, name);
            if (tensor == NULL)
                return gf_error_set(err, GF_EFORMAT, "the tensor \"%s\" is missing", name);
            const gf_status st = gf__graph_set_weight(graph, i, weight, gf__tensor_ref(tensor),
                                                      err);
            if (st != GF_OK) {
                gf_tensor_free(tensor); /* the reference that was not taken */
                return st;
            }
        }
    }
    return GF_OK;
}

static gf_status read_classes(gf_trunk *trunk, const gf__json *document, gf_error *err)
{
    const gf__json *classes;
    const gf_status st = gf__json_get_array(document, "classes", &classes, err);
    if (st != GF_OK)
        return st;
    const size_t n = gf__json_n_items(classes), n_outputs = gf__graph_n_classes(trunk->graph);
    if (n != 0 && n != n_outputs)
        return gf_error_set(err, GF_EFORMAT, "%zu class names for %zu outputs", n, n_outputs);
    trunk->class_names = gf__calloc(n, sizeof *trunk->class_names);
    if (trunk->class_names == NULL)
        return gf__error_nomem(err, "class names", n * sizeof *trunk->class_names);
    for (; trunk->n_classes < n; trunk->n_classes++) {
        const char *name = gf__json_string(gf__json_at(classes, trunk->n_classes), NULL);
        if (name == NULL)
            return gf_error_set(err, GF_EFORMAT, "classes[%zu] is not a text", trunk->n_classes);
        trunk->class_names[trunk->n_classes] = gf__strdup(name);
        if (trunk->class_names[trunk->n_classes] == NULL)
            return gf__error_nomem(err, "a class name", strlen(name));
    }
    return GF_OK;
}

static gf_status read_parts(const gf__json *document, gf__trunk_parts *parts, gf_error *err)
{
    const gf__json *input, *config;
    double scale = 0, shift = 0;
    gf_status st = gf__json_get_string(document, "name", &parts->name, err);
    if (st == GF_OK)
        st = gf__json_get_string(document, "sha256", &parts->sha256, err);
    if (st == GF_OK)
        st = gf__json_get_string(document, "origin", &parts->origin, err);
    if (st == GF_OK)
        st = gf__json_get_object(document, "input", &input, err);
    if (st == GF_OK)
        st = gf__json_get_number(input, "scale", &scale, err);
    if (st == GF_OK)
        st = gf__json_get_number(input, "shift", &shift, err);
    if (st == GF_OK)
        st = gf__json_get_object(document, "graph", &config, err);
    if (st == GF_OK)
        st = gf__graph_from_config(config, &parts->graph, err);
    parts->scale = (float)scale;
    parts->shift = (float)shift;
    return st;
}

static gf_status load_file(const char *path, gf_trunk **out, gf_error *err)
{
    gf_status st;
    gf__json *document = NULL;
    gf__trunk_parts parts = {0};
    gf_trunk *trunk = NULL;

    st = gf_safetensors_open(path, &parts.file, err);
    if (st != GF_OK)
        return st; /* names the path itself */
    const char *text = gf_safetensors_metadata(parts.file, "graft");
    if (text == NULL) {
        st = gf_error_set(err, GF_EFORMAT,
                          "has no \"graft\" metadata; import it with graft import");
        goto done;
    }
    st = gf__json_parse(text, strlen(text), &document, err);
    if (st != GF_OK)
        goto done;
    st = check_format(document, err);
    if (st != GF_OK)
        goto done;
    st = read_parts(document, &parts, err);
    if (st != GF_OK)
        goto done;
    st = view_weights(parts.file, parts.graph, err);
    if (st != GF_OK)
        goto done;
    st = gf__trunk_take(&parts, &trunk, err);
    if (st != GF_OK)
        goto done;
    parts.graph = NULL; /* the trunk's now */
    parts.file = NULL;
    st = read_classes(trunk, document, err);
    if (st != GF_OK)
        goto done;

    *out = trunk;
    trunk = NULL; /* moved to the caller */
done:
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
    gf_trunk_free(trunk);
    gf_graph_free(parts.graph);
    gf_safetensors_close(parts.file);
    gf__json_free(document);
    return st;
}

gf_status gf__trunk_read(const char *path, gf__checkpoint *out, gf_error *err)
{
    gf_trunk *trunk = NULL;
    gf_status st = load_file(path, &trunk, err);
    if (st != GF_OK)
        return st;
    st = gf__trunk_verify(trunk, err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
    *out = (gf__checkpoint){.graph = trunk->graph,
                            .file = trunk->file,
                            .origin = trunk->origin,
                            .has_input = true,
                            .scale = trunk->scale,
                            .shift = trunk->shift,
                            .class_names = trunk->class_names,
                            .n_classes = trunk->n_classes};
    trunk->graph = NULL; /* the checkpoint's now, as the rest of it */
    trunk->file = NULL;
    trunk->origin = NULL;
    trunk->class_names = NULL;
    trunk->n_classes = 0;
    gf_trunk_free(trunk);
    return st;
}

gf_status gf_trunk_load(const char *home, const char *name, gf_trunk **out, gf_error *err)
{
    *out = NULL;
    char *path = is_path(name) ? gf__strdup(name) : gf__trunk_path(home, name);
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(name));
    gf_status st;
    if (!gf__is_file(path) && !is_path(name))
        st = gf_error_set(
            err, GF_ENOTFOUND,
            "no trunk \"%.64s\" in %.200s/trunks; get one with `graft pull inception_v3` "
            "or `graft import FILE --as NAME`",
            name, home);
    else
        st = load_file(path, out, err);
    gf__free(path);
    return st;
}

const char *gf_trunk_name(const gf_trunk *trunk)
{
    return trunk->name;
}

const char *gf_trunk_sha256(const gf_trunk *trunk)
{
    return trunk->sha256;
}

const gf_graph *gf_trunk_graph(const gf_trunk *trunk)
{
    return trunk->graph;
}

size_t gf_trunk_n_classes(const gf_trunk *trunk)
{
    return trunk->n_classes;
}

const char *gf_trunk_class_at(const gf_trunk *trunk, size_t k)
{
    return k < trunk->n_classes ? trunk->class_names[k] : NULL;
}

void gf_trunk_input(const gf_trunk *trunk, size_t *width, size_t *height, float *scale,
                    float *shift)
{
    const gf_layer *input = gf_graph_layer_at(trunk->graph, 0);
    const bool is_picture = gf_layer_n_dims(input) == 3;
    *width = is_picture ? gf_layer_shape(input)[1] : 0;
    *height = is_picture ? gf_layer_shape(input)[0] : 0;
    *scale = trunk->scale;
    *shift = trunk->shift;
}

const char *gf_trunk_origin(const gf_trunk *trunk)
{
    return trunk->origin;
}
