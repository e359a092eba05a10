/* model/file_read.c: a model from a safetensors file. The document says which tensors there must be
 * and of what shape; every one is looked up and checked before memory is taken for it, so a file
 * cannot ask for more than it brings. */
#include <math.h>
#include <string.h>

#include "head/head.h"
#include "model/model_priv.h"

size_t gf__first_not_finite(const float *values, size_t n)
{
    size_t i = 0;
    while (i < n && isfinite(values[i]))
        i++;
    return i;
}

char *gf__head_tensor_name(size_t layer, const char *weight)
{
    return gf__asprintf("head/%zu/%s", layer, weight);
}

char *gf__trunk_tensor_name(const char *layer, const char *weight)
{
    return gf__asprintf("trunk/%s/%s", layer, weight);
}

char *gf__sample_tensor_name(size_t sample)
{
    return gf__asprintf("self_test/%zu", sample);
}

/* The float32 tensor "head/LAYER/WEIGHT" of exactly this shape, all values finite. */
static gf_status find_weight(const gf_safetensors *file, size_t layer, const char *weight,
                             const size_t *shape, size_t n_dims, const float **out, gf_error *err)
{
    char *name = gf__head_tensor_name(layer, weight);
    if (name == NULL)
        return gf__error_nomem(err, "a tensor's name", 0);
    const gf_tensor *tensor = gf_safetensors_find(file, name);
    char want[GF__SHAPE_TEXT], found[GF__SHAPE_TEXT];
    gf_status st = GF_OK;
    if (tensor == NULL) {
        st = gf_error_set(err, GF_EFORMAT, "tensor %s is missing", name);
    } else if (gf_tensor_f32(tensor) == NULL || gf_tensor_n_dims(tensor) != n_dims ||
               memcmp(gf_tensor_shape(tensor), shape, n_dims * sizeof *shape) != 0) {
        st = gf_error_set(err, GF_EFORMAT, "tensor %s is %s %s, expected float32 %s", name,
                          gf_dtype_name(gf_tensor_dtype(tensor)),
                          gf__shape_text(gf_tensor_shape(tensor), gf_tensor_n_dims(tensor), found),
                          gf__shape_text(shape, n_dims, want));
    } else {
        *out = gf_tensor_f32(tensor);
        const size_t n = gf_tensor_n_values(tensor);
        const size_t i = gf__first_not_finite(*out, n);
        if (i < n)
            st = gf_error_set(err, GF_EFORMAT, "tensor %s: value %zu is %g, weights are numbers",
                              name, i, (double)(*out)[i]);
    }
    gf__free(name);
    return st;
}

/* Whether n floats lie in the mapping: a tensor that was not aligned in it has been copied. */
static bool is_inside(const gf__mapping *mapping, const float *values, size_t n)
{
    const uintptr_t begin = (uintptr_t)mapping->data, at = (uintptr_t)values;
    return at >= begin && at - begin <= mapping->size &&
           n * sizeof *values <= mapping->size - (at - begin);
}

static gf_status copy_head(gf_model *model, const float *const *kernels, const float *const *biases,
                           gf_error *err)
{
    size_t inputs = model->n_features;
    const gf_status st = gf_head_new(inputs, model->head_layers, model->n_head_layers, &model->head,
                                     err);
    for (size_t i = 0; st == GF_OK && i < model->n_head_layers; i++) {
        const size_t units = model->head_layers[i].units;
        memcpy(gf_head_kernel(model->head, i), kernels[i], inputs * units * sizeof(float));
        memcpy(gf_head_bias(model->head, i), biases[i], units * sizeof(float));
        inputs = units;
    }
    return st;
}

/* Looks all of them up first, then makes the head: see the top of the file. It views weights that lie
 * in `lent`, and copies where there is none. */
static gf_status read_head(gf_model *model, const gf_safetensors *file, const gf__mapping *lent,
                           gf_error *err)
{
    const float *kernels[GF__MODEL_MAX_HEAD_LAYERS], *biases[GF__MODEL_MAX_HEAD_LAYERS];
    size_t inputs = model->n_features;
    bool is_view = lent != NULL;
    gf_status st = GF_OK;
    for (size_t i = 0; i < model->n_head_layers && st == GF_OK; i++) {
        const size_t shape[2] = {inputs, model->head_layers[i].units};
        st = find_weight(file, i, "kernel", shape, 2, &kernels[i], err);
        if (st == GF_OK)
            st = find_weight(file, i, "bias", &shape[1], 1, &biases[i], err);
        is_view = st == GF_OK && is_view && is_inside(lent, kernels[i], shape[0] * shape[1]) &&
                  is_inside(lent, biases[i], shape[1]);
        inputs = shape[1];
    }
    if (st == GF_OK)
        st = is_view ? gf__head_new_view(model->n_features, model->head_layers,
                                         model->n_head_layers, kernels, biases, &model->head, err)
                     : copy_head(model, kernels, biases, err);
    if (st == GF_EINVAL && err != NULL)
        err->code = GF_EFORMAT; /* what no caller may ask for, no file may either */
    return st == GF_EINVAL ? GF_EFORMAT : st;
}

/* Copied, so that a file that is no bundle can be closed. */
static gf_status read_pictures(gf_model *model, const gf_safetensors *file, gf_error *err)
{
    for (size_t i = 0; i < model->n_samples && !gf__model_takes_numbers(model); i++) {
        gf__model_sample *sample = &model->samples[i];
        const gf_tensor *tensor = gf_safetensors_find(file, sample->png_tensor);
        if (tensor == NULL || gf_tensor_dtype(tensor) != GF_DTYPE_U8)
            return gf_error_set(err, GF_EFORMAT,
                                "self_test: sample %zu: there is no uint8 tensor \"%.64s\"", i,
                                sample->png_tensor);
        sample->n_bytes = gf_tensor_size_bytes(tensor);
        sample->png = gf__malloc(sample->n_bytes);
        if (sample->png == NULL)
            return gf__error_nomem(err, "a self-test picture", sample->n_bytes);
        if (sample->n_bytes > 0)
            memcpy(sample->png, gf_tensor_data(tensor), sample->n_bytes);
    }
    return GF_OK;
}

static gf_status read_document(gf_model *model, const gf_safetensors *file, gf_error *err)
{
    const char *text = gf_safetensors_metadata(file, GF__DOCUMENT_KEY);
    if (text == NULL)
        return gf_error_set(err, GF_EFORMAT,
                            "a safetensors file without \"" GF__DOCUMENT_KEY
                            "\" in its metadata: not one of graft's models");
    model->text = gf__strdup(text);
    if (model->text == NULL)
        return gf__error_nomem(err, "a model's document", strlen(text));
    const gf_status st = gf__json_parse(text, strlen(text), &model->json, err);
    if (st != GF_OK) {
        gf__error_prefix(err, "its document");
        return st;
    }
    return gf__document_read(model, err);
}

static gf_status read_tensors(gf_model *model, const gf_safetensors *file, const gf__mapping *lent,
                              gf_error *err)
{
    const gf_status st = read_head(model, file, lent, err);
    return st == GF_OK ? read_pictures(model, file, err) : st;
}

/* Takes the file over, whatever comes back. */
static gf_status read_model(gf_safetensors *file, bool is_whole, const gf__mapping *lent,
                            gf_model **out, gf_error *err)
{
    *out = NULL;
    gf_model *model = gf__calloc(1, sizeof *model);
    if (model == NULL) {
        gf_safetensors_close(file);
        return gf__error_nomem(err, "a model", sizeof *model);
    }
    atomic_init(&model->n_owners, 1);
    pthread_mutex_init(&model->trunk_mutex, NULL);
    model->file = file;
    gf_status st = read_document(model, file, err);
    if (st == GF_OK && is_whole)
        st = read_tensors(model, file, lent, err);
    if (st == GF_OK && model->trunk_graph == NULL) {
        gf_safetensors_close(model->file);
        model->file = NULL;
    }
    if (st == GF_OK) {
        *out = model;
        model = NULL;
    }
    gf_model_unref(model);
    return st;
}

gf_status gf__model_parse(const void *bytes, size_t n_bytes, gf_model **out, gf_error *err)
{
    gf_safetensors *file = NULL;
    *out = NULL;
    const gf_status st = gf_safetensors_parse(bytes, n_bytes, &file, err);
    return st == GF_OK ? read_model(file, true, NULL, out, err) : st;
}

gf_status gf__model_view(const gf__mapping *bytes, gf_model **out, gf_error *err)
{
    gf_safetensors *file = NULL;
    *out = NULL;
    const gf_status st = gf_safetensors_parse(bytes->data, bytes->size, &file, err);
    return st == GF_OK ? read_model(file, true, bytes, out, err) : st;
}

static gf_status load(const char *path, bool is_whole, gf_model **out, gf_error *err)
{
    gf_safetensors *file = NULL;
    *out = NULL;
    gf_status st = gf_safetensors_open(path, &file, err); /* names the path itself */
    if (st != GF_OK)
        return st;
    st = read_model(file, is_whole, NULL, out, err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
    return st;
}

gf_status gf_model_load(const char *path, gf_model **out, gf_error *err)
{
    return load(path, true, out, err);
}

gf_status gf__model_load_document(const char *path, gf_model **out, gf_error *err)
{
    return load(path, false, out, err);
}
