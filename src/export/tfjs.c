/* export/tfjs.c: TensorFlow.js' layers-model: a folder with model.json (Keras' configuration and a list
 * of weights) and shards of 4 MiB, which hold the weights one behind the other. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "export/export_priv.h"
#include "tensor/tensor.h"

#define SHARD_BYTES ((size_t)4 << 20)
#define F16_MAX     65504.0f

typedef struct tfjs_model {
    gf__buffer weights;
    gf__json *manifest; /* the list of weights */
    gf__export_quantisation quantisation;
} tfjs_model;

/* ---- weights --------------------------------------------------------------------------------- */

/* value = q * scale + min, with 0 exactly among them where both signs occur: the way of the
 * TensorFlow.js converter. */
static gf__json *append_u8(gf__buffer *out, const float *values, size_t n)
{
    float low = values[0], high = values[0];
    for (size_t i = 1; i < n; i++) {
        low = fminf(low, values[i]);
        high = fmaxf(high, values[i]);
    }
    const double scale = high > low ? ((double)high - (double)low) / 255.0 : 1.0;
    const double min = low < 0 && high > 0 ? -round(-(double)low / scale) * scale : (double)low;
    for (size_t i = 0; i < n; i++) {
        const double q = round(((double)values[i] - min) / scale);
        const uint8_t byte = (uint8_t)fmin(fmax(q, 0.0), 255.0);
        gf__buffer_append(out, &byte, 1);
    }
    gf__json *how = gf__json_object();
    gf__json_set_string(how, "dtype", "uint8");
    gf__json_set_number(how, "min", min);
    gf__json_set_number(how, "scale", scale);
    gf__json_set_string(how, "original_dtype", "float32");
    return how;
}

static gf__json *append_f16(gf__buffer *out, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint16_t half = gf__f32_to_f16(values[i]);
        gf__buffer_append(out, &half, sizeof half);
    }
    gf__json *how = gf__json_object();
    gf__json_set_string(how, "dtype", "float16");
    gf__json_set_string(how, "original_dtype", "float32");
    return how;
}

/* Kernels alone are quantised: they are nearly all of the bytes, and a variance of 256 steps would cost
 * more than it saves. */
static bool is_quantised(const tfjs_model *model, const char *weight)
{
    return model->quantisation != GF__EXPORT_F32 && strstr(weight, "kernel") != NULL;
}

/* What is rounded is asked for; what becomes infinite, or drags the steps of all others there, is not. */
static gf_status check_range(const tfjs_model *model, const char *name, const gf_tensor *tensor,
                             gf_error *err)
{
    const float most = model->quantisation == GF__EXPORT_F16 ? F16_MAX : FLT_MAX;
    const float *values = gf_tensor_f32(tensor);
    for (size_t i = 0; i < gf_tensor_n_values(tensor); i++)
        if (!(fabsf(values[i]) <= most))
            return gf_error_set(err, GF_EUNSUPPORTED,
                                "%s: has the value %g, at most %g can be quantised", name,
                                (double)values[i], (double)most);
    return GF_OK;
}

static gf__json *append_values(tfjs_model *model, const char *weight, const float *values, size_t n)
{
    if (is_quantised(model, weight))
        return model->quantisation == GF__EXPORT_U8 ? append_u8(&model->weights, values, n)
                                                    : append_f16(&model->weights, values, n);
    gf__buffer_append(&model->weights, values, n * sizeof *values);
    return NULL;
}

static gf_status add_weight(tfjs_model *model, const gf_layer *layer, size_t i, gf_error *err)
{
    const bool is_depthwise = gf__layer_config_of(layer)->class_id == GF__LAYER_DEPTHWISE_CONV2D;
    const char *weight = gf__layer_weight_name(layer, i);
    const gf_tensor *tensor = gf__layer_weight_at(layer, i);
    if (is_depthwise && strcmp(weight, "kernel") == 0)
        weight = "depthwise_kernel";
    char *name = gf__asprintf("%s/%s", gf_layer_name(layer), weight);
    if (name == NULL)
        return gf__error_nomem(err, "a weight's name", strlen(weight));
    if (is_quantised(model, weight)) {
        const gf_status st = check_range(model, name, tensor, err);
        if (st != GF_OK) {
            gf__free(name);
            return st;
        }
    }
    gf__json *entry = gf__json_object(), *shape = gf__json_array();
    for (size_t d = 0; d < gf_tensor_n_dims(tensor); d++)
        gf__json_append(shape, gf__json_new_int((int64_t)gf_tensor_shape(tensor)[d]));
    gf__json_set_string(entry, "name", name);
    gf__json_set(entry, "shape", shape);
    gf__json_set_string(entry, "dtype", "float32");
    gf__json *how = append_values(model, weight, gf_tensor_f32(tensor), gf_tensor_n_values(tensor));
    if (how != NULL)
        gf__json_set(entry, "quantization", how);
    gf__json_append(model->manifest, entry);
    gf__free(name);
    return gf__buffer_status(&model->weights, err);
}

static gf_status add_weights(tfjs_model *model, const gf__export_source *source, gf_error *err)
{
    const gf_graph *graph = source->graph;
    gf_status st = GF_OK;
    for (size_t i = 0; st == GF_OK && i < gf_graph_n_layers(graph); i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        for (size_t k = 0; st == GF_OK && k < gf__layer_n_weights(layer); k++)
            st = add_weight(model, layer, k, err);
        if (st == GF_OK)
            st = gf__export_progress(source, i, err);
    }
    return st;
}

/* ---- files ----------------------------------------------------------------------------------- */

#define SHARD_NAME 64

static size_t n_shards(size_t n_bytes)
{
    return (n_bytes + SHARD_BYTES - 1) / SHARD_BYTES;
}

static const char *shard_name(size_t i, size_t n, char name[SHARD_NAME])
{
    snprintf(name, SHARD_NAME, "group1-shard%zuof%zu.bin", i + 1, n);
    return name;
}

static gf_status write_shards(const tfjs_model *model, const gf__export_source *source,
                              const char *dir, gf__json *paths, gf_error *err)
{
    const size_t n = n_shards(model->weights.size);
    gf_status st = GF_OK;
    for (size_t i = 0; i < n && st == GF_OK; i++) {
        char name[SHARD_NAME];
        const size_t at = i * SHARD_BYTES, left = model->weights.size - at;
        char *path = gf__path_join(dir, shard_name(i, n, name));
        if (path == NULL)
            st = gf__error_nomem(err, "a path", strlen(dir));
        else
            st = gf__write_file(path, model->weights.data + at,
                                left < SHARD_BYTES ? left : SHARD_BYTES, err);
        gf__json_append(paths, gf__json_new_string(name));
        gf__free(path);
        if (st == GF_OK)
            st = gf__export_is_wanted(source, err);
    }
    return st;
}

static gf_status document(tfjs_model *model, const gf__export_source *source, gf__json *paths,
                          gf__json **out, gf_error *err)
{
    gf__json *config = NULL;
    const gf_status st = gf__graph_to_config(source->graph, &config, err);
    gf__json *root = gf__json_object(), *topology = gf__json_object();
    gf__json *group = gf__json_object(), *groups = gf__json_array();
    gf__json_set_string(root, "format", "layers-model");
    gf__json_set_string(root, "generatedBy", "graft");
    gf__json_set_string(root, "convertedBy", NULL);
    gf__json_set_string(topology, "keras_version", "2.3.0"); /* the dialect that it is written in */
    gf__json_set_string(topology, "backend", "tensorflow");
    if (config != NULL)
        gf__json_set(topology, "model_config", config);
    gf__json_set(root, "modelTopology", topology);
    gf__json_set(group, "paths", paths);
    gf__json_set(group, "weights", model->manifest);
    model->manifest = NULL; /* the document's now */
    gf__json_append(groups, group);
    gf__json_set(root, "weightsManifest", groups);
    gf__json_set(root, "userDefinedMetadata", gf__export_properties(source));
    *out = root;
    return st;
}

static gf_status write_files(tfjs_model *model, const gf__export_source *source, const char *dir,
                             gf_error *err)
{
    gf__buffer text = {0};
    gf__json *root = NULL, *paths = gf__json_array();
    char *path = gf__path_join(dir, "model.json");
    gf_status st = path != NULL ? GF_OK : gf__error_nomem(err, "a path", strlen(dir));
    if (st == GF_OK)
        st = write_shards(model, source, dir, paths, err);
    const gf_status made = document(model, source, paths, &root, st == GF_OK ? err : NULL);
    st = st == GF_OK ? made : st;
    if (st == GF_OK) {
        gf__json_write(root, false, &text);
        st = gf__buffer_status(&text, err);
    }
    if (st == GF_OK)
        st = gf__write_file(path, text.data, text.size, err);
    gf__json_free(root);
    gf__buffer_free(&text);
    gf__free(path);
    return st;
}

typedef struct tfjs_export {
    tfjs_model *model;
    const gf__export_source *source;
} tfjs_export;

static gf_status write_folder(void *user, const char *dir, gf_error *err)
{
    const tfjs_export *e = user;
    const gf_status st = add_weights(e->model, e->source, err);
    return st == GF_OK ? write_files(e->model, e->source, dir, err) : st;
}

static void remove_files(void *user, int dir_fd)
{
    const tfjs_export *e = user;
    char name[SHARD_NAME];
    const size_t n = n_shards(e->model->weights.size);
    for (size_t i = 0; i < n; i++)
        (void)unlinkat(dir_fd, shard_name(i, n, name), 0);
    (void)unlinkat(dir_fd, "model.json", 0);
}

gf_status gf__export_tfjs(const gf__export_source *source, const char *path, gf_error *err)
{
    tfjs_model model = {.quantisation = source->quantisation};
    tfjs_export e = {&model, source};
    const gf__export_folder folder = {"layers-model", write_folder, remove_files, &e};
    model.manifest = gf__json_array();
    const gf_status st = gf__export_write_folder(source, path, &folder, err);
    gf__json_free(model.manifest);
    gf__buffer_free(&model.weights);
    return st;
}
