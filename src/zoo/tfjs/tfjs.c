/* tfjs.c: the document of a TensorFlow.js layers-model: Keras' configuration under "modelTopology"
 * and the list of weights under "weightsManifest". It is model.json, or the same as a JavaScript
 * object inside an npm module (model.min.js). The weights themselves: tfjs_weights.c. */
#include <string.h>

#include "zoo/tfjs/tfjs_priv.h"

#define DOCUMENT_LIMIT ((size_t)64 << 20)

static gf_status parse_document(const gf__source *source, const char *text, size_t size,
                                gf__json **out, gf_error *err)
{
    gf__buffer json = {0};
    size_t offset;
    if (source->kind == GF__SOURCE_TFJS)
        return gf__json_parse(text, size, out, err);
    gf_status st = gf__js_find(text, size, ".exports", &offset, err);
    if (st == GF_OK)
        st = gf__js_to_json(text + offset, size - offset, &json, NULL, err);
    if (st == GF_OK)
        st = gf__json_parse(json.data, json.size, out, err);
    gf__buffer_free(&json);
    return st;
}

/* "modelTopology" is {"model_config": {...}, "keras_version": ...}, or the model configuration
 * itself. */
static gf_status find_model_config(const gf__json *document, const gf__json **out, gf_error *err)
{
    const gf__json *topology;
    const gf_status st = gf__json_get_object(document, "modelTopology", &topology, err);
    if (st != GF_OK)
        return st;
    const gf__json *config = gf__json_find(topology, "model_config");
    *out = config != NULL ? config : topology;
    if (gf__json_find(topology, "node") != NULL)
        return gf_error_set(
            err, GF_EUNSUPPORTED,
            "is a TensorFlow.js graph model; only a layers model has layers to look at");
    return GF_OK;
}

static gf_status read_document(const gf__source *source, const gf__json *document,
                               const gf_observer *obs, gf__checkpoint *out, gf_error *err)
{
    const gf__json *config, *manifest;
    gf__config_notes notes = {0};
    gf__buffer origin = {0};
    gf__buffer_printf(&origin, "TensorFlow.js layers-model, ");
    gf_status st = find_model_config(document, &config, err);
    if (st == GF_OK)
        st = gf__json_get_array(document, "weightsManifest", &manifest, err);
    if (st == GF_OK)
        st = gf__graph_from_noted_config(config, &notes, &out->graph, err);
    if (st == GF_OK)
        st = gf__tfjs_read_weights(source, manifest, out->graph, obs, &origin, err);
    gf__checkpoint_scale_input(&notes, out);
    gf__config_notes_free(&notes);
    if (st == GF_OK &&
        strcmp(gf__json_string(gf__json_find(document, "generatedBy"), ""), "graft") == 0)
        st = gf__checkpoint_read_properties(gf__json_find(document, "userDefinedMetadata"), out,
                                            err);
    gf__buffer_printf(&origin, " weights, %s", gf__path_base(source->path));
    if (st == GF_OK)
        st = gf__buffer_status(&origin, err);
    if (st == GF_OK)
        out->origin = gf__buffer_take(&origin, NULL);
    gf__buffer_free(&origin);
    return st;
}

gf_status gf__tfjs_read(const gf__source *source, const gf_observer *obs, gf__checkpoint *out,
                        gf_error *err)
{
    char *text = NULL;
    size_t size = 0;
    gf__json *document = NULL;
    gf_status st = gf__read_file(source->path, DOCUMENT_LIMIT, &text, &size, err);
    if (st != GF_OK)
        return st; /* names the path itself */
    st = parse_document(source, text, size, &document, err);
    if (st == GF_OK)
        st = read_document(source, document, obs, out, err);
    if (st != GF_OK && st != GF_ECANCELED)
        gf__error_prefix(err, "%s", source->path);
    gf__json_free(document);
    gf__free(text);
    return st;
}

gf__json *gf__npm_class_names(const gf__source *source)
{
    char *text = NULL;
    size_t size, offset;
    gf__json *classes = NULL;
    gf__buffer json = {0};
    const int n_folder = (int)(gf__path_base(source->path) - source->path);
    char *path = gf__asprintf("%.*s../../cjs/nsfw_classes.js", n_folder, source->path);
    if (path != NULL && gf__is_file(path) &&
        gf__read_file(path, 1 << 20, &text, &size, NULL) == GF_OK &&
        gf__js_find(text, size, "NSFW_CLASSES", &offset, NULL) == GF_OK &&
        gf__js_to_json(text + offset, size - offset, &json, NULL, NULL) == GF_OK)
        (void)gf__json_parse(json.data, json.size, &classes, NULL);
    gf__buffer_free(&json);
    gf__free(text);
    gf__free(path);
    return classes;
}
